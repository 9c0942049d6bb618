#!/usr/bin/env bash
# Fuzzes the parsers of outside bytes: fuzz.sh [SECONDS] [TARGET…], each target for SECONDS (30),
# two at once. Any finding fails it. Works with the stable toolchain; needs a C++ compiler.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../fuzz"

# $1: a target. Its seeds stay as they are; what it finds out goes to a corpus that is thrown away.
run() {
    local found="$WORK/$1" program="$PROGRAMS/$1" known
    mkdir -p "$found/corpus" "$found/tmp"
    if ! TMPDIR="$found/tmp" "$program" -max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$PWD/artifacts/$1-" "$found/corpus" "corpus/$1" 2>"$found/log"; then
        tail -n 30 -- "$found/log" >&2
        # SC2012: libFuzzer's own names, which hold nothing odd.
        # shellcheck disable=SC2012
        printf 'fuzz.sh: %s: FOUND; repeat it with\n  %s %s\n' "$1" "$program" "$(ls -t -- "$PWD/artifacts/$1-"* | head -n 1)" >&2
        return 1
    fi
    known=$(find "$found/corpus" -type f | wc -l)
    if (( known == 0 )); then
        printf 'fuzz.sh: %s: nothing new was ever reached: no coverage comes back\n' "$1" >&2
        return 1
    fi
    printf 'fuzz.sh: %-12s %9s runs, %5s edges, %4s new inputs\n' "$1" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$found/log" | tail -n 1)" "$known" >&2
}

if [[ "${1:-}" == --run ]]; then
    run "$2"
    exit
fi

SECONDS_EACH=30
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    SECONDS_EACH=$1
    shift
fi
command -v "${CXX:-c++}" >/dev/null || {
    echo 'fuzz.sh: libFuzzer needs a C++ compiler, and there is none (apt-get install g++)' >&2
    exit 1
}
targets=("$@")
if (( ${#targets[@]} == 0 )); then
    mapfile -t targets < <(basename -s .rs -- src/bin/*.rs)
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# What tells libFuzzer where an input has led. A target is named so that what runs at build time is
# built without.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cforce-frame-pointers" \
    cargo build --release --locked --quiet --target "$host" "${targets[@]/#/--bin=}"

PROGRAMS="${CARGO_TARGET_DIR:-$PWD/target}/$host/release"
WORK=$(mktemp -d)
trap 'rm -rf -- "$WORK"' EXIT
export PROGRAMS WORK SECONDS_EACH
mkdir -p artifacts
printf '%s\n' "${targets[@]}" | xargs -n 1 -P 2 -- ../scripts/fuzz.sh --run
