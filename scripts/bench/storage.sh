# shellcheck shell=bash
# The storage that a benchmark measures with: Garage where it is on PATH, else the server of the tests, which keeps
# everything in memory. Sourced after garage.sh, never run.

# start_storage DIR PROGRAM: starts it with its files below DIR, sets AWS_* so that clients reach it, and `served` to what
# it is. PROGRAM is the tests' s3-server.
start_storage() {
  local address tries
  if command -v garage > /dev/null; then
    start_garage "$1"
    served="$(garage --version | head -n 1)"
    return
  fi
  mkdir -p -- "$1"
  export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=benchmark AWS_SECRET_ACCESS_KEY=benchmark
  S3_ACCESS_KEY=benchmark S3_SECRET_KEY=benchmark "$2" --listen 127.0.0.1:0 > "$1/listening" &
  storage_pid=$!
  for (( tries = 0; tries < 100; tries++ )); do
    [[ ! -s "$1/listening" ]] || break
    sleep 0.1
  done
  read -r _ _ address < "$1/listening" || { echo 's3-server does not start' >&2; return 1; }
  export AWS_ENDPOINT_URL="http://$address"
  # shellcheck disable=SC2034 # of whoever sources this
  served="the tests' s3-server"
}

# settle_storage: returns once it is idle.
settle_storage() {
  [[ -z "${garage_pid:-}" ]] || settle_garage
}

stop_storage() {
  stop_garage
  [[ -z "${storage_pid:-}" ]] || kill "$storage_pid" 2>/dev/null || true
}
