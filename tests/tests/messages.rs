//! No tool and no script decides by the words of a server's message: they are in whatever language the
//! server speaks. Codes, exit statuses and catalogs are the same in all.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use test_kit::tools::workspace;

/// Words of PostgreSQL's messages, of libpq's and of Redis's.
const WORDS: [&str; 30] = [
    "not exist",
    "already exists",
    "accessed by other users",
    "lock timeout",
    "statement timeout",
    "could not obtain lock",
    "could not connect",
    "connection refused",
    "closed the connection",
    "connection to server",
    "permission denied",
    "authentication failed",
    "no password supplied",
    "pg_hba.conf entry",
    "starting up",
    "shutting down",
    "recovery mode",
    "too many connections",
    "too many clients",
    "deadlock detected",
    "violates",
    "duplicate key",
    "syntax error",
    "unrecognized configuration",
    "unsupported startup parameter",
    "invalid value for parameter",
    "invalid input syntax",
    "terminating connection",
    "canceling statement",
    "loading the dataset",
];

/// How messages begin.
const LABELS: [&str; 5] = ["ERROR:", "FATAL:", "PANIC:", "DETAIL:", "LOCATION:"];

/// What makes a decision of a text, or keeps one for it.
const DECISIONS: [&str; 18] = [
    "contains(",
    "starts_with(",
    "ends_with(",
    "strip_prefix(",
    ".find(",
    "memmem",
    "matches!(",
    "== \"",
    "!= \"",
    "const ",
    ".any(",
    "=~",
    "grep",
    "sed ",
    "awk ",
    "case ",
    "== *",
    "split(",
];

/// A file, and why the line may stand there.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "pipe-kit/src/child.rs",
    "\"closed the connection\"",
    "which of a failed program's lines is printed first; what is done does not depend on it",
)];

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The text that runs: of a Rust file what comes before its tests.
fn running(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let is_test = name.ends_with("tests.rs") || path.to_str()?.contains("/tests/");
    let text = std::fs::read_to_string(path).ok().filter(|_| !is_test)?;
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    Some(text[..end].to_owned())
}

/// Whether a line decides by such words, or keeps them for a decision.
fn decides(line: &str) -> bool {
    let code = line.trim_start();
    if ["//", "# "].iter().any(|comment| code.starts_with(comment)) {
        return false;
    }
    // `NOT EXISTS` is SQL.
    let lower = code.to_lowercase().replace("not exists", "");
    let labelled = |label: &&str| {
        code.match_indices(*label)
            .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let has_words = WORDS.iter().any(|words| lower.contains(words)) || LABELS.iter().any(labelled);
    has_words && DECISIONS.iter().any(|d| code.contains(d))
}

#[test]
fn nothing_is_decided_by_the_words_of_a_servers_message() {
    let root = workspace().to_owned();
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&root).unwrap().flatten() {
        let source = entry.path().join("src");
        if entry.path().join("Cargo.toml").exists()
            && source.is_dir()
            && entry.file_name() != "test-kit"
        {
            files(&source, &mut all);
        }
    }
    files(&root.join("scripts"), &mut all);
    assert!(all.len() > 100, "{} files", all.len());
    let mut found = Vec::new();
    for path in all {
        let Some(text) = running(&path) else { continue };
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| decides(line)) {
            let allowed =
                |(file, part, _): &&(&str, &str, &str)| *file == name && line.contains(part);
            if !ALLOWED.iter().any(|a| allowed(&a)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "decided by words:\n{}", found.join("\n"));
}

#[test]
fn a_decision_by_words_is_seen() {
    for (line, expected) in [
        ("Err(e) if format!(\"{e:#}\").contains(\"not exist\") => 1,", true),
        ("const TRIED: &str = \"could not obtain lock on relation\";", true),
        ("if grep -q 'FATAL:' <<< \"$output\"; then", true),
        ("[[ $output == *'Connection refused'* ]]", true),
        ("const NO_ERROR: &str = \"00000\";", false),
        ("const ASK: &str = \"select 1 where not exists (select 2)\";", false),
        ("// it contains( \"not exist\" )", false),
        ("bail!(\"role {role} does not exist here\")", false),
        ("if psql::sqlstate_of(&error) == Some(LOCK_NOT_AVAILABLE) {", false),
    ] {
        assert_eq!(decides(line), expected, "{line}");
    }
}
