#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Installs a client that was written for one Asterisk, as package-lock.json pins it, in the cache
# folder, and links it to target/ari-client. Each lock file and each Node.js has a folder of its own,
# so nothing is fetched unless they change.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/constellation

fail() {
    printf 'client: %s\n' "$*" >&2
    exit 1
}

../rig/provision.sh node

stamp=$(cat package.json package-lock.json "$cache/node/.constellation" | sha256sum | cut -c1-16)
client=$cache/ari-client-$stamp

mkdir -p ../../target
exec 9>"$cache/ari-client.lock"
flock 9
if [[ ! -e $client/complete ]]; then
    printf '==> client: fetching what it needs, into %s\n' "$client"
    rm -rf "$client"
    mkdir "$client"
    cp package.json package-lock.json "$client"
    # The root has neither name service nor certificates, nor this machine's settings of npm.
    binds=()
    for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
        [[ ! -e $file ]] || binds+=(--bind "$file:$file")
    done
    [[ ! -e $HOME/.npmrc ]] || binds+=(--bind "$HOME/.npmrc:/root/.npmrc")
    ../rig/enter.sh node --bind "$client:$client" "${binds[@]}" -- env --chdir="$client" \
        HOME=/root NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
        npm ci --ignore-scripts --no-audit --no-fund --cache=/tmp/npm >"$client/log" 2>&1 ||
        fail "it could not be installed (see $client/log)"
    touch "$client/complete"
fi
rm -rf ../../target/ari-client
ln -s "$client" ../../target/ari-client
