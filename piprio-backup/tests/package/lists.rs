//! The lists of commands: of `--help`, and of the page of installation.

use crate::{PROGRAM, source, stdout};
use piprio_backup::{documents, programs::PROGRAMS, scripts::SCRIPTS};
use std::process::Command;

/// Each script and program, with its description.
fn described() -> Vec<(String, String)> {
    let whole = documents::whole_command();
    let names = SCRIPTS.iter().map(|script| script.name);
    let names = names.chain(PROGRAMS.iter().map(|program| program.name));
    let about = |name: &str| whole.find_subcommand(name).unwrap().get_about().unwrap().to_string();
    names.map(|name| (name.to_owned(), about(name))).collect()
}

#[test]
fn help_lists_every_script_and_program() {
    let help = stdout(Command::new(PROGRAM).arg("--help"));
    // A long description takes several lines.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, about) in described() {
        assert!(words(&help).contains(&format!(" {name} {about}")), "no line for {name}:\n{help}");
    }
}

#[test]
fn the_page_of_installation_lists_the_same_as_help() {
    let text = std::fs::read_to_string(source("docs/INSTALL.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| command | what it does |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|')).map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        (name, cells.next().unwrap().to_owned())
    });
    assert_eq!(rows.collect::<Vec<_>>(), described());
}

#[test]
fn every_program_is_installed_by_its_name() {
    let text = std::fs::read_to_string(source("scripts/install.sh")).unwrap();
    let list = |name: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=(")));
        let mut words: Vec<String> =
            line.unwrap().trim_end_matches(')').split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(list("tools"), PROGRAMS.map(|program| program.name.to_owned()));
    for script in &SCRIPTS {
        assert!(list("wrappers").contains(&format!("{}.sh", script.name)), "{}", script.name);
    }
}
