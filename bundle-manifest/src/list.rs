//! `list`: the finished bundles below a root.

mod drills;
mod shipments;

use crate::alarm::mark::{self, Mark};
use crate::bundle::{domain, problems, root, structure, tree};
use crate::verify;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::domain::{UNKNOWN, differ};
use bundle_format::report::{
    BundleCheck, BundleState, DrillResult, Drilled, ListedBundle, Listing, ShippedTo, ShrunkBundle,
};
use bundle_format::shipments::Shipments;
use chrono::{DateTime, TimeDelta, Utc};
use drills::Drills;
use pipe_kit::{Exit, text};
use std::path::{Path, PathBuf};

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
    /// The directory with the reports of drills.
    pub drills: Option<PathBuf>,
    /// The file with what was copied where.
    pub shipped: Option<PathBuf>,
    /// Their paths, one a line.
    pub paths: bool,
    /// As JSON.
    pub json: bool,
}

/// Prints the list, newest first; or the newest bundle alone, without reading the others.
pub fn run(root: &Path, options: &Options) -> Result<Exit> {
    let root = tree::resolve(root)
        .with_context(|| format!("there is no directory of bundles at {}", root.display()))?;
    let (mut names, partials) = root::names(&root)?;
    let now = Utc::now();
    if let Some(domain) = &options.domain {
        let of = |name: &BundleName| domain::of(&root.join(name.as_str()));
        names.retain(|name| !differ(of(name).as_deref(), Some(domain)));
    }
    let shrunk = mark::among(&root, names.iter(), options.domain.as_deref());
    let damaged = verify::damage_mark::among(&root, options.domain.as_deref())?;
    let ahead = ahead(&names, now);
    let bundles = rows(&root, in_order(names, ahead.len(), options), options, now);
    for partial in &partials {
        let what = "is unfinished: a backup is running, or was interrupted";
        pipe_kit::info!("{} {what}", root.join(partial).display());
    }
    if bundles.is_empty() {
        let hint =
            "bash scripts/backup.sh makes one; bundle-manifest list ROOT lists another directory";
        pipe_kit::info!("no finished bundles in {}; {hint}", root.display());
    }
    let shrunk_bundle = |(name, mark): (BundleName, Mark)| ShrunkBundle {
        name: name.as_str().to_owned(),
        reason: mark.phrase(),
    };
    let listing = Listing {
        root: root.to_string_lossy().into_owned(),
        bundles,
        partials,
        ahead,
        shrunk: shrunk.into_iter().map(shrunk_bundle).collect(),
        damaged,
    };
    pipe_kit::output::print(&to_text(&listing, options, now)?)?;
    Ok(Exit::Done)
}

fn to_text(listing: &Listing, options: &Options, now: DateTime<Utc>) -> Result<String> {
    Ok(if options.json {
        serde_json::to_string(listing)? + "\n"
    } else if options.paths {
        listing.bundles.iter().map(|row| format!("{}\n", row.path)).collect()
    } else {
        table(&listing.bundles, now)
    })
}

fn ahead(names: &[BundleName], now: DateTime<Utc>) -> Vec<String> {
    let ahead = names.iter().filter(|name| name.taken() - now > AHEAD);
    ahead.map(|name| name.as_str().to_owned()).collect()
}

/// The order in which bundles are read: where the newest is wanted, those ahead of the clock come last.
fn in_order(mut names: Vec<BundleName>, ahead: usize, options: &Options) -> Vec<BundleName> {
    if options.newest {
        names.rotate_left(ahead);
    }
    names
}

fn rows(
    root: &Path,
    names: Vec<BundleName>,
    options: &Options,
    now: DateTime<Utc>,
) -> Vec<ListedBundle> {
    let drills = drills::directory(options.drills.as_deref());
    let drills = drills.map(|dir| Drills::read(&dir)).unwrap_or_default();
    let shipments = shipments::file(options.shipped.as_deref());
    let shipments = shipments.map(|file| Shipments::read(&file)).unwrap_or_default();
    let history = History { drills, shipments };
    let rows = names.iter().map(|name| row(root, name, now, &history));
    let wanted = |row: &ListedBundle| !options.intact || row.state == BundleState::Intact;
    rows.filter(wanted).take(if options.newest { 1 } else { usize::MAX }).collect()
}

/// What was done with bundles since.
struct History {
    drills: Drills,
    shipments: Shipments,
}

fn row(root: &Path, name: &BundleName, now: DateTime<Utc>, history: &History) -> ListedBundle {
    let path = root.join(name.as_str());
    let mut row = ListedBundle {
        name: name.as_str().to_owned(),
        path: path.to_string_lossy().into_owned(),
        timestamp: name.taken(),
        age_seconds: (now - name.taken()).num_seconds(),
        bytes: 0,
        version: UNKNOWN.to_owned(),
        domain: UNKNOWN.to_owned(),
        state: BundleState::Unknown,
        reason: None,
        shrunk: mark::read(&path).map(|mark| mark.phrase()),
        drilled: history.drills.of(&path, name.as_str()),
        shipped: shipments::of(&history.shipments, &path, name.as_str()),
    };
    match structure::read(&path) {
        Ok(mut found) => {
            row.bytes = found.tree.bytes();
            let manifest = found.manifest.clone().unwrap_or_default();
            row.version = manifest.version.map_or(row.version, |v| text::one_line(&v));
            row.domain = manifest.domain.map_or(row.domain, |d| text::one_line(&d));
            let report = verify::quick(&path, &mut found);
            row.state = report.state;
            row.reason = reason(&report);
        }
        Err(error) => row.reason = Some(text::one_line(&format!("{error:#}"))),
    }
    row
}

