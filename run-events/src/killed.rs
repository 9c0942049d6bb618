//! The report of runs that were killed: what such a run cannot do is done by the next one of its kind.

use crate::begun::{Begun, Note};
use crate::mask::Secrets;
use crate::message::Message;
use crate::notify::Notifier;
use crate::record::{Record, now};
use crate::settings::Settings;
use crate::tally::Tallies;
use bundle_format::report::RunKind;
use chrono::{SecondsFormat, TimeDelta};
use pipe_kit::{cleanup, warning};
use std::time::{Duration, Instant};

/// How many runs report a killed one in vain, and for how long, before no further one tries. Both: some runs begin
/// every hour, and others once a week.
const TRIES: u32 = 10;
const PATIENCE: TimeDelta = TimeDelta::days(7);

/// Who reports them, and to whom.
pub struct Reporter<'a> {
    pub settings: &'a Settings,
    pub notifier: &'a Notifier,
    pub kind: RunKind,
}

impl Reporter<'_> {
    /// Counts killed runs as failures, each once. Returns those to report: if a run had done everything, that it was
    /// killed is no failure. What a signal keeps this run from doing is left for the next one.
    pub fn count(&self, killed: Vec<Begun>) -> Vec<Begun> {
        killed.into_iter().filter_map(|run| self.count_one(run)).collect()
    }

    fn count_one(&self, mut run: Begun) -> Option<Begun> {
        let state_dir = self.settings.state_dir();
        let Note { status, record, tries } = run.noted();
        let recorded = || Record::read(&state_dir, self.kind);
        let record = record.or_else(recorded).filter(|record| record.started == run.started);
        let status = status.or_else(|| record.as_ref()?.status);
        if status == Some(0) {
            run.end();
            return None;
        }
        // Before its message is sent: a run is counted once under its name, but a message cannot be recalled.
        Tallies::read(&state_dir).failed(self.kind, Some(&run.name()));
        if cleanup::is_ending() {
            return None;
        }
        if tries >= TRIES && now() - run.started > PATIENCE {
            warning!(
                "NOTIFY_URL could not be notified in {tries} runs that {}; no further run tries",
                how(&run, status)
            );
            run.end();
            return None;
        }
        // The record of this run is about to take that one's place.
        let noted = run.note(&Note { status, record, tries: tries + 1 });
        noted.unwrap_or_else(|error| warning!("a killed run is not noted: {error:#}"));
        Some(run)
    }

    /// Reports counted runs within a limit for all of them, the oldest first. Returns those whose message was not
    /// delivered.
    pub fn report(&self, counted: Vec<Begun>, limit: Duration) -> Vec<Begun> {
        if self.notifier.hook.is_none() {
            counted.into_iter().for_each(Begun::end);
            return Vec::new();
        }
        if counted.is_empty() {
            return counted;
        }
        let secrets = Secrets::of_run(&self.settings.deploy);
        let begun = Instant::now();
        let report = |run: Begun| {
            let left = limit.saturating_sub(begun.elapsed());
            match self.report_one(&run, &secrets, left) {
                true => {
                    run.end();
                    None
                }
                false => Some(run),
            }
        };
        counted.into_iter().filter_map(report).collect()
    }

    fn report_one(&self, run: &Begun, secrets: &Secrets, limit: Duration) -> bool {
        let Note { status, record, .. } = run.noted();
        let reason = how(run, status);
        let (settings, kind, record) = (self.settings, self.kind, record.as_ref());
        let message = Message { settings, kind, record, reason: &reason };
        self.notifier.report(&message.failure(status, secrets), limit)
    }
}

fn how(run: &Begun, status: Option<u8>) -> String {
    let when = match status {
        None => "",
        Some(_) => ", after it had failed",
    };
    format!(
        "the run that began at {} was killed, or the host went down{when}",
        run.started.to_rfc3339_opts(SecondsFormat::Secs, true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::serve;
    use chrono::{DateTime, Utc};
    use std::net::TcpListener;
    use std::path::Path;

    const KIND: RunKind = RunKind::Backup;

    /// A run of this age that was killed.
    fn killed(state_dir: &Path, age: TimeDelta) -> DateTime<Utc> {
        let started = now() - age;
        drop(Begun::begin(state_dir, KIND, started).unwrap());
        started
    }

    /// One run after the other finds what was killed; how many are left each time.
    fn report(settings: &Settings, notifier: &Notifier) -> usize {
        let reporter = Reporter { settings, notifier, kind: KIND };
        // A child that another test has just forked may hold a lock.
        let find = || Begun::begin(&settings.state_dir(), KIND, now() + TimeDelta::hours(1));
        let mut killed = Vec::new();
        for _ in 0..20 {
            let (own, found) = find().unwrap();
            own.end();
            killed.extend(found);
            std::thread::sleep(Duration::from_millis(10));
        }
        killed.sort_by_key(|run| run.started);
        reporter.report(reporter.count(killed), Duration::from_secs(60)).len()
    }

    #[test]
    fn a_message_that_is_not_delivered_is_kept_and_its_run_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { deploy: dir.path().to_owned(), ..Settings::default() };
        let started = [2, 1].map(|hours| killed(&settings.state_dir(), TimeDelta::hours(hours)));
        let (notifier, requests) = serve(vec![500, 200, 503, 200]);
        let left: Vec<_> = (0..4).map(|_| report(&settings, &notifier)).collect();
        assert_eq!(left, [1, 1, 0, 0]);
        let sent: Vec<_> = requests.try_iter().collect();
        let [first, second] = started.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        assert!(sent[0].contains(&first) && sent[1].contains(&second), "{sent:?}");
        assert!(sent[2].contains(&first) && sent[3].contains(&first), "{sent:?}");
        assert_eq!(Tallies::read(&settings.state_dir()).of(KIND).failures, 2);
    }

    #[test]
    fn one_that_cannot_be_delivered_is_dropped_after_runs_and_days_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { deploy: dir.path().to_owned(), ..Settings::default() };
        killed(&settings.state_dir(), TimeDelta::days(8));
        killed(&settings.state_dir(), TimeDelta::days(6));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let notifier = Notifier::new(None, format!("http://{closed}/u").parse().ok());
        let left: Vec<_> = (0..12).map(|_| report(&settings, &notifier)).collect();
        assert_eq!(left, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1]);
        assert_eq!(Tallies::read(&settings.state_dir()).of(KIND).failures, 2);
    }
}
