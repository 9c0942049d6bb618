//! Completions in fish.

use crate::definitions::{lines, programs};
use crate::{PROGRAM, has, stdout};
use std::collections::BTreeSet;
use std::process::Command;

/// What fish offers for a line: the first words of what it prints, before the descriptions.
fn offers(script: &std::path::Path, typed: &[String]) -> Vec<BTreeSet<String>> {
    let dir = tempfile::tempdir().unwrap();
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c"])
        .arg("source $argv[1]; for line in $argv[2..]; complete -C $line; echo ---; end")
        .arg(script)
        .args(typed)
        // Not those of the user who runs the tests.
        .env("HOME", dir.path())
        .env_remove("XDG_CONFIG_HOME");
    let text = stdout(&mut fish);
    let words = |part: &str| {
        part.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    };
    text.split("---\n").map(words).collect()
}

#[test]
fn fish_completes_every_command_and_option() {
    if !has("fish") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for program in programs() {
        let script = dir.path().join(program.get_name());
        let mut completions = Command::new(PROGRAM);
        completions.args(["completions", "fish", program.get_name()]);
        std::fs::write(&script, stdout(&mut completions)).unwrap();
        let lines = lines(&program);
        let typed: Vec<String> =
            lines.iter().flat_map(|line| [line.typed() + " --", line.typed() + " "]).collect();
        let offers = offers(&script, &typed);
        for (line, offer) in lines.iter().zip(offers.chunks(2)) {
            for option in line.long_options() {
                assert!(
                    offer[0].contains(&option),
                    "{} lacks {option}: {:?}",
                    line.typed(),
                    offer[0]
                );
            }
            for command in line.commands() {
                assert!(
                    offer[1].contains(&command),
                    "{} lacks {command}: {:?}",
                    line.typed(),
                    offer[1]
                );
            }
        }
    }
}

#[test]
fn fish_completes_what_was_begun() {
    if !has("fish") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    let text = stdout(Command::new(PROGRAM).args(["completions", "fish", "pg-snap"]));
    std::fs::write(&script, text).unwrap();
    let offers = offers(&script, &["pg-snap du".into(), "pg-snap dump --level ".into()]);
    assert_eq!(offers[0], BTreeSet::from(["dump".to_owned()]));
    assert_eq!(offers[1], BTreeSet::from(["default", "fast", "small"].map(str::to_owned)));
}
