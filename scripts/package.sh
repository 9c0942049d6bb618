#!/usr/bin/env bash
# Makes the packages of this version: for each target a tarball of static programs that runs from wherever it is
# unpacked, a Debian package, and a list of what is in them (CycloneDX).
#   package.sh [--target TRIPLE]… [--out DIR]    all targets [default], into DIR [default: target/package/out]
#   package.sh --program FILE [--out DIR]        the same for this machine alone, of a program that is built already,
#                                                without lists of what is in it: for tests
#   package.sh --check-reproducible [OPTIONS]    makes them twice, the second time in a copy, and compares every byte
# Targets: x86_64-unknown-linux-musl, aarch64-unknown-linux-musl. One that is not named and cannot be built here is
# skipped, with the reason. What is packaged is the tree as it is; the date in it is that of the last commit, or
# SOURCE_DATE_EPOCH. Needs Rust, a C linker, Python with pip, and dpkg-deb. Exit status: 0 done, 1 failed, 2 usage.
set -euo pipefail
umask 022
unset CDPATH
export LC_ALL=C TZ=UTC

log() { printf 'package.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }

self="$(readlink -f -- "${BASH_SOURCE[0]}")"
root="${self%/scripts/*}"
readonly known=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl)
readonly zig=ziglang==0.17.1 zig_sha256=ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54
readonly sbom_tool=cargo-cyclonedx@0.5.9
# All programs together, each counted once.
readonly limit=$((25 * 1000 * 1000))

