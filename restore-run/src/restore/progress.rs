//! How far a restore has come, and so: what state a failure or a signal leaves the deployment in,
//! what can be put back at once, and which command goes on from there.

use super::swap::{Seen, seen};
use super::{Restore, restore_command};
use crate::options::{Asked, Choices};
use crate::services;
use crate::settings::Settings;
use crate::step::{Selection, Step};
use crate::summary::database_status;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared between the sequence and the signal thread.
pub struct Progress {
    settings: Settings,
    /// The journal: as long as it is there, the restore is unfinished.
    journal: PathBuf,
    /// The command that was typed.
    again: String,
    /// The command that goes on from an unfinished restore.
    resume: String,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    step: Option<Step>,
    /// The step before is whole; `step` is the last one that was.
    between: bool,
    /// The application services that this run has stopped, and not begun to start again.
    stopped: Vec<String>,
    /// The database's oid before the load.
    before: Option<u32>,
    swapped: bool,
}

/// What a failure leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    /// No harm was done yet.
    Untouched,
    /// The old database is in place and the application can serve again.
    StartAgain,
    /// Half restored: the application must not run on it.
    LeaveStopped,
    /// The database was being replaced, and the server does not say whether it was.
    NotKnown,
    /// All data is restored; services were started, or were about to be.
    NotStarted,
}

fn aftermath(now: &Now, database: impl FnOnce() -> Seen) -> Aftermath {
    match now.step {
        None => Aftermath::Untouched,
        Some(step) if step < Step::Stop => Aftermath::Untouched,
        Some(Step::Stop) => Aftermath::StartAgain,
        Some(Step::Database) if now.swapped => Aftermath::LeaveStopped,
        // Not even our own record is believed: a signal may come between the swap and its note.
        Some(Step::Database) => match database() {
            Seen::Same => Aftermath::StartAgain,
            Seen::Other => Aftermath::LeaveStopped,
            Seen::Missing => Aftermath::LeaveStopped,
            Seen::Unknown => Aftermath::NotKnown,
        },
        Some(Step::Cache) if now.between => Aftermath::NotStarted,
        Some(Step::Start | Step::Health) => Aftermath::NotStarted,
        Some(_) => Aftermath::LeaveStopped,
    }
}

impl Progress {
    pub fn new(restore: &Restore) -> Self {
        let command = |choices| restore_command(restore.settings, &restore.bundle, choices);
        let resume = format!("{} --resume", command(Choices::default()));
        let again = match (restore.options.asked, restore.selection) {
            (Asked::Resume, _) => resume.clone(),
            (_, Selection::All) => command(restore.choices),
            (_, Selection::From(step)) => format!("{} --from {step}", command(restore.choices)),
            (_, Selection::Only(step)) => format!("{} --only {step}", command(restore.choices)),
        };
        Self {
            settings: restore.settings.clone(),
            journal: restore.ledger.path().to_owned(),
            again,
            resume,
            now: Mutex::default(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, step: Step) {
        let mut now = self.now();
        now.step = Some(step);
        now.between = false;
    }

    pub fn end(&self, step: Step) {
        let mut now = self.now();
        now.step = Some(step);
        now.between = true;
    }

    pub fn stopping(&self, names: &[String]) {
        self.now().stopped = names.to_vec();
    }

    pub fn has_stopped(&self) -> bool {
        !self.now().stopped.is_empty()
    }

    pub fn starting(&self) {
        self.now().stopped.clear();
    }

    /// The load begins on the database with this oid.
    pub fn loading(&self, before: Option<u32>) {
        self.now().before = before;
    }

    pub fn swapped(&self) {
        self.now().swapped = true;
    }

    /// Puts back what can be put back, and tells the state and the next command.
    pub fn recover(&self) -> String {
        let now = self.now().clone();
        let go_on = match self.journal.exists() {
            true => format!(
                "backup.sh refuses until the restore is finished or given up (restore.sh --abandon); \
                 to go on from there: {}",
                self.resume
            ),
            false => format!("to try again: {}", self.again),
        };
        let stopped = Self::left_stopped(&now.stopped);
        match aftermath(&now, || seen(now.before, database_status())) {
            Aftermath::Untouched => format!("nothing was changed; to try again: {}", self.again),
            Aftermath::StartAgain => {
                let services = self.start_again(&now.stopped);
                format!("the old database is as it was; {services}; {go_on}")
            }
            Aftermath::LeaveStopped => {
                format!("the deployment is half restored{stopped}; {go_on}")
            }
            Aftermath::NotKnown => format!(
                "the database server does not answer, so that it is not known whether the old database \
                 was replaced{stopped}; once it answers, {go_on}"
            ),
            Aftermath::NotStarted if stopped.is_empty() => {
                format!("all data is restored, but services may not be running; {go_on}")
            }
            Aftermath::NotStarted => format!("all data is restored{stopped}; {go_on}"),
        }
    }

    fn left_stopped(stopped: &[String]) -> String {
        match stopped {
            [] => String::new(),
            names => format!("; {} are left stopped", names.join(" ")),
        }
    }

    fn start_again(&self, stopped: &[String]) -> String {
        if stopped.is_empty() {
            return "no service was stopped".into();
        }
        let start = services::start(&self.settings, stopped);
        match start.run() {
            Ok(()) => format!("{} run again", stopped.join(" ")),
            Err(error) => {
                format!(
                    "{} may not be running ({error:#}): {}",
                    stopped.join(" "),
                    start.to_shell()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: Step, swapped: bool, between: bool) -> Now {
        Now { step: Some(step), swapped, between, stopped: vec!["api".into()], before: Some(7) }
    }

    #[test]
    fn until_the_swap_the_application_serves_again_and_after_it_stays_stopped() {
        use Aftermath::{LeaveStopped, NotKnown, NotStarted, StartAgain, Untouched};
        for (now, database, expected) in [
            (Now::default(), Seen::Same, Untouched),
            (at(Step::Confirm, false, false), Seen::Same, Untouched),
            (at(Step::Preflight, false, true), Seen::Same, Untouched),
            (at(Step::Stop, false, false), Seen::Same, StartAgain),
            (at(Step::Stop, false, true), Seen::Same, StartAgain),
            (at(Step::Database, false, false), Seen::Same, StartAgain),
            (at(Step::Database, false, false), Seen::Missing, LeaveStopped),
            (at(Step::Database, false, false), Seen::Other, LeaveStopped),
            (at(Step::Database, false, false), Seen::Unknown, NotKnown),
            (at(Step::Database, true, false), Seen::Same, LeaveStopped),
            (at(Step::Database, true, true), Seen::Other, LeaveStopped),
            (at(Step::Objects, true, false), Seen::Other, LeaveStopped),
            (at(Step::Objects, true, true), Seen::Other, LeaveStopped),
            (at(Step::Cache, true, true), Seen::Other, NotStarted),
            (at(Step::Start, true, false), Seen::Other, NotStarted),
            (at(Step::Health, true, true), Seen::Other, NotStarted),
        ] {
            assert_eq!(aftermath(&now, || database), expected, "{now:?} {database:?}");
        }
    }
}
