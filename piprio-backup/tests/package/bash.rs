//! Completions in bash.

use crate::definitions::{lines, programs};
use crate::{PROGRAM, has, stdout};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Completes each of its lines of input as bash does, and prints the line and what it offers.
const COMPLETE: &str = r#"
set -euo pipefail
source "$1"
function=$(complete -p "$2" | sed -n 's/.* -F \([^ ]*\).*/\1/p')
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ "$line" != *' ' ]] || COMP_WORDS+=('')
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  COMP_LINE="$line" COMP_POINT=${#line} COMPREPLY=()
  "$function" "$2" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || true
  printf '%s\t%s\n' "$line" "${COMPREPLY[*]-}"
done
"#;

/// What bash offers for each of these lines of a program.
fn offers(program: &str, typed: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let dir = tempfile::tempdir().unwrap();
    let (script, input) = (dir.path().join("script"), dir.path().join("input"));
    let text = stdout(Command::new(PROGRAM).args(["completions", "bash", program]));
    std::fs::write(&script, text).unwrap();
    std::fs::write(&input, typed.join("\n") + "\n").unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", COMPLETE, "bash"]).arg(&script).arg(program);
    let text = stdout(bash.stdin(std::fs::File::open(&input).unwrap()));
    let offer = |line: &str| {
        let (typed, words) = line.split_once('\t').unwrap();
        (typed.to_owned(), words.split(' ').map(str::to_owned).collect())
    };
    text.lines().map(offer).collect()
}

#[test]
fn bash_completes_every_command_and_option() {
    if !has("bash") {
        return;
    }
    for program in programs() {
        let lines = lines(&program);
        let with = |end: &str| lines.iter().map(|line| line.typed() + end).collect::<Vec<_>>();
        let offers = offers(program.get_name(), &[with(" -"), with(" ")].concat());
        for line in &lines {
            let of = |end: &str| &offers[&(line.typed() + end)];
            for option in line.options() {
                assert!(
                    of(" -").contains(&option),
                    "{} lacks {option}: {:?}",
                    line.typed(),
                    of(" -")
                );
            }
            for command in line.commands() {
                assert!(
                    of(" ").contains(&command),
                    "{} lacks {command}: {:?}",
                    line.typed(),
                    of(" ")
                );
            }
        }
    }
}

#[test]
fn bash_completes_what_was_begun() {
    if !has("bash") {
        return;
    }
    let typed = ["pg-snap du".to_owned(), "pg-snap dump --level ".to_owned()];
    let offers = offers("pg-snap", &typed);
    assert_eq!(offers[&typed[0]], BTreeSet::from(["dump".to_owned()]));
    let levels = ["default", "fast", "small"].map(str::to_owned);
    assert_eq!(offers[&typed[1]], BTreeSet::from(levels));
}
