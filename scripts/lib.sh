# shellcheck shell=bash
# What the wrappers share. Sourced by them, never run.

set -euo pipefail
umask 077

script="${0##*/}"

log() { printf '%s: %s\n' "$script" "$*" >&2; }
# die STATUS MESSAGE…
die() { log "${@:2}"; exit "$1"; }

child=''
# Ends the command that is running, if one is, and waits until it has cleaned up.
end_stage() {
  [[ -n "$child" ]] || return 0
  kill -TERM "$child" 2>/dev/null || true
  # A stopped process would not receive it.
  kill -CONT "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
}
trap end_stage EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# capture CMD…: the first line that a command prints, in REPLY; for less than a pipe holds. A signal ends the command
# with this shell, also while it is stopped.
capture() {
  local pipe status=0
  # The status of a process substitution can be lost, that of a job cannot: only the pipe is used of this one.
  exec {pipe}<> <(:)
  child=$!
  wait "$child" || true
  "$@" >&"$pipe" {pipe}>&- 8>&- <&0 &
  child=$!
  wait "$child" || status=$?
  child=''
  # There is a line, whatever was printed.
  printf '\n' >&"$pipe"
  IFS= read -r REPLY <&"$pipe"
  exec {pipe}>&-
  return "$status"
}

# absolute PATH: the same path from the root, without . and .., in REPLY. Starts no process.
absolute() {
  local path="$1/" part
  [[ "$path" == /* ]] || path="$PWD/$path"
  REPLY=''
  while [[ -n "$path" ]]; do
    part="${path%%/*}"
    path="${path#*/}"
    case "$part" in
      '' | .) ;;
      ..) REPLY="${REPLY%/*}" ;;
      *) REPLY+="/$part" ;;
    esac
  done
  REPLY="${REPLY:-/}"
}

# physical PATH: the same without links, in REPLY. Starts a process only where there is a link.
physical() {
  local path="$1"
  [[ "$path" == /* ]] || path="$PWD/$path"
  while [[ "$path" == */* ]]; do
    if [[ -L "$path" ]]; then
      capture readlink -f -- "$1"
      return
    fi
    path="${path%/*}"
  done
  absolute "$1"
}

physical "${BASH_SOURCE[0]}"
scripts="${REPLY%/*}"
# The scripts of a package are linked into a deployment as a directory, whose parent is the deployment.
absolute "${BASH_SOURCE[0]%/*}"
[[ ! -L "$REPLY" ]] || scripts="$REPLY"

# The deployment: $PIPRIO_DEPLOY, else the parent of the scripts' directory.
find_deployment() {
  local dir="${PIPRIO_DEPLOY:-$scripts/..}"
  absolute "$dir"
  [[ -d "$REPLY" && -x "$REPLY" ]] || die 2 "there is no deployment directory $dir"
  PIPRIO_DEPLOY="$REPLY"
  export PIPRIO_DEPLOY PIPRIO_SCRIPTS="$scripts"
  local bin="$PIPRIO_DEPLOY/bin"
  [[ -d "$bin" ]] || return 0
  # Root runs nothing that another user could have put there.
  if (( EUID == 0 )); then
    capture find -L "$bin" -maxdepth 1 -ignore_readdir_race -perm /022 -print -quit || die 1 "find cannot examine $bin; nothing is run from there"
    [[ -z "$REPLY" ]] ||
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
    capture tty <&"$fd" && export GPG_TTY="$REPLY"
    break
  done
}

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
      local destination="${1%%:*}"
      capture deploy-env get --deploy "$PIPRIO_DEPLOY" "$destination" 2>/dev/null || REPLY="${!destination:-}"
      if [[ "$REPLY" == restic:* ]]; then
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
finish_at_end() { trap 'finish "$?"' EXIT; }
