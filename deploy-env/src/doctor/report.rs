//! All lines, for people and for programs.

use super::line::{Line, Status};
use anyhow::Result;
use pipe_kit::text::count;
use serde::Serialize;
use std::path::Path;

/// The report as JSON has it. Names may be added; these keep their meaning.
#[derive(Serialize)]
struct Report<'a> {
    deployment: &'a Path,
    timestamp: String,
    findings: usize,
    notes: usize,
    checks: &'a [Line],
}

/// How many lines have a status.
pub fn number(lines: &[Line], status: Status) -> usize {
    lines.iter().filter(|line| line.status == status).count()
}

/// A line for each check, and the numbers.
pub fn text(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Line { status, name, found, command } in lines {
        let command = command.as_ref().map(|c| format!("; type: {c}")).unwrap_or_default();
        text += &format!("{:7}  {name:width$}  {found}{command}\n", status.word());
    }
    let [ok, notes, findings, skipped] =
        [Status::Ok, Status::Note, Status::Finding, Status::Skipped].map(|s| number(lines, s));
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let (findings, notes) = (count(findings, "finding"), count(notes, "note"));
    text + &format!("doctor: {findings}, {notes}, {ok} ok{skipped}\n")
}

/// One JSON object.
pub fn json(deployment: &Path, timestamp: String, lines: &[Line]) -> Result<String> {
    let report = Report {
        deployment,
        timestamp,
        findings: number(lines, Status::Finding),
        notes: number(lines, Status::Note),
        checks: lines,
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> [Line; 3] {
        [
            Line::ok("clock", "in\nsync"),
            Line::finding("a schedule", "none", "install.sh --cron /d"),
            Line::skipped("tls", "no server"),
        ]
    }

    #[test]
    fn each_check_is_one_line_whatever_was_found() {
        let expected = "ok       clock       in\\nsync\n\
                        finding  a schedule  none; type: install.sh --cron /d\n\
                        skipped  tls         no server\n\
                        doctor: 1 finding, 0 notes, 1 ok, 1 skipped\n";
        assert_eq!(text(&lines()), expected);
    }

    #[test]
    fn the_json_has_the_documented_shape() {
        let text = json("/d".as_ref(), "2026-04-21T02:00:00Z".into(), &lines()[1..2]).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "deployment": "/d", "timestamp": "2026-04-21T02:00:00Z", "findings": 1, "notes": 0,
            "checks": [{"status": "finding", "name": "a schedule", "found": "none",
                        "command": "install.sh --cron /d"}],
        });
        assert_eq!(read, expected);
    }
}
