#!/usr/bin/env bash
# Installs the toolkit into a deployment directory.
#   install.sh [--from BIN_DIR [--link]] [--timer | --cron] [--drill-timer | --drill-cron] [--name NAME] DIR
# Binaries go to DIR/bin, wrappers to DIR/scripts. Without --from the binaries are built here (cargo
# build --release). Run it again to upgrade.
#   --link       DIR/bin becomes a link to BIN_DIR, and DIR/scripts one to this script's directory: for a package,
#                whose upgrade then upgrades every deployment
#   --timer      a backup every night by a systemd timer: units in /etc/systemd/system
#   --cron       a backup every night by cron: a file in /etc/cron.d
#   --drill-timer, --drill-cron   a drill of the newest bundle every week, in the same way
#   --name NAME  of the units or the file [default: piprio-backup], for a second deployment on a host. Those
#                of drills are called NAME-drill [default: piprio-drill]
# With DESTDIR in the environment, these files go below it and nothing is enabled. Exit status: 0 done,
# 1 failed, 2 usage, 5 refused (a file is there that install.sh did not write, DIR/bin or DIR/scripts is of the
# other kind, or you are not root).
set -euo pipefail
umask 077
unset CDPATH

tools=(deploy-env pg-snap obj-mirror cfg-pack bundle-manifest bundle-prune backup-run restore-run drill-run ship-run health-probe compose-driver)
wrappers=(backup.sh restore.sh drill.sh health-check.sh seal.sh unseal.sh ship.sh lib.sh)

log() { printf 'install.sh: %s\n' "$*" >&2; }
here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
from=''
dir=''
link=''
schedule=''
drill_schedule=''
name=''
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --link) link=yes; shift ;;
    --from) (( $# > 1 )) || { log "--from needs a directory"; exit 2; }; from="$2"; shift 2 ;;
    --timer | --cron) [[ -z "$schedule" || "$schedule" == "${1#--}" ]] || { log "--timer or --cron, not both"; exit 2; }; schedule="${1#--}"; shift ;;
    --drill-timer | --drill-cron) [[ -z "$drill_schedule" || "$drill_schedule" == "${1#--}" ]] || { log "--drill-timer or --drill-cron, not both"; exit 2; }; drill_schedule="${1#--}"; shift ;;
    --name) (( $# > 1 )) || { log "--name needs a name"; exit 2; }; name="$2"; shift 2 ;;
    -*) log "unknown option $1"; exit 2 ;;
    *) [[ -z "$dir" ]] || { log "one DIR only"; exit 2; }; dir="$1"; shift ;;
  esac
done
[[ -z "$link" || "$from" == /* ]] || { log "--link needs --from with an absolute path"; exit 2; }
[[ -n "$dir" ]] || { log "usage: install.sh [--from BIN_DIR [--link]] [--timer | --cron] [--drill-timer | --drill-cron] [--name NAME] DIR"; exit 2; }

if [[ -z "$from" ]]; then
  command -v cargo >/dev/null || { log "cargo is needed to build the tools; or name built ones with --from BIN_DIR"; exit 1; }
  build() {
    (cd -- "$here/.." && cargo build --release --locked --quiet --message-format=json-render-diagnostics "$@") |
      sed -n 's/.*"executable":"\([^"]*\)\/deploy-env".*/\1/p'
  }
  # As cargo build --release by hand, so that nothing is built again. The tests need a newer Rust than the tools.
  from="$(build 2>/dev/null)" || from="$(build --workspace --exclude pipeline-tests --exclude test-kit)"
fi

mkdir -p -- "$dir"
if [[ -n "$link" ]]; then
  for old in "$dir/bin" "$dir/scripts"; do
    [[ -L "$old" || ! -e "$old" ]] || { log "$old holds copies of the toolkit; nothing was changed; to use the package: mv $(printf '%q %q' "$old" "$old.copies")"; exit 5; }
  done
  ln -sfn -- "$from" "$dir/bin"
  ln -sfn -- "$here" "$dir/scripts"
else
  for old in "$dir/bin" "$dir/scripts"; do
    [[ ! -L "$old" ]] || { log "$old is a link to $(readlink -- "$old"); nothing was changed; to use copies: rm $(printf %q "$old")"; exit 5; }
  done
  # The toolkit has no secrets, and whoever installs it as root is not the user that runs the backups. Earlier
  # versions closed these directories.
  (umask 022 && mkdir -p -- "$dir/bin" "$dir/scripts/drivers")
  (( EUID != 0 )) || chmod a+rx -- "$dir/bin" "$dir/scripts" "$dir/scripts/drivers"
  for tool in "${tools[@]}"; do install -m 0755 -- "$from/$tool" "$dir/bin/$tool"; done
  for wrapper in "${wrappers[@]}"; do install -m 0755 -- "$here/$wrapper" "$dir/scripts/$wrapper"; done
  for driver in "$here"/drivers/*; do install -m 0755 -- "$driver" "$dir/scripts/drivers/"; done
fi

(umask 022 && touch -- "$dir/.gitignore")
[[ -z "$(tail -c 1 -- "$dir/.gitignore")" ]] || printf '\n' >> "$dir/.gitignore"
for line in '.env*' 'secrets/' 'backups/' '.restore/' '.drills/'; do
  grep -qxF -- "$line" "$dir/.gitignore" || printf '%s\n' "$line" >> "$dir/.gitignore"
done
log "installed into $dir; next: bash $dir/scripts/backup.sh"
[[ -z "$schedule" ]] || "$here/schedule.sh" "$schedule" "${name:-piprio-backup}" "$dir"
[[ -z "$drill_schedule" ]] || "$here/schedule.sh" "$drill_schedule" "${name:-piprio}-drill" "$dir"
