#!/usr/bin/env bash
# Benchmarks obj-mirror against rclone and s5cmd, and prints the tables of docs/BENCHMARKS.md. A peer
# that is not on PATH is reported, and its rows are omitted. The server is Garage if it is on PATH
# (cargo install garage --locked), else the server of the tests, which keeps everything in memory.
#   bench-objects.sh [OPTION…]
#     --runs N         runs of each command, interleaved [5]
#     --shape SHAPE    few: 598 MB in 601 directories; many: 480 MB, a directory for each key; small: 50, 4 MB in
#                      all, in one directory [few]
#     --only pull      measure only bucket to directory
#     --bin DIR        directory of obj-mirror and s3-server [built from here]
#     --out DIR        directory of results-objects.md and runs-objects.tsv [bench/ in cargo's target directory]
# Objects lie in TMPDIR, some 10 GB at the end: nothing is removed between runs, because a
# filesystem is slow to create files after many removals. Exit status 1 if a command of this toolkit fails.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench-objects.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/garage.sh
. "$root/scripts/bench/garage.sh"
# shellcheck source=bench/storage.sh
. "$root/scripts/bench/storage.sh"

runs=5
out=''
bin=''
shape=few
only=''
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --runs) [[ "${2:-}" =~ ^[1-9][0-9]{0,2}$ ]] || die 2 "--runs needs a number from 1"; runs="$2"; shift 2 ;;
    --shape) [[ "${2:-}" =~ ^(few|many|small)$ ]] || die 2 "--shape needs few, many or small"; shape="$2"; shift 2 ;;
    --only) [[ "${2:-}" == pull ]] || die 2 "--only needs pull"; only="$2"; shift 2 ;;
    --bin) [[ -x "${2:-}/obj-mirror" ]] || die 2 "--bin needs a directory of programs"; bin="$(readlink -f -- "$2")"; shift 2 ;;
    --out) [[ -n "${2:-}" ]] || die 2 "--out needs a directory"; out="$2"; shift 2 ;;
    *) die 2 "unknown option $1; see bench-objects.sh -h" ;;
  esac
done
target="${CARGO_TARGET_DIR:-$root/target}"
out="${out:-$target/bench}"
mkdir -p -- "$out"
if [[ -z "$bin" ]]; then
  ( cd -- "$root" && cargo build --quiet --release --locked -p obj-mirror -p test-kit --bin obj-mirror --bin s3-server )
  bin="$target/release"
fi
mirror="$bin/obj-mirror"

work="$(mktemp -d)"
finish() {
  stop_storage
  rm -rf -- "$work"
}
trap finish EXIT
# Settings of this machine's own must not steer a peer.
unset AWS_CA_BUNDLE AWS_SESSION_TOKEN AWS_PROFILE HTTP_PROXY http_proxy HTTPS_PROXY https_proxy
start_storage "$work/storage" "$bin/s3-server" || die 1 "the storage does not start"

declare -A megabytes=([few]=598 [many]=480 [small]=4)
python3 "$root/scripts/bench/objects.py" "$work/objects" "${megabytes[$shape]}" "$shape"

export RCLONE_CONFIG=/dev/null RCLONE_CONFIG_G_TYPE=s3 RCLONE_CONFIG_G_PROVIDER=Other
export RCLONE_CONFIG_G_ENDPOINT="$AWS_ENDPOINT_URL" RCLONE_CONFIG_G_REGION="$AWS_REGION"
export RCLONE_CONFIG_G_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" RCLONE_CONFIG_G_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY"
s5=(s5cmd --endpoint-url "$AWS_ENDPOINT_URL")
rc=(rclone sync --transfers 32 --checkers 32 --fast-list --use-server-modtime)
tools=(obj-mirror)
for peer in rclone s5cmd; do
  if command -v "$peer" > /dev/null; then tools+=("$peer"); else log "$peer is not on PATH: left out"; fi
done

raw="$out/runs-objects.tsv"
printf 'case\ttool\tseconds\tkilobytes\n' > "$raw"
failed=''
# measure CASE TOOL CMD…
measure() {
  local status=0 begin end
  sync
  settle_storage
  begin="$EPOCHREALTIME"
  /usr/bin/time -o "$work/time" -f '%M' "${@:3}" > "$work/output" 2>&1 || status=$?
  end="$EPOCHREALTIME"
  if (( status != 0 )); then
    log "$1: $2 failed ($status): $(tail -n 1 "$work/output")"
    [[ "$2" != obj-mirror ]] || failed=yes
    return
  fi
  local seconds
  seconds="$(awk -v a="$begin" -v b="$end" 'BEGIN { printf "%.3f", b - a }')"
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$seconds" "$(tail -n 1 "$work/time")" >> "$raw"
}
# pull TOOL DIR, push TOOL BUCKET: what each measures.
pull() {
  case "$1" in
    obj-mirror) printf '%s\0' "$mirror" --quiet s3://corpus "$2" ;;
    rclone) printf '%s\0' "${rc[@]}" g:corpus "$2" ;;
    s5cmd) printf '%s\0' "${s5[@]}" sync 's3://corpus/*' "$2/" ;;
  esac
}
push() {
  case "$1" in
    obj-mirror) printf '%s\0' "$mirror" --quiet "$work/objects" "s3://$2" ;;
    rclone) printf '%s\0' "${rc[@]}" "$work/objects" "g:$2" ;;
    s5cmd) printf '%s\0' "${s5[@]}" sync "$work/objects/" "s3://$2/" ;;
  esac
}

"$mirror" make-bucket --quiet s3://corpus
"$mirror" --quiet "$work/objects" s3://corpus
for (( run = 1; run <= runs; run++ )); do
  for tool in "${tools[@]}"; do
    mapfile -d '' -t command < <(pull "$tool" "$work/$tool-$run")
    measure 'bucket to directory' "$tool" "${command[@]}"
    [[ "$only" != pull ]] || continue
    measure 'again, unchanged' "$tool" "${command[@]}"
    "$mirror" make-bucket --quiet "s3://copy-${tool}-$run"
    mapfile -d '' -t command < <(push "$tool" "copy-${tool}-$run")
    measure 'directory to empty bucket' "$tool" "${command[@]}"
  done
  diff -r -x .obj-mirror "$work/objects" "$work/obj-mirror-$run" > /dev/null ||
    { log "the mirror of run $run differs"; failed=yes; }
done

python3 - "$raw" <<'PYTHON' | tee "$out/results-objects.md"
import statistics, sys
rows = {}
for line in list(open(sys.argv[1]))[1:]:
    case, tool, seconds, kilobytes = line.rstrip("\n").split("\t")
    rows.setdefault(case, {}).setdefault(tool, []).append((float(seconds), int(kilobytes)))
for case, tools in rows.items():
    median = {tool: statistics.median(s for s, _ in runs) for tool, runs in tools.items()}
    others = [seconds for tool, seconds in median.items() if tool != "obj-mirror"]
    print(f"| {case} | median s | lowest to highest | of the best peer | peak MB |")
    print("| --- | --- | --- | --- | --- |")
    for tool, runs in tools.items():
        times = [s for s, _ in runs]
        ratio = f"{median[tool] / min(others):.2f}" if others else ""
        peak = max(k for _, k in runs) / 1000
        digits = 2 if median[tool] >= 1 else 3
        shown = [f"{seconds:.{digits}f}" for seconds in (median[tool], min(times), max(times))]
        print(f"| {tool} | {shown[0]} | {shown[1]}–{shown[2]} | {ratio} | {peak:.0f} |")
    print()
PYTHON
[[ -z "$failed" ]] || exit 1