targets=()
out=''
check=''
given=''
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$self"; exit 0 ;;
    --target=*) targets+=("${1#*=}"); shift ;;
    --target) (( $# > 1 )) || die 2 "--target needs a triple"; targets+=("$2"); shift 2 ;;
    --out) (( $# > 1 )) || die 2 "--out needs a directory"; out="$2"; shift 2 ;;
    --program) (( $# > 1 )) || die 2 "--program needs a file"; given="$(readlink -f -- "$2")"; shift 2 ;;
    --check-reproducible) check=yes; shift ;;
    *) die 2 "unknown option $1" ;;
  esac
done
for target in "${targets[@]}"; do
  [[ " ${known[*]} " == *" $target "* ]] || die 2 "no package is made for $target; known: ${known[*]}"
done
may_skip=''
if (( ${#targets[@]} == 0 )); then
  targets=("${known[@]}")
  may_skip=yes
fi
[[ -z "$out" ]] || out="$(readlink -m -- "$out")"
cd -- "$root"

metadata() { cargo metadata --format-version 1 --locked "$@"; }
build="$(metadata --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/package"
out="${out:-$build/out}"
fetched="${PIPRIO_PACKAGE_TOOLS:-$build/tools}"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)"
epoch="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" || die 1 "this is no git repository: set SOURCE_DATE_EPOCH"
export SOURCE_DATE_EPOCH="$epoch"
# The same lists as for an installation.
tools=()
wrappers=()
eval "$(grep -E '^(tools|wrappers)=\(' scripts/install.sh)"
mkdir -p -- "$out" "$fetched" "$build"
work="$(mktemp -d -- "$build/.work-XXXXXX")"
trap 'rm -rf -- "$work"' EXIT

# The C compiler for both targets, with musl's headers. The program that links is Rust's own.
fetch_zig() {
  [[ ! -x "$fetched/zig/zig" ]] || return 0
  [[ "$(uname -m)" == x86_64 ]] || { log "no C compiler for the targets is known for $(uname -m)"; return 1; }
  log "fetching $zig"
  rm -rf -- "$fetched/zig" "$work/wheels"
  printf '%s --hash=sha256:%s\n' "$zig" "$zig_sha256" > "$work/requirements"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --implementation py --python-version 3.11 --abi none --platform manylinux_2_12_x86_64 --dest "$work/wheels" \
    --requirement "$work/requirements" >&2 || return 1
  python3 -m zipfile -e "$work"/wheels/*.whl "$work/wheel" || return 1
  # The archive's modes are lost.
  chmod -R u+w,a+rX -- "$work/wheel"
  chmod a+x -- "$work/wheel/ziglang/zig"
  mv -- "$work/wheel/ziglang" "$fetched/zig"
}

# compilers TARGET: programs that Rust's build scripts call, which name targets as Zig does not.
compilers() {
  local bin="$work/bin-$1"
  mkdir -p -- "$bin"
  cat > "$bin/cc" <<CC
#!/usr/bin/env bash
set -euo pipefail
words=()
for word in "\$@"; do [[ "\$word" == --target=* ]] || words+=("\$word"); done
exec $(printf %q "$fetched/zig/zig") cc -target ${1%%-*}-linux-musl -fno-sanitize=all "\${words[@]}"
CC
  printf '#!/bin/sh\nexec %q ar "$@"\n' "$fetched/zig/zig" > "$bin/ar"
  chmod 0755 -- "$bin/cc" "$bin/ar"
}

# compile TARGET: the program, in $build/TARGET/release. No path of this machine is in it.
compile() {
  local home="${CARGO_HOME:-$HOME/.cargo}" name="${1//-/_}" flags registry
  flags="-Clinker=rust-lld"$'\x1f'"--remap-path-prefix=$root=/build"
  for registry in "$home"/registry/src/*/; do
    flags+=$'\x1f'"--remap-path-prefix=${registry%/}=/registry"
  done
  compilers "$1"
  env -u RUSTFLAGS CARGO_ENCODED_RUSTFLAGS="$flags" CARGO_TARGET_DIR="$build" CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_STRIP=symbols ZIG_GLOBAL_CACHE_DIR="$fetched/zig-cache" ZIG_LOCAL_CACHE_DIR="$fetched/zig-cache" \
    "CC_$name=$work/bin-$1/cc" "AR_$name=$work/bin-$1/ar" \
    "CFLAGS_$name=-ffile-prefix-map=$home/registry/src=/registry -ffile-prefix-map=$root=/build" \
    cargo build --release --locked --quiet -p piprio-backup --target "$1" >&2
}

# can_build TARGET: whether the machine has, or gets, what the target needs.
can_build() {
  local sysroot
  sysroot="$(rustc --print sysroot)"
  if [[ ! -d "$sysroot/lib/rustlib/$1/lib" ]]; then
    command -v rustup >/dev/null || { log "rustc has no library for $1, and there is no rustup"; return 1; }
    rustup --quiet target add "$1" >&2 || { log "rustup cannot add $1"; return 1; }
  fi
  fetch_zig
}

# checked TARGET PROGRAM: static, small, and, where this machine runs it, of this version.
checked() {
  local size
  if readelf --program-headers --wide "$2" | grep -q INTERP; then die 1 "$2 is not static"; fi
  size="$(stat -c %s -- "$2")"
  (( size <= limit )) || die 1 "$2 has $size bytes; the limit is $limit"
  if [[ "${1%%-*}" == "$(uname -m)" ]]; then
    [[ "$("$2" --version)" == "piprio-backup $version" ]] || die 1 "$2 is not of version $version"
  fi
}

# documents TARGET PROGRAM: man pages and completions, which are the same for all targets, made by a program that this
# machine runs, into $work/documents.
documents() {
  local program="$2" dir="$work/documents" name
  [[ ! -d "$dir" ]] || return 0
  if [[ "${1%%-*}" != "$(uname -m)" ]]; then
    CARGO_TARGET_DIR="$build" CARGO_INCREMENTAL=0 cargo build --locked --quiet -p piprio-backup >&2
    program="$build/debug/piprio-backup"
  fi
  mkdir -p -- "$dir"/{bash,zsh,fish}
  "$program" man "$dir/man"
  install -D -m 0644 -t "$dir/man/man5" -- packaging/man/*.5
  find "$dir/man" -type f -exec gzip -n -9 {} +
  for name in piprio-backup "${tools[@]}"; do
    "$program" completions bash "$name" > "$dir/bash/$name"
    "$program" completions zsh "$name" > "$dir/zsh/_$name"
    "$program" completions fish "$name" > "$dir/fish/$name.fish"
  done
}

# copy_tracked DIR DIRECTORY…: files of the tree, with their modes, and none that git ignores.
copy_tracked() {
  mkdir -p -- "$1"
  if [[ -e .git ]]; then
    git ls-files -z --cached --others --exclude-standard -- "${@:2}"
  else
    find "${@:2}" -name target -prune -o -type f -print0
  fi | tar --null --verbatim-files-from -T - -cf - | tar -xf - -C "$1" --no-same-owner
}

# bom TARGET FILE: what is linked, as CycloneDX. Made in a copy, because it is written beside every Cargo.toml.
bom() {
  local copy="$work/bom"
  if [[ ! -x "$fetched/bin/cargo-cyclonedx" ]]; then
    log "building $sbom_tool"
    CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$work/cyclonedx" cargo install --quiet --locked --debug --root "$fetched" "$sbom_tool" >&2
  fi
  rm -rf -- "$copy"
  copy_tracked "$copy" .
  (cd -- "$copy" && PATH="$fetched/bin:$PATH" cargo cyclonedx --quiet --manifest-path piprio-backup/Cargo.toml --format json \
    --spec-version 1.5 --no-build-deps --target "$1" >&2)
  sed "s|path+file://$copy/|path+file:///|g" "$copy/piprio-backup/piprio-backup.cdx.json" > "$2"
}

# tree PROGRAM DIR: what both packages have in common, as a prefix.
tree() {
  local dir="$2" share="$2/share/piprio-backup/scripts" doc="$2/share/doc/piprio-backup" name
  install -d -- "$dir/bin" "$dir/libexec/piprio-backup" "$share/drivers" "$doc"
  install -m 0755 -- "$1" "$dir/libexec/piprio-backup/piprio-backup"
  for name in "${tools[@]}"; do
    ln -- "$dir/libexec/piprio-backup/piprio-backup" "$dir/libexec/piprio-backup/$name"
  done
  ln -s ../libexec/piprio-backup/piprio-backup "$dir/bin/piprio-backup"
  for name in "${wrappers[@]}"; do
    # What the others read is never run.
    install -m "$([[ "$name" == lib.sh ]] && printf 0644 || printf 0755)" -- "scripts/$name" "$share/$name"
  done
  for name in install.sh schedule.sh; do install -m 0755 -- "scripts/$name" "$share/$name"; done
  copy_tracked "$dir/share/piprio-backup" contrib/systemd contrib/cron
  for name in scripts/drivers/*; do install -m 0755 -- "$name" "$share/drivers/"; done
  cp -r -- "$work/documents/man" "$dir/share/man"
  install -D -m 0644 -t "$dir/share/bash-completion/completions" -- "$work/documents/bash"/*
  install -D -m 0644 -t "$dir/share/fish/vendor_completions.d" -- "$work/documents/fish"/*
  copy_tracked "$doc" README.md CONTRIBUTING.md docs contrib
}

# list_parts TARGET DIR: the licences of what is linked, and the list of it.
list_parts() {
  metadata --filter-platform "$1" |
    python3 packaging/licenses.py "$fetched/zig/lib/libc/musl/COPYRIGHT" | gzip -n -9 > "$2/third-party-licenses.gz"
  gzip -n -9 < "$work/bom-$1.json" > "$2/sbom.cdx.json.gz"
}

# tarball TARGET TREE: prints the file.
tarball() {
  local name="piprio-backup-$version-${1%%-*}" dir="$work/tar-$1" unit
  mkdir -p -- "$dir"
  cp -a -- "$2" "$dir/$name"
  install -D -m 0644 -t "$dir/$name/share/zsh/site-functions" -- "$work/documents/zsh"/*
  for unit in packaging/systemd/*; do
    # Where it is unpacked to be found by everyone.
    sed 's|/usr/bin/piprio-backup|/usr/local/bin/piprio-backup|' "$unit" |
      install -D -m 0644 -- /dev/stdin "$dir/$name/lib/systemd/system/${unit##*/}"
  done
  cp -- LICENSE-APACHE LICENSE-MIT CHANGELOG.md "$dir/$name/share/doc/piprio-backup/"
  tar --create --directory "$dir" --format gnu --sort name --owner 0 --group 0 --numeric-owner --mode u+w,go-w \
    --mtime "@$epoch" "$name" | gzip -n -9 > "$out/.$name.tar.gz"
  mv -- "$out/.$name.tar.gz" "$out/$name.tar.gz"
  printf '%s\n' "$name.tar.gz"
}

# deb TARGET TREE: prints the file.
deb() {
  local dir="$work/deb-$1" architecture revision="$version-1" doc size
  case "${1%%-*}" in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; esac
  doc="$dir/usr/share/doc/piprio-backup"
  mkdir -p -- "$dir/DEBIAN"
  cp -a -- "$2" "$dir/usr"
  install -D -m 0644 -t "$dir/usr/share/zsh/vendor-completions" -- "$work/documents/zsh"/*
  install -D -m 0644 -t "$dir/usr/lib/systemd/system" -- packaging/systemd/*
  install -D -m 0644 -- packaging/debian/lintian-overrides "$dir/usr/share/lintian/overrides/piprio-backup"
  install -m 0644 -- packaging/debian/copyright "$doc/copyright"
  gzip -n -9 < CHANGELOG.md > "$doc/changelog.gz"
  gzip -n -9 > "$doc/changelog.Debian.gz" <<LOG
piprio-backup ($revision) unstable; urgency=medium

  * Version $version. What is new is in changelog.gz.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date --utc --rfc-email --date "@$epoch")
LOG
  # As dpkg-gencontrol counts, but a file of several names once.
  size="$(find "$dir/usr" -type f -printf '%i %s\n' | sort -u | awk '{ sum += int(($2 + 1023) / 1024) } END { print sum }')"
  size=$((size + $(find "$dir/usr" ! -type f | wc -l)))
  sed -e "s/@VERSION@/$revision/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" packaging/debian/control > "$dir/DEBIAN/control"
  (cd -- "$dir" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$dir/DEBIAN/md5sums"
  chmod -R u+w,go-w -- "$dir"
  # dpkg-deb would keep what is older.
  find "$dir" -exec touch --no-dereference --date "@$epoch" {} +
  # In one thread: the number of processors would change the bytes.
  DPKG_DEB_THREADS_MAX=1 dpkg-deb --root-owner-group -Zxz --build "$dir" "$work/$1.deb" >&2
  mv -- "$work/$1.deb" "$out/piprio-backup_${revision}_$architecture.deb"
  printf '%s\n' "piprio-backup_${revision}_$architecture.deb"
}

# package TARGET: prints the files that it made.
package() {
  local program="$build/$1/release/piprio-backup" dir="$work/tree-$1" list="piprio-backup-$version-${1%%-*}.cdx.json"
  log "building for $1"
  compile "$1"
  checked "$1" "$program"
  documents "$1" "$program"
  bom "$1" "$work/bom-$1.json"
  tree "$program" "$dir"
  list_parts "$1" "$dir/share/doc/piprio-backup"
  tarball "$1" "$dir"
  deb "$1" "$dir"
  install -m 0644 -- "$work/bom-$1.json" "$out/$list"
  printf '%s\n' "$list"
}

# check_reproducible FILE…: the same again in a copy of the tree, at a path of another length, with all of it compiled
# anew.
check_reproducible() {
  local copy="$work/a-copy-of-the-tree" name options=()
  [[ -n "$may_skip" ]] || options=("${targets[@]/#/--target=}")
  log "making the packages again in $copy"
  env -u CARGO_TARGET_DIR PIPRIO_PACKAGE_TOOLS="$fetched" "$copy/scripts/package.sh" --out "$work/again" "${options[@]}" >&2
  for name in "$@"; do
    cmp -- "$out/$name" "$work/again/$name" || die 1 "$name is not the same when it is made again"
  done
  log "both runs made the same bytes: $*"
}

if [[ -n "$given" ]]; then
  strip -o "$work/program" -- "$given"
  this="$(uname -m)-unknown-linux-musl"
  documents "$this" "$work/program"
  tree "$work/program" "$work/tree"
  tarball "$this" "$work/tree"
  deb "$this" "$work/tree"
  exit 0
fi

# At the beginning: what is edited while the first packages are made is not in them.
[[ -z "$check" ]] || copy_tracked "$work/a-copy-of-the-tree" .
files=()
for target in "${targets[@]}"; do
  if ! can_build "$target"; then
    [[ -n "$may_skip" ]] || die 1 "$target cannot be built here"
    log "skipped: $target, because it cannot be built here"
    continue
  fi
  package "$target" > "$work/made"
  mapfile -t -O "${#files[@]}" files < "$work/made"
done
(( ${#files[@]} > 0 )) || die 1 'nothing was made'
[[ -z "$check" ]] || check_reproducible "${files[@]}"
(cd -- "$out" && sha256sum -- "${files[@]}") > "$work/sums"
install -m 0644 -- "$work/sums" "$out/SHA256SUMS"
cat -- "$work/sums"
log "the packages are in $out"
