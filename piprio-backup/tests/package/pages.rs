//! The man pages.

use crate::definitions::{lines, programs};
use crate::{PROGRAM, has, source, stderr, stdout};
use piprio_backup::programs::PROGRAMS;
use std::collections::BTreeMap;
use std::process::Command;
use tempfile::TempDir;

fn write() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    stdout(command.arg("man").arg(dir.path()).env("SOURCE_DATE_EPOCH", "1800000000"));
    dir
}

/// The text of every page, by its name without `.1`, with roff's marks removed.
fn pages() -> BTreeMap<String, String> {
    let dir = write();
    let entries = std::fs::read_dir(dir.path().join("man1")).unwrap();
    let page = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let text = ["\\fB", "\\fI", "\\fR"].iter().fold(text, |text, mark| text.replace(mark, ""));
        (name, text.replace("\\-", "-"))
    };
    entries.map(page).collect()
}

#[test]
fn every_command_and_option_has_its_place_in_a_page() {
    let pages = pages();
    let mut known = 0;
    for program in programs() {
        for line in lines(&program) {
            // The programs, and the commands of scripts, have the pages of the programs.
            let is_of_program = line.words.len() > 2
                || (line.words.len() > 1 && PROGRAMS.iter().any(|own| own.name == line.words[1]));
            if line.words[0] == "piprio-backup" && is_of_program {
                continue;
            }
            let name = line.words.join("-");
            let page = pages.get(&name).unwrap_or_else(|| panic!("there is no page {name}"));
            known += 1;
            let synopsis = page.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap();
            assert!(synopsis.starts_with(&line.typed()), "{name}: {synopsis}");
            for word in line.options().into_iter().chain(line.commands()) {
                let is_there = page.lines().any(|line| {
                    line.split(", ").any(|part| part.split(' ').next() == Some(word.as_str()))
                });
                assert!(is_there, "the page {name} lacks {word}:\n{page}");
            }
        }
    }
    assert_eq!(pages.len(), known, "pages of no command: {:?}", pages.keys());
}

#[test]
fn pages_refer_to_pages_that_exist() {
    let pages = pages();
    for (name, text) in &pages {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        for word in words.filter_map(|word| word.split_once("(1)").map(|(word, _)| word)) {
            assert!(pages.contains_key(word), "{name} refers to {word}(1)");
        }
        assert!(!text.contains(".SH EXTRA"), "{name}");
    }
    assert!(pages["pg-snap"].contains(".SH EXAMPLES\n.nf\n  PGHOST="), "{}", pages["pg-snap"]);
    let load = &pages["pg-snap-load"];
    assert!(load.contains("[--jobs N]") && load.contains("[--schema SCHEMA]"), "{load}");
    assert!(pages["piprio-backup-ship"].contains("\n  piprio-backup ship list\n"));
}

#[test]
fn the_date_of_a_page_is_that_of_the_source() {
    let page = &pages()["cfg-pack"];
    assert!(page.contains("\n.TH CFG-PACK 1 2027-01-15 \"piprio-backup "), "{page}");
}

#[test]
fn man_shows_every_page_without_a_warning() {
    if !has("man") || !has("groff") {
        return;
    }
    let dir = write();
    let written = dir.path().join("man1");
    let entries = [written, source("packaging/man")].map(|dir| std::fs::read_dir(dir).unwrap());
    for entry in entries.into_iter().flatten() {
        let path = entry.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&path);
        let output = man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").output().unwrap();
        let words = stderr(&output);
        assert!(output.status.success() && words.is_empty(), "{}: {words}", path.display());
        assert!(!output.stdout.is_empty(), "{} is empty", path.display());
    }
}
