#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Makes the secrets of compose.yaml in secrets/ beside it, where they are not there yet: passwords, and
# an authority with one certificate for all servers. For trying out; a site has an authority of its own.
set -euo pipefail
umask 077
cd "$(dirname "$(readlink -f "$0")")"
mkdir -p secrets
cd secrets

random() { openssl rand -hex 16; }
# keep FILE: what comes is its contents, unless it has some
keep() { if [[ -e $1 ]]; then cat >/dev/null; else cat >"$1"; fi; }

# Consul in development mode takes any token.
random | keep consul.token
random | keep amqp.password
random | keep ari.password
random | keep trunk.password
printf 'password = %s\n' "$(cat ari.password)" | keep ari_gateway.conf
if [[ ! -e ca.pem ]]; then
    new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 365)
    openssl req -x509 "${new[@]}" -subj /CN=constellation -keyout ca.key -out ca.pem
    names=DNS:rabbitmq,DNS:asterisk,DNS:gateway
    for host in {2..254}; do names+=,IP:172.30.0.$host; done
    openssl req -x509 "${new[@]}" -subj /CN=node -CA ca.pem -CAkey ca.key -addext "subjectAltName=$names" \
        -addext basicConstraints=critical,CA:FALSE -keyout node.key -out node.pem
fi
# user NAME [OPTION]...: one of the gateway's, by a token in NAME.token
user() {
    random >"$1.token"
    printf '\n[[user]]\nname = "%s"\ntoken_hash = "sha256:%s"\n' "$1" \
        "$(tr -d '\n' <"$1.token" | sha256sum | cut -d' ' -f1)"
    shift
    printf '%s\n' "$@"
}
# For people, and for the conference.
if [[ ! -e gateway.toml ]]; then
    { cat ../gateway.toml && user people && user conf 'apps = ["conf"]'; } | keep gateway.toml
fi
# Each container reads them as another user.
chmod 0644 ./*
chmod 0600 ca.key people.token
