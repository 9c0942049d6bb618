# shellcheck shell=bash
# What the wrappers share. Sourced by them, never run.

set -euo pipefail
umask 077
# With it, `cd` goes elsewhere and prints where.
unset CDPATH

script="${0##*/}"
scripts="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"

say() { printf '%s: %s\n' "$script" "$*" >&2; }
# die STATUS MESSAGE…
die() { say "${@:2}"; exit "$1"; }

# The deployment: $PIPRIO_DEPLOY, else the parent of the scripts' directory.
find_deployment() {
  local dir="${PIPRIO_DEPLOY:-$scripts/..}"
  PIPRIO_DEPLOY="$(cd -- "$dir" 2>/dev/null && pwd)" || die 2 "there is no deployment directory $dir"
  export PIPRIO_DEPLOY PIPRIO_SCRIPTS="$scripts"
  local bin="$PIPRIO_DEPLOY/bin"
  [[ -d "$bin" ]] || return 0
  # Root runs nothing that somebody else could have put there.
  if (( EUID == 0 )) && [[ -n "$(find -L "$bin" -maxdepth 1 -perm /022 -print -quit)" ]]; then
    die 5 "$bin, or a program in it, can be written to by others; nothing is run from there; chmod -R go-w '$bin'"
  fi
  PATH="$bin:$PATH"
}

# gpg asks for passphrases through a program of its own, which must be told the terminal.
find_terminal() {
  [[ -n "${GPG_TTY:-}" ]] && return
  local fd
  for fd in 0 1 2; do
    [[ -t "$fd" ]] || continue
    GPG_TTY="$(tty <&"$fd")" && export GPG_TTY
    break
  done
}

# resolve SCRIPT ARGS…: starts SCRIPT again with the deployment's settings resolved, once and for
# the whole run, in its environment.
resolve() {
  find_deployment
  [[ -n "${PIPRIO_RESOLVED:-}" ]] && return
  command -v deploy-env >/dev/null ||
    die 1 "deploy-env is not in $PIPRIO_DEPLOY/bin nor on PATH; run install.sh $PIPRIO_DEPLOY again"
  exec deploy-env --deploy "$PIPRIO_DEPLOY" -- "${BASH:-bash}" "$scripts/$1" "${@:2}"
}

# lock FD FILE: locks FILE, open as FD, for as long as this shell lives; stages do not inherit it.
lock() {
  flock -n "$1" || die 5 "another backup or restore is running (it holds $2); nothing was done"
}

child=''
# stage CMD…: runs a stage so that a signal reaches this shell, and through it the stage, at once. Its
# standard input is ours. Told whose child it is, a stage ends when this shell is killed, and does
# not meet the next run.
stage() {
  local status=0
  PIPE_KIT_PARENT=$$ "$@" 8>&- 9>&- <&0 &
  child=$!
  wait "$child" || status=$?
  child=''
  (( status == 0 )) || say "${1##*/} failed (status $status)"
  return "$status"
}

# Ends the stage that is running, if one is, and waits until it has cleaned up.
end_stage() {
  [[ -n "$child" ]] || return 0
  kill -TERM "$child" 2>/dev/null || true
  # Stopped, it would never hear of it.
  kill -CONT "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
}
