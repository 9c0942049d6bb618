//! `METRICS_FILE`: the records of all kinds of runs and the list of bundles, as Prometheus reads text.

mod exposition;
#[cfg(test)]
mod published;

use crate::exclusive::{self, Exclusive};
use crate::limited;
use crate::record::Record;
use crate::settings::Settings;
use crate::tally::Tallies;
use anyhow::{Context, Result, ensure};
use bundle_format::report::{
    BundleState, DestinationRecord, DrillRecord, DrillResult, Listing, RunKind, RunRecord,
};
use chrono::{DateTime, Utc};
use exposition::{Exposition, Kind};
use pipe_kit::{cleanup, warning};
use std::io::{PipeReader, Read, pipe};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long bundles may take to be listed.
const LIMIT: Duration = Duration::from_secs(60);
/// How long another run is waited for that writes the file: a while longer than it lists bundles.
const LIMIT_OF_OTHERS: Duration = Duration::from_secs(65);
/// The status of a run that is running, or was killed.
const NO_STATUS: i64 = -1;

/// Writes the file. What is not known is not in it.
///
/// # Errors
/// If it cannot be written, or another run does not end writing it.
pub fn write(settings: &Settings, file: &Path) -> Result<()> {
    let state_dir = settings.state_dir();
    let limit = cleanup::signal().map_or(LIMIT_OF_OTHERS, |_| exclusive::LIMIT);
    // Held from the first read on: what is written last is then what is known last.
    let exclusive = Exclusive::take(&state_dir.join("metrics.lock"), limit)?;
    let records = RunKind::ALL.map(|kind| Record::read(&state_dir, kind));
    let of_backup = records[RunKind::Backup as usize].as_ref().map(|record| record.root.clone());
    let root = of_backup.or_else(|| settings.root.clone());
    let listing = root.and_then(|root| {
        let listed = list(&root, settings.domain.as_deref());
        listed.inspect_err(|error| warning!("{error:#}; the metrics have no bundles")).ok()
    });
    let text =
        text(settings.domain.as_deref(), &records, &Tallies::read(&state_dir), listing.as_ref());
    // Another user collects it, and it contains no secret.
    exclusive.replace(file, text.as_bytes(), 0o644)
}

fn list(root: &Path, domain: Option<&str>) -> Result<Listing> {
    let mut command = Command::new("bundle-manifest");
    command.args(["list", "--json", "--quiet"]).arg(root).stdin(Stdio::null());
    if let Some(domain) = domain {
        command.arg("--domain").arg(domain);
    }
    let (reader, writer) = pipe().context("a pipe")?;
    let text = std::thread::spawn(move || read(reader));
    let ended = limited::run(command.stdout(writer), LIMIT);
    // It holds the other end of the pipe.
    drop(command);
    let ended =
        ended?.with_context(|| format!("listing the bundles in {}: no end", root.display()))?;
    ensure!(ended.success(), "listing the bundles in {} failed ({ended})", root.display());
    let text = text.join().unwrap_or_default();
    serde_json::from_slice(&text).context("the report of bundle-manifest list")
}

fn read(mut pipe: PipeReader) -> Vec<u8> {
    let mut text = Vec::new();
    // What is cut short does not parse.
    let _ = pipe.read_to_end(&mut text);
    text
}

/// The whole file.
fn text(
    domain: Option<&str>,
    records: &[Option<RunRecord>],
    tallies: &Tallies,
    listing: Option<&Listing>,
) -> String {
    let mut out = Exposition::new(domain);
    for (kind, record) in RunKind::ALL.into_iter().zip(records) {
        let failures = tallies.of(kind).failures;
        if let Some(record) = record {
            run(&mut out, kind, record);
        }
        if record.is_some() || failures > 0 {
            let name = format!("{}_failed_runs_total", kind.word());
            let help = format!("Number of {} runs that failed.", kind.word());
            out.add(&name, Kind::Counter, &help, None, whole(failures));
        }
    }
    if let Some(listing) = listing {
        bundles(&mut out, listing);
    }
    out.text()
}

