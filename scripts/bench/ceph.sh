# shellcheck shell=bash
# A Ceph cluster of one's own with a RADOS gateway, on free ports, gone with its directory. Sourced, never run; needs
# free_port of garage.sh.

# have_ceph: whether its daemons are installed (radosgw, ceph-mon, ceph-osd).
have_ceph() {
  local program
  for program in radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool ceph-authtool; do
    command -v "$program" > /dev/null || return 1
  done
}

# start_ceph DIR [CERTIFICATE KEY]: starts a monitor, an object storage daemon and a gateway below DIR, and sets AWS_* so
# that clients reach it. With a certificate, ceph_tls is the address at which it also answers over TLS. Buckets are
# also reached as hosts' names below storage.test.
start_ceph() {
  local dir="$1" certificate="${2:-}" key="${3:-}" config="$1/ceph.conf" fsid frontends port
  port="$(free_port)"
  fsid="$(< /proc/sys/kernel/random/uuid)"
  mkdir -p -- "$dir"/{mon,osd,rgw,run,log}
  frontends="beast endpoint=127.0.0.1:$port"
  ceph_tls=''
  if [[ -n "$certificate" ]]; then
    ceph_tls="127.0.0.1:$(free_port)"
    frontends+=" ssl_endpoint=$ceph_tls ssl_certificate=$certificate ssl_private_key=$key"
  fi
  # One disk, that is a sparse file.
  cat > "$config" <<CONF
[global]
fsid = $fsid
mon_host = [v2:127.0.0.1:$(free_port)/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = $dir/run
admin_socket = $dir/run/\$name.\$pid.asok
pid_file = $dir/run/\$name.pid
log_file = $dir/log/\$name.log
crash_dir = $dir/log
keyring = $dir/keyring
mon_data = $dir/mon
osd_data = $dir/osd
rgw_data = $dir/rgw
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_initial_weight = 1
osd_memory_target = 1073741824
bluestore_block_size = 21474836480
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
rgw_frontends = $frontends
rgw_dns_name = storage.test
rgw_thread_pool_size = 32
CONF
  ceph_pids=()
  {
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow *'
    monmaptool --create --fsid "$fsid" --addv one "$(sed -n 's/^mon_host = //p' "$config")" "$dir/monmap"
    ceph-mon -c "$config" -i one --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
  } > "$dir/log/setup" 2>&1
  # In the foreground, so that they are children of this shell.
  ceph-mon -c "$config" -i one -f > "$dir/log/mon.out" 2>&1 &
  ceph_pids+=("$!")
  until timeout 60 ceph -c "$config" --connect-timeout 5 mon stat > /dev/null 2>&1; do
    kill -0 "${ceph_pids[0]}" 2>/dev/null || { cat -- "$dir/log/mon.out" >&2; return 1; }
    sleep 0.2
  done
  local osd
  osd="$(< /proc/sys/kernel/random/uuid)"
  {
    timeout 60 ceph -c "$config" osd new "$osd"
    ceph-osd -c "$config" -i 0 --mkfs --osd-uuid "$osd"
  } >> "$dir/log/setup" 2>&1
  ceph-osd -c "$config" -i 0 -f > "$dir/log/osd.out" 2>&1 &
  ceph_pids+=("$!")
  radosgw -c "$config" -n client.admin -f > "$dir/log/rgw.out" 2>&1 &
  ceph_pids+=("$!")
  local tries=0
  until (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    if ! kill -0 "${ceph_pids[2]}" 2>/dev/null || (( ++tries > 300 )); then
      tail -n 20 -- "$dir/log/rgw.out" "$dir/log/client.admin.log" >&2
      return 1
    fi
    sleep 0.2
  done
  timeout 60 radosgw-admin -c "$config" user create --uid=one --display-name=one > "$dir/user.json" 2>> "$dir/log/setup"
  read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY < <(python3 -c '
import json, sys
key = json.load(open(sys.argv[1]))["keys"][0]
print(key["access_key"], key["secret_key"])' "$dir/user.json")
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION=us-east-1 AWS_ENDPOINT_URL="http://127.0.0.1:$port"
}

stop_ceph() {
  local pid
  # A disk that is removed needs no orderly end, which takes the daemon of it half a minute.
  for pid in "${ceph_pids[@]:-}"; do [[ -z "$pid" ]] || kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${ceph_pids[@]:-}"; do [[ -z "$pid" ]] || wait "$pid" 2>/dev/null || true; done
  ceph_pids=()
}
