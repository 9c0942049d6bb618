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

child=''
# stage CMD…: runs a command so that a signal reaches this shell, and through it the command, at once. It
# does not inherit the lock at descriptor 8. With PIPE_KIT_PARENT it ends when this shell is killed.
stage() {
  local status=0
  PIPE_KIT_PARENT=$$ "$@" 8>&- <&0 &
  child=$!
  wait "$child" || status=$?
  child=''
  (( status == 0 )) || log "${1##*/} failed (status $status)"
  return "$status"
}

# Ends the command that is running, if one is, and waits until it has cleaned up.
end_stage() {
  [[ -n "$child" ]] || return 0
  kill -TERM "$child" 2>/dev/null || true
  # A stopped process would not receive it.
  kill -CONT "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
}

# split_keys ARGS…: the options of unseal.sh into the array keys, all others into the array options.
split_keys() {
  keys=()
  options=()
  while (( $# > 0 )); do
    case "$1" in
      -i | --passphrase-file) (( $# > 1 )) || die 2 "$1 needs a file"; keys+=("$1" "$2"); shift 2 ;;
      *) options+=("$1"); shift ;;
    esac
  done
}

# Whether this names a file of seal.sh, or a copy of ship.sh elsewhere.
is_copy() { [[ "$1" == s3://* || "$1" == restic:* || "$1" == SHIP_[1-9]:* || -f "$1" ]]; }

fetch_sealed() { stage ship-run fetch "$1" -- bash "$scripts/unseal.sh" - "${keys[@]}" "$2" >/dev/null; }

# Of the keys, only the file with a passphrase is for a repository.
fetch_snapshot() {
  local password=() at
  for at in "${!keys[@]}"; do
    [[ "${keys[at]}" != --passphrase-file ]] || password=(--passphrase-file "${keys[at + 1]}")
  done
  stage ship-run fetch --into "$2" "${password[@]}" "$1" >/dev/null
}

# unseal COPY DIR: opens what is_copy knows into DIR, which is emptied first, with the keys of split_keys; the
# bundle's path is then in the variable bundle.
unseal() {
  local name="${1##*[/:]}" status=0
  rm -rf -- "$2"
  case "$1" in
    restic:*) fetch_snapshot "$1" "$2" ;;
    SHIP_[1-9]:*)
      if [[ "$(deploy-env get --deploy "$PIPRIO_DEPLOY" "${1%%:*}" 2>/dev/null || printenv "${1%%:*}")" == restic:* ]]; then
        fetch_snapshot "$1" "$2"
      else
        fetch_sealed "$1" "$2"
      fi
      ;;
    s3://*) fetch_sealed "$1" "$2" ;;
    *) stage bash "$scripts/unseal.sh" "$1" "${keys[@]}" "$2" >/dev/null ;;
  esac || status=$?
  if (( status != 0 )); then
    # What was opened before the failure is no bundle to restore.
    rm -rf -- "$2"
    exit "$status"
  fi
  # These keys are of the copies, and not of the deployment.
  unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL AWS_REGION AWS_CA_BUNDLE \
    S3_FORCE_PATH_STYLE RESTIC_REPOSITORY RESTIC_PASSWORD RESTIC_PASSWORD_FILE RESTIC_PASSWORD_COMMAND
  bundle="$(printf '%s' "$2"/piprio_*)"
  # A copy under another bundle's name is intact, and still not what was asked for.
  if [[ "$name" =~ ^piprio_[0-9]{8}T[0-9]{6}Z(\.|$) && "${bundle##*/}" != "${name%%.*}" ]]; then
    rm -rf -- "$2"
    die 4 "$1 holds ${bundle##*/}: it was renamed or replaced; nothing was restored"
  fi
}

# Calls the function finish of the caller with the exit status at the end, however that comes.
finish_at_end() {
  trap 'finish "$?"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
}
