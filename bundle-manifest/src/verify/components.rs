//! Checks by the other tools, each of the component that it understands.

use anyhow::{Context, Result};
use bundle_format::layout::{CONFIG, DATABASE, MIRROR};
use bundle_format::report::{DumpReport, MirrorCheck, MirrorProblem};
use pipe_kit::Exit;
use pipe_kit::child;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// A tool's verdict on a component.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Whole,
    /// What is wrong: path relative to the bundle, and the end of a sentence.
    Damaged(Vec<(String, String)>),
}

/// Asks `pg-snap` whether the dump is whole, to its last byte.
pub fn dump(bundle: &Path) -> Result<Verdict> {
    let path = bundle.join(DATABASE);
    let [inspect, json, full] = ["inspect", "--json", "--full"].map(OsStr::new);
    let args = [inspect, json, path.as_os_str(), full];
    let answer = ask("pg-snap", &args)?;
    let named = named_problem(&answer.stdout);
    Ok(answer.verdict(|words| {
        let why = named.as_deref().unwrap_or(words);
        vec![(DATABASE.to_owned(), format!("is damaged: {why}"))]
    }))
}

/// Asks `obj-mirror` whether the objects are as their index has them.
pub fn objects(bundle: &Path) -> Result<Verdict> {
    let path = bundle.join(MIRROR);
    let answer =
        ask("obj-mirror", &[OsStr::new("verify"), path.as_os_str(), OsStr::new("--json")])?;
    let named = named_objects(&answer.stdout);
    Ok(answer.verdict(|words| match named.is_empty() {
        true => vec![("minio/".to_owned(), format!("is damaged: {words}"))],
        false => named,
    }))
}

/// Asks `cfg-pack` whether the config archive can be read to its end.
pub fn config(bundle: &Path) -> Result<Verdict> {
    let path = bundle.join(CONFIG);
    let answer = ask("cfg-pack", &[OsStr::new("list"), path.as_os_str()])?;
    Ok(answer.verdict(|words| vec![(CONFIG.to_owned(), format!("cannot be read: {words}"))]))
}

struct Answer {
    damaged: bool,
    words: String,
    stdout: Vec<u8>,
}

impl Answer {
    fn verdict(self, damage: impl FnOnce(&str) -> Vec<(String, String)>) -> Verdict {
        if self.damaged { Verdict::Damaged(damage(&self.words)) } else { Verdict::Whole }
    }
}

/// Runs a tool. Statuses 0 and 4 are answers; any other is an error.
fn ask(tool: &str, args: &[&OsStr]) -> Result<Answer> {
    let what = format!("{tool} {}", args[0].to_string_lossy());
    let mut command = Command::new(tool);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut running = child::spawn_captured(&mut command, what.clone())?;
    let mut stdout = Vec::new();
    if let Some(mut pipe) = running.take_stdout() {
        pipe.read_to_end(&mut stdout).with_context(|| format!("reading from {what}"))?;
    }
    let finished = running.finish()?;
    let damaged = finished.status.code() == Some(i32::from(Exit::Damaged.code()));
    if !damaged && !finished.status.success() {
        return Err(finished.into_error());
    }
    let words = finished.stderr.iter().rev().find(|line| !line.is_empty());
    let words =
        words.map_or_else(|| format!("{tool} gives no reason"), |line| unprefixed(line, tool));
    Ok(Answer { damaged, words, stdout })
}

fn unprefixed(line: &str, tool: &str) -> String {
    let rest = line.strip_prefix(tool).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(line).to_owned()
}

/// The problem that a report of `pg-snap inspect --json` names. Where the dump is damaged and the report cannot be
/// read, the tool's last line on standard error is reported instead.
fn named_problem(report: &[u8]) -> Option<String> {
    let report: DumpReport = serde_json::from_slice(report).ok()?;
    report.problem
}

/// The objects that a report of `obj-mirror verify --json` names, by their paths in the bundle; none where the
/// report cannot be read.
fn named_objects(report: &[u8]) -> Vec<(String, String)> {
    let Ok(report) = serde_json::from_slice::<MirrorCheck>(report) else { return Vec::new() };
    let named = |MirrorProblem { path, problem, .. }| {
        (format!("{}/{path}", MIRROR), format!("is damaged: {problem}"))
    };
    report.problems.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_reported_without_the_name_of_the_tool() {
        assert_eq!(unprefixed("pg-snap: the dump is cut", "pg-snap"), "the dump is cut");
        assert_eq!(unprefixed("cut", "pg-snap"), "cut");
    }

    #[test]
    fn the_dumps_own_problem_is_reported() {
        let report = br#"{"complete":false,"problem":"no end marker","warnings":[],"schemas":[],"tables":[],"rows":0,"bytes":0}"#;
        assert_eq!(named_problem(report).as_deref(), Some("no end marker"));
        for none in [r#"{"problem":null}"#, r#"{"reason":"cut"}"#, ""] {
            assert_eq!(named_problem(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn objects_named_by_the_mirrors_report_are_named_in_the_bundle() {
        let report = br#"{"objects":2,"bytes":9,"problems":[
            {"path":"a/b","key":"a/b","problem":"missing"},
            {"path":"extra","key":null,"problem":"not in the index"}]}"#;
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            named_objects(report),
            [
                pair("minio/a/b", "is damaged: missing"),
                pair("minio/extra", "is damaged: not in the index")
            ]
        );
        for none in ["not json", r#"{"problems":3}"#, r#"{"failed":[{"key":"c","reason":"gone"}]}"#]
        {
            assert!(named_objects(none.as_bytes()).is_empty(), "{none}");
        }
    }
}
