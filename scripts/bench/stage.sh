# shellcheck shell=bash
# Running things so that whatever ends bench.sh ends them, and leaves nothing behind.

work=''
child=''

# The directory of everything that goes at the end: the server with its data, dumps, programs.
make_work() {
  work="$(mktemp -d -t bench-XXXXXX)"
  trap take_down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  # The server's user must get to its part of it.
  chmod 0711 -- "$work"
  mkdir -- "$work/tmp" "$work/dumps"
  export TMPDIR="$work/tmp"
}

# stage CMD…: runs it as a process group of its own, which a signal to us ends at once: the shell
# would else only hear of it when a load is through.
stage() {
  local status=0
  set -m
  "$@" < /dev/null &
  child=$!
  set +m
  wait "$child" || status=$?
  child=''
  return "$status"
}

# inside DIR CMD…
inside() {
  cd -- "$1" && "${@:2}"
}

end_stage() {
  [[ -n "$child" ]] || return 0
  kill -TERM -- "-$child" 2>/dev/null || return 0
  # What still cleans up would write below what is being removed.
  local tries
  for (( tries = 0; tries < 200; tries++ )); do
    kill -0 -- "-$child" 2>/dev/null || return 0
    sleep 0.05
  done
  kill -KILL -- "-$child" 2>/dev/null || true
}

take_down() {
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  stop_server
  rm -rf -- "$work"
}
