# shellcheck shell=bash disable=SC2154 # What bench.sh has set.
# A PostgreSQL server as `initdb` makes it: no setting is touched, so that it is as slow for everyone
# as it comes. It is reached through a socket in a directory that nobody else can enter.

server=''

# The newest in /usr/lib/postgresql, else that on PATH.
find_server() {
  local newest
  newest="$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)" || true
  [[ -z "$newest" ]] || PATH="${newest%/initdb}:$PATH"
  command -v initdb pgbench >/dev/null || die 1 'initdb or pgbench is not on PATH'
}

start_server() {
  find_server
  local home="$work/server" tries own=(setpriv)
  mkdir -- "$home"
  if (( EUID == 0 )); then
    # It refuses to be root's.
    chown postgres -- "$home"
    own+=(--reuid=postgres --regid=postgres --init-groups)
  fi
  local name
  for name in "${!PG@}"; do unset "$name"; done
  export PGHOST="$home" PGUSER=bench PGDATABASE=postgres
  stage inside / "${own[@]}" -- initdb --pgdata="$home/data" --username="$PGUSER" --auth=trust \
    --locale=C.UTF-8 --encoding=UTF8 &> "$work/initdb.log" || die 1 "initdb: $(tail -n 3 "$work/initdb.log")"
  # Killed, we could not end it: it ends itself.
  set -m
  inside / exec "${own[@]}" --pdeathsig QUIT -- postgres -D "$home/data" \
    -c listen_addresses= -c "unix_socket_directories=$home" < /dev/null &> "$work/server.log" &
  server=$!
  set +m
  for (( tries = 0; tries < 600; tries++ )); do
    ! pg_isready --quiet || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  die 1 "PostgreSQL does not start: $(tail -n 3 "$work/server.log")"
}

# Its data is thrown away: it need not write it down.
stop_server() {
  [[ -n "$server" ]] || return 0
  kill -QUIT "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=''
}

# sql DATABASE SQL…: what the server answers, bare.
sql() {
  local database="$1" statements=()
  shift
  while (( $# > 0 )); do statements+=(-c "$1"); shift; done
  psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "${statements[@]}" < /dev/null
}

# fresh_database NAME: empty, whether there was one or not.
fresh_database() {
  PGOPTIONS='-c client_min_messages=warning' sql postgres \
    "drop database if exists $1 with (force)" "create database $1 template template0"
}

# What one run leaves to be written does not burden the next.
settle() {
  sql postgres checkpoint
  sync
}
