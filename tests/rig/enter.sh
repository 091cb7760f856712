#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Runs a command inside a Debian root:
#
#   enter.sh ROOT [--bind SOURCE:TARGET]... -- COMMAND [ARGUMENT]...
#
# ROOT is `testing`, `bullseye`, or a folder. The command sees the root read-only, the host's /proc,
# /dev and /sys, an empty /tmp and /run of its own, and the bound files and folders. All of that is
# a mount namespace of the command, so nothing is left to undo; and every step is an exec, so the
# process id is the command's own: a signal sent to it reaches the server.

set -euo pipefail

fail() {
    printf 'enter: %s\n' "$*" >&2
    exit 125
}

if [[ ${1:-} != --inside ]]; then
    [[ $# -ge 2 ]] || fail "usage: enter.sh ROOT [--bind SOURCE:TARGET]... -- COMMAND"
    [[ $EUID -eq 0 ]] || fail "run as root: entering a Debian root takes chroot"
    root=$1
    shift
    [[ $root == */* ]] || root="${XDG_CACHE_HOME:-$HOME/.cache}/constellation/$root"
    [[ -x $root/bin/sh ]] || fail "no Debian root in $root (tests/rig/provision.sh makes it)"
    # Held until the command ends: provision.sh does not replace a root that is in use.
    exec 9>>"$root.lock"
    flock --shared --timeout 60 9 || fail "$root is being replaced"
    exec unshare --mount --propagation private -- "$0" --inside "$root" "$@"
fi

root=$2
shift 2
binds=()
while [[ ${1:-} == --bind ]]; do
    [[ -e ${2%%:*} ]] || fail "${2%%:*} is not there to be bound"
    binds+=("$2")
    shift 2
done
[[ ${1:-} == -- ]] || fail "a command must follow --"
shift

mount --bind "$root" "$root"
for folder in tmp run; do
    mount -t tmpfs -o mode=1777 constellation "$root/$folder"
done
for bind in "${binds[@]}"; do
    target="$root${bind#*:}"
    if [[ -d ${bind%%:*} ]]; then
        [[ -d $target ]] || mkdir -p "$target"
    elif [[ ! -e $target ]]; then
        mkdir -p "${target%/*}"
        touch "$target"
    fi
done
mount -o remount,bind,ro "$root"
for folder in proc dev sys; do
    mount --rbind "/$folder" "$root/$folder"
done
for bind in "${binds[@]}"; do
    mount --rbind "${bind%%:*}" "$root${bind#*:}"
done

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
exec chroot "$root" "$@"
