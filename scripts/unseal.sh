#!/usr/bin/env bash
# Decrypts and unpacks a bundle that seal.sh, gpg or age has encrypted: a tar or tar.gz.
#   unseal.sh FILE [-i IDENTITY] DIR     FILE may be -; IDENTITY: a file of age identities
# Passphrases are read from the terminal; without one, only gpg works, with --passphrase-file FILE.
# Prints the bundle's path in DIR. Exit status: 0 done, 1 failed (also for a wrong key), 2 usage,
# 4 damaged or truncated, 5 refused (the bundle exists already, or there is not enough space), 128+N signal N.
# A failed run leaves nothing.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

case "${1:-}" in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$scripts/unseal.sh"; exit 0 ;;
esac
find_deployment
find_terminal
exec bundle-manifest unpack "$@"
