#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Provides the real servers that tests, demo and benchmarks run against, on any Debian 12 machine:
# two small Debian roots in a cache folder outside the checkout, and the tools the build needs.
#
#   provision.sh [all]     host tools and both roots; at once done when they are there
#   provision.sh tools     host tools only
#   provision.sh testing   the root of Debian testing: Asterisk 22, RabbitMQ 4, Kamailio, SIPp
#   provision.sh bullseye  the root of Debian 11: Asterisk 16, Consul, and a compiler for its glibc
#   provision.sh memory    a root of Debian testing with Asterisk 22 and valgrind; `all` leaves it out
#   provision.sh clients   a root of Debian testing with what tests and benchmarks put before a gateway:
#                          Chromium, wrk, nginx; `all` leaves it out
#   provision.sh node      a root of Debian testing with Node.js and npm, for a client of ARI; `all` leaves
#                          it out
#   provision.sh bench     librabbitmq with its headers, of Debian testing; `all` leaves it out
#   provision.sh env       what the Makefile needs to know, as NAME=VALUE lines; changes nothing
#
# The roots are used even where the machine has the same servers installed: a test then always
# meets the same versions and never another configuration or a running service.
#
# A root is made in ROOT.new and renamed when it is complete, with a stamp in ROOT/.constellation
# (the recipe's hash, the packages asked for, the versions got). A root without the right stamp is
# made anew; one whose stamp is right is left alone and nothing is fetched.

set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/constellation"

say() { printf '==> %s\n' "$*"; }
fail() {
    printf 'provision: %s\n' "$*" >&2
    exit 1
}

# recipe ROOT: sets suite, packages, servers and arguments, which are all that decides the root.
recipe() {
    # Debian testing's Release file may be past its date on a mirror that stands still.
    arguments=(--variant=apt --aptopt='Acquire::Check-Valid-Until "false"')
    suite=$1
    case $1 in
        testing)
            packages=asterisk,asterisk-dev,rabbitmq-server,kamailio,iproute2,sip-tester
            servers=(asterisk rabbitmq-server kamailio sip-tester)
            ;;
        bullseye)
            packages=asterisk,asterisk-dev,consul,gcc,libc6-dev,libclang-11-dev
            servers=(asterisk consul)
            # The security suite of Debian 11 lists an asterisk-dev it no longer holds.
            # shellcheck disable=SC2016 # mmdebstrap's own shell expands $1
            arguments+=(--setup-hook='sed -i /security/d "$1/etc/apt/sources.list"')
            ;;
        memory)
            suite=testing
            # valgrind needs the symbols of the C library that is beside it.
            packages=asterisk,valgrind,libc6-dbg
            servers=(asterisk valgrind)
            ;;
        clients)
            suite=testing
            packages=chromium,nginx-light,wrk
            servers=(chromium nginx wrk)
            ;;
        node)
            suite=testing
            packages=nodejs,npm
            servers=(nodejs npm)
            ;;
        bench)
            suite=testing
            packages=librabbitmq-dev
            servers=()
            # Files to compile with and to load into the testing root, nothing to run in here.
            arguments[0]=--variant=extract
            ;;
        *) fail "no such root: $1" ;;
    esac
    arguments+=(--include="$packages" "$suite")
}

recipe_hash() { printf '%s\n' "${arguments[@]}" | sha256sum | cut -d' ' -f1; }

stamp_value() { sed -n "s/^$2=//p" "$cache/$1/.constellation" 2>/dev/null || true; }

is_complete() { [[ $(stamp_value "$1" recipe) == "$(recipe_hash)" ]]; }

require_root_user() {
    [[ $EUID -eq 0 ]] || fail "run as root: making and entering a Debian root takes chroot ($1)"
}

