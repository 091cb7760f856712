#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Counts the instructions that each kind of event costs, and compares them with `bounds`:
#
#   count.sh             the kinds of `bounds`; fails where one costs more than a tenth above its figure
#   count.sh KIND...     these only
#
# Times differ from run to run and from machine to machine, and these do not. It counts what Asterisk's
# thread does, with the real JSON library, Asterisk's real structures, and a stand-in for the rest of
# Asterisk (host.c); what the publisher's own threads do with an event is not in it.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

fail() {
    printf 'instructions: %s\n' "$*" >&2
    exit 1
}

# Of `events` in main.rs
events=2000
bounds=tests/instructions/bounds

# How much more than its figure a kind may cost, in percent: a compiler's or a library's doing.
margin=10

cargo build --quiet --release --locked -p constellation-instructions
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "${CARGO_TARGET_DIR:-target}/release/instructions" "$scratch/"

# count KIND: what one event costs
count() {
    local log=$scratch/log collected
    tests/rig/enter.sh memory --bind "$scratch:/mnt" -- valgrind --tool=callgrind \
        --callgrind-out-file=/dev/null --toggle-collect='*::measured' /mnt/instructions "$1" \
        >"$log" 2>&1 || fail "$1: $(cat "$log")"
    collected=$(sed -n 's/.*Collected : \([0-9]*\)$/\1/p' "$log")
    ((${collected:-0} > events)) || fail "$1: nothing was counted: $(cat "$log")"
    printf '%s\n' $((collected / events))
}

kinds=("$@")
((${#kinds[@]})) || mapfile -t kinds < <(sed -n 's/^\([a-z-]\{1,\}\) .*/\1/p' "$bounds")
((${#kinds[@]})) || fail "no kinds in $bounds"
over=()
printf '    %-20s %12s %12s\n' kind instructions figure
for kind in "${kinds[@]}"; do
    figure=$(sed -n "s/^$kind  *\([0-9]\{1,\}\)$/\1/p" "$bounds")
    [[ -n $figure ]] || fail "$bounds has no figure of '$kind'"
    counted=$(count "$kind")
    printf '    %-20s %12s %12s\n' "$kind" "$counted" "$figure"
    ((counted * 100 <= figure * (100 + margin))) || over+=("$kind")
done
((${#over[@]} == 0)) || fail "more than $margin % above the figure: ${over[*]}"
