//! What the health check finds: whether the servers answer, how old the newest bundle, drill and copies are, by the
//! limits of the health check.

use super::line::Line;
use super::place::{Place, quoted};
use super::unfinished::Unfinished;
use crate::program::{Tools, ask};
use anyhow::{Context, Result, bail};
use bundle_format::report::{HealthReport, ProbeKind, ProbeReport, ProbeVerdict};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most seconds that a probe gets, whatever `HEALTH_TIMEOUT_SECONDS` is.
const PROBE_SECONDS: u64 = 10;
/// The health check's own time: it starts programs, and ends those that hang.
const REST: Duration = Duration::from_secs(5);
/// How many seconds a bundle's time may be ahead of the clock.
pub const AHEAD: i64 = 24 * 3600;

/// What else is looked at, of the newest bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The directory.
    pub path: PathBuf,
    /// The size of all its files.
    pub bytes: u64,
    /// Seconds since it was taken.
    pub age_seconds: i64,
}

/// Runs the health check.
///
/// # Errors
/// If it has no report.
pub fn report(tools: &Tools, seconds: u64) -> Result<HealthReport> {
    let seconds = seconds.min(PROBE_SECONDS);
    let mut command = tools.command("health-probe");
    command.args(["--json", "--quiet", "--timeout", &seconds.to_string()]);
    let answer = ask(&mut command, "", Duration::from_secs(seconds) + REST)?;
    if answer.text.is_empty() {
        bail!("health-probe: {}", answer.why());
    }
    serde_json::from_str(&answer.text).context("the report of health-probe cannot be read")
}

/// The newest bundle, where there is one.
pub fn newest_bundle(report: &HealthReport, root: &Path) -> Option<Bundle> {
    let probe = report.probes.iter().find(|probe| probe.kind == ProbeKind::Bundle)?;
    Some(Bundle {
        path: root.join(probe.facts.get("bundle")?.as_str()?),
        bytes: probe.facts.get("bytes")?.as_u64()?,
        age_seconds: number(probe, "age_seconds")?,
    })
}

/// The size of what a bundle has: the database, and the objects where there are any to back up. None if it is not known.
pub fn data_bytes(report: &HealthReport) -> Option<u64> {
    let bytes = |kind: ProbeKind, fact: &str| {
        let mut probes = report.probes.iter().filter(|probe| probe.kind == kind);
        probes.try_fold(None, |sum: Option<u64>, probe| {
            let bytes = probe.facts.get(fact)?.as_u64()?;
            Some(Some(sum.unwrap_or(0).saturating_add(bytes)))
        })
    };
    let database = bytes(ProbeKind::Database, "size_bytes")??;
    Some(database.saturating_add(bytes(ProbeKind::Storage, "bytes")?.unwrap_or(0)))
}

/// Whether the database answers.
pub fn has_database(report: &HealthReport) -> bool {
    let of = |probe: &ProbeReport| probe.kind == ProbeKind::Database && probe.pass;
    report.probes.iter().any(of)
}

fn number(probe: &ProbeReport, fact: &str) -> Option<i64> {
    probe.facts.get(fact)?.as_i64()
}

/// What the commands of the lines are about.
pub struct Scene<'a> {
    /// The deployment.
    pub place: &'a Place,
    /// The program that starts its services.
    pub driver: &'a str,
    /// The directory of the bundles.
    pub root: &'a Path,
    /// Whether a restore has stopped the services, and they must wait for it.
    pub unfinished: &'a Unfinished,
}

/// A line for each probe.
pub fn lines(report: &HealthReport, scene: &Scene) -> Vec<Line> {
    report.probes.iter().map(|probe| line(probe, scene)).collect()
}

