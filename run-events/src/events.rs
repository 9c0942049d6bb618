//! The events of a run: one call at its start, one under its locks, one at its end.

use crate::hooks::{About, Hooks, When};
use crate::record::Record;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::RunKind;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, status};
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
    /// None for a run that is a part of another.
    run: Option<(Arc<Run>, Guard)>,
}

struct Run {
    kind: RunKind,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Option<Arc<Record>>,
    /// Whether hooks of before were reached.
    is_hooked: bool,
    /// The exit status, once the runner has one.
    status: Option<u8>,
}

impl Events {
    /// A run begins.
    #[must_use]
    pub fn begin(kind: RunKind) -> Self {
        let Some(settings) = Settings::from_environment() else { return Self::none(kind) };
        let run = Arc::new(Run { kind, settings, state: Mutex::default() });
        let ended = Arc::clone(&run);
        let guard = cleanup::on_failure(move || ended.finish());
        Self { kind, run: Some((run, guard)) }
    }

    /// A run that is a part of another: it is recorded, and nobody is notified.
    #[must_use]
    pub fn none(kind: RunKind) -> Self {
        Self { kind, run: None }
    }

    /// The locks are held: the record begins. `bundle` is the one that the run is about, if it is there already.
    #[must_use]
    pub fn open(&self, state_dir: &Path, root: &Path, bundle: Option<&Path>) -> Arc<Record> {
        let record = Arc::new(Record::begin(state_dir, self.kind, root, bundle));
        if let Some((run, _)) = &self.run {
            lock(&run.state).record = Some(Arc::clone(&record));
        }
        record
    }

    /// The first change is next: hooks of before run, once.
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

    /// The run has ended. What fails from here on is a warning.
    pub fn end(self, result: &Result<Exit>) {
        let Some((run, guard)) = self.run else { return };
        let exit = result.as_ref().map_or_else(status::of, |exit| *exit);
        lock(&run.state).status = Some(exit.code());
        // A signal that comes meanwhile waits until this is done.
        drop(guard);
    }
}

impl Run {
    fn hooks(&self) -> Hooks<'_> {
        let limit = match cleanup::signal() {
            Some(_) => self.settings.hook_limit.min(LIMIT_AFTER_SIGNAL),
            None => self.settings.hook_limit,
        };
        Hooks { settings: &self.settings, kind: self.kind, limit }
    }

    fn about(&self, status: Option<u8>) -> About {
        let record = lock(&self.state).record.clone();
        About { bundle: record.and_then(|record| record.get().bundle), status }
    }

    fn finish(&self) {
        let (status, record, is_hooked) = {
            let mut state = lock(&self.state);
            let signal = cleanup::exit_status();
            let status = signal.or(state.status).unwrap_or(Exit::Failed.code());
            (status, state.record.clone(), std::mem::take(&mut state.is_hooked))
        };
        if let Some(record) = record.filter(|record| record.get().ended.is_none()) {
            record.end(status);
        }
        if is_hooked {
            let when = if status == 0 { When::After } else { When::Failed };
            self.hooks().after(when, &self.about(Some(status)));
        }
    }
}