fn run(out: &mut Exposition, kind: RunKind, record: &RunRecord) {
    let word = kind.word();
    let mut gauge = |name: &str, help: &str, label: Option<(&str, &str)>, value: f64| {
        out.add(&format!("{word}_{name}"), Kind::Gauge, help, label, value);
    };
    gauge("last_run_timestamp_seconds", "When the last run began.", None, time(record.started));
    gauge(
        "last_run_status",
        "Exit status of the last run; -1 while it lasts, or if it was killed.",
        None,
        status(record.status),
    );
    if let Some(seconds) = record.seconds() {
        let help = "How long the last run took.";
        gauge("last_run_duration_seconds", help, None, whole(seconds.max(0).cast_unsigned()));
    }
    if let Some(success) = record.last_success {
        gauge("last_success_timestamp_seconds", SUCCESS, None, time(success));
    }
    let stages = record.stages.iter().filter_map(|stage| Some((&stage.stage, stage.seconds?)));
    for (stage, seconds) in stages {
        let help = "How long a stage of the last run took.";
        gauge("duration_seconds", help, Some(("stage", stage)), seconds);
    }
    for (component, bytes) in record.bytes.iter() {
        let help = "Size of a component of the bundle of the last run.";
        gauge("bytes", help, Some(("component", component)), whole(bytes));
    }
    for destination in &record.destinations {
        of_destination(&mut gauge, destination);
    }
    if let Some(drill) = &record.drill {
        of_drill(&mut gauge, drill);
    }
}

fn of_drill(gauge: &mut impl FnMut(&str, &str, Option<(&str, &str)>, f64), drill: &DrillRecord) {
    if let Some(seconds) = drill.rto_seconds {
        let help = "Recovery time (RTO) of the last drill: how long the load took.";
        gauge("rto_seconds", help, None, seconds);
    }
    if let Some(result) = drill.result {
        for one in DrillResult::ALL {
            let help = "How the last drill ended: 1 for its result, 0 for the others.";
            let value = f64::from(u8::from(one == result));
            gauge("result", help, Some(("result", one.word())), value);
        }
    }
}

const SUCCESS: &str = "When the last run that succeeded ended.";

fn of_destination(
    gauge: &mut impl FnMut(&str, &str, Option<(&str, &str)>, f64),
    destination: &DestinationRecord,
) {
    let label = Some(("destination", destination.destination.as_str()));
    gauge(
        "destination_status",
        "Exit status of the last shipment to a destination; -1 while it lasts.",
        label,
        status(destination.status),
    );
    if let Some(success) = destination.last_success {
        let help = "When the last shipment to a destination that succeeded ended.";
        gauge("destination_last_success_timestamp_seconds", help, label, time(success));
    }
    if let Some(seconds) = destination.seconds {
        let help = "How long the last shipment to a destination took.";
        gauge("destination_duration_seconds", help, label, seconds);
    }
    if let Some(bytes) = destination.bytes {
        let help = "How many bytes the last shipment sent to a destination.";
        gauge("destination_bytes", help, label, whole(bytes));
    }
}

fn bundles(out: &mut Exposition, listing: &Listing) {
    let of_state = |state: BundleState| {
        (state.word(), listing.bundles.iter().filter(|bundle| bundle.state == state).count())
    };
    use BundleState::{Damaged, Intact, Unknown, Unsealed};
    let counts = [Intact, Unsealed, Damaged, Unknown].map(of_state);
    let others = [
        ("partial", listing.partials.len()),
        ("ahead", listing.ahead.len()),
        ("shrunk", listing.shrunk.len()),
    ];
    for (state, count) in counts.into_iter().chain(others) {
        let help = "Number of bundles in a state: as checked (intact, unsealed, damaged, unknown), and partial, \
                    ahead (dated in the future), shrunk (holds far less than the one before).";
        let count = whole(u64::try_from(count).unwrap_or(u64::MAX));
        out.add("backup_bundles", Kind::Gauge, help, Some(("state", state)), count);
    }
    let good = listing
        .bundles
        .iter()
        .filter(|bundle| bundle.state.is_good() && !listing.ahead.contains(&bundle.name));
    if let Some(newest) = good.map(|bundle| bundle.timestamp).max() {
        let help = "When the newest intact bundle was made.";
        let name = "backup_newest_bundle_timestamp_seconds";
        out.add(name, Kind::Gauge, help, None, time(newest));
    }
}

fn time(at: DateTime<Utc>) -> f64 {
    signed(at.timestamp())
}

