#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Runs cargo inside the Debian 11 root, for modules that Asterisk 16 there can load: a module built
# on the host would ask for a newer glibc than that root has.
#
#   build-in-root.sh build --release -p res_stasis_amqp
#
# Rust comes from the host, compiler, libclang and Asterisk's headers from the root. What is made is
# in target/asterisk-16 of the checkout.

set -euo pipefail

fail() {
    printf 'build-in-root: %s\n' "$*" >&2
    exit 1
}

rig=$(dirname "$(readlink -f "$0")")
checkout=$(dirname "$(dirname "$rig")")
cargo_home=${CARGO_HOME:-$HOME/.cargo}
cd "$checkout"

command -v rustc >/dev/null || fail "rustc is missing: install Rust 1.88 or newer with rustup"
sysroot=$(rustc --print sysroot)
[[ -x $sysroot/bin/cargo ]] || fail "no cargo beside the rustc of $sysroot: install Rust with rustup"
[[ $sysroot != /usr ]] || fail "the rustc of Debian needs the host's glibc: install Rust with rustup"

declare -A rig_env
while IFS='=' read -r name value; do rig_env[$name]=$value; done < <("$rig/provision.sh" env)
[[ -n ${rig_env[ASTERISK_16_VERSION]} ]] || fail "no root to build in: tests/rig/provision.sh makes it"

# The root has neither name service nor certificates: what is to be downloaded is downloaded here.
locked=()
[[ " $* " != *" --locked "* ]] || locked=(--locked)
cargo fetch --quiet "${locked[@]}"

exec "$rig/enter.sh" bullseye \
    --bind "$sysroot:$sysroot" --bind "$cargo_home:$cargo_home" --bind "$checkout:$checkout" -- \
    env --chdir="$checkout" \
    PATH="$sysroot/bin:/usr/bin:/bin" \
    CARGO_HOME="$cargo_home" \
    CARGO_TARGET_DIR="$checkout/target/asterisk-16" \
    CARGO_NET_OFFLINE=true \
    ASTERISK_INCLUDE_DIR=/usr/include \
    ASTERISK_VERSION="${rig_env[ASTERISK_16_VERSION]}" \
    cargo "$@"
