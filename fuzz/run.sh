#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# Runs the fuzz targets, with the stable compiler:
#
#   run.sh seconds N [TARGET]...   each target for N seconds, from the seeds and what earlier runs found
#   run.sh runs N [TARGET]...      each target N times from the seeds alone, always the same N inputs
#
# What libFuzzer needs of a compiler is its coverage, for which rustc has stable switches. What has
# made a target fail is left in target/fuzz/<target>/; put it into fuzz/seeds/<target>/ when it is
# mended. New inputs are kept in the cache folder and serve the next run.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

fail() {
    printf 'fuzz: %s\n' "$*" >&2
    exit 1
}

how=${1:-}
count=${2:-}
[[ $how == seconds || $how == runs ]] || fail "usage: run.sh seconds|runs N [TARGET]..."
[[ $count =~ ^[1-9][0-9]*$ ]] || fail "'$count' is no number of $how"
shift 2
targets=("$@")
if ((${#targets[@]} == 0)); then
    for seeds in fuzz/seeds/*/; do targets+=("$(basename "$seeds")"); done
fi

command -v g++ >/dev/null || fail "g++ is missing: install the package g++"
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}
flags=(
    --cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)
# With a target named, the flags are for it alone, and what the build itself needs is shared with
# other builds.
export CARGO_TARGET_DIR=$build CARGO_ENCODED_RUSTFLAGS CARGO_PROFILE_RELEASE_LTO=off
printf -v CARGO_ENCODED_RUSTFLAGS '%s\x1f' "${flags[@]}"
CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
printf '==> building %s fuzz targets\n' "${#targets[@]}"
cargo build --quiet --release --locked -p constellation-fuzz --target "$host" "${targets[@]/#/--bin=}"

failed=()
for target in "${targets[@]}"; do
    program=$build/$host/release/$target
    found=target/fuzz/$target
    mkdir -p "$found"
    options=(-artifact_prefix="$found/" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1)
    corpus=()
    if [[ $how == seconds ]]; then
        kept=${XDG_CACHE_HOME:-$HOME/.cache}/constellation/fuzz/$target
        mkdir -p "$kept"
        corpus=("$kept")
        options+=(-max_total_time="$count")
    else
        # With one folder of seeds libFuzzer would write into it.
        scratch=$(mktemp -d)
        corpus=("$scratch")
        options+=(-runs="$count" -seed=1)
    fi
    log=$found/log
    if "$program" "${options[@]}" "${corpus[@]}" "fuzz/seeds/$target" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        printf '    %-14s %9s runs, %s\n' "$target" "$runs" "$(sed -n 's/.*\(cov: [0-9]*\).*/\1/p' "$log" | tail -n 1)"
    else
        failed+=("$target")
        printf '    %-14s FAILED\n' "$target"
        tail -n 30 "$log" >&2
    fi
    [[ $how == seconds ]] || rm -rf "$scratch"
done
((${#failed[@]} == 0)) || fail "failed: ${failed[*]}; the inputs are in target/fuzz/"
