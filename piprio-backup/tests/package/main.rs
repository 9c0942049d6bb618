//! The package's one program file under all its names; its man pages and completions, which agree with `--help`, with
//! each other and with the documentation, in the shells and in `man`.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

mod bash;
mod definitions;
mod dispatch;
mod fish;
mod lists;
mod pages;
mod units;
mod zsh;

use std::path::Path;
use std::process::{Command, Output};

/// The program as the test build has made it.
const PROGRAM: &str = env!("CARGO_BIN_EXE_piprio-backup");

fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Standard output of a command that must succeed.
fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}: {}", output.status, stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a program can be run here; where not, the test is skipped, with the reason.
fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        test_kit::skipped!("{program} is not installed");
    }
    has
}
