//! `list`: the finished bundles below a root.

use crate::bundle_name::BundleName;
use crate::report::{Report, State};
use crate::{domain, shrunk, structure, text, tree, verify};
use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::Exit;
use serde::Serialize;
use std::path::Path;

/// How far ahead of the clock a bundle may be dated.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// Which bundles are listed, and how.
#[derive(Debug, Default)]
pub struct Options {
    /// The newest alone. One dated more than a day ahead never counts as such, unless all are.
    pub newest: bool,
    /// Intact ones alone.
    pub intact: bool,
    /// Those of this deployment, and of none that is known.
    pub domain: Option<String>,
    /// Their paths, one a line.
    pub paths: bool,
    /// As JSON.
    pub json: bool,
}

#[derive(Serialize)]
struct Listing {
    root: String,
    bundles: Vec<Row>,
    partials: Vec<String>,
    /// Of the deployment, dated more than a day ahead of the clock.
    ahead: Vec<String>,
    /// Of the deployment, far smaller than the bundle before: what retention waits for.
    shrunk: Vec<Alarm>,
}

#[derive(Serialize)]
struct Alarm {
    name: String,
    reason: String,
}

#[derive(Serialize)]
struct Row {
    name: String,
    path: String,
    timestamp: String,
    age_seconds: i64,
    bytes: u64,
    version: String,
    domain: String,
    state: &'static str,
    reason: Option<String>,
    shrunk: Option<String>,
}

/// Prints the list, newest first; or of the newest alone, which does not read the others.
///
/// # Errors
/// If the root does not exist or cannot be read.
pub fn run(root: &Path, options: &Options) -> Result<Exit> {
    let root = tree::resolve(root)
        .with_context(|| format!("there is no directory of bundles at {}", root.display()))?;
    let (mut names, partials) = names(&root)?;
    let now = Utc::now();
    if let Some(domain) = &options.domain {
        let of = |name: &BundleName| domain::of(&root.join(name.as_str()));
        names.retain(|name| !domain::differ(of(name).as_deref(), Some(domain)));
    }
    let shrunk = shrunk::among(&root, names.iter(), options.domain.as_deref());
    let ahead = ahead(&names, now);
    let bundles = rows(&root, in_turn(names, ahead.len(), options), options, now);
    for partial in &partials {
        let what = "is unfinished: a backup is running, or one was cut off";
        pipe_kit::say!("{} {what}", root.join(partial).display());
    }
    if bundles.is_empty() {
        let from =
            "bash scripts/backup.sh makes one; another root is listed by bundle-manifest list ROOT";
        pipe_kit::say!("no finished bundles in {}; {from}", root.display());
    }
    let alarm = |(name, mark): (BundleName, shrunk::Mark)| Alarm {
        name: name.as_str().to_owned(),
        reason: mark.phrase(),
    };
    let listing = Listing {
        root: root.to_string_lossy().into_owned(),
        bundles,
        partials,
        ahead,
        shrunk: shrunk.into_iter().map(alarm).collect(),
    };
    pipe_kit::output::print(&listing.text(options)?)?;
    Ok(Exit::Done)
}

impl Listing {
    fn text(&self, options: &Options) -> Result<String> {
        Ok(if options.json {
            serde_json::to_string(self)? + "\n"
        } else if options.paths {
            self.bundles.iter().map(|row| format!("{}\n", row.path)).collect()
        } else {
            table(&self.bundles)
        })
    }
}

fn ahead(names: &[BundleName], now: DateTime<Utc>) -> Vec<String> {
    let ahead = names.iter().filter(|name| name.taken() - now > AHEAD);
    ahead.map(|name| name.as_str().to_owned()).collect()
}

/// The names as they are to be looked at: where the newest is wanted, those ahead of the clock last.
fn in_turn(mut names: Vec<BundleName>, ahead: usize, options: &Options) -> Vec<BundleName> {
    if options.newest {
        names.rotate_left(ahead);
    }
    names
}

fn rows(root: &Path, names: Vec<BundleName>, options: &Options, now: DateTime<Utc>) -> Vec<Row> {
    let rows = names.iter().map(|name| row(root, name, now));
    let wanted = |row: &Row| !options.intact || row.state == State::Intact.word();
    rows.filter(wanted).take(if options.newest { 1 } else { usize::MAX }).collect()
}

