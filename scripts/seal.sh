#!/usr/bin/env bash
# Prints a bundle as one encrypted file, and never writes it down in the clear.
#   seal.sh BUNDLE -r RECIPIENT… | -R FILE… | -p > FILE.tar.age     age: public keys, files of them, or a passphrase
#   seal.sh BUNDLE --gpg -r KEY… | -p > FILE.tar.gpg                gpg: keys of its keyring, or a passphrase (AES256)
# Passphrases are asked for on the terminal; without one, gpg alone takes --passphrase-file FILE.
# The bundle is held against its seal on the way. Exit status: 0 done, 1 failed, 2 usage, 4 the bundle
# is damaged, 128+N signal N. What fails leaves an empty FILE.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

usage='usage: seal.sh BUNDLE [--gpg] -r RECIPIENT | -R FILE | -p > FILE (seal.sh -h tells more)'
bundle=''
with=age
passphrase=no
passphrase_file=''
recipients=()
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$scripts/seal.sh"; exit 0 ;;
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
[[ "$passphrase" == no ]] || (( ${#recipients[@]} == 0 )) || die 2 "-p goes without -r and -R; $usage"
[[ "$passphrase" == yes ]] || (( ${#recipients[@]} > 0 )) || die 2 "who is to open it? $usage"
[[ -z "$passphrase_file" || "$with$passphrase" == gpgyes ]] || die 2 "--passphrase-file goes with --gpg -p; $usage"

case "$with$passphrase" in
  ageyes) encrypt=(age --passphrase) ;;
  ageno) encrypt=(age "${recipients[@]}") ;;
  gpgyes)
    encrypt=(gpg --quiet --no-symkey-cache --symmetric --cipher-algo AES256 --compress-algo none)
    [[ -z "$passphrase_file" ]] ||
      encrypt+=(--batch --pinentry-mode loopback --passphrase-file "$passphrase_file") ;;
  gpgno)
    [[ " ${recipients[*]} " != *' -R '* ]] || die 2 "-R is age's; gpg takes -r KEY of its keyring"
    encrypt=(gpg --quiet --encrypt --compress-algo none "${recipients[@]}") ;;
esac
find_deployment
find_terminal
exec bundle-manifest pack "$bundle" -- "${encrypt[@]}"
