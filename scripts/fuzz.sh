#!/usr/bin/env bash
# Fuzzes the parsers of untrusted input, two targets at a time: fuzz.sh [SECONDS] [TARGET…]. With
# SECONDS, each target runs that long, with new inputs every time; without, it runs 20,000 inputs of a
# fixed seed, so that a failure means that the code has changed. Any finding fails the run. Works with
# the stable toolchain; needs a C++ compiler.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../fuzz"

log() { printf 'fuzz.sh: %s\n' "$*" >&2; }

# run TARGET: the seeds are not changed; new inputs are written to a temporary corpus.
run() {
  local work="$WORK/$1" program="$PROGRAMS/$1" new bound=(-seed=1 -runs=20000)
  (( FOR == 0 )) || bound=(-max_total_time="$FOR")
  mkdir -p "$work/corpus" "$work/tmp"
  if ! TMPDIR="$work/tmp" "$program" "${bound[@]}" -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
      -artifact_prefix="$PWD/artifacts/$1-" "$work/corpus" "corpus/$1" &>"$work/log"; then
    tail -n 30 -- "$work/log" >&2
    log "$1: FOUND; repeat it with: $program $(sed -n 's/.*Test unit written to //p' "$work/log")"
    return 1
  fi
  new=$(find "$work/corpus" -type f | wc -l)
  if (( new == 0 )); then
    log "$1: no input reached new code: the coverage instrumentation is missing"
    return 1
  fi
  log "$(printf '%-12s %9s runs, %5s edges, %4s new inputs' "$1" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$work/log" | tail -n 1)" "$new")"
}

if [[ "${1:-}" == --run ]]; then
  run "$2"
  exit
fi

FOR=0
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
  FOR=$1
  shift
fi
command -v "${CXX:-c++}" >/dev/null || {
  log 'libFuzzer needs a C++ compiler, which is not installed (scripts/dependencies.sh installs it)'
  exit 1
}
targets=("$@")
if (( ${#targets[@]} == 0 )); then
  mapfile -t targets < <(basename -s .rs -- src/bin/*.rs)
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# The cfg compiles the tools' fuzz entry points; the rest shows libFuzzer where an input has led. With the
# target named, programs that run while building are built without these flags.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cforce-frame-pointers" \
  cargo build --release --locked --quiet --target "$host" "${targets[@]/#/--bin=}"

PROGRAMS="${CARGO_TARGET_DIR:-$PWD/target}/$host/release"
WORK=$(mktemp -d)
trap 'rm -rf -- "$WORK"' EXIT
export PROGRAMS WORK FOR
mkdir -p artifacts
printf '%s\n' "${targets[@]}" | xargs -n 1 -P 2 -- ../scripts/fuzz.sh --run
