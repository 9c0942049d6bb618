#!/usr/bin/env bash
# Measures `obj-mirror put` beside `rclone rcat` and `s5cmd pipe`, and the processor time that ship.sh takes for one
# destination and for two, and prints the tables of docs/BENCHMARKS.md. Needs rclone, s5cmd and age on PATH; a peer
# that is missing is reported and left out. The server is Garage if it is on PATH, else the server of the tests,
# which keeps everything in memory.
#   bench-put.sh [OPTION…]
#     --runs N        rounds; in each, every command runs once [5]
#     --only PART     put or ship [both]
#     --sizes 'N …'   sizes of the streams, in MiB [64 1024]
#     --bundle N      size of the bundle that is copied, in MiB [512]
#     --bin DIR       directory of the toolkit's programs and s3-server [built from here]
#     --out DIR       directory of results-put.md and runs-put.tsv [bench/ in cargo's target directory]
# Everything lies in TMPDIR. Exit status 1 if a command of this toolkit fails.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench-put.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/garage.sh
. "$root/scripts/bench/garage.sh"
# shellcheck source=bench/storage.sh
. "$root/scripts/bench/storage.sh"

declare -A option=([runs]=5 [only]='' [sizes]='64 1024' [bundle]=512 [bin]='' [out]='')
while (( $# > 0 )); do
  [[ "$1" != -h && "$1" != --help ]] || { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0; }
  name="${1#--}"
  [[ "$1" == --* && -v "option[$name]" ]] || die 2 "unknown option $1; see bench-put.sh -h"
  (( $# > 1 )) || die 2 "$1 needs a value"
  option[$name]="$2"
  shift 2
done
[[ "${option[runs]} ${option[bundle]} ${option[sizes]}" =~ ^([1-9][0-9]{0,5}\ *)+$ ]] ||
  die 2 '--runs, --bundle and --sizes need numbers from 1'
[[ "${option[only]}" =~ ^(put|ship)?$ ]] || die 2 '--only needs put or ship'
read -ra sizes <<< "${option[sizes]}"

target="${CARGO_TARGET_DIR:-$root/target}"
out="$(readlink -m -- "${option[out]:-$target/bench}")"
mkdir -p -- "$out"
programs=(obj-mirror ship-run bundle-manifest s3-server)
if [[ -z "${option[bin]}" ]]; then
  ( cd -- "$root" && cargo build --quiet --release --locked -p obj-mirror -p ship-run -p bundle-manifest \
    -p test-kit --bin obj-mirror --bin ship-run --bin bundle-manifest --bin s3-server )
  option[bin]="$target/release"
fi
work="$(mktemp -d)"
finish() {
  stop_storage
  rm -rf -- "$work"
}
trap finish EXIT
deploy="$work/deploy"
mkdir -p -- "$deploy/bin" "$deploy/.restore" "$work/dir-1" "$work/dir-2"
for name in "${programs[@]}"; do install -t "$deploy/bin" -- "${option[bin]}/$name"; done
PATH="$deploy/bin:$PATH"

# Settings of this machine's own must not steer a peer.
unset AWS_CA_BUNDLE AWS_SESSION_TOKEN AWS_PROFILE HTTP_PROXY http_proxy HTTPS_PROXY https_proxy
start_storage "$work/storage" "$deploy/bin/s3-server" || die 1 "the storage does not start"
export RCLONE_CONFIG=/dev/null RCLONE_CONFIG_G_TYPE=s3 RCLONE_CONFIG_G_PROVIDER=Other
export RCLONE_CONFIG_G_ENDPOINT="$AWS_ENDPOINT_URL" RCLONE_CONFIG_G_REGION="$AWS_REGION"
export RCLONE_CONFIG_G_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" RCLONE_CONFIG_G_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY"
obj-mirror make-bucket --quiet s3://bench

raw="$out/runs-put.tsv"
printf 'table\trow\tround\tseconds\tprocessor\tkilobytes\n' > "$raw"
failed=''
# measure TABLE ROW ROUND CMD…: standard input is the command's. Processor time is that of all its processes.
measure() {
  local status=0 begun ended user system kilobytes
  begun="${EPOCHREALTIME/./}"
  /usr/bin/time -o "$work/time" -f '%U %S %M' -- "${@:4}" > "$work/output" 2>&1 || status=$?
  ended="${EPOCHREALTIME/./}"
  if (( status != 0 )); then
    log "$1: $2 failed ($status):"
    cat -- "$work/output" >&2
    [[ "$2" =~ ^(rclone|s5cmd) ]] || failed=yes
    return
  fi
  read -r user system kilobytes < <(tail -n 1 "$work/time")
  awk -v OFS='\t' -v table="$1" -v row="$2" -v round="$3" -v microseconds="$(( ended - begun ))" \
    -v processor="$user $system" -v kilobytes="$kilobytes" \
    'BEGIN { split(processor, p, " "); print table, row, round, microseconds / 1e6, p[1] + p[2], kilobytes }' >> "$raw"
}

# stream SIZE: so many MiB, the same 64 again and again.
stream() {
  local left
  for (( left = $1; left > 0; left -= 64 )); do head -c "$(( (left < 64 ? left : 64) << 20 ))" "$work/stream"; done
}

# put_round ROUND SIZE: the stream of SIZE MiB, by each program.
put_round() {
  local tool table="put, $2 MiB"
  local -A commands=([obj-mirror put]="obj-mirror put --quiet s3://bench/stream"
    [rclone rcat]='rclone rcat g:bench/stream' [s5cmd pipe]="s5cmd --endpoint-url $AWS_ENDPOINT_URL pipe s3://bench/stream")
  for tool in 'obj-mirror put' 'rclone rcat' 's5cmd pipe'; do
    command -v "${tool% *}" > /dev/null || continue
    read -ra command <<< "${commands[$tool]}"
    settle_storage
    stream "$2" |
      measure "$table" "$tool" "$1" "${command[@]}"
    obj-mirror delete --quiet s3://bench/stream
  done
}

# make_bundle: one of the given size that does not compress.
make_bundle() {
  local partial="$deploy/backups/.piprio_20260421T020000Z.partial"
  mkdir -p -- "$partial"
  printf 'PIPRIO_DOMAIN=bench.example.org\n' > "$deploy/.env"
  head -c "$(( option[bundle] << 20 ))" /dev/urandom |
    python3 -c 'import gzip, shutil, sys; shutil.copyfileobj(sys.stdin.buffer, gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", compresslevel=0))' \
      > "$partial/database.sql.gz"
  tar -czf "$partial/config.tar.gz" -C "$deploy" .env
  bundle-manifest describe "$partial" > "$work/output" && mv -- "$work/output" "$partial/MANIFEST.txt"
  bundle-manifest sums "$partial" > "$work/output" && mv -- "$work/output" "$partial/SHA256SUMS"
  bundle=$(bundle-manifest publish "$partial")
  age-keygen -o "$work/key" 2> "$work/output"
  age-keygen -y "$work/key" > "$work/key.pub"
}

# ship_round ROUND NAME DESTINATION…: the bundle to these destinations, none of which has it.
ship_round() {
  local number=0 destination settings=(PIPRIO_RESOLVED=1 PIPRIO_DEPLOY="$deploy" BACKUP_ROOT="$deploy/backups"
    BACKUP_KEEP_DAYS=30 SHIP_RECIPIENTS="$work/key.pub")
  rm -rf -- "$deploy/.restore" "$work"/dir-?/*
  mkdir -- "$deploy/.restore"
  for destination in "${@:3}"; do
    settings+=("SHIP_$(( ++number ))=$destination")
    [[ "$destination" != s3:* ]] || settings+=("SHIP_${number}_ENDPOINT=$AWS_ENDPOINT_URL" "SHIP_${number}_REGION=$AWS_REGION"
      "SHIP_${number}_ACCESS_KEY=$AWS_ACCESS_KEY_ID" "SHIP_${number}_SECRET_KEY=$AWS_SECRET_ACCESS_KEY")
  done
  settle_storage
  measure ship "$2" "$1" env "${settings[@]}" bash "$root/scripts/ship.sh" "$bundle" < /dev/null
  for number in 1 2; do
    obj-mirror delete --quiet "s3://bench/host-$number/${bundle##*/}.tar.age" "s3://bench/host-$number/${bundle##*/}.tar.age.json"
  done
}

if [[ "${option[only]}" != ship ]]; then
  for peer in rclone s5cmd; do command -v "$peer" > /dev/null || log "$peer is not on PATH: left out"; done
  head -c $(( 64 << 20 )) /dev/urandom > "$work/stream"
fi
if [[ "${option[only]}" != put ]]; then make_bundle; fi
for (( round = 1; round <= option[runs]; round++ )); do
  log "round $round of ${option[runs]}"
  if [[ "${option[only]}" != ship ]]; then
    for size in "${sizes[@]}"; do put_round "$round" "$size"; done
  fi
  if [[ "${option[only]}" != put ]]; then
    ship_round "$round" 'a directory' "$work/dir-1"
    ship_round "$round" 'two directories' "$work/dir-1" "$work/dir-2"
    ship_round "$round" 'a bucket' s3://bench/host-1
    ship_round "$round" 'a bucket and a directory' s3://bench/host-1 "$work/dir-1"
    ship_round "$round" 'two buckets' s3://bench/host-1 s3://bench/host-2
  fi
done
{
  printf -- '- %s, %s cores; %s' "$(date -u '+%-d %B %Y')" "$(nproc)" "$served"
  ! command -v rclone > /dev/null || printf '; %s' "$(rclone version | head -n 1)"
  ! command -v s5cmd > /dev/null || printf '; s5cmd %s' "$(s5cmd version)"
  printf '; age %s\n' "$(age --version)"
  python3 "$root/scripts/bench/put.py" "$raw"
} | tee "$out/results-put.md"
log "the tables are in $out/results-put.md"
[[ -z "$failed" ]] || exit 1
