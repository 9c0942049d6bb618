//! What was found, for programs and for people.

use super::proposal::{Decision, Proposal};
use crate::deployment::Deployment;
use serde::Serialize;

/// What is printed.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// What the operator sets.
    pub set: Vec<Proposal>,
    /// Services whose configuration the operator's settings change.
    pub changed: Vec<String>,
}

/// A paragraph for each kind of finding; those without one are left out.
pub fn text(report: &Report, deployment: &Deployment) -> String {
    let decision = &report.decision;
    let mut found: Vec<[String; 3]> = decision
        .found
        .iter()
        .map(|it| [it.role.to_owned(), it.service.clone(), it.image.clone().unwrap_or_default()])
        .collect();
    if !decision.application.is_empty() {
        found.push(["others".to_owned(), decision.application.join(", "), String::new()]);
    }
    let lines = report.set.iter().chain(&decision.proposed);
    let lines: Vec<[String; 3]> = lines
        .map(|it| [format!("{}={}", it.key, it.value), it.reason.clone(), String::new()])
        .collect();
    let needed: Vec<[String; 3]> = decision
        .needed
        .iter()
        .map(|it| [it.key.to_owned(), it.what.clone(), String::new()])
        .collect();
    let dotenv = deployment.dotenv();
    let mut text = paragraph(&format!("Services of {}:", deployment.dir().display()), &found);
    text += &paragraph(&format!("Lines for {}:", dotenv.display()), &lines);
    if !report.changed.is_empty() {
        let names = report.changed.join(", ");
        text += &format!("These lines change the configuration of {names}: start them again.\n");
    }
    text += &paragraph("Needed, and known only to you:", &needed);
    match text.is_empty() {
        true => format!("{} has all settings\n", dotenv.display()),
        false => text,
    }
}

/// A title, and below it rows in columns.
fn paragraph(title: &str, rows: &[[String; 3]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .filter(|width| *width <= 40)
            .max()
            .unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    let line = |row: &[String; 3]| {
        let line = format!("  {:first$}  {:second$}  {}", row[0], row[1], row[2]);
        format!("{}\n", line.trim_end())
    };
    format!("{title}\n{}", rows.iter().map(line).collect::<String>())
}
