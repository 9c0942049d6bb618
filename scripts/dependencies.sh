#!/usr/bin/env bash
# Installs what the tests, the demo and the fuzzing need and this machine lacks: PostgreSQL, Redis,
# ShellCheck, pigz, strace, age, GnuPG, pip, a C linker, a C++ compiler. Debian and Ubuntu; as root, or
# through sudo.
set -euo pipefail

have_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

packages=()
have_postgres || packages+=(postgresql)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v shellcheck >/dev/null || packages+=(shellcheck)
command -v age >/dev/null || packages+=(age)
command -v gpg >/dev/null || packages+=(gnupg)
python3 -m pip --version &>/dev/null || packages+=(python3-pip)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
command -v c++ >/dev/null || packages+=(g++)
command -v pigz >/dev/null || packages+=(pigz)
command -v strace >/dev/null || packages+=(strace)
command -v flock >/dev/null || packages+=(util-linux)
(( ${#packages[@]} > 0 )) || exit 0

as_root=()
(( EUID == 0 )) || as_root=(sudo)
printf 'dependencies.sh: installing %s\n' "${packages[*]}" >&2
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