fn status(status: Option<u8>) -> f64 {
    signed(status.map_or(NO_STATUS, i64::from))
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53, as every value of Prometheus")]
fn whole(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53, as every value of Prometheus")]
fn signed(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::{ListedBundle, StageRecord};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn record() -> RunRecord {
        let mut record = RunRecord::begin(at("2026-04-21T02:00:00Z"), "/b".into(), None);
        let stage = StageRecord { stage: "database".into(), seconds: Some(1.25), status: Some(0) };
        record.stages.push(stage);
        record.stages.push(StageRecord { stage: "objects".into(), seconds: None, status: None });
        record.bytes.database = Some(12);
        record
    }

    #[test]
    fn the_file_has_what_the_records_and_the_list_hold() {
        let dir = tempfile::tempdir().unwrap();
        let mut tallies = Tallies::read(dir.path());
        tallies.failed(RunKind::Backup, None);
        let mut done = record();
        done.end(at("2026-04-21T02:01:40Z"), 0);
        let mut ship = record();
        ship.stages.clear();
        ship.destinations.push(DestinationRecord {
            destination: "s3://\"b\"".into(),
            status: Some(1),
            seconds: None,
            bytes: Some(7),
            last_success: None,
        });
        let mut drill = record();
        drill.drill = Some(DrillRecord {
            result: Some(DrillResult::Finding),
            rto_seconds: Some(41.25),
            ..DrillRecord::default()
        });
        let bundle = ListedBundle {
            timestamp: at("2026-04-21T02:00:00Z"),
            state: BundleState::Intact,
            ..ListedBundle::default()
        };
        let listing =
            Listing { bundles: vec![bundle], partials: vec!["p".into()], ..Listing::default() };
        let text =
            text(Some("d"), &[Some(done), None, Some(drill), Some(ship)], &tallies, Some(&listing));
        for line in [
            "# TYPE piprio_backup_last_success_timestamp_seconds gauge",
            "piprio_backup_last_success_timestamp_seconds{domain=\"d\"} 1776736900",
            "piprio_backup_last_run_status{domain=\"d\"} 0",
            "piprio_backup_last_run_duration_seconds{domain=\"d\"} 100",
            "piprio_backup_duration_seconds{domain=\"d\",stage=\"database\"} 1.25",
            "piprio_backup_bytes{domain=\"d\",component=\"database\"} 12",
            "piprio_backup_failed_runs_total{domain=\"d\"} 1",
            "piprio_backup_bundles{domain=\"d\",state=\"intact\"} 1",
            "piprio_backup_bundles{domain=\"d\",state=\"partial\"} 1",
            "piprio_backup_bundles{domain=\"d\",state=\"shrunk\"} 0",
            "piprio_backup_newest_bundle_timestamp_seconds{domain=\"d\"} 1776736800",
            "piprio_drill_rto_seconds{domain=\"d\"} 41.25",
            "piprio_drill_result{domain=\"d\",result=\"finding\"} 1",
            "piprio_drill_result{domain=\"d\",result=\"passed\"} 0",
            "piprio_ship_last_run_status{domain=\"d\"} -1",
            r#"piprio_ship_destination_status{domain="d",destination="s3://\"b\""} 1"#,
            r#"piprio_ship_destination_bytes{domain="d",destination="s3://\"b\""} 7"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("restore") && !text.contains("stage=\"objects\""), "{text}");
    }

    #[test]
    fn without_anything_known_the_file_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let none = [None, None, None, None];
        assert_eq!(text(None, &none, &Tallies::read(dir.path()), None), "");
    }
    #[test]
    fn what_another_run_records_while_it_writes_the_file_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { deploy: dir.path().to_owned(), ..Settings::default() };
        let (state_dir, file) = (settings.state_dir(), dir.path().join("m.prom"));
        let other = Exclusive::take(&state_dir.join("metrics.lock"), LIMIT).unwrap();
        std::thread::scope(|scope| {
            let written = scope.spawn(|| write(&settings, &file));
            // Time enough to overtake, if it could.
            std::thread::sleep(Duration::from_millis(100));
            Tallies::read(&state_dir).failed(RunKind::Backup, None);
            drop(other);
            written.join().unwrap().unwrap();
        });
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("piprio_backup_failed_runs_total 1\n"), "{text}");
    }
}