fn line(probe: &ProbeReport, scene: &Scene) -> Line {
    let Scene { place, driver, root, unfinished } = *scene;
    let name = format!("{} {}", probe.kind.name(), probe.name);
    if probe.verdict == ProbeVerdict::Pass {
        return Line::ok(&name, &probe.detail);
    }
    let waits = matches!(probe.kind, ProbeKind::Service | ProbeKind::Bundle);
    if let Some(resume) = unfinished.resume(place).filter(|_| waits) {
        return Line::finding(&name, format!("{}; a restore is unfinished", probe.detail), resume);
    }
    let may_start = *unfinished == Unfinished::No && probe.facts.contains_key("state");
    let command = match probe.kind {
        ProbeKind::Service if may_start => place.with_settings(&[driver, "start", &probe.name]),
        ProbeKind::Service => place.with_settings(&[driver, "ps"]),
        ProbeKind::Disk => fills(probe, root),
        ProbeKind::Bundle => for_bundle(probe, place, root),
        ProbeKind::Drill => place.script("drill.sh", &[]),
        ProbeKind::Ship => place.script("ship.sh", &["--newest"]),
        // The answer was slow, and good.
        _ if probe.verdict == ProbeVerdict::Warn => return Line::note(&name, &probe.detail),
        _ => place.edit(),
    };
    let settings = match probe.kind {
        ProbeKind::Database => {
            " (POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD)"
        }
        ProbeKind::Cache => " (REDIS_URL)",
        ProbeKind::Storage => " (S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY)",
        ProbeKind::Readiness => " (READINESS_URLS)",
        _ => "",
    };
    Line::finding(&name, format!("{}{settings}", probe.detail), command)
}

/// Lists what takes the space.
fn fills(probe: &ProbeReport, root: &Path) -> String {
    let path = probe.facts.get("path").and_then(Value::as_str).map_or(root, Path::new);
    format!("du -xh --max-depth=2 {} | sort -h | tail", quoted(path))
}

