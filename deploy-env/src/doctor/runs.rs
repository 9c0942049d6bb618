//! The last drill and the last copies, by their records, where the health check expects none.

use super::health::AHEAD;
use super::line::Line;
use super::place::Place;
use bundle_format::report::{RunKind, RunRecord};
use chrono::{DateTime, Utc};
use pipe_kit::text::age;

/// The record of the last run of a kind; none if there is none that can be read.
pub fn read(place: &Place, kind: RunKind) -> Option<RunRecord> {
    let file = place.path(".restore").join(kind.record_name());
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// The last drill that passed. None is only a note: the health check expects none.
pub fn drill(record: Option<&RunRecord>, now: DateTime<Utc>, place: &Place) -> Line {
    let command = place.script("drill.sh", &[]);
    line("drill newest", "drill", record, now, &command)
}

/// The last shipment that succeeded. None is only a note, as for a drill.
pub fn ship(record: Option<&RunRecord>, now: DateTime<Utc>, place: &Place) -> Line {
    let command = place.script("ship.sh", &["--newest"]);
    line("ship newest", "shipment", record, now, &command)
}

fn line(
    name: &str,
    what: &str,
    record: Option<&RunRecord>,
    now: DateTime<Utc>,
    command: &str,
) -> Line {
    let Some(success) = record.and_then(|record| record.last_success) else {
        let found = format!("no {what} has succeeded yet, and the health check expects none");
        return Line::note(name, found).with_command(command);
    };
    if (success - now).num_seconds() > AHEAD {
        let found = format!(
            "the last {what} that succeeded is dated in the future: the clock is wrong, or was"
        );
        return Line::note(name, found).with_command(command);
    }
    let ago = age((now - success).num_seconds().max(0));
    match record.and_then(|record| record.status).filter(|status| *status != 0) {
        Some(status) => {
            let found =
                format!("the last {what} ended with status {status}; one succeeded {ago} ago");
            Line::note(name, found).with_command(command)
        }
        None => Line::ok(name, format!("the last {what} succeeded {ago} ago")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_last_success_counts_and_a_failure_after_it_is_named() {
        let place = Place::new("/d".as_ref());
        let now = Utc::now();
        let none = drill(None, now, &place);
        assert_eq!(
            (none.status, none.command.as_deref()),
            (Status::Note, Some("bash /d/scripts/drill.sh"))
        );
        let mut record = RunRecord::begin(now, "/b".into(), None);
        record.end(now - TimeDelta::days(3), 0);
        let good = ship(Some(&record), now, &place);
        assert_eq!(
            (good.status, good.found.as_str()),
            (Status::Ok, "the last shipment succeeded 3 d ago")
        );
        record.end(now + TimeDelta::hours(25), 0);
        let ahead = drill(Some(&record), now, &place);
        assert_eq!(
            (ahead.status, ahead.found.as_str()),
            (
                Status::Note,
                "the last drill that succeeded is dated in the future: the clock is wrong, or was"
            )
        );
        record.end(now - TimeDelta::days(3), 0);
        record.end(now, 1);
        let failed = ship(Some(&record), now, &place);
        assert_eq!(failed.status, Status::Note);
        assert_eq!(failed.found, "the last shipment ended with status 1; one succeeded 3 d ago");
    }
}
