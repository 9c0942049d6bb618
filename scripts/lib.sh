# shellcheck shell=bash
# What the wrappers share. Sourced by them, never run.

set -euo pipefail
umask 077
# With it, `cd` goes elsewhere and prints where.
unset CDPATH

script="${0##*/}"
scripts="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"

log() { printf '%s: %s\n' "$script" "$*" >&2; }
# die STATUS MESSAGE…
die() { log "${@:2}"; exit "$1"; }

# The deployment: $PIPRIO_DEPLOY, else the parent of the scripts' directory.
find_deployment() {
  local dir="${PIPRIO_DEPLOY:-$scripts/..}"
  PIPRIO_DEPLOY="$(cd -- "$dir" 2>/dev/null && pwd)" || die 2 "there is no deployment directory $dir"
  export PIPRIO_DEPLOY PIPRIO_SCRIPTS="$scripts"
  local bin="$PIPRIO_DEPLOY/bin"
  [[ -d "$bin" ]] || return 0
  # Root runs nothing that another user could have put there.
  if (( EUID == 0 )) && [[ -n "$(find -L "$bin" -maxdepth 1 -perm /022 -print -quit)" ]]; then
    die 5 "$bin, or a program in it, can be written to by others; nothing is run from there; chmod -R go-w '$bin'"
  fi
  export PATH="$bin:$PATH"
}

# run TOOL ARGS…: becomes a program of the toolkit.
run() {
  command -v "$1" >/dev/null || die 1 "$1 is not in $PIPRIO_DEPLOY/bin nor on PATH; run install.sh $PIPRIO_DEPLOY again"
  exec "$@"
}

# gpg asks for passphrases through a program of its own, which needs the terminal's name.
find_terminal() {
  [[ -n "${GPG_TTY:-}" ]] && return
  local fd
  for fd in 0 1 2; do
    [[ -t "$fd" ]] || continue
    GPG_TTY="$(tty <&"$fd")" && export GPG_TTY
    break
  done
}
