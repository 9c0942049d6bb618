//! After a failure or a signal: the state that the deployment is left in, what can be undone at once, and the command
//! that continues.

use crate::database::{self, MayServe, may_serve};
use crate::journal::Journal;
use crate::options::Request;
use crate::run::Run;
use crate::services;
use crate::settings::Settings;
use crate::state::{Progress, State};
use crate::step::{Selection, Step};
use std::sync::Arc;

/// What is needed for it, shared between the sequence and the signal thread.
pub struct Recovery {
    settings: Arc<Settings>,
    state: Arc<State>,
    /// Which bundle is restored.
    identity: String,
    /// The command that was typed.
    again: String,
    /// The command that continues an unfinished restore.
    resume: String,
    /// The command that abandons it.
    abandon: String,
}

/// What a failure leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    /// Nothing was changed yet.
    Untouched,
    /// The old database is in place, and the application can run again.
    StartAgain,
    /// Half restored: the application must not run on it.
    LeaveStopped,
    /// The database was being replaced, and the server does not answer whether it was.
    Unknown,
    /// All data is restored; services were started, or were about to be.
    NotStarted,
}

fn aftermath(progress: &Progress, database: impl FnOnce() -> MayServe) -> Aftermath {
    match progress.step {
        None => Aftermath::Untouched,
        Some(step) if step < Step::Stop => Aftermath::Untouched,
        Some(Step::Database) if progress.has_swapped => Aftermath::LeaveStopped,
        // The server is asked, since a signal may come between the swap and our record of it, and since
        // the database in place may be one that an earlier run has left half restored.
        Some(Step::Stop | Step::Database) => match database() {
            MayServe::Yes => Aftermath::StartAgain,
            MayServe::No => Aftermath::LeaveStopped,
            MayServe::Unknown => Aftermath::Unknown,
        },
        Some(Step::Cache) if progress.has_ended => Aftermath::NotStarted,
        Some(Step::Start | Step::Health) => Aftermath::NotStarted,
        Some(_) => Aftermath::LeaveStopped,
    }
}

/// The services that stay stopped, as the end of a sentence.
fn left_stopped(progress: &Progress, stopped: &[String]) -> String {
    match progress.step {
        _ if stopped.is_empty() => String::new(),
        Some(Step::Stop) if !progress.has_ended => {
            format!("; {} may be stopped", stopped.join(" "))
        }
        _ => format!("; {} left stopped", are(stopped)),
    }
}

/// `api is` or `api worker are`.
fn are(names: &[String]) -> String {
    format!("{} {}", names.join(" "), if names.len() == 1 { "is" } else { "are" })
}

/// What a first pass over the objects may have left, as the end of a sentence. Once the database is replaced, they
/// belong to it.
fn added_objects(journal: &Journal) -> &'static str {
    match journal.adds_objects && !journal.reaches(Step::Objects) {
        true => "; objects of the bundle may be in the bucket, which was empty",
        false => "",
    }
}

impl Recovery {
    pub fn of(run: &Run) -> Self {
        let resume = run.resume_command();
        let restore = run.restore_command(run.choices);
        let again = match (run.options.request, run.selection) {
            (Request::Resume, _) => resume.clone(),
            (_, Selection::All) => restore,
            (_, Selection::From(step)) => format!("{restore} --from {step}"),
            (_, Selection::Only(step)) => format!("{restore} --only {step}"),
        };
        Self {
            settings: Arc::clone(&run.settings),
            state: Arc::clone(&run.state),
            identity: run.identity.clone(),
            abandon: run.abandon_command(),
            again,
            resume,
        }
    }

    /// Undoes what can be undone, and describes the state and the next command.
    pub fn recover(&self) -> String {
        let progress = self.state.progress();
        let journal = self.state.journal_on_disk();
        let next = match &journal {
            Some(journal) if journal.identity == self.identity => format!(
                "backup.sh refuses until the restore is finished or abandoned ({}); to continue it: {}",
                self.abandon, self.resume
            ),
            _ => format!("to try again: {}", self.again),
        };
        let objects = journal.as_ref().map(added_objects).unwrap_or_default();
        let services = services::without_done(&self.settings, &progress.stopped);
        let stopped = left_stopped(&progress, &services);
        let ask = || may_serve(journal.as_ref(), || database::status(&self.settings));
        match aftermath(&progress, ask) {
            Aftermath::Untouched => {
                let unfinished = journal.map(|journal| {
                    let bundle = journal.bundle.display();
                    format!(" by this run, and the restore of {bundle} is still unfinished")
                });
                let unfinished = unfinished.unwrap_or_default();
                format!("nothing was changed{unfinished}; to try again: {}", self.again)
            }
            Aftermath::StartAgain => {
                let services = self.start_again(&services);
                format!("the old database is as it was{objects}; {services}; {next}")
            }
            Aftermath::LeaveStopped => {
                format!("the deployment is half restored{stopped}; {next}")
            }
            Aftermath::Unknown => format!(
                "the database server does not answer, so it is not known whether the old database was \
                 replaced{objects}{stopped}; start the server; {next}"
            ),
            Aftermath::NotStarted if stopped.is_empty() => {
                format!("all data is restored, but services may not be running; {next}")
            }
            Aftermath::NotStarted => format!("all data is restored{stopped}; {next}"),
        }
    }

    fn start_again(&self, stopped: &[String]) -> String {
        if stopped.is_empty() {
            return "services are as they were".into();
        }
        let start = services::start(&self.settings, stopped);
        match start.run() {
            Ok(()) => format!("{} running again", are(stopped)),
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

    fn at(step: Step, has_swapped: bool, has_ended: bool) -> Progress {
        Progress {
            step: Some(step),
            has_swapped,
            has_ended,
            stopped: vec!["api".into()],
            ..Progress::default()
        }
    }

    #[test]
    fn until_the_swap_the_application_serves_again_and_after_it_stays_stopped() {
        use Aftermath::{LeaveStopped, NotStarted, StartAgain, Unknown, Untouched};
        for (progress, database, expected) in [
            (Progress::default(), MayServe::Yes, Untouched),
            (at(Step::Confirm, false, false), MayServe::Yes, Untouched),
            (at(Step::Preflight, false, true), MayServe::Yes, Untouched),
            (at(Step::Stop, false, false), MayServe::Yes, StartAgain),
            (at(Step::Stop, false, true), MayServe::Yes, StartAgain),
            (at(Step::Stop, false, true), MayServe::No, LeaveStopped),
            (at(Step::Stop, false, false), MayServe::Unknown, Unknown),
            (at(Step::Database, false, false), MayServe::Yes, StartAgain),
            (at(Step::Database, false, false), MayServe::No, LeaveStopped),
            (at(Step::Database, false, false), MayServe::Unknown, Unknown),
            (at(Step::Database, true, false), MayServe::Yes, LeaveStopped),
            (at(Step::Database, true, true), MayServe::No, LeaveStopped),
            (at(Step::Objects, true, false), MayServe::No, LeaveStopped),
            (at(Step::Objects, true, true), MayServe::No, LeaveStopped),
            (at(Step::Cache, true, true), MayServe::No, NotStarted),
            (at(Step::Start, true, false), MayServe::No, NotStarted),
            (at(Step::Health, true, true), MayServe::No, NotStarted),
        ] {
            assert_eq!(aftermath(&progress, || database), expected, "{progress:?} {database:?}");
        }
    }
}
