//! The order of reports, and whether any is missing or was changed.

use bundle_format::report::{PreviousDrill, RunKind};
use pipe_kit::text::one_line;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The files beside `report.json`.
pub const FILES: [&str; 2] = ["report.md", "report.html"];

/// What a `report.json` of any format has for the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// The report's name.
    pub drill: String,
    /// The report before it.
    #[serde(default)]
    pub previous: Option<PreviousDrill>,
    /// The SHA-256 of the files beside it.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// A report's directory.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its `report.json`; none if its bytes cannot be read.
    pub sha256: Option<String>,
    /// Its link, or why there is none.
    pub link: Result<Link, String>,
}

impl Stored {
    fn previous(&self) -> Option<&PreviousDrill> {
        self.link.as_ref().ok()?.previous.as_ref()
    }
}

/// What names the newest report when one was last written: the file `newest.json` beside the reports, and the record of
/// the last drill, which is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newest {
    /// There is none.
    Missing,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It names this report.
    Names(PreviousDrill),
}

/// The reports, oldest first: each after the one that it names as the report before it. A clock that was wrong for
/// a time changes names, but not this order. Those that do not hang together are in the order of their names.
pub fn in_order<T>(mut reports: Vec<T>, stored: impl Fn(&T) -> &Stored) -> Vec<T> {
    reports.sort_by(|a, b| stored(a).name.cmp(&stored(b).name));
    let places: BTreeMap<&str, usize> =
        reports.iter().enumerate().map(|(at, r)| (stored(r).name.as_str(), at)).collect();
    let mut is_placed = vec![false; reports.len()];
    let mut order = Vec::with_capacity(reports.len());
    for start in 0..reports.len() {
        let mut back = Vec::new();
        let mut next = Some(start);
        while let Some(at) = next.filter(|at| !is_placed[*at]) {
            is_placed[at] = true;
            back.push(at);
            next =
                stored(&reports[at]).previous().and_then(|p| places.get(p.drill.as_str()).copied());
        }
        order.extend(back.into_iter().rev());
    }
    let mut reports: Vec<Option<T>> = reports.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| reports[at].take()).collect()
}

/// The report that a new one names as the one before it. `stored` is in order.
///
/// What `newest.json` names counts even if that report is missing or was changed, so that the new report shows it
/// for good. A drill that was killed just before it wrote that file leaves it one report behind. What the record names
/// counts if that report is missing.
pub fn before_next(
    stored: &[&Stored],
    newest: &Newest,
    recorded: &Newest,
) -> Option<PreviousDrill> {
    if let Newest::Names(named) = recorded
        && !stored.iter().any(|s| s.name == named.drill)
    {
        return Some(named.clone());
    }
    let last = stored.iter().rev().find(|s| s.sha256.is_some());
    if let Newest::Names(named) = newest
        && last.and_then(|s| s.previous()) != Some(named)
    {
        return Some(named.clone());
    }
    last.and_then(|s| Some(PreviousDrill { drill: s.name.clone(), sha256: s.sha256.clone()? }))
}

/// What is wrong with the reports, a line each, which begins with the report's name. `stored` is in order;
/// `file_hash` hashes a file of a report, and has none for a file that cannot be read.
pub fn findings(
    stored: &[&Stored],
    newest: &Newest,
    recorded: &Newest,
    file_hash: impl Fn(&str, &str) -> Option<String>,
) -> Vec<String> {
    let hashes: BTreeMap<&str, Option<&str>> =
        stored.iter().map(|s| (s.name.as_str(), s.sha256.as_deref())).collect();
    let mut lines = Vec::new();
    let mut followers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut first: Option<&str> = None;
    for report in stored {
        let name = report.name.as_str();
        let link = match &report.link {
            Ok(link) => link,
            Err(reason) => {
                lines.push(format!("{name}: unreadable: {reason}"));
                continue;
            }
        };
        if link.drill != name {
            lines.push(format!("{name}: changed: its report.json is that of {}", link.drill));
        }
        lines.extend(file_findings(name, link, &file_hash));
        let Some(previous) = &link.previous else {
            if let Some(first) = first {
                lines.push(format!(
                    "{name}: names no report before it, nor does {first}: one was inserted"
                ));
            }
            first = first.or(Some(name));
            continue;
        };
        lines.extend(named_finding(&hashes, previous, name));
        if let Some(other) = followers.insert(&previous.drill, name) {
            let both = &previous.drill;
            lines.push(format!(
                "{name}: names {both} as the report before it, as {other} does: one was inserted"
            ));
        }
    }
    lines.extend(newest_finding(stored, &hashes, newest));
    if recorded != newest {
        lines.extend(recorded_finding(&hashes, recorded));
    }
    lines.iter().map(|line| one_line(line)).collect()
}

fn file_findings(
    name: &str,
    link: &Link,
    file_hash: impl Fn(&str, &str) -> Option<String>,
) -> Vec<String> {
    let finding = |file: &&'static str| match (link.files.get(*file), file_hash(name, file)) {
        (None, _) => Some(format!("{name}: changed: its report.json has no SHA-256 of {file}")),
        (Some(_), None) => Some(format!("{name}: missing or unreadable: {file}")),
        (Some(named), Some(found)) if *named != found => {
            Some(format!("{name}: changed: {file} is not as it was written"))
        }
        _ => None,
    };
    FILES.iter().filter_map(finding).collect()
}

fn named_finding(
    hashes: &BTreeMap<&str, Option<&str>>,
    named: &PreviousDrill,
    by: &str,
) -> Option<String> {
    let PreviousDrill { drill, sha256 } = named;
    match hashes.get(drill.as_str()) {
        None => Some(format!("{drill}: missing: {by} names it, with the SHA-256 {sha256}")),
        // It is a finding already.
        Some(None) => None,
        Some(Some(found)) if *found != sha256 => Some(format!(
            "{drill}: changed: {by} names another SHA-256 of its report.json, {sha256}"
        )),
        Some(Some(_)) => None,
    }
}

/// The record is not written in the moment in which the report is: newer reports are right.
fn recorded_finding(hashes: &BTreeMap<&str, Option<&str>>, recorded: &Newest) -> Option<String> {
    let record = RunKind::Drill.record_name();
    match recorded {
        Newest::Missing => None,
        Newest::Unreadable(reason) => Some(format!("{record}: unreadable: {reason}")),
        Newest::Names(named) => named_finding(hashes, named, &record),
    }
}

fn newest_finding(
    stored: &[&Stored],
    hashes: &BTreeMap<&str, Option<&str>>,
    newest: &Newest,
) -> Option<String> {
    let last = stored.last();
    match newest {
        Newest::Unreadable(reason) => Some(format!("newest.json: unreadable: {reason}")),
        // The first drill may have been killed just before it wrote the file.
        Newest::Missing if stored.len() <= 1 => None,
        Newest::Missing => Some("newest.json: missing".to_owned()),
        Newest::Names(named) => match last.and_then(|last| last.previous()) {
            Some(previous) if previous.drill == named.drill => {
                named_finding(hashes, named, "newest.json")
            }
            _ => named_finding(hashes, named, "newest.json").or_else(|| {
                let last = last.filter(|last| last.name != named.drill)?;
                let named = &named.drill;
                Some(format!(
                    "{}: inserted: newest.json names {named} as the newest report",
                    last.name
                ))
            }),
        },
    }
}

#[cfg(test)]
mod tests;
