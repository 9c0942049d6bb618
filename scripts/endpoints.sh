#!/usr/bin/env bash
# Tests obj-mirror against S3 servers, and prints what each returns unchanged, as in the table of
# docs/ENDPOINTS.md.
#   endpoints.sh           the server of the tests, and those on PATH: garage, moto_server, s3rver, and Ceph's
#                          gateway (radosgw, ceph-mon and ceph-osd, which no script installs)
#   endpoints.sh --this    the server that AWS_ENDPOINT_URL and the keys name; makes two buckets there
# SEED in the environment repeats a run's random objects. Exit status 1 if a key came back under another
# name, or bytes differ.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C.UTF-8

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'endpoints.sh: %s\n' "$*" >&2; }
# shellcheck source=bench/garage.sh
. "$root/scripts/bench/garage.sh"
# shellcheck source=bench/ceph.sh
. "$root/scripts/bench/ceph.sh"
case "${1:-}" in
  '' | --this) ;;
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) log "unknown option $1; see endpoints.sh -h"; exit 2 ;;
esac
( cd -- "$root" && cargo build --quiet --locked -p obj-mirror -p test-kit --bin obj-mirror --bin s3-server )
target="${CARGO_TARGET_DIR:-$root/target}/debug"
work="$(mktemp -d)"
pid=''
finish() {
  stop_garage
  stop_ceph
  [[ -z "$pid" ]] || kill "$pid" 2>/dev/null || true
  rm -rf -- "$work"
}
trap finish EXIT
unset AWS_CA_BUNDLE S3_FORCE_PATH_STYLE PIPRIO_RESOLVE
seed="${SEED:-$RANDOM$RANDOM}"
log "random objects by SEED=$seed"
python3 "$root/scripts/endpoints/golden.py" "$work/golden" "$seed"
# s3rver stores a key as a file's name, and crashes at one that is too long.
python3 "$root/scripts/endpoints/golden.py" "$work/short" "$seed" 200
failed=''

# try NAME [GOLDEN]: mirrors the golden objects there and back.
try() {
  local name="$1" golden="$work/${2:-golden}" there="$work/$1" status=0 bucket
  bucket="try-$(printf '%s' "$name" | tr -cd 'a-z0-9')"
  printf '## %s\n' "$name"
  "$target/obj-mirror" make-bucket --quiet "s3://$bucket"
  "$target/obj-mirror" "$golden" "s3://$bucket" > "$there.out" 2> "$there.err" || status=$?
  printf 'sent: status %s\n' "$status"
  grep -E 'warning|^failed' "$there.err" | cut -c1-160 || true
  status=0
  "$target/obj-mirror" "s3://$bucket" "$there" > "$there.out" 2> "$there.err" || status=$?
  printf 'fetched: status %s\n' "$status"
  grep -E 'warning|^failed|^obj-mirror: mirroring' "$there.err" | cut -c1-160 || true
  if [[ ! -e "$there/.obj-mirror/index.jsonl" ]]; then
    tail -n 1 "$there.err"
    return
  fi
  python3 "$root/scripts/endpoints/compare.py" "$golden" "$there" | tee "$there.table"
  ! grep -qE 'UNDER ANOTHER NAME|\(sha256\)' "$there.table" || failed=yes
  "$target/obj-mirror" --json "s3://$bucket" "$there" 2> /dev/null |
    sed -E 's/.*"transferred":([0-9]+).*"unchanged":([0-9]+).*/again: \1 fetched, \2 unchanged/'
  try_lock "$bucket"
  printf '\n'
}

