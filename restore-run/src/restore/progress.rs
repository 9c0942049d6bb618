//! How far a restore has come, and so: what state a failure or a signal leaves the deployment in,
//! what can be put back at once, and which command goes on from there.

use super::swap::{Serves, serves};
use super::{Restore, abandon_command, restore_command};
use crate::journal::Journal;
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
    /// Which bundle is restored.
    identity: String,
    /// The command that was typed.
    again: String,
    /// The command that goes on from an unfinished restore.
    resume: String,
    /// The command that gives it up.
    abandon: String,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    step: Option<Step>,
    /// The step before is whole; `step` is the last one that was.
    between: bool,
    /// The application services that this run has stopped, and not begun to start again.
    stopped: Vec<String>,
    swapped: bool,
}

impl Now {
    fn left_stopped(&self) -> String {
        let names = self.stopped.join(" ");
        match self.step {
            _ if names.is_empty() => names,
            Some(Step::Stop) if !self.between => format!("; {names} may be stopped"),
            _ => format!("; {names} are left stopped"),
        }
    }
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

fn aftermath(now: &Now, database: impl FnOnce() -> Serves) -> Aftermath {
    match now.step {
        None => Aftermath::Untouched,
        Some(step) if step < Step::Stop => Aftermath::Untouched,
        Some(Step::Database) if now.swapped => Aftermath::LeaveStopped,
        // Not even our own record is believed: a signal may come between the swap and its note.
        // And before it, what is in place may be what an earlier run has left half restored.
        Some(Step::Stop | Step::Database) => match database() {
            Serves::Yes => Aftermath::StartAgain,
            Serves::No => Aftermath::LeaveStopped,
            Serves::Unknown => Aftermath::NotKnown,
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
            identity: restore.identity.clone(),
            abandon: abandon_command(restore.settings),
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

    pub fn swapped(&self) {
        self.now().swapped = true;
    }

    /// Puts back what can be put back, and tells the state and the next command.
    pub fn recover(&self) -> String {
        let now = self.now().clone();
        let journal = Journal::read(&self.journal).ok().flatten();
        let go_on = match &journal {
            Some(journal) if journal.identity == self.identity => format!(
                "backup.sh refuses until the restore is finished or given up ({}); to go on from there: {}",
                self.abandon, self.resume
            ),
            _ => format!("to try again: {}", self.again),
        };
        let stopped = now.left_stopped();
        match aftermath(&now, || serves(journal.as_ref(), database_status)) {
            Aftermath::Untouched => {
                let unfinished = journal.map(|journal| {
                    let bundle = journal.bundle.display();
                    format!(
                        " by this run, and the restore of {bundle} is as unfinished as before it"
                    )
                });
                let unfinished = unfinished.unwrap_or_default();
                format!("nothing was changed{unfinished}; to try again: {}", self.again)
            }
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
        Now { step: Some(step), swapped, between, stopped: vec!["api".into()] }
    }

    #[test]
    fn until_the_swap_the_application_serves_again_and_after_it_stays_stopped() {
        use Aftermath::{LeaveStopped, NotKnown, NotStarted, StartAgain, Untouched};
        for (now, database, expected) in [
            (Now::default(), Serves::Yes, Untouched),
            (at(Step::Confirm, false, false), Serves::Yes, Untouched),
            (at(Step::Preflight, false, true), Serves::Yes, Untouched),
            (at(Step::Stop, false, false), Serves::Yes, StartAgain),
            (at(Step::Stop, false, true), Serves::Yes, StartAgain),
            (at(Step::Stop, false, true), Serves::No, LeaveStopped),
            (at(Step::Stop, false, false), Serves::Unknown, NotKnown),
            (at(Step::Database, false, false), Serves::Yes, StartAgain),
            (at(Step::Database, false, false), Serves::No, LeaveStopped),
            (at(Step::Database, false, false), Serves::Unknown, NotKnown),
            (at(Step::Database, true, false), Serves::Yes, LeaveStopped),
            (at(Step::Database, true, true), Serves::No, LeaveStopped),
            (at(Step::Objects, true, false), Serves::No, LeaveStopped),
            (at(Step::Objects, true, true), Serves::No, LeaveStopped),
            (at(Step::Cache, true, true), Serves::No, NotStarted),
            (at(Step::Start, true, false), Serves::No, NotStarted),
            (at(Step::Health, true, true), Serves::No, NotStarted),
        ] {
            assert_eq!(aftermath(&now, || database), expected, "{now:?} {database:?}");
        }
    }
}
