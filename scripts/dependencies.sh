#!/usr/bin/env bash
# Installs the packages that tests, demo and fuzzing need and this machine lacks: PostgreSQL, Redis,
# ShellCheck, pigz, strace, faketime, age, GnuPG, restic, acl, attr, PgBouncer, pgBackRest, pip, a C linker, a C++
# compiler, zsh, fish, man-db, a German and an Argentine locale, and two small extensions of PostgreSQL.
# Debian and Ubuntu; as root, or through sudo.
#   dependencies.sh bench     instead, what scripts/bench.sh needs: PostgreSQL, hyperfine, pigz, Python, a C linker
#   dependencies.sh dedup     instead, what scripts/bench-dedup.sh needs: PostgreSQL, restic, Python, a C linker
set -euo pipefail

have_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

packages=()
# need PROGRAM PACKAGE…
need() { command -v "$1" >/dev/null || packages+=("${@:2}"); }

have_postgres || packages+=(postgresql)
need cc gcc libc6-dev
if [[ "${1:-}" == bench ]]; then
  need hyperfine hyperfine
  need pigz pigz
  need python3 python3
elif [[ "${1:-}" == dedup ]]; then
  need restic restic
  need python3 python3
else
  need redis-server redis-server
  need shellcheck shellcheck
  need age age
  need gpg gnupg
  need restic restic
  need setfacl acl
  need setfattr attr
  python3 -m pip --version &>/dev/null || packages+=(python3-pip)
  need c++ g++
  need pigz pigz
  need strace strace
  need faketime faketime
  [[ -x /usr/sbin/pgbouncer ]] || need pgbouncer pgbouncer
  need pgbackrest pgbackrest
  need flock util-linux
  need zsh zsh
  need fish fish
  need man man-db
  [[ -e /usr/share/i18n/locales/de_DE ]] || packages+=(locales)
fi

as_root=()
(( EUID == 0 )) || as_root=(sudo)
if (( ${#packages[@]} > 0 )); then
  printf 'dependencies.sh: installing %s\n' "${packages[*]}" >&2
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi
# Extensions in dumps are tested as far as they are there.
if [[ -z "${1:-}" ]] && major="$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | cut -d / -f 5 | sort -n | tail -n 1)"; then
  extensions=()
  for extension in cron partman; do
    [[ -e "/usr/share/postgresql/$major/extension/pg_$extension.control" ]] || extensions+=("postgresql-$major-$extension")
  done
  if (( ${#extensions[@]} > 0 )); then
    printf 'dependencies.sh: installing %s\n' "${extensions[*]}" >&2
    { "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${extensions[@]}"; } >&2 ||
      printf 'dependencies.sh: no %s\n' "${extensions[*]}" >&2
  fi
fi
# The message language of some tests' servers, and a decimal comma; without them, those tests are skipped.
for locale in de_DE es_AR; do
  [[ -n "${1:-}" || "$(locale -a)" == *"$locale.utf8"* ]] || "${as_root[@]}" localedef -i "$locale" -f UTF-8 "$locale.UTF-8" ||
    printf 'dependencies.sh: no locale %s.UTF-8\n' "$locale" >&2
done