fn reason(report: &BundleCheck) -> Option<String> {
    match report.state {
        BundleState::Intact => None,
        BundleState::Damaged => problems::summary(&report.problems),
        BundleState::Unsealed => Some("made by an older script, without a seal".to_owned()),
        BundleState::Unknown => report.unchecked.first().map(|why| text::one_line(why)),
    }
}

fn table(rows: &[ListedBundle], now: DateTime<Utc>) -> String {
    let cells: Vec<[String; 8]> = rows.iter().map(|row| cells(row, now)).collect();
    let width = |column: usize| cells.iter().map(|c| c[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    cells.iter().fold(String::new(), |mut text, row| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
        text
    })
}

fn cells(row: &ListedBundle, now: DateTime<Utc>) -> [String; 8] {
    let mut state = match &row.reason {
        Some(reason) => format!("{}: {reason}", row.state.word()),
        None => row.state.word().to_owned(),
    };
    if let Some(shrunk) = &row.shrunk {
        state += &format!("; {shrunk}");
    }
    [
        row.name.clone(),
        text::age(row.age_seconds),
        text::size(row.bytes),
        row.version.clone(),
        row.domain.clone(),
        state,
        row.drilled.as_ref().map(|drilled| drill(drilled, now)).unwrap_or_default(),
        copies(&row.shipped, now),
    ]
}

/// The copies elsewhere as a phrase: when the last was made, and where they are.
fn copies(shipped: &[ShippedTo], now: DateTime<Utc>) -> String {
    let Some(last) = shipped.iter().map(|copy| copy.timestamp).max() else { return String::new() };
    let places: Vec<&str> = shipped.iter().map(|copy| copy.destination.as_str()).collect();
    let age = text::age((now - last).num_seconds().max(0));
    format!("shipped {age} ago to {}", text::one_line(&places.join(", ")))
}

/// The last drill as a phrase: when it was, and how long the recovery took, or that it did not pass.
fn drill(drilled: &Drilled, now: DateTime<Utc>) -> String {
    let age = text::age((now - drilled.timestamp).num_seconds().max(0));
    match (drilled.result, drilled.rto_seconds) {
        (DrillResult::Passed, Some(seconds)) => {
            format!("drilled {age} ago, loaded in {seconds:.1} s")
        }
        (DrillResult::Passed, None) => format!("drilled {age} ago"),
        (result, _) => format!("drill {age} ago: {}", result.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_one_aligned_line() {
        let row = |name: &str, bytes, reason: Option<&str>| ListedBundle {
            name: name.to_owned(),
            age_seconds: 3 * 86_400,
            bytes,
            version: "4.2".to_owned(),
            domain: "docs.example.org".to_owned(),
            state: if reason.is_some() { BundleState::Damaged } else { BundleState::Intact },
            reason: reason.map(str::to_owned),
            shrunk: (bytes == 13).then(|| "holds far less than x: y".to_owned()),
            ..ListedBundle::default()
        };
        let now: DateTime<Utc> = "2026-04-24T02:00:00Z".parse().unwrap();
        let drilled = |result| Drilled {
            drill: "drill_20260423T020000Z".to_owned(),
            timestamp: now - TimeDelta::days(1),
            result,
            rto_seconds: Some(41.96),
        };
        let mut rows = [
            row("piprio_20260421T020000Z", 1 << 21, None),
            row("piprio_20260420T120000Z", 13, None),
            row("piprio_20260420T020000Z", 12, Some("MANIFEST.txt is missing")),
        ];
        assert_eq!(
            table(&rows, now),
            "piprio_20260421T020000Z  3 d  2.0 MiB  4.2  docs.example.org  intact\n\
             piprio_20260420T120000Z  3 d  13 B     4.2  docs.example.org  intact; holds far less than x: y\n\
             piprio_20260420T020000Z  3 d  12 B     4.2  docs.example.org  damaged: MANIFEST.txt is missing\n"
        );
        rows[0].drilled = Some(drilled(DrillResult::Passed));
        rows[2].drilled = Some(drilled(DrillResult::Finding));
        let text = table(&rows, now);
        let ends: Vec<&str> = text.lines().map(|line| line.rsplit("  ").next().unwrap()).collect();
        assert_eq!(ends[0], "drilled 24 h ago, loaded in 42.0 s");
        assert_eq!(ends[1], "intact; holds far less than x: y");
        assert_eq!(ends[2], "drill 24 h ago: finding");
        let copy = |place: &str, hours| ShippedTo {
            destination: place.to_owned(),
            timestamp: now - TimeDelta::hours(hours),
        };
        rows[1].shipped = vec![copy("/mnt/copies", 3), copy("s3://offsite/h", 2)];
        let text = table(&rows, now);
        let end = text.lines().nth(1).unwrap().rsplit("  ").next().unwrap();
        assert_eq!(end, "shipped 2 h ago to /mnt/copies, s3://offsite/h");
    }
}
