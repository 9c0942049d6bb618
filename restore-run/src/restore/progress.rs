//! How far a restore has come, and so: what state a failure or a signal leaves the deployment in,
//! what can be put back at once, and which command goes on from there.

use super::{ConfigChoice, Options};
use crate::bundle::Bundle;
use crate::services;
use crate::settings::Settings;
use crate::step::Step;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared between the sequence and the signal thread.
pub struct Progress {
    settings: Settings,
    /// `bash …/restore.sh BUNDLE` with this run's options.
    command: String,
    drop_first: bool,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    step: Option<Step>,
    /// The step before is whole; `step` is the last one that was.
    between: bool,
    /// The application services that this run has stopped.
    stopped: Vec<String>,
    swapped: bool,
}

/// What a failure leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    /// No harm was done yet.
    Untouched,
    /// The old database is in place and the application can serve again.
    StartAgain,
    /// Half restored: the application must not run on it. Go on from this step.
    LeaveStopped(Step),
}

fn aftermath(now: &Now, drop_first: bool) -> Aftermath {
    match now.step {
        None => Aftermath::Untouched,
        Some(step) if step < Step::Stop => Aftermath::Untouched,
        Some(Step::Stop) => Aftermath::StartAgain,
        Some(Step::Database) if !drop_first && !now.swapped => Aftermath::StartAgain,
        Some(Step::Database) if now.swapped => Aftermath::LeaveStopped(Step::Objects),
        Some(step) if now.between => {
            let next = Step::ALL.iter().find(|s| **s > step);
            Aftermath::LeaveStopped(next.copied().unwrap_or(step))
        }
        Some(step) => Aftermath::LeaveStopped(step),
    }
}

impl Progress {
    pub fn new(settings: &Settings, bundle: &Bundle, options: &Options) -> Self {
        let script = settings.deploy.join("scripts/restore.sh");
        let mut words =
            vec![script.to_string_lossy().into_owned(), bundle.dir.to_string_lossy().into_owned()];
        words.extend(options.force_config.then(|| "--force-config".into()));
        words.extend(options.drop_first.then(|| "--drop-first".into()));
        match options.config {
            ConfigChoice::Yes => words.extend(["--config".into(), "yes".into()]),
            ConfigChoice::No => words.extend(["--config".into(), "no".into()]),
            ConfigChoice::Ask => {}
        }
        Self {
            settings: settings.clone(),
            command: format!("bash {}", shell_words::join(&words)),
            drop_first: options.drop_first,
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

    pub fn swapped(&self) {
        self.now().swapped = true;
    }

    /// Puts back what can be put back, and tells the state and the next command.
    pub fn recover(&self) -> String {
        let now = self.now().clone();
        let command = &self.command;
        match aftermath(&now, self.drop_first) {
            Aftermath::Untouched => format!("nothing was changed; to try again: {command}"),
            Aftermath::StartAgain => {
                let services = self.start_again(&now.stopped);
                format!("the old database is as it was; {services}; to try again: {command}")
            }
            Aftermath::LeaveStopped(step) => {
                let stopped = if now.stopped.is_empty() {
                    "the deployment is half restored".to_owned()
                } else {
                    format!(
                        "the deployment is half restored, so {} are left stopped",
                        now.stopped.join(" ")
                    )
                };
                format!("{stopped}; to go on from there: {command} --from {step}")
            }
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
                    "{} did not start again ({error:#}): {}",
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
        use Aftermath::{LeaveStopped, StartAgain, Untouched};
        for (now, drop_first, expected) in [
            (Now::default(), false, Untouched),
            (at(Step::Confirm, false, false), false, Untouched),
            (at(Step::Preflight, false, true), false, Untouched),
            (at(Step::Stop, false, false), false, StartAgain),
            (at(Step::Stop, false, true), true, StartAgain),
            (at(Step::Database, false, false), false, StartAgain),
            (at(Step::Database, false, false), true, LeaveStopped(Step::Database)),
            (at(Step::Database, true, false), false, LeaveStopped(Step::Objects)),
            (at(Step::Database, true, true), true, LeaveStopped(Step::Objects)),
            (at(Step::Objects, true, false), false, LeaveStopped(Step::Objects)),
            (at(Step::Cache, true, true), false, LeaveStopped(Step::Start)),
            (at(Step::Health, true, true), false, LeaveStopped(Step::Health)),
        ] {
            assert_eq!(aftermath(&now, drop_first), expected, "{now:?} {drop_first}");
        }
    }
}