fn for_bundle(probe: &ProbeReport, place: &Place, root: &Path) -> String {
    let text = |fact: &str| probe.facts.get(fact).and_then(Value::as_str);
    let is = |fact: &str| probe.facts.get(fact).and_then(Value::as_bool).unwrap_or_default();
    match (text("bundle"), text("state")) {
        _ if number(probe, "age_seconds").is_some_and(|age| age < -AHEAD) => "timedatectl".into(),
        (Some(bundle), Some("damaged" | "unknown")) => {
            let path = root.join(bundle);
            place.with_settings(&["bundle-manifest".as_ref(), "verify".as_ref(), path.as_os_str()])
        }
        // To accept it is to let the larger ones before it be removed in time.
        _ if is("shrunk") => {
            place.with_settings(&["bundle-manifest".as_ref(), "list".as_ref(), root.as_os_str()])
        }
        _ => place.script("backup.sh", &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn probe(kind: ProbeKind, verdict: ProbeVerdict, facts: Value) -> ProbeReport {
        ProbeReport {
            kind,
            name: "x".into(),
            verdict,
            pass: verdict != ProbeVerdict::Fail,
            detail: "d".into(),
            latency_ms: None,
            facts: serde_json::from_value(facts).unwrap(),
        }
    }

    fn of(probe: &ProbeReport, unfinished: &Unfinished) -> Line {
        let place = Place::new("/d".as_ref());
        line(probe, &Scene { place: &place, driver: "/drv", root: "/r".as_ref(), unfinished })
    }

    #[test]
    fn nothing_is_started_or_backed_up_while_a_restore_is_unfinished() {
        let stopped = serde_json::json!({"state": "stopped"});
        let service = probe(ProbeKind::Service, ProbeVerdict::Fail, stopped);
        let shrunk = serde_json::json!({"bundle": "b", "state": "intact", "shrunk": true});
        let bundle = probe(ProbeKind::Bundle, ProbeVerdict::Warn, shrunk);
        let unfinished = Unfinished::Of(Some("/b/x".into()));
        for probe in [&service, &bundle] {
            let command = of(probe, &unfinished).command;
            assert_eq!(command.as_deref(), Some("bash /d/scripts/restore.sh /b/x --resume"));
        }
        let command = of(&service, &Unfinished::Unknown).command;
        assert_eq!(command.as_deref(), Some("deploy-env --deploy /d -- /drv ps"));
    }

    #[test]
    fn each_kind_has_its_command() {
        use ProbeKind::{Bundle, Cache, Database, Disk, Drill, Readiness, Service, Ship, Storage};
        use ProbeVerdict::{Fail, Warn};
        let own = "deploy-env --deploy /d --";
        for (kind, verdict, facts, command) in [
            (Service, Fail, r#"{"state":"stopped"}"#, format!("{own} /drv start x")),
            (Service, Fail, "{}", format!("{own} /drv ps")),
            (Database, Fail, "{}", "${EDITOR:-vi} /d/.env".into()),
            (Cache, Fail, "{}", "${EDITOR:-vi} /d/.env".into()),
            (Storage, Fail, "{}", "${EDITOR:-vi} /d/.env".into()),
            (Readiness, Fail, "{}", "${EDITOR:-vi} /d/.env".into()),
            (
                Disk,
                Warn,
                r#"{"path":"/a b"}"#,
                "du -xh --max-depth=2 '/a b' | sort -h | tail".into(),
            ),
            (Bundle, Warn, "{}", "bash /d/scripts/backup.sh".into()),
            (
                Bundle,
                Warn,
                r#"{"bundle":"b","state":"damaged","age_seconds":1}"#,
                format!("{own} bundle-manifest verify /r/b"),
            ),
            (
                Bundle,
                Warn,
                r#"{"bundle":"b","state":"intact","shrunk":true}"#,
                format!("{own} bundle-manifest list /r"),
            ),
            (
                Bundle,
                Warn,
                r#"{"bundle":"b","state":"intact","age_seconds":-90000}"#,
                "timedatectl".into(),
            ),
            (Drill, Warn, "{}", "bash /d/scripts/drill.sh".into()),
            (Ship, Warn, "{}", "bash /d/scripts/ship.sh --newest".into()),
        ] {
            let probe = probe(kind, verdict, serde_json::from_str(facts).unwrap());
            let line = of(&probe, &Unfinished::No);
            assert_eq!(line.status, Status::Finding, "{probe:?}");
            assert_eq!(line.command, Some(command), "{probe:?}");
        }
        let slow = probe(Database, Warn, serde_json::json!({}));
        let line = of(&slow, &Unfinished::No);
        assert_eq!((line.status, line.name.as_str()), (Status::Note, "database x"));
    }

    #[test]
    fn the_newest_bundle_is_known_by_its_facts() {
        let facts = serde_json::json!({"bundle": "b", "bytes": 7, "age_seconds": 60});
        let report = HealthReport {
            timestamp: String::new(),
            elapsed_ms: 0,
            healthy: true,
            passed: 1,
            warned: 0,
            failed: 0,
            probes: vec![probe(ProbeKind::Bundle, ProbeVerdict::Pass, facts)],
        };
        let expected = Bundle { path: "/r/b".into(), bytes: 7, age_seconds: 60 };
        assert_eq!(newest_bundle(&report, "/r".as_ref()), Some(expected));
        assert_eq!((data_bytes(&report), has_database(&report)), (None, false));
        let with = |probes| HealthReport { probes, ..report.clone() };
        let database =
            || probe(ProbeKind::Database, ProbeVerdict::Pass, serde_json::json!({"size_bytes": 5}));
        let storage = |facts| probe(ProbeKind::Storage, ProbeVerdict::Pass, facts);
        let objects = || serde_json::json!({"bytes": 60});
        assert_eq!(data_bytes(&with(vec![database()])), Some(5));
        assert_eq!(data_bytes(&with(vec![database(), storage(objects())])), Some(65));
        // The storage does not answer: its size is not known.
        assert_eq!(data_bytes(&with(vec![database(), storage(serde_json::json!({}))])), None);
        assert_eq!(data_bytes(&with(vec![storage(objects())])), None);
        assert_eq!(newest_bundle(&with(Vec::new()), "/r".as_ref()), None);
    }
}