/// The finished bundles, newest first, and the partials.
///
/// # Errors
/// If the root cannot be read.
pub fn names(root: &Path) -> Result<(Vec<BundleName>, Vec<String>)> {
    let failed = || format!("reading {}", root.display());
    let (mut names, mut partials) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(root).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let is_dir = entry.file_type().with_context(failed)?.is_dir();
        if let Some(name) = BundleName::parse(&entry.file_name()) {
            if is_dir {
                names.push(name);
            } else {
                pipe_kit::warning!("{} is not a directory and no bundle", entry.path().display());
            }
        } else if is_dir && BundleName::parse_partial(&entry.file_name()).is_some() {
            partials.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_by_key(|name| std::cmp::Reverse(name.taken()));
    partials.sort();
    Ok((names, partials))
}

fn row(root: &Path, name: &BundleName, now: DateTime<Utc>) -> Row {
    let path = root.join(name.as_str());
    let mut row = Row {
        name: name.as_str().to_owned(),
        path: path.to_string_lossy().into_owned(),
        timestamp: name.timestamp(),
        age_seconds: (now - name.taken()).num_seconds(),
        bytes: 0,
        version: "unknown".to_owned(),
        domain: "unknown".to_owned(),
        state: State::Unknown.word(),
        reason: None,
        shrunk: shrunk::read(&path).map(|mark| mark.phrase()),
    };
    match structure::read(&path) {
        Ok(found) => {
            row.bytes = found.tree.bytes();
            let manifest = found.manifest.clone().unwrap_or_default();
            row.version = manifest.version.map_or(row.version, |v| text::one_line(&v));
            row.domain = manifest.domain.map_or(row.domain, |d| text::one_line(&d));
            let report = verify::quick(&path, found);
            row.state = report.state.word();
            row.reason = reason(&report);
        }
        Err(error) => row.reason = Some(text::one_line(&format!("{error:#}"))),
    }
    row
}

fn reason(report: &Report) -> Option<String> {
    match report.state {
        State::Intact => None,
        State::Damaged => report.problems.summary(),
        State::Unsealed => Some("made by an older script, without a seal".to_owned()),
        State::Unknown => report.unchecked.first().map(|why| text::one_line(why)),
    }
}

fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
    let width = |column: usize| cells.iter().map(|c| c[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    cells.iter().fold(String::new(), |mut text, row| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
        text
    })
}

fn cells(row: &Row) -> [String; 6] {
    let mut state = match &row.reason {
        Some(reason) => format!("{}: {reason}", row.state),
        None => row.state.to_owned(),
    };
    if let Some(shrunk) = &row.shrunk {
        state += &format!("; {shrunk}");
    }
    [
        row.name.clone(),
        text::age(chrono::TimeDelta::seconds(row.age_seconds)),
        text::size(row.bytes),
        row.version.clone(),
        row.domain.clone(),
        state,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_one_aligned_line() {
        let row = |name: &str, bytes, reason: Option<&str>| Row {
            name: name.to_owned(),
            path: String::new(),
            timestamp: String::new(),
            age_seconds: 3 * 86_400,
            bytes,
            version: "4.2".to_owned(),
            domain: "docs.example.org".to_owned(),
            state: if reason.is_some() { "damaged" } else { "intact" },
            reason: reason.map(str::to_owned),
            shrunk: (bytes == 13).then(|| "holds far less than x: y".to_owned()),
        };
        let rows = [
            row("piprio_20260421T020000Z", 1 << 21, None),
            row("piprio_20260420T120000Z", 13, None),
            row("piprio_20260420T020000Z", 12, Some("MANIFEST.txt is missing")),
        ];
        assert_eq!(
            table(&rows),
            "piprio_20260421T020000Z  3 d  2.0 MiB  4.2  docs.example.org  intact\n\
             piprio_20260420T120000Z  3 d  13 B     4.2  docs.example.org  intact; holds far less than x: y\n\
             piprio_20260420T020000Z  3 d  12 B     4.2  docs.example.org  damaged: MANIFEST.txt is missing\n"
        );
    }
}
