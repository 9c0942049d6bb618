#!/usr/bin/env bash
# Demonstrates the toolkit on a throwaway deployment (PostgreSQL, Redis, S3 storage, two app
# services): backs it up, destroys its data, restores it, and proves that everything is the same as
# before. Installs missing packages; leaves nothing behind.
set -euo pipefail
unset CDPATH
umask 077
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

heading() { printf '\n\033[1m== %s ==\033[0m\n' "$*"; }
[[ -t 1 ]] || heading() { printf '\n== %s ==\n' "$*"; }

heading 'Installing what is missing, and building'
./scripts/dependencies.sh
cargo build --workspace --bins --locked
built="$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug"

work="$(mktemp -d)"
deploy="$work/deploy"
cleanup() {
  [[ -d "$deploy" ]] && "$built/throwaway-deployment" --remove "$deploy"
  rm -rf -- "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading 'A deployment: PostgreSQL, Redis, S3 storage, two app services'
"$built/throwaway-deployment" "$deploy"
"$built/throwaway-deployment" dump-state "$deploy" > "$work/before"
bash "$deploy/scripts/health-check.sh"

heading 'bash deploy/scripts/backup.sh'
bash "$deploy/scripts/backup.sh"
bundle="$(find "$deploy/backups" -maxdepth 1 -name 'piprio_*' -type d)"
printf '\n%s/\n' "${bundle##*/}"
(cd -- "$bundle" && find . -mindepth 1 -maxdepth 1 -printf '  %f  %s bytes\n' | sort)
printf '\n'
cat -- "$bundle/MANIFEST.txt"

heading 'Disaster: a tenant dropped, rows changed, every object gone, keys and certificates lost'
run() { "$deploy/bin/deploy-env" --deploy "$deploy" -- "$@"; }
run psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
drop schema tenant_0001 cascade;
delete from public.awkward;
create table public.left_by_the_disaster (id int);
SQL
mkdir -- "$work/wreck"
printf 'not yours\n' > "$work/wreck/intruder.txt"
run obj-mirror --delete "$work/wreck" s3://documents
rm -r -- "$deploy/certs"
printf 'lost\n' > "$deploy/secrets/signing_key"
printf 'STRAY_SETTING=1\n' >> "$deploy/.env"
"$built/throwaway-deployment" dump-state "$deploy" > "$work/wrecked"
if cmp -s "$work/before" "$work/wrecked"; then
  printf 'demo.sh: destroying the data changed nothing, so this demo would prove nothing\n' >&2
  exit 1
fi

heading "bash deploy/scripts/restore.sh ${bundle##*/} --force-config   (typed: demo.piprio.test, y)"
printf '%s\n' demo.piprio.test y | bash "$deploy/scripts/restore.sh" "$bundle" --force-config

heading 'Proof'
"$built/throwaway-deployment" dump-state "$deploy" > "$work/after"
if ! diff "$work/before" "$work/after" > "$work/difference"; then
  head -n 40 "$work/difference" >&2
  printf 'demo.sh: FAILED: the deployment differs from what it was before\n' >&2
  exit 1
fi
objects="$(awk '/^## /{ part = $2; next } part == "objects" && NF { n++ } END { print n + 0 }' "$work/after")"
files="$(awk '/^## /{ part = $2; next } part == "config" && NF { n++ } END { print n + 0 }' "$work/after")"
printf 'The database'\''s own dump, all %s objects with their content types, and all %s config files are identical before and after.\n' "$objects" "$files"
