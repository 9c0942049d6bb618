//! Completions in zsh, in a terminal of its own.

use crate::definitions::{lines, programs};
use crate::{PROGRAM, has, stdout};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A shell in a pseudo-terminal, which reads the settings and one key.
const COMPLETE: &str = r#"
zmodload zsh/zpty || exit 1
cd $1
zpty shell "zsh -f -i"
zpty -w shell ". ./settings"
zpty -w -n shell $'\x14'
while zpty -r shell > /dev/null; do :; done
"#;

/// The key completes each line of `lines`, and ends the shell. What is offered is written to `offers` by a wrapper of
/// the builtin with which every completion ends.
const SETTINGS: &str = r#"
fpath=($PWD/functions $fpath)
autoload -Uz compinit
compinit -u -d $PWD/dump
setopt no_beep no_list_beep
LISTMAX=1000000
compadd() {
  if [[ " $* " != *' -'[OAD]' '* ]]; then
    local -a offered
    builtin compadd -O offered "$@"
    print -r -- "$typed"$'\t'"$offered" >> offers
  fi
  builtin compadd "$@"
}
complete-lines() {
  local typed
  for typed in ${(f)"$(< lines)"}; do
    BUFFER=$typed CURSOR=$#typed
    zle complete-word
  done
  exit
}
zle -N complete-lines
bindkey '^T' complete-lines
"#;

/// What zsh offers for each of the lines.
fn offers(dir: &Path, typed: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    std::fs::write(dir.join("settings"), SETTINGS).unwrap();
    std::fs::write(dir.join("lines"), typed.join("\n") + "\n").unwrap();
    std::fs::write(dir.join("offers"), "").unwrap();
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", COMPLETE, "zsh"]).arg(dir).env("TERM", "dumb").env("HOME", dir);
    stdout(&mut zsh);
    let mut offers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(dir.join("offers")).unwrap().lines() {
        let (typed, offered) = line.split_once('\t').unwrap();
        // What is added to an option, such as `=`, is no part of it.
        let offered = offered.split(' ').map(|word| word.trim_end_matches('=').to_owned());
        offers.entry(typed.to_owned()).or_default().extend(offered);
    }
    offers
}

#[test]
fn zsh_completes_every_command_and_option() {
    if !has("zsh") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("functions")).unwrap();
    std::fs::write(dir.path().join("a-file"), "").unwrap();
    let mut typed = vec!["pg-snap du".to_owned()];
    for program in programs() {
        let name = program.get_name();
        let text = stdout(Command::new(PROGRAM).args(["completions", "zsh", name]));
        std::fs::write(dir.path().join("functions").join(format!("_{name}")), text).unwrap();
        typed.extend(lines(&program).iter().map(|line| line.typed() + " --"));
        let with_commands = |line: &crate::definitions::Line| !line.commands().is_empty();
        let lines = lines(&program);
        typed
            .extend(lines.iter().filter(|line| with_commands(line)).map(|line| line.typed() + " "));
    }
    let offers = offers(dir.path(), &typed);
    // A bundle or a command.
    assert!(
        offers["ship-run "].is_superset(&BTreeSet::from(["a-file", "list"].map(str::to_owned)))
    );
    assert_eq!(offers["pg-snap du"], BTreeSet::from(["dump".to_owned()]));
    for program in programs() {
        for line in lines(&program) {
            let none = BTreeSet::new();
            let of = |typed: &str| offers.get(typed).unwrap_or(&none);
            let options = of(&format!("{} --", line.typed()));
            for option in line.long_options() {
                assert!(options.contains(&option), "{} lacks {option}: {options:?}", line.typed());
            }
            for command in line.commands() {
                let commands = of(&format!("{} ", line.typed()));
                assert!(
                    commands.contains(&command),
                    "{} lacks {command}: {commands:?}",
                    line.typed()
                );
            }
        }
    }
}
