//! The sequence itself.

use crate::bundle::Bundle;
use crate::database;
use crate::journal::Journal;
use crate::options::{Options, Request};
use crate::prompt::Answers;
use crate::recovery::Recovery;
use crate::run::Run;
use crate::settings::Settings;
use crate::step::{Selection, Step};
use anyhow::Result;
use bundle_format::report::RunKind;
use pipe_kit::lock::{self, Lock};
use pipe_kit::{Exit, Stop, cleanup, info, warning};
use run_events::{Events, Record};
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;

/// Who may hold the locks.
pub const HOLDER: &str = "another backup or restore";

/// Restores the deployment from the bundle.
///
/// # Errors
/// The error names the step that failed, the state that the deployment is in, and the command that continues.
pub fn run(dir: &Path, settings: Settings, options: Options) -> Result<Exit> {
    let bundle = Bundle::open(dir);
    if options.dry_run {
        return Run::new(bundle?, settings, options)?.dry_run();
    }
    let kind = RunKind::Restore;
    // A path that leads to no bundle is a mistyped command. A bundle that cannot be restored any more is a failure.
    let events = if Bundle::is_one(dir) { Events::begin(kind) } else { Events::none(kind) };
    let mut locks = Vec::new();
    let result = bundle.and_then(|b| restore(b, settings, options, &events, &mut locks));
    events.end(&result);
    result
}

/// Restores the deployment. The locks are the caller's to release.
fn restore(
    bundle: Bundle,
    settings: Settings,
    options: Options,
    events: &Events,
    locks: &mut Vec<Lock>,
) -> Result<Exit> {
    let root = options.root_lock.then(|| bundle.root());
    *locks = take_locks(&settings.state_dir(), root)?;
    let run = Run::new(bundle, settings, options)?;
    let (state, bundle) = (run.settings.state_dir(), &run.bundle);
    let record = events.open(&state, bundle.root(), Some(&bundle.dir));
    record.change(|run| run.bytes = bundle.bytes());
    let stdin = io::stdin();
    let is_typed = stdin.is_terminal();
    run.run_steps(&mut Answers::new(stdin.lock(), is_typed), events, &record)
}

/// Takes the lock of the deployment and that of a bundle's root.
///
/// # Errors
/// [`Stop::refused`] if another process holds one of them.
pub fn take_locks(state_dir: &Path, root: Option<&Path>) -> Result<Vec<Lock>> {
    let mut locks = vec![lock::take_directory(state_dir, HOLDER)?];
    let Some(root) = root else { return Ok(locks) };
    match lock::take(&root.join(".lock"), HOLDER) {
        Ok(lock) => locks.push(lock),
        // No backup prunes there either.
        Err(error) if is_read_only(&error) => {
            info!("{} is read-only; it is not locked", root.display());
        }
        Err(error) => return Err(error),
    }
    Ok(locks)
}

fn is_read_only(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|e| matches!(e.kind(), ReadOnlyFilesystem | PermissionDenied))
}

impl Run {
    fn run_steps(
        &self,
        answers: &mut Answers<impl BufRead>,
        events: &Events,
        record: &Record,
    ) -> Result<Exit> {
        let recovery = Arc::new(Recovery::of(self));
        let on_signal = {
            let recovery = Arc::clone(&recovery);
            cleanup::on_failure(move || warning!("{}", recovery.recover()))
        };
        if let (Request::Resume, Some(journal)) = (self.options.request, self.state.journal()) {
            info!("continuing the restore of {}, finished up to {}", journal.since, journal.done);
        }
        let mut exit = Exit::Done;
        for step in self.selection.steps() {
            self.state.begin(step);
            record.begin_stage(step.name());
            let run_step = || {
                if step.is_destructive() {
                    events.before()?;
                }
                self.run_step(step, answers)
            };
            let (ended, took) = step.heading().time(run_step);
            let status = ended.as_ref().map_or_else(pipe_kit::status::of, |exit| *exit);
            record.end_stage(took, status.code());
            match ended {
                Ok(outcome) => exit = outcome,
                Err(error) => {
                    on_signal.disarm();
                    let exit = pipe_kit::status::of(&error);
                    let state = recovery.recover();
                    let message = format!("{}: {error:#}; {state}", step.heading());
                    return Err(Stop::with_exit(exit, message).into());
                }
            }
            self.state.end(step)?;
        }
        on_signal.disarm();
        if exit == Exit::Done && matches!(self.selection, Selection::Only(_)) {
            self.warn_if_unfinished();
        }
        Ok(exit)
    }

    fn run_step(&self, step: Step, answers: &mut Answers<impl BufRead>) -> Result<Exit> {
        if self.begins_journal(step) && self.state.journal().is_none() {
            self.state.open_journal(self.new_journal()?)?;
        }
        match step {
            Step::Validate => self.validate()?,
            Step::Summary => self.show_summary(),
            Step::Confirm => self.confirm(answers)?,
            Step::Preflight => self.preflight()?,
            Step::Stop => self.stop()?,
            Step::Database => self.database()?,
            Step::Objects => self.objects()?,
            Step::Config => self.config(answers)?,
            Step::Cache => self.cache()?,
            Step::Start => self.start()?,
            Step::Health => return self.health(),
        }
        Ok(Exit::Done)
    }

    /// From the first step that takes something away on, a restore is unfinished until it is
    /// complete. A single step does not begin one, except the database step, whose old database is kept.
    fn begins_journal(&self, step: Step) -> bool {
        match self.selection {
            Selection::Only(only) => only == Step::Database && step == only,
            Selection::All | Selection::From(_) => step == Step::Stop,
        }
    }

    fn new_journal(&self) -> Result<Journal> {
        let before_first = match self.selection {
            Selection::From(first) => first.max(Step::Stop).before(),
            Selection::Only(first) => first.before(),
            Selection::All => None,
        };
        let now = database::status(&self.settings)?;
        let replaced =
            self.replaced.as_ref().filter(|replaced| database::is_same_server(replaced, &now));
        let half = replaced.filter(|replaced| !replaced.reaches(Step::Health));
        Ok(Journal {
            bundle: self.bundle.dir.clone(),
            identity: self.identity.clone(),
            target: self.settings.target(),
            serves: half.map_or(now.oid, |replaced| replaced.serves),
            server: now.system_identifier,
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            done: before_first.unwrap_or(Step::Preflight),
            choices: self.choices,
            load: None,
            adds_objects: replaced.is_some_and(|replaced| replaced.adds_objects),
            previous: replaced.map(|replaced| replaced.previous.clone()).unwrap_or_default(),
            appeared: Vec::new(),
            ran: self.replaced.as_ref().map_or_else(|| Some(Vec::new()), |old| old.ran.clone()),
            config: false,
            incomplete: self.state.progress().is_damaged,
        })
    }
}
