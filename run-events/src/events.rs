//! The events of a run: one call at its start, one under its locks, one at its end.

use crate::begun::{Begun, Note};
use crate::capture::Capture;
use crate::hooks::{About, Hooks, When};
use crate::killed::Reporter;
use crate::mask::Secrets;
use crate::message::Message;
use crate::metrics;
use crate::notify::{AGAIN, EARLY, Notifier};
use crate::record::{Record, now};
use crate::settings::{Settings, message_url, ping_url};
use crate::tally::Tallies;
use anyhow::Result;
use bundle_format::report::{RunKind, RunRecord};
use chrono::{DateTime, SecondsFormat, Utc};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, log, status, warning};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a hook may take once a signal is ending the run. Service managers do not wait for long.
const LIMIT_AFTER_SIGNAL: Duration = Duration::from_secs(20);

/// The events of one run. Dropped without [`Events::end`], or ended by a signal, the run has failed.
///
/// 1. [`Events::begin`], before anything that can fail;
/// 2. [`Events::open`], once the locks are held: begins the record;
/// 3. [`Events::before`], before the first change: the operator's hooks, which may refuse it;
/// 4. [`Events::end`], while the locks are still held.
pub struct Events {
    kind: RunKind,
    started: DateTime<Utc>,
    /// None for a run that is a part of another.
    run: Option<(Arc<Run>, Guard)>,
}

struct Run {
    kind: RunKind,
    settings: Settings,
    notifier: Notifier,
    /// The log, where anybody gets to see it.
    capture: Mutex<Option<Capture>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// None before the beginning of the run is noted, and after its end is reported.
    begun: Option<Begun>,
    record: Option<Arc<Record>>,
    /// Killed runs whose message could not be delivered.
    kept: Vec<Begun>,
    /// Whether the `before-…` hooks were reached.
    is_hooked: bool,
    /// The exit status, once the runner has one, and its error.
    ended: Option<(u8, Option<String>)>,
    /// Why a signal or [`cleanup::end`] ended the run, where that was its own doing.
    why: Option<Why>,
}

type Why = Box<dyn Fn() -> Option<String> + Send>;

impl Events {
    /// A run begins. Those of its kind that were killed are reported.
    #[must_use]
    pub fn begin(kind: RunKind) -> Self {
        let Some(settings) = Settings::from_environment() else { return Self::none(kind) };
        let notifier = Notifier::new(ping_url(kind), message_url());
        let capture = Mutex::new(notifier.is_needed().then(Capture::begin));
        let run = Arc::new(Run { kind, settings, notifier, capture, state: Mutex::default() });
        let ended = Arc::clone(&run);
        // First of all: what has begun also ends, whenever a signal comes.
        let guard = cleanup::on_failure(move || ended.finish());
        let started = now();
        let reporter = run.reporter();
        let kept = reporter.report(reporter.count(run.note_begin(started)), EARLY);
        lock(&run.state).kept = kept;
        run.notifier.start();
        cleanup::halt_if_ending();
        Self { kind, started, run: Some((run, guard)) }
    }

    /// A run that is a part of another: it is recorded, and nobody is notified.
    #[must_use]
    pub fn none(kind: RunKind) -> Self {
        Self { kind, started: now(), run: None }
    }

    /// The locks are held: the record begins. `bundle` is the one that the run is about, if it is there already.
    #[must_use]
    pub fn open(&self, state_dir: &Path, root: &Path, bundle: Option<&Path>) -> Arc<Record> {
        let record = Arc::new(Record::begin(state_dir, self.kind, self.started, root, bundle));
        if let Some((run, _)) = &self.run {
            lock(&run.state).record = Some(Arc::clone(&record));
        }
        record
    }

    /// The first change is next: the `before-…` hooks run, once.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::refused`] if one of them fails.
    pub fn before(&self) -> Result<()> {
        let Some((run, _)) = &self.run else { return Ok(()) };
        if std::mem::replace(&mut lock(&run.state).is_hooked, true) {
            return Ok(());
        }
        run.hooks().before(&run.about(None))
    }