signed() { python3 "$root/scripts/endpoints/signed.py" "$@"; }
# try_lock BUCKET: stores locked objects in a bucket of its own, and tries to delete them.
try_lock() {
  local bucket="$1-lock" kind status answer version
  [[ "$AWS_ENDPOINT_URL" == http:* && -z "${S3_FORCE_PATH_STYLE:-}" ]] || return 0
  answer="$(signed PUT "/$bucket" x-amz-bucket-object-lock-enabled=true)"
  if [[ "$answer" != 200* ]]; then
    printf 'lock: a bucket with Object Lock is answered %s\n' "${answer%%$'\n'*}"
    return
  fi
  printf 'locked' > "$work/short.txt"
  head -c 20000000 /dev/urandom > "$work/parts.bin"
  for kind in short.txt parts.bin; do
    status=0
    "$target/obj-mirror" put --quiet --retain-days 30 "s3://$bucket/$kind" "$work/$kind" > /dev/null 2> "$work/put.err" || status=$?
    answer="$(signed HEAD "/$bucket/$kind")"
    version="$(sed -n 's/^x-amz-version-id: //p' <<< "$answer")"
    printf 'lock of %s: status %s, %s until %s' "$kind" "$status" \
      "$(sed -n 's/^x-amz-object-lock-mode: //p' <<< "$answer")" \
      "$(sed -n 's/^x-amz-object-lock-retain-until-date: //p' <<< "$answer")"
    (( status == 0 )) || printf '; %s' "$(tail -n 1 -- "$work/put.err")"
    answer="$(signed DELETE "/$bucket/$kind?versionId=$version")"
    printf '; deleting that version is answered %s' "${answer%%$'\n'*}"
    if cmp -s -- "$work/$kind" <("$target/obj-mirror" get --quiet "s3://$bucket/$kind" 2> /dev/null); then
      printf ', and it is there\n'
    else
      printf ', and it is not there\n'
      # Locked, and gone.
      (( status != 0 )) || failed=yes
    fi
  done
}
# make_certificate DIR: an authority (ca.pem) and its certificate (tls.pem, tls.key) for storage.test and names below it.
make_certificate() (
  cd -- "$1"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=an authority' \
    -addext basicConstraints=critical,CA:TRUE
  openssl req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=storage.test
  openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tls.pem -days 2 \
    -extfile <(printf 'subjectAltName=DNS:storage.test,DNS:*.storage.test\n')
) > /dev/null 2>&1
# wait_for URL: until something answers there, for a minute at most.
wait_for() {
  local tries=0
  until (exec 3<> "/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; do
    (( ++tries < 300 )) || { log "nothing answers at $1"; return 1; }
    sleep 0.2
  done
}
end_server() {
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  pid=''
}

if [[ "${1:-}" == --this ]]; then
  try this
else
  port="$(free_port)"
  export AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER
  S3_ACCESS_KEY=S3RVER S3_SECRET_KEY=S3RVER "$target/s3-server" --object-lock --listen "127.0.0.1:$port" > /dev/null &
  pid=$!
  wait_for "127.0.0.1:$port"
  try "the tests' own"
  end_server
  if command -v moto_server > /dev/null; then
    moto_server -H 127.0.0.1 -p "$port" > "$work/moto.log" 2>&1 &
    pid=$!
    wait_for "127.0.0.1:$port"
    try moto
    end_server
  else
    log 'moto_server is not on PATH: left out'
  fi
  if command -v s3rver > /dev/null; then
    s3rver -a 127.0.0.1 -p "$port" -d "$work/s3rver" --no-vhost-buckets > "$work/s3rver.log" 2>&1 &
    pid=$!
    wait_for "127.0.0.1:$port"
    try s3rver short
    end_server
  else
    log 's3rver is not on PATH: left out'
  fi
  if command -v garage > /dev/null; then
    start_garage "$work/garage-server"
    try garage
  else
    log 'garage is not on PATH: left out'
  fi
  if have_ceph; then
    mkdir -- "$work/ceph-server"
    make_certificate "$work/ceph-server"
    start_ceph "$work/ceph-server" "$work/ceph-server/tls.pem" "$work/ceph-server/tls.key"
    radosgw --version
    try ceph
    # The buckets are names of hosts, over TLS.
    export AWS_ENDPOINT_URL="https://storage.test:${ceph_tls##*:}" AWS_CA_BUNDLE="$work/ceph-server/ca.pem"
    export S3_FORCE_PATH_STYLE=no PIPRIO_RESOLVE="storage.test:${ceph_tls##*:}:$ceph_tls"
    try 'ceph by name'
  else
    log 'radosgw, ceph-mon and ceph-osd are not on PATH: left out'
  fi
fi
[[ -z "$failed" ]] || exit 1
