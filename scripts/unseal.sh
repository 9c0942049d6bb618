#!/usr/bin/env bash
# Opens a bundle that seal.sh, or gpg or age by hand, has encrypted: a tar or tar.gz.
#   unseal.sh FILE [-i IDENTITY] DIR     FILE may be -; IDENTITY: a file of age identities
# Passphrases are asked for on the terminal; without one, gpg alone takes --passphrase-file FILE.
# Prints the bundle's path in DIR. Exit status: 0 done, 1 failed (wrong key, too), 2 usage, 4 damaged or
# cut, 5 refused (that bundle is there already, no room), 128+N signal N. What fails leaves nothing.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

case "${1:-}" in
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$scripts/unseal.sh"; exit 0 ;;
esac
find_deployment
find_terminal
exec bundle-manifest unpack "$@"
