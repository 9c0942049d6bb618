//! `report.md`.

use super::facts::{self, Fact};
use super::numbers::{duration, visible};
use bundle_format::report::{DrillReport, DrillVerdict};
use std::fmt::Display;

/// The report as Markdown, with tables as GitHub has them.
pub fn render(report: &DrillReport) -> String {
    let mut text = Text(String::new());
    text.heading("#", &format!("Restore drill: {}", facts::headline(report)));
    text.paragraph(facts::summary(report));
    for (step, reason) in facts::reasons(report) {
        text.paragraph(format!("{step}: {reason}"));
    }
    text.facts(facts::drill(report), "");
    text.heading("##", "Goals");
    text.row(["Goal", "Measured", "Goal", "Result"]);
    text.rule(&[Align::Left, Align::Right, Align::Right, Align::Left]);
    for goal in facts::goals(&report.goals) {
        let label = format!("{} ({})", goal.label, goal.short);
        text.row([&label, &goal.measured, &goal.goal, goal.outcome()]);
    }
    text.heading("##", "Checks");
    checks(&mut text, report);
    text.heading("##", "Steps");
    text.row(["Step", "Result", "Begins", "Takes", "Detail"]);
    text.rule(&[Align::Left, Align::Left, Align::Right, Align::Right, Align::Left]);
    for step in &report.steps {
        let detail = step.detail.as_deref().unwrap_or_default();
        let (begins, seconds) = (duration(step.begins), duration(step.seconds));
        text.row([step.step.as_str(), step.verdict.word(), &begins, &seconds, detail]);
    }
    text.heading("##", "Bundle");
    text.facts(facts::bundle(report), "None was chosen.");
    text.heading("##", "Server");
    text.facts(facts::server(report), "None was started.");
    text.heading("##", "Chain of reports");
    text.facts(facts::previous(report), "");
    text.0
}

fn checks(text: &mut Text, report: &DrillReport) {
    text.paragraph(format!("Checks: {}.", facts::tally(report)));
    if report.checks.is_empty() {
        return;
    }
    text.row(["Result", "Step", "Check", "Expected", "Found"]);
    text.rule(&[Align::Left; 5]);
    for check in facts::checks(report) {
        let word = check.verdict.word();
        let is_bad = matches!(check.verdict, DrillVerdict::Finding | DrillVerdict::Failed);
        let shown = if is_bad { word.to_uppercase() } else { word.to_owned() };
        text.row([&shown, &check.step, &check.check, &check.expected, &check.found]);
    }
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

/// Markdown. Text gets in only escaped.
struct Text(String);

impl Text {
    fn heading(&mut self, level: &'static str, heading: &str) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0 += "\n";
        }
        self.0 += &format!("{level} {}\n\n", escaped(heading));
    }

    fn paragraph(&mut self, text: impl Display) {
        self.0 += &format!("{}\n\n", escaped(&text.to_string()));
    }

    fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let cells = cells.map(escaped);
        self.0 += &format!("| {} |\n", cells.join(" | "));
    }

    fn rule(&mut self, columns: &[Align]) {
        let mark = |align: &Align| match align {
            Align::Left => " --- |",
            Align::Right => " ---: |",
        };
        self.0 += &format!("|{}\n", columns.iter().map(mark).collect::<String>());
    }

    fn facts(&mut self, facts: Vec<Fact>, none: &'static str) {
        if facts.is_empty() {
            return self.paragraph(none);
        }
        self.row(["Item", "Value"]);
        self.rule(&[Align::Left; 2]);
        for fact in facts {
            self.row([fact.label, &fact.value]);
        }
    }
}

/// Text that Markdown shows as it is, on one line: neither markup nor HTML nor a link.
fn escaped(text: &str) -> String {
    let seen = visible(text);
    let mut escaped = String::with_capacity(seen.len());
    let mut last = [' '; 3];
    let mut rest = seen.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next();
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            // Inside a word it is no mark, and names are easier to read without backslashes.
            '_' if last[2].is_alphanumeric() && next.is_some_and(char::is_alphanumeric) => {
                escaped.push('_');
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => escaped.extend(['\\', c]),
            // Addresses become links without any mark.
            ':' if rest.as_str().starts_with("//") => escaped += "\\:",
            '.' if last.map(|c| c.to_ascii_lowercase()) == ['w'; 3] => escaped += "\\.",
            other => escaped.push(other),
        }
        last = [last[1], last[2], c];
    }
    escaped
}

#[cfg(test)]
mod tests;
