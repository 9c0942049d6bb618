#!/usr/bin/env bash
# Makes bare Debian root filesystems by debootstrap, for the tests alone: machines/SUITE.tar below cargo's target
# directory, of the packages that every Debian has (minbase) and no lists of packages. Prints their paths. What is
# there already is not made again. As root.
#   machine-roots.sh bookworm trixie
# A test unpacks its own copy (tar -xpf), or imports it into an engine (docker import). Exit status 75 where they
# cannot be had.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

log() { printf 'machine-roots.sh: %s\n' "$*" >&2; }
skip() {
  log "$*"
  exit 75
}

(( $# > 0 )) || { sed -n '2,8s/^# \{0,1\}//p' scripts/machine-roots.sh >&2; exit 2; }
for suite; do
  [[ "$suite" =~ ^[a-z]+$ ]] || { log "$suite: not the name of a release"; exit 2; }
done
target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
CACHE="$target/machines"
WORK=

finish() {
  [[ -n "$WORK" ]] || return 0
  # Interrupted, debootstrap leaves mounts.
  grep -o " $WORK/[^ ]*" /proc/mounts | xargs -r umount -l || true
  rm -rf --one-file-system -- "$WORK"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# make SUITE
make() {
  local mirror root="$WORK/$1" output="$WORK/$1.log"
  (( EUID == 0 )) || skip 'debootstrap takes root'
  command -v debootstrap >/dev/null || skip 'debootstrap is not installed: apt-get install debootstrap'
  [[ -e "/usr/share/debootstrap/scripts/$1" ]] || skip "debootstrap does not know $1"
  # shellcheck disable=SC2016 # apt's own variable
  mirror="$(apt-get indextargets --format '$(SITE)' 'Label: Debian' 'Created-By: Packages' 2>/dev/null | head -n 1)"
  [[ -n "$mirror" ]] || skip 'apt has no lists of a mirror of Debian: apt-get update'
  log "making $1"
  debootstrap --variant=minbase "$1" "$root" "$mirror" >"$output" 2>&1 || { tail -n 20 -- "$output" >&2; skip "$1 cannot be had"; }
  # Of the machine that made it, or of no use to another.
  rm -rf -- "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/{bootstrap.log,dpkg.log} \
    "$root"/etc/{hostname,machine-id,resolv.conf}
  tar -C "$root" --one-file-system --numeric-owner --xattrs -cf "$WORK/$1.tar" .
  mv -- "$WORK/$1.tar" "$CACHE/$1.tar"
  rm -rf --one-file-system -- "$root"
}

umask 022
mkdir -p -- "$CACHE"
# Two tests may want the same at once: the second waits for the first.
exec {lock}> "$CACHE/.lock"
flock -- "$lock"
WORK=$(mktemp -d -- "$CACHE/.partial-XXXXXX")
chmod 0755 -- "$WORK"
for suite; do
  [[ -f "$CACHE/$suite.tar" ]] || make "$suite"
  printf '%s\n' "$CACHE/$suite.tar"
done
