#!/usr/bin/env bash
# Tests the toolkit on a deployment in containers, as a customer has it. Installs Docker, Compose and
# debootstrap where they are missing, starts an engine where none runs, builds the image (kept by
# the engine for the next run), and leaves no container, volume or network.
#   test-compose.sh [FILTER…]       the tests, or those whose names contain FILTER
#   test-compose.sh --first […]     all of them on docker-compose, the first version, alone
#   test-compose.sh --throughput    instead, the speed of a dump through `exec` beside TCP
# Tests of the driver run on each Compose that there is, all others on the plugin of the client, which is fetched
# where it is missing.
# If no engine is available, prints `skipped: why` and exits with 0.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

log() { printf 'test-compose.sh: %s\n' "$*" >&2; }
skip() {
  log "skipped: $*"
  exit 0
}

first=''
case "${1:-}" in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "scripts/test-compose.sh"; exit 0 ;;
  --first) first=yes; shift ;;
esac
(( EUID == 0 )) || skip 'an engine and its images take root'

packages=()
command -v docker >/dev/null && command -v dockerd >/dev/null || docker info >/dev/null 2>&1 || packages+=(docker.io)
command -v docker-compose >/dev/null || packages+=(docker-compose)
command -v iptables >/dev/null || packages+=(iptables)
command -v busybox >/dev/null || packages+=(busybox-static)
command -v debootstrap >/dev/null || packages+=(debootstrap)
if (( ${#packages[@]} > 0 )); then
  log "installing ${packages[*]}"
  command -v apt-get >/dev/null || skip "no apt-get to install ${packages[*]} with"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >&2 ||
    skip "${packages[*]} cannot be installed"
fi

if [[ -n "$first" ]]; then
  PATH="$PWD/tests/compose/without-plugin:$PATH"
elif ! docker compose version >/dev/null 2>&1; then
  status=0
  plugin="$(./scripts/compose-v2.sh)" || status=$?
  case "$status" in
    0) PATH="$plugin:$PATH" ;;
    75) log 'skipped: Compose as a plugin (above): all tests run on docker-compose' ;;
    *) exit "$status" ;;
  esac
fi

work="$(mktemp -d)"
engine=''
# Drills have no label of the tests: they take none of their deployment.
ours=('label=piprio.test=compose' 'name=piprio-drill-test-')
take_down() {
  local filter
  for filter in "${ours[@]}"; do
    # What is just being restarted when it is removed can leave its network in use for ever.
    docker ps -aq --filter "$filter" | xargs -r docker update --restart=no
    docker ps -aq --filter "$filter" | xargs -r docker rm -fv
    docker volume ls -q --filter "$filter" | xargs -r docker volume rm
    docker network ls -q --filter "$filter" | xargs -r docker network rm
  done
} >/dev/null
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  take_down 2>/dev/null || true
  if [[ -n "$engine" ]]; then
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
  fi
  rm -rf --one-file-system -- "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if ! docker info >/dev/null 2>&1; then
  # A session of its own: Ctrl-C is for us, and the engine has to be there when we take down.
  setsid dockerd >"$work/engine.log" 2>&1 </dev/null &
  engine=$!
  for (( tries = 60; tries > 0; tries-- )); do
    ! docker info >/dev/null 2>&1 || break
    kill -0 "$engine" 2>/dev/null || break
    sleep 1
  done
  docker info >/dev/null 2>&1 || skip "the engine does not start: $(tail -n 1 -- "$work/engine.log")"
fi
# The tests' directories are named deploy, as a customer's: to Compose, that is one project.
[[ -z "$(docker ps -aq --filter label=com.docker.compose.project=deploy)$(docker volume ls -q --filter label=com.docker.compose.project=deploy)" ]] ||
  [[ -n "$(docker ps -aq --filter "${ours[0]}")$(docker volume ls -q --filter "${ours[0]}")" ]] ||
  skip 'this engine runs a project named deploy, which is none of ours'
take_down

cargo build --workspace --bins --locked --quiet
built="$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug"
log 'building the image, unless it is there'
status=0
PIPRIO_TEST_COMPOSE_IMAGE="$(tests/compose/image/build "$built")" || status=$?
(( status != 75 )) || skip 'debootstrap cannot build the image (above); is the mirror to be reached?'
(( status == 0 )) || exit "$status"
export PIPRIO_TEST_COMPOSE_IMAGE PIPRIO_TEST_BIN_DIR="$built"
# Images of earlier builds of the application; a machine's image (tests/compose/machine) has the tag of the one below it.
docker images --filter label=piprio.test=image --format '{{if eq .Tag "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}' |
  { grep -v -- ":${PIPRIO_TEST_COMPOSE_IMAGE##*:}\$" || true; } | xargs -r docker rmi >/dev/null
log "testing on $PIPRIO_TEST_COMPOSE_IMAGE"
if [[ "${1:-}" == --throughput ]]; then
  cargo build --release --locked --quiet -p pg-snap -p compose-driver
  tests/compose/throughput "${built%/debug}/release"
else
  mkdir -- "$work/tmp"
  # One after another: each has a project named deploy.
  TMPDIR="$work/tmp" cargo test -p pipeline-tests --test compose --locked -- --test-threads=1 "$@"
  # A drill's private server, of this image.
  (( $# > 0 )) || TMPDIR="$work/tmp" cargo test -p drill-run --lib --locked -- --test-threads=1 tests::container
fi
left="$(for filter in "${ours[@]}"; do
  docker ps -aq --filter "$filter"
  docker volume ls -q --filter "$filter"
  docker network ls -q --filter "$filter"
done)"
[[ -z "$left" ]] || { log "left behind by the tests: $left"; exit 1; }
