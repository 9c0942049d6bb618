#!/usr/bin/env bash
# Fetches what the tests check contrib/ with, into monitoring/ below cargo's target directory: promtool and
# node_exporter out of the distribution's packages (Debian and Ubuntu), which are unpacked and not
# installed; Grafana's types and a TypeScript compiler through npm, of fixed versions and hashes. Existing ones are not
# fetched again.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

log() { printf 'monitoring-tools.sh: %s\n' "$*" >&2; }

target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
CACHE="$target/monitoring"
WORK=

# download PACKAGE: of the release that the distribution has now; the lists of packages are fetched if there are none.
download() {
  local as_root=() options=(-qq)
  # As root, apt downloads as another user, who may not write here.
  if (( EUID == 0 )); then options+=(-o APT::Sandbox::User=root); else as_root=(sudo -n); fi
  ( cd -- "$WORK" && apt-get "${options[@]}" download "$1" ) >&2 && return
  log "fetching the lists of packages"
  "${as_root[@]}" apt-get update -qq >&2
  ( cd -- "$WORK" && apt-get "${options[@]}" download "$1" ) >&2
}

# unpack PACKAGE PROGRAM: one program of a package.
unpack() {
  local package=$1 program=$2 archive
  [[ ! -x "$CACHE/bin/$program" ]] || return 0
  log "fetching $program"
  download "$package"
  archive=$(find "$WORK" -maxdepth 1 -name "${package}_*.deb" -print -quit)
  dpkg-deb --fsys-tarfile "$archive" | tar -xf - -C "$WORK" --no-same-owner "./usr/bin/$program"
  "$WORK/usr/bin/$program" --version >&2
  mkdir -p -- "$CACHE/bin"
  mv -- "$WORK/usr/bin/$program" "$CACHE/bin/$program"
}

# module NAME VERSION INTEGRITY: a package of npm, without what it depends on.
module() {
  local name=$1 version=$2 integrity=$3 archive hash
  local dir="$WORK/node_modules/$name"
  archive=$(cd -- "$WORK" && npm pack --silent --ignore-scripts --cache "$WORK/npm" "$name@$version")
  hash=$(python3 -c 'import base64, hashlib, sys
print("sha512-" + base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode())' "$WORK/$archive")
  if [[ "$hash" != "$integrity" ]]; then
    log "$name: the package's hash is $hash, not $integrity"
    return 1
  fi
  mkdir -p -- "$dir"
  tar -xzf "$WORK/$archive" -C "$dir" --strip-components=1 --no-same-owner
}

grafana_types() {
  [[ ! -d "$CACHE/node_modules" ]] || return 0
  if ! command -v npm >/dev/null; then
    log "skipped: Grafana's types: npm is not installed"
    return 0
  fi
  log "fetching Grafana's types"
  module @grafana/schema 13.2.3 \
    sha512-rk8FEO7yuFfRTK/JD39747SZFQ+iCTQbpm6Mh2OjnqGx/g/uQQFx56t64eCLXWEyoR68ru4cigcGKrXk+ozrLg==
  module typescript 5.9.3 \
    sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw==
  mv -- "$WORK/node_modules" "$CACHE/node_modules"
}

umask 022
mkdir -p -- "$CACHE"
WORK=$(mktemp -d -- "$CACHE/.partial-XXXXXX")
trap 'rm -rf -- "$WORK"' EXIT
if command -v apt-get >/dev/null; then
  unpack prometheus promtool
  unpack prometheus-node-exporter prometheus-node-exporter
else
  log "skipped: promtool and node_exporter: this is neither Debian nor Ubuntu"
fi
grafana_types
