#!/usr/bin/env bash
# Prints a bundle as one encrypted file; the plain text is never written to disk.
#   seal.sh BUNDLE -r RECIPIENT… | -R FILE… | -p > FILE.tar.age     age: public keys, files of them, or a passphrase
#   seal.sh BUNDLE --gpg -r KEY… | -p > FILE.tar.gpg                gpg: keys of its keyring, or a passphrase (AES256)
# Passphrases are read from the terminal; without one, only gpg works, with --passphrase-file FILE.
# A key that gpg's keyring does not trust, or that has expired or was revoked, is refused. The bundle is
# verified against its seal while it is read. Exit status: 0 done, 1 failed, 2 usage, 4 the bundle is
# damaged, 5 a key is refused, 128+N signal N. A failed run leaves an empty FILE.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

# No questions, no keys from the network, and no trust except the keyring's, regardless of gpg.conf.
gpg_options=(gpg --batch --no-tty --trust-model auto --no-auto-key-locate)

# ask_gpg ARGS…: gpg's output; status 124 if another gpg holds the keyring for a minute.
ask_gpg() { timeout -k 5 60 "${gpg_options[@]}" "$@" </dev/null 2>/dev/null; }

# why_unusable FINGERPRINT: why gpg does not encrypt for a key, and what to type.
why_unusable() {
  local key="$1" validity='' expires='' can='' secret trust
  IFS=: read -r _ validity _ _ _ _ expires _ _ _ _ can _ < <(ask_gpg --with-colons --fixed-list-mode --list-keys -- "$key" | grep '^pub:') || true
  secret="$(ask_gpg --with-colons --list-secret-keys | grep -c '^sec:')" || true
  trust="gpg --lsign-key $key"
  # Nobody signs without a key of one's own.
  (( ${secret:-0} > 0 )) || trust="echo $key:6: | gpg --import-ownertrust"
  case "$validity" in
    r) echo 'was revoked; get its replacement from its owner' ;;
    e) printf 'expired on %(%Y-%m-%d)T; get it again from its owner, who can extend it\n' "${expires:-0}" ;;
    i) echo 'is invalid: it has no signature of its own' ;;
    *)
      case "$can" in
        *D*) echo "is disabled in this keyring; gpg --edit-key $key enable save" ;;
        *E*) echo "is not trusted by this keyring; compare the fingerprint with its owner's, then: $trust" ;;
        *) echo 'has no part that can encrypt, or none that is still valid; get it again from its owner' ;;
      esac ;;
  esac
}

# require_usable KEY: gpg can encrypt for the key, as its machine-readable status reports.
require_usable() {
  local answer status=0 name key considered
  answer="$(ask_gpg --status-fd 3 --encrypt --recipient "$1" 3>&1 >/dev/null)" || status=$?
  (( status != 0 )) || return 0
  (( status != 124 )) || die 1 'gpg does not answer: another gpg may hold its keyring; nothing was written'
  # A group of gpg.conf has several keys, and this is the one.
  name="$(sed -n 's/^\[GNUPG:\] INV_RECP [0-9]* //p' <<<"$answer" | head -n 1)"
  [[ -n "$name" ]] || die 1 "gpg cannot encrypt for $1 (status $status); nothing was written; gpg --encrypt -r '$1' shows why"
  # Of several that the name fits, the first; among those considered are the ones that trust comes from.
  key="$(ask_gpg --with-colons --list-keys -- "$name" | awk -F: '$1 == "pub" { primary = 1 } $1 == "fpr" && primary { print $10; primary = 0 }')" || true
  considered="$(sed -n 's/^\[GNUPG:\] KEY_CONSIDERED \([0-9A-F]*\) .*/\1/p' <<<"$answer")"
  [[ -n "$key" ]] || die 1 "gpg's keyring has no key for $1; nothing was written; gpg --import FILE"
  key="$(grep -Fxf <(printf '%s\n' "$considered") <<<"$key" || printf '%s\n' "$key")"
  key="${key%%$'\n'*}"
  die 5 "nothing was written: the key $key of $1 $(why_unusable "$key")"
}

usage='usage: seal.sh BUNDLE [--gpg] -r RECIPIENT | -R FILE | -p > FILE (see seal.sh -h)'
bundle=''
with=age
passphrase=no
passphrase_file=''
recipients=()
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$scripts/seal.sh"; exit 0 ;;
    --gpg) with=gpg; shift ;;
    -p | --passphrase) passphrase=yes; shift ;;
    -r | -R | --passphrase-file)
      (( $# > 1 )) || die 2 "$1 needs a value; $usage"
      if [[ "$1" == --passphrase-file ]]; then passphrase_file="$2"; else recipients+=("$1" "$2"); fi
      shift 2 ;;
    -*) die 2 "unknown option $1; $usage" ;;
    *) [[ -z "$bundle" ]] || die 2 "one BUNDLE only; $usage"; bundle="$1"; shift ;;
  esac
done
[[ -n "$bundle" ]] || die 2 "$usage"
[[ "$passphrase" == no ]] || (( ${#recipients[@]} == 0 )) || die 2 "-p cannot be combined with -r or -R; $usage"
[[ "$passphrase" == yes ]] || (( ${#recipients[@]} > 0 )) || die 2 "name a recipient or -p; $usage"
[[ -z "$passphrase_file" || "$with$passphrase" == gpgyes ]] || die 2 "--passphrase-file needs --gpg -p; $usage"

case "$with$passphrase" in
  ageyes) encrypt=(age --passphrase) ;;
  ageno) encrypt=(age "${recipients[@]}") ;;
  gpgyes)
    encrypt=(gpg --quiet --no-symkey-cache --symmetric --cipher-algo AES256 --compress-algo none)
    [[ -z "$passphrase_file" ]] ||
      encrypt+=(--batch --pinentry-mode loopback --passphrase-file "$passphrase_file") ;;
  gpgno)
    [[ " ${recipients[*]} " != *' -R '* ]] || die 2 "-R is an option of age; with --gpg, use -r KEY"
    encrypt=("${gpg_options[@]}" --quiet --encrypt --compress-algo none "${recipients[@]}") ;;
esac
find_deployment
find_terminal
# With a trap, a signal would wait for gpg's answer.
trap - EXIT INT TERM HUP
# Without gpg, the next command reports that.
if [[ "$with$passphrase" == gpgno ]] && command -v gpg >/dev/null; then
  for at in "${!recipients[@]}"; do
    (( at % 2 == 0 )) || require_usable "${recipients[at]}"
  done
fi
exec bundle-manifest pack "$bundle" -- "${encrypt[@]}"
