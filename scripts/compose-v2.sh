#!/usr/bin/env bash
# Fetches Compose's second version, the plugin of the engine's client, for the tests alone: from the next release of
# Debian, whose program runs on this one as it is, through apt, into compose-v2/bin below cargo's target directory.
# Prints that directory. Nothing is installed. Exit status 75 where it cannot be had.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

log() { printf 'compose-v2.sh: %s\n' "$*" >&2; }
skip() {
  log "$*"
  exit 75
}

target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
kept="$target/compose-v2"
if [[ -x "$kept/bin/docker" ]]; then
  printf '%s\n' "$kept/bin"
  exit 0
fi
# shellcheck source=/dev/null
release="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
[[ "$release" == bookworm ]] || skip "no package of Compose's second version is known for ${release:-this system}"
command -v apt-get >/dev/null || skip 'there is no apt-get'
# shellcheck disable=SC2016 # apt's own variable
mirror="$(apt-get indextargets --format '$(SITE)' "Codename: $release" 'Created-By: Packages' | head -n 1)"
[[ -n "$mirror" ]] || skip 'apt has no lists of its mirror: apt-get update'

umask 022
mkdir -p -- "$target"
work=$(mktemp -d -- "$target/.compose-v2-XXXXXX")
trap 'rm -rf -- "$work"' EXIT
mkdir -p -- "$work"/apt/{lists/partial,cache/archives/partial,sources} "$work"/new/{bin,cli-plugins}
printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
  "$mirror" > "$work/apt/sources/next.sources"
apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/apt/sources"
  -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none)
log 'fetching Compose'
"${apt[@]}" update >&2 || skip 'the lists of the next release cannot be had'
(cd -- "$work" && "${apt[@]}" download docker-compose >&2) || skip 'the package docker-compose cannot be had'
dpkg -x "$work"/docker-compose_*.deb "$work/root"
cp -- "$work/root/usr/libexec/docker/cli-plugins/docker-compose" "$work/new/cli-plugins/"
# The client looks for plugins in its directory of settings.
cat > "$work/new/bin/docker" <<'DOCKER'
#!/usr/bin/env bash
# The engine's client with Compose as a plugin.
set -euo pipefail
# Called by way of PATH, by its whole path. Every start of the client passes here: nothing else is started.
here="${BASH_SOURCE[0]%/*}"
PATH=":$PATH:"
PATH="${PATH//":$here:"/:}"
export PATH="${PATH:1:-1}" DOCKER_CONFIG="${here%/bin}"
exec docker "$@"
DOCKER
chmod 0755 -- "$work/new/bin/docker"
PATH="$work/new/bin:$PATH" docker compose version >&2 || skip 'it does not run on this system'
rm -rf -- "$kept"
mv -- "$work/new" "$kept"
printf '%s\n' "$kept/bin"
