#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Makes a Python with what the apps and their tests need, in the cache folder, and links it to
# target/apps-venv. Each set of requirements and each Python has a folder of its own, so nothing is
# fetched unless they change. app_sdk is not in it: PYTHONPATH names this folder.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

python=${PYTHON:-python3}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/constellation

fail() {
    printf 'apps: %s\n' "$*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "$python is missing: install the package python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is older than 3.10"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "no venv: install the package python3-venv"

stamp=$({
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    cat requirements.txt requirements-dev.txt
} | sha256sum | cut -c1-16)
venv=$cache/apps-$stamp

mkdir -p "$cache" ../target
exec 9>"$cache/apps.lock"
flock 9
if [[ ! -e $venv/complete ]]; then
    printf '==> apps: fetching what they need, into %s (a minute or two)\n' "$venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check install -r requirements-dev.txt ||
        fail "the requirements could not be installed"
    touch "$venv/complete"
fi
rm -rf ../target/apps-venv
ln -s "$venv" ../target/apps-venv
