# shellcheck shell=bash disable=SC2154 # What bench.sh has set.
# What was measured, in Markdown: on standard output, and in results.md.

append_results() { tee -a -- "$out/results.md"; }

# The machine and what ran on it.
begin_report() {
  : > "$out/results.md"
  : > "$out/runs.tsv"
  local cpu memory system kernel commit
  cpu="$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
  memory="$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 / 1e9 }' /proc/meminfo)"
  system="$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}")" || true
  kernel="$(uname -r)"
  commit="$(git -C "$root" describe --always --dirty 2>/dev/null)" || commit='unknown'
  append_results <<END
- $(date -u '+%-d %B %Y'), $(nproc) cores (${cpu:-$(uname -m)}), $memory GB of memory; ${system:-$(uname -s)}, kernel ${kernel%%-*}
- $(postgres --version | sed 's/^postgres (PostgreSQL)/PostgreSQL/'), as \`initdb\` makes it
- $(gzip --version | head -n 1), $(pigz --version 2>&1 | head -n 1), $(hyperfine --version); $(pg-snap --version), commit $commit
- ${option[runs]} runs of each command, in turns
END
}

# report TABLE TITLE FACTS ROW…: the rows that were measured, each compared with every ROW.
report() {
  local table="$1" title="$2" facts="$3" against=()
  shift 3
  while (( $# > 0 )); do against+=(--against "$1"); shift; done
  {
    printf '\n### %s\n\n%s\n\n' "$title" "$facts"
    bench table --of "$table" "${against[@]}" "$out/runs.tsv"
  } | append_results
}
