//! The newest copy at a destination, by the records of shipments: no destination is asked.

use crate::probe::{Facts, Probe};
use bundle_format::BundleName;
use bundle_format::report::{DestinationRecord, ProbeKind, ProbeVerdict, RunKind, RunRecord};
use bundle_format::shipments::{FILE, Shipments};
use chrono::{DateTime, Utc};
use pipe_kit::text::age;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// How old the newest bundle is that was copied there, and whether the last shipment succeeded. What is wrong with
/// that is a warning, since the deployment itself works.
pub fn probe(state_dir: &Path, place: &str, max_age: Duration) -> Probe {
    let read = std::fs::read(state_dir.join(RunKind::Ship.record_name())).unwrap_or_default();
    let last = serde_json::from_slice::<RunRecord>(&read).ok();
    let last = last.and_then(|run| run.destinations.into_iter().find(|d| d.destination == place));
    judged(place, &Shipments::read(&state_dir.join(FILE)), last.as_ref(), max_age, Utc::now())
}

fn judged(
    place: &str,
    shipments: &Shipments,
    last: Option<&DestinationRecord>,
    max_age: Duration,
    now: DateTime<Utc>,
) -> Probe {
    let warn = |detail: String| Probe::new(ProbeKind::Ship, place, ProbeVerdict::Warn, detail);
    let failed = last.and_then(|last| last.status).filter(|status| *status != 0);
    let failed_text = failed.map(|status| format!("the last shipment failed (status {status})"));
    let newest = shipments.newest(place);
    let taken =
        newest.and_then(|(name, _)| Some((name, BundleName::parse(OsStr::new(name))?.taken())));
    let Some((name, taken)) = taken else {
        let failed = failed_text.map(|text| format!("{text}; ")).unwrap_or_default();
        return warn(format!("{failed}nothing was copied there; bash scripts/ship.sh --newest"));
    };
    let seconds = (now - taken).num_seconds();
    let is_old = seconds > max_age.as_secs().cast_signed();
    let mut detail = format!("{name}, {} old", age(seconds.max(0)));
    if is_old {
        detail += &format!(" (more than {} h)", max_age.as_secs() / 3600);
    }
    if let Some(text) = &failed_text {
        detail += &format!("; {text}");
    }
    let probe = match is_old || failed.is_some() {
        true => warn(detail),
        false => Probe::pass(ProbeKind::Ship, place, detail),
    };
    let mut facts = Facts::from([("bundle", name.into()), ("age_seconds", seconds.into())]);
    if let Some(status) = last.and_then(|last| last.status) {
        facts.insert("status", status.into());
    }
    probe.with_facts(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::shipments::Shipment;
    use chrono::TimeDelta;

    #[test]
    fn a_copy_that_is_old_missing_or_failed_is_a_warning() {
        use ProbeVerdict::{Pass, Warn};
        let now: DateTime<Utc> = "2026-04-21T02:00:00Z".parse().unwrap();
        let copied = |hours: i64| {
            let mut shipments = Shipments::default();
            let taken = now - TimeDelta::hours(hours);
            let name = taken.format("piprio_%Y%m%dT%H%M%SZ").to_string();
            let shipment = Shipment { seal: None, sha256: None, size: 1, at: now, damaged: false };
            shipments.add("/a", &name, shipment);
            shipments
        };
        let ended = |status| DestinationRecord {
            destination: "/a".into(),
            status: Some(status),
            seconds: None,
            bytes: None,
            last_success: None,
        };
        for (shipments, last, verdict, detail) in [
            (copied(30), Some(ended(0)), Pass, "piprio_20260419T200000Z, 30 h old"),
            (copied(30), None, Pass, "piprio_20260419T200000Z, 30 h old"),
            (
                copied(37),
                Some(ended(0)),
                Warn,
                "piprio_20260419T130000Z, 37 h old (more than 36 h)",
            ),
            (
                copied(30),
                Some(ended(1)),
                Warn,
                "piprio_20260419T200000Z, 30 h old; the last shipment failed (status 1)",
            ),
            (
                Shipments::default(),
                Some(ended(3)),
                Warn,
                "the last shipment failed (status 3); nothing was copied there; bash scripts/ship.sh --newest",
            ),
            (
                Shipments::default(),
                None,
                Warn,
                "nothing was copied there; bash scripts/ship.sh --newest",
            ),
        ] {
            let probe =
                judged("/a", &shipments, last.as_ref(), Duration::from_secs(36 * 3600), now);
            assert_eq!((probe.verdict, probe.detail.as_str()), (verdict, detail));
        }
    }

    #[test]
    fn what_is_recorded_of_another_place_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let probe = probe(dir.path(), "/b", Duration::from_secs(3600));
        assert_eq!(probe.verdict, ProbeVerdict::Warn);
    }
}