provide_tools() {
    local missing=()
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v gcc >/dev/null || missing+=(gcc libc6-dev)
    command -v g++ >/dev/null || missing+=(g++) # for libFuzzer
    command -v make >/dev/null || missing+=(make)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv) # for the apps
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib/*-linux-gnu/libclang*.so*' >/dev/null || missing+=(libclang-dev)
    ((${#missing[@]})) || return 0
    [[ $EUID -eq 0 ]] || fail "missing Debian packages: ${missing[*]} (apt-get install ${missing[*]})"
    command -v apt-get >/dev/null || fail "not a Debian machine; missing tools: ${missing[*]}"
    say "installing ${missing[*]}"
    SECONDS=0
    {
        apt-get -qq update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "${missing[@]}"
    } >"$cache/tools.log" 2>&1 ||
        fail "apt-get could not install ${missing[*]} (see $cache/tools.log)"
    say "installed in $SECONDS s"
}

provide_root() {
    local name=$1 root="$cache/$1" log="$cache/$1.log" server
    recipe "$name"
    is_complete "$name" && return 0
    require_root_user "$root"
    # enter.sh holds this lock shared for as long as a process lives in the root.
    exec 8>"$root.lock"
    flock --nonblock 8 || fail "$root is to be made anew, but servers still run in it (make down?)"

    say "$name root: fetching and unpacking ${packages//,/ } (about a minute)"
    SECONDS=0
    rm -rf --one-file-system "$root.new"
    if ! mmdebstrap "${arguments[@]}" "$root.new" 2>&1 | tee "$log" |
        sed -un '/received signal/d; s/^I: \(.*\)\.\.\.$/    \1/p'; then
        rm -rf --one-file-system "$root.new"
        fail "$name root: $(sed -n '/^E: /{s///p;q}' "$log") (see $log)"
    fi
    {
        printf 'recipe=%s\nsuite=%s\npackages=%s\n' "$(recipe_hash)" "$suite" "${packages//,/ }"
        for server in "${servers[@]}"; do
            # shellcheck disable=SC2016 # dpkg-query's own field
            printf '%s=%s\n' "$server" \
                "$(dpkg-query --admindir="$root.new/var/lib/dpkg" -Wf '${Version}' "$server")"
        done
    } >"$root.new/.constellation"

    if [[ -e $root ]]; then
        rm -rf --one-file-system "$root.old"
        mv "$root" "$root.old"
    fi
    mv "$root.new" "$root"
    rm -rf --one-file-system "$root.old"
    flock --unlock 8
    say "$name root: done in $SECONDS s:$(sed -n '4,$s/^/ /p' "$root/.constellation" | tr -d '\n')"
}

# upstream_version ROOT PACKAGE: 1:22.10.1+dfsg… is 22.10.1
upstream_version() { stamp_value "$1" "$2" | sed 's/^[0-9]*://; s/[^0-9.].*//'; }

show_env() {
    printf 'ASTERISK_22_ROOT=%s\n' "$cache/testing"
    printf 'ASTERISK_22_INCLUDE_DIR=%s\n' "$cache/testing/usr/include"
    printf 'ASTERISK_22_VERSION=%s\n' "$(upstream_version testing asterisk)"
    printf 'ASTERISK_16_ROOT=%s\n' "$cache/bullseye"
    printf 'ASTERISK_16_VERSION=%s\n' "$(upstream_version bullseye asterisk)"
    printf 'RABBITMQ_VERSION=%s\n' "$(upstream_version testing rabbitmq-server)"
    printf 'CONSUL_VERSION=%s\n' "$(upstream_version bullseye consul)"
}

what=${1:-all}
[[ $what == env ]] && { show_env; exit; }

mkdir -p "$cache"
exec 7>"$cache/provision.lock"
if ! flock --nonblock 7; then
    say "another run is provisioning; waiting for it"
    flock --timeout 1800 7 || fail "the other run holds $cache/provision.lock for half an hour"
fi

case $what in
    all)
        provide_tools
        provide_root testing
        provide_root bullseye
        ;;
    tools) provide_tools ;;
    testing | bullseye | memory | clients | node | bench)
        provide_tools
        provide_root "$what"
        ;;
    *) fail "usage: provision.sh [all|tools|testing|bullseye|memory|clients|node|bench|env]" ;;
esac
