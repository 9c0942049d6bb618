# shellcheck shell=bash disable=SC2154 # What bench.sh has set.
# Rows of a table, and their runs: all rows once, then all of them again, so that a machine that
# gets slower or faster does so for every one of them.

roles=()
names=()
commands=()
ours_failed=0

# row ROLE NAME COMMAND: ROLE is `bound` (a measure, no competitor), `peer` or `ours`. COMMAND is for
# bash, and writes to "$OUT", a file or directory, if its size counts.
row() {
  roles+=("$1")
  names+=("$2")
  commands+=("$3")
}

# measure TABLE PREPARE CHECK: PREPARE is called before every run, CHECK after every row's first.
measure() {
  local round at runs="${option[runs]}"
  for (( round = 1; round <= runs; round++ )); do
    for at in "${!names[@]}"; do
      run "$1" "$at" "$2"
      log "$1, round $round of $runs: ${names[$at]}: ${failure:-$(printf '%.2f s' "$seconds")}"
      if (( round == 1 )) && [[ -z "$failure" ]]; then "$3" "${names[$at]}"; fi
    done
  done
  roles=()
  names=()
  commands=()
}

# run TABLE AT PREPARE: one run of one row, noted in runs.tsv.
run() {
  export OUT="$work/out" PEAK="$work/peak" LOG="$work/log" COMMAND="${commands[$2]}"
  rm -rf -- "$OUT"
  stage "$3"
  stage settle
  seconds='' bytes='' peak='' failure=''
  # shellcheck disable=SC2016 # Expanded by the shell that hyperfine starts.
  if stage hyperfine --runs 1 --style none --export-json "$work/hyperfine.json" \
    'bench peak "$PEAK" -- bash -euo pipefail -c "$COMMAND" 2> "$LOG"' > "$work/hyperfine.log" 2>&1; then
    seconds="$(sed -n 's/^ *"mean": \([0-9.e-]*\),$/\1/p' "$work/hyperfine.json")"
    peak="$(< "$PEAK")"
    [[ ! -e "$OUT" ]] || bytes="$(find "$OUT" -type f -printf '%s\n' | awk '{ all += $1 } END { printf "%.0f", all }')"
  else
    failure="$(why_failed)"
    [[ "${roles[$2]}" != ours ]] || ours_failed=$(( ours_failed + 1 ))
  fi
  rm -rf -- "$OUT"
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "${roles[$2]}" "${names[$2]}" "$seconds" "$bytes" "$peak" "$failure" >> "$out/runs.tsv"
}

# The first line that names an error is the cause; what follows it are consequences.
why_failed() {
  local why
  why="$(grep -im 1 -E 'error|fatal|panic' "$LOG" 2>/dev/null || tail -n 1 "$LOG" 2>/dev/null || true)"
  why="${why//$'\t'/ }"
  why="${why//"$work"\//}"
  printf '%s' "${why:-$(tail -n 1 "$work/hyperfine.log")}"
}

# What needs no check, and no more preparation than every run has.
nothing() { :; }
