# shellcheck shell=bash
# A Garage server of one's own, on free ports, gone with its directory. Sourced, never run.

# free_port: a port that nobody listens at just now.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_garage DIR: starts it below DIR, and sets AWS_* so that clients reach it.
start_garage() {
  local dir="$1" config="$1/garage.toml" api rpc node
  api="$(free_port)"
  rpc="$(free_port)"
  mkdir -p -- "$dir/meta" "$dir/data"
  cat > "$config" <<TOML
metadata_dir = "$dir/meta"
data_dir = "$dir/data"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$api"
TOML
  RUST_LOG=error garage -c "$config" server > "$dir/log" 2>&1 &
  garage_pid=$!
  until garage -c "$config" status > /dev/null 2>&1; do
    kill -0 "$garage_pid" 2>/dev/null || { cat "$dir/log" >&2; return 1; }
    sleep 0.2
  done
  node="$(garage -c "$config" node id -q 2>/dev/null)"
  export AWS_ENDPOINT_URL="http://127.0.0.1:$api" AWS_REGION=garage
  export AWS_ACCESS_KEY_ID=GK000102030405060708090a0b
  AWS_SECRET_ACCESS_KEY="$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')"
  export AWS_SECRET_ACCESS_KEY
  {
    garage -c "$config" layout assign -z here -c 20G "${node%%@*}"
    garage -c "$config" layout apply --version 1
    garage -c "$config" key import --yes "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
    garage -c "$config" key allow --create-bucket "$AWS_ACCESS_KEY_ID"
  } > /dev/null 2>&1
}

# settle_garage: returns once it is idle. It continues to work on what it was sent long after it has
# answered, and that is no matter of whoever comes next.
settle_garage() {
  local before now=0 tries
  for (( tries = 0; tries < 120; tries++ )); do
    before="$now"
    # In hundredths of a second, by itself and for it by the kernel.
    now="$(awk '{ print $14 + $15 }' "/proc/$garage_pid/stat")"
    if (( tries > 0 && now - before <= 1 )); then return; fi
    sleep 0.5
  done
}

stop_garage() {
  [[ -z "${garage_pid:-}" ]] || kill "$garage_pid" 2>/dev/null || true
}
