#!/usr/bin/env bash
# Schedules a nightly backup or a weekly drill of a deployment, with a systemd timer or cron. Called by install.sh.
#   schedule.sh timer|cron|drill-timer|drill-cron NAME DIR     NAME: of the units, or of the file in /etc/cron.d
# With DESTDIR set, files are written below it and nothing is enabled. A file that this script did not
# write, or that was changed since, is left alone (5).
set -euo pipefail
umask 077
unset CDPATH

log() { printf 'install.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
usage='usage: schedule.sh timer|cron|drill-timer|drill-cron NAME DIR'
(( $# == 3 )) || die 2 "$usage"
kind="$1"
case "$kind" in
  timer | cron) template=piprio-backup words='0 4 * * *' when='daily at 04:00' command=(backup.sh) ;;
  # In the middle of a week, after the backup: no zone changes its time then.
  drill-timer | drill-cron) template=piprio-drill words='30 4 * * 3' when='on Wednesdays at 04:30' command=(drill.sh --newest) ;;
  *) die 2 "$usage" ;;
esac
name="$2"
dir="$(cd -- "$3" && pwd)" || die 2 "no such deployment directory: $3"
root="${DESTDIR:-}"
[[ "$name" =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || die 2 "--name $name: letters, digits, _ and - only, as cron reads no other files"
[[ ! "$dir" =~ [[:cntrl:]] ]] || die 2 "$dir: a directory with control characters in its name cannot be scheduled"
user="$(stat -c %U -- "$dir")"
[[ "$user" != UNKNOWN ]] || die 5 "the owner of $dir has no name on this host; nothing was scheduled; chown it to the user that runs the backups"

script="$dir/scripts/${command[0]}"

confined=yes
[[ "$user" != root ]] || confined=no

for_shell() { printf "'%s'" "${1//\'/\'\\\'\'}"; }
# systemd expands %x everywhere, and $X in commands only.
for_unit() {
  local text="${1//\\/\\\\}"
  text="${text//\"/\\\"}"
  printf '"%s"' "${text//%/%%}"
}
for_command() {
  local text
  text="$(for_unit "$1")"
  printf '%s' "${text//\$/\$\$}"
}
# cron ends a command at a % without a backslash, whatever the shell's quotes.
for_cron() {
  local text
  text="$(for_shell "$1")"
  printf '%s' "${text//%/\\%}"
}

# fill TEMPLATE KEY VALUE…: the template with each @KEY@ replaced. Values are not expanded again.
fill() {
  local rest key out=''
  rest="$(< "$1")"
  declare -A values=()
  shift
  while (( $# > 0 )); do values[$1]="$2"; shift 2; done
  while [[ "$rest" =~ @([A-Z_]+)@ ]]; do
    key="${BASH_REMATCH[1]}"
    out+="${rest%%"@$key@"*}${values[$key]}"
    rest="${rest#*"@$key@"}"
  done
  printf '%s%s\n' "$out" "$rest"
}

readonly marker='# Written by install.sh; what follows has SHA-256'
sum() { sha256sum | cut -d ' ' -f 1; }

# The checksum covers the line that names the deployment.
check() {
  local file="$1" first
  [[ -e "$file" || -L "$file" ]] || return 0
  [[ -f "$file" && ! -L "$file" ]] || die 5 "$file is not a regular file; nothing was scheduled"
  IFS= read -r first < "$file" || true
  [[ "$first" == "$marker "* ]] ||
    die 5 "$file was not written by install.sh; nothing was scheduled; move it away, or choose another --name"
  [[ "${first#"$marker "}" == "$(tail -n +2 -- "$file" | sum)" ]] ||
    die 5 "$file was changed since install.sh wrote it; nothing was scheduled; move it away, or choose another --name"
  grep -qxF -- "# Deployment: $dir" "$file" ||
    die 5 "$file belongs to another deployment ($(sed -n 's/^# Deployment: //p;' "$file")); nothing was scheduled; choose another --name"
}

# put FILE TEXT
put() {
  local text new
  text="# Deployment: $dir"$'\n'"$2"
  new="$marker $(sum <<< "$text")"$'\n'"$text"
  if [[ -e "$1" && "$(< "$1")" == "$new" ]]; then
    log "$1 is unchanged"
    return
  fi
  (umask 022 && mkdir -p -- "$(dirname -- "$1")")
  # cron and systemd must never read half a file; cron ignores names with a dot.
  printf '%s\n' "$new" > "$1.new"
  chmod 0644 -- "$1.new"
  mv -f -- "$1.new" "$1"
  log "wrote $1"
}

# In a staged root, no systemd is running.
is_live() { [[ -z "$root" && -d /run/systemd/system ]]; }

timer() {
  local units="$root/etc/systemd/system" unit enable="systemctl enable --now $name.timer"
  local files=("$name.service" "$name.timer" "$name-failed@.service")
  for unit in "${files[@]}"; do check "$units/$unit"; done
  for unit in "${files[@]}"; do
    put "$units/$unit" "$(fill "$here/../contrib/systemd/$template${unit#"$name"}" NAME "$name" \
      DEPLOY "$(for_unit "$dir")" USER "$user" SCRIPT "$(for_command "$script")" CONFINED "$confined")"
  done
  if is_live; then
    systemctl daemon-reload
    systemctl enable --now "$name.timer" || die 1 "the units are written, but the timer is not enabled; next: $enable"
    log "$name.timer is enabled; next run: systemctl list-timers $name.timer; run now: systemctl start $name.service"
  else
    log "systemd is not running here, so nothing is enabled; on the target host: systemctl daemon-reload && $enable"
  fi
  log "to undo: systemctl disable --now $name.timer; rm$(printf ' %q' "${files[@]/#/$units/}"); systemctl daemon-reload"
}

cron() {
  local file="$root/etc/cron.d/$name" log="/var/log/$name.log"
  [[ "$dir" != *\\* ]] || die 5 "$dir: cron implementations treat a backslash differently; nothing was scheduled; use --timer, or another directory"
  check "$file"
  if [[ "$user" != root ]]; then
    # /var/log is root's.
    log="$dir/.restore/$name.log"
    install -d -m 0700 -o "$user" -- "$dir/.restore"
  fi
  put "$file" "$(fill "$here/../contrib/cron/$template" USER "$user" SCRIPT "$(for_cron "$script")" LOG "$(for_cron "$log")")"
  log "runs $when as $user, logging to $log"
  log "to undo: rm $(printf %q "$file")"
}

if (( EUID != 0 )) && [[ -z "$root" ]]; then
  mkdir -p -- "$dir/.restore"
  line="$words $(for_cron "$script")${command[1]:+ ${command[1]}} >> $(for_cron "$dir/.restore/$name.log") 2>&1"
  log "only root can write to /etc; nothing was scheduled; as root: install.sh --$kind …; or add this line with crontab -e:"
  printf '%s\n' "$line"
  exit 5
fi
"${kind#drill-}"