    /// Why the run ends itself, by a signal or by [`cleanup::end`], if it does: asked when it has not ended otherwise.
    pub fn on_signal(&self, why: impl Fn() -> Option<String> + Send + 'static) {
        if let Some((run, _)) = &self.run {
            lock(&run.state).why = Some(Box::new(why));
        }
    }

    /// The run has ended. What fails from here on is a warning.
    pub fn end(self, result: &Result<Exit>) {
        let exit = result.as_ref().map_or_else(status::of, |exit| *exit);
        self.end_with(exit.code(), result);
    }

    /// The same, with the exit status of the program that this run was a part of.
    pub fn end_with(self, status: u8, result: &Result<Exit>) {
        let Some((run, guard)) = self.run else { return };
        lock(&run.state).ended = Some((status, result.as_ref().err().map(status::one_line)));
        // A signal that comes meanwhile waits until this is done.
        drop(guard);
    }
}

impl Run {
    fn hooks(&self) -> Hooks<'_> {
        let limit = match cleanup::exit_status() {
            Some(_) => self.settings.hook_limit.min(LIMIT_AFTER_SIGNAL),
            None => self.settings.hook_limit,
        };
        Hooks { settings: &self.settings, kind: self.kind, limit }
    }

    fn reporter(&self) -> Reporter<'_> {
        Reporter { settings: &self.settings, notifier: &self.notifier, kind: self.kind }
    }

    fn about(&self, status: Option<u8>) -> About {
        let record = lock(&self.state).record.clone();
        About { bundle: record.and_then(|record| record.get().bundle), status }
    }

    /// Notes that this run has begun; returns the killed runs that it has to report.
    fn note_begin(&self, started: DateTime<Utc>) -> Vec<Begun> {
        let mut state = lock(&self.state);
        // The end of this run may have been reported already.
        if cleanup::is_ending() {
            return Vec::new();
        }
        match Begun::begin(&self.settings.state_dir(), self.kind, started) {
            Ok((begun, killed)) => {
                state.begun = Some(begun);
                killed
            }
            Err(error) => {
                warning!("the beginning of the run is not noted: {error:#}");
                Vec::new()
            }
        }
    }

    fn finish(&self) {
        let (ended, record, is_hooked) = {
            let mut state = lock(&self.state);
            (state.ended.take(), state.record.clone(), std::mem::take(&mut state.is_hooked))
        };
        let (status, error) = match (cleanup::exit_status(), ended) {
            (Some(status), _) => (status, None),
            (None, Some(ended)) => ended,
            (None, None) => (Exit::Failed.code(), None),
        };
        self.note_end(status, record.as_deref());
        // Also where a signal, or a failure to print, came after the runner had recorded its end.
        if let Some(record) = record.as_ref().filter(|record| record.get().status != Some(status)) {
            record.end(status);
        }
        if is_hooked {
            let when = if status == 0 { When::After } else { When::Failed };
            self.hooks().after(when, &self.about(Some(status)));
        }
        let name = lock(&self.state).begun.as_ref().map(Begun::name);
        self.notify(status, error, record.map(|record| record.get()).as_ref(), name.as_deref());
        if let Some(begun) = lock(&self.state).begun.take() {
            begun.end();
        }
        if let Some(file) = &self.settings.metrics {
            let written = metrics::write(&self.settings, file);
            written.unwrap_or_else(|error| warning!("the metrics are not written: {error:#}"));
        }
    }

    /// Notes how this run has ended, before anything can take long: until the end is reported it may be killed, and
    /// another run of its kind, which is a part of another, may replace the record.
    fn note_end(&self, status: u8, record: Option<&Record>) {
        let record = record.map(|record| {
            let mut run = record.get();
            if run.status != Some(status) {
                run.end(now(), status);
            }
            run
        });
        if let Some(begun) = &mut lock(&self.state).begun {
            let noted = begun.note(&Note { status: Some(status), record, tries: 0 });
            noted.unwrap_or_else(|error| warning!("the end of the run is not noted: {error:#}"));
        }
    }

    fn notify(
        &self,
        status: u8,
        error: Option<String>,
        record: Option<&RunRecord>,
        name: Option<&str>,
    ) {
        let mut log = lock(&self.capture).take().map(Capture::finish).unwrap_or_default();
        // The runner prints it last, when nothing is captured any more.
        log += &error.as_ref().map(|error| log::formatted(error) + "\n").unwrap_or_default();
        let mut tallies = Tallies::read(&self.settings.state_dir());
        let since = tallies.of(self.kind).failing_since;
        let secrets = self.secrets();
        let reason = match (&error, since) {
            (Some(error), _) => error.clone(),
            (None, _) if cleanup::exit_status().is_some() => self.why_ended(),
            (None, Some(since)) if status == 0 => {
                format!("after failures since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            _ => "the log has the reason".to_owned(),
        };
        let message = self.message(record, &reason);
        let kept = std::mem::take(&mut lock(&self.state).kept);
        let kept = self.reporter().report(kept, AGAIN);
        let message = match (status, since) {
            (0, None) => None,
            // A recovery from a failure that nobody received would leave that failure the last word.
            (0, Some(_)) if !kept.is_empty() => None,
            (0, Some(_)) => Some(message.recovery(&secrets)),
            _ => Some(message.failure(Some(status), &secrets)),
        };
        let delivered = self.notifier.end(status, &log, &secrets, message.as_ref());
        if status != 0 {
            tallies.failed(self.kind, name);
        }
        // A recovery that was not delivered is reported by the next success.
        if status == 0 && (delivered || self.notifier.hook.is_none()) {
            tallies.recovered(self.kind);
        }
    }

    fn why_ended(&self) -> String {
        let why = lock(&self.state).why.as_ref().and_then(|why| why());
        why.unwrap_or_else(|| "ended by a signal".to_owned())
    }

    fn message<'a>(&'a self, record: Option<&'a RunRecord>, reason: &'a str) -> Message<'a> {
        Message { settings: &self.settings, kind: self.kind, record, reason }
    }

    fn secrets(&self) -> Secrets {
        if self.notifier.is_needed() {
            Secrets::of_run(&self.settings.deploy)
        } else {
            Secrets::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::tests::serve;
    use chrono::TimeDelta;

    #[test]
    fn what_ends_itself_by_a_signal_reports_why() {
        let (settings, notifier) = (Settings::default(), Notifier::new(None, None));
        let (capture, state) = (Mutex::default(), Mutex::default());
        let run = Run { kind: RunKind::Drill, settings, notifier, capture, state };
        let run = Arc::new(run);
        let guard = cleanup::on_failure(|| {});
        let events =
            Events { kind: RunKind::Drill, started: now(), run: Some((Arc::clone(&run), guard)) };
        assert_eq!(run.why_ended(), "ended by a signal");
        for (why, shown) in [(None, "ended by a signal"), (Some("too long"), "too long")] {
            events.on_signal(move || why.map(str::to_owned));
            assert_eq!(run.why_ended(), shown);
        }
    }

    #[test]
    fn no_recovery_is_sent_before_the_failure_that_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { deploy: dir.path().to_owned(), ..Settings::default() };
        let state_dir = settings.state_dir();
        let (notifier, requests) = serve(vec![500, 500, 500, 200, 200]);
        let kind = RunKind::Backup;
        let capture = Mutex::default();
        let run = Run { kind, settings, notifier, capture, state: Mutex::default() };
        drop(Begun::begin(&state_dir, kind, now() - TimeDelta::hours(1)).unwrap());
        for _ in 0..2 {
            // A child that another test has just forked may hold the lock.
            let killed = (0..100).find_map(|_| {
                let (own, killed) = Begun::begin(&state_dir, kind, now()).unwrap();
                own.end();
                std::thread::sleep(Duration::from_millis(20));
                killed.into_iter().next()
            });
            let counted = run.reporter().count(killed.into_iter().collect());
            lock(&run.state).kept = run.reporter().report(counted, Duration::from_secs(60));
            run.notify(0, None, None, None);
        }
        let events = requests.try_iter().map(|sent| {
            let body: serde_json::Value = serde_json::from_str(sent.lines().last()?).ok()?;
            Some(body["event"].as_str()?.to_owned())
        });
        let events: Vec<_> = events.flatten().collect();
        assert_eq!(events, ["failure", "failure", "failure", "failure", "recovery"]);
        let tally = Tallies::read(&state_dir).of(kind);
        assert_eq!((tally.failures, tally.failing_since), (1, None));
    }
}
