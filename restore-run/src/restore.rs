//! The sequence itself.

pub mod health;
mod ledger;
mod progress;
mod rehearsal;
mod steps;
pub mod swap;
mod take_up;

use crate::bundle::Bundle;
use crate::journal::{self, Journal};
use crate::lock;
use crate::options::{Asked, Choices, Options};
use crate::prompt::Answers;
use crate::settings::Settings;
use crate::step::{Selection, Step};
use crate::summary::database_status;
use anyhow::Result;
use ledger::Ledger;
use pipe_kit::{Exit, Stop, cleanup, say, warning};
use progress::Progress;
use std::cell::Cell;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use swap::same_server;
use take_up::{Here, TakenUp, take_up};

/// Restores the deployment from the bundle.
///
/// # Errors
/// Names the step that failed, the state things are in, and the command that goes on from there.
pub fn run(dir: &Path, settings: &Settings, options: &Options) -> Result<Exit> {
    let bundle = Bundle::open(dir)?;
    if options.dry_run {
        let restore = Restore::new(bundle, settings, options)?;
        return restore.rehearse();
    }
    let _locks = lock::take(&settings.state_dir(), bundle.root())?;
    let restore = Restore::new(bundle, settings, options)?;
    let stdin = std::io::stdin();
    let typed = stdin.is_terminal();
    restore.run_steps(&mut Answers::new(stdin.lock(), typed))
}

struct Restore<'a> {
    bundle: Bundle,
    identity: String,
    settings: &'a Settings,
    options: &'a Options,
    /// Those of the command line, over those of the restore that this run goes on from.
    choices: Choices,
    selection: Selection,
    /// The unfinished restore that this one begins anew.
    carried: Option<Journal>,
    /// Whether something of the bundle was seen to be damaged before the journal began.
    damaged: Cell<bool>,
    ledger: Ledger,
}

impl<'a> Restore<'a> {
    fn new(bundle: Bundle, settings: &'a Settings, options: &'a Options) -> Result<Self> {
        let path = journal::path(settings);
        let identity = bundle.identity()?;
        let here = Here {
            identity: &identity,
            target: &journal::target(settings),
            command: &restore_command(settings, &bundle, Choices::default()),
            abandon: &abandon_command(settings),
        };
        let TakenUp { selection, journal, carried } =
            take_up(options.asked, Journal::read(&path)?, &here, |journal| {
                swap::seen(journal, database_status())
            })?;
        let choices = match (&journal, options.asked) {
            (Some(journal), Asked::Resume) => options.choices.over(journal.choices),
            _ => options.choices,
        };
        let ledger = Ledger::new(path, journal);
        let damaged = Cell::new(false);
        Ok(Self {
            bundle,
            identity,
            settings,
            options,
            choices,
            selection,
            carried,
            damaged,
            ledger,
        })
    }

    fn run_steps(&self, answers: &mut Answers<impl BufRead>) -> Result<Exit> {
        let progress = Arc::new(Progress::new(self));
        let on_signal = {
            let progress = Arc::clone(&progress);
            cleanup::on_failure(move || warning!("{}", progress.recover()))
        };
        if let (Asked::Resume, Some(journal)) = (self.options.asked, self.ledger.journal()) {
            say!("going on with the restore of {}, finished up to {}", journal.since, journal.done);
        }
        let mut exit = Exit::Done;
        let total = Step::ALL.len();
        for step in self.selection.steps() {
            let started = Instant::now();
            progress.begin(step);
            say!("[{}/{total}] {step} …", step.number());
            match self.take(step, answers, &progress) {
                Ok(outcome) => exit = outcome,
                Err(error) => {
                    on_signal.disarm();
                    let what = format!("[{}/{total}] {step}: {error:#}", step.number());
                    let exit = pipe_kit::status::of(&error);
                    let recovery = progress.recover();
                    return Err(Stop::with_exit(exit, format!("{what}; {recovery}")).into());
                }
            }
            say!("[{}/{total}] {step}: {:.1} s", step.number(), started.elapsed().as_secs_f64());
            if step < Step::Health {
                // Noted before it counts as ended: a signal in between only repeats the step.
                self.ledger.note(|journal| journal.finish(step))?;
            }
            progress.end(step);
        }
        on_signal.disarm();
        if exit == Exit::Done && matches!(self.selection, Selection::Only(_)) {
            self.tell_how_to_go_on();
        }
        Ok(exit)
    }

    fn take(
        &self,
        step: Step,
        answers: &mut Answers<impl BufRead>,
        progress: &Progress,
    ) -> Result<Exit> {
        self.begin_journal(step)?;
        match step {
            Step::Validate => self.validate()?,
            Step::Summary => self.show_summary(),
            Step::Confirm => self.confirm(answers)?,
            Step::Preflight => self.preflight()?,
            Step::Stop => self.stop(progress)?,
            Step::Database => self.database(progress)?,
            Step::Objects => self.objects()?,
            Step::Config => self.config(answers)?,
            Step::Cache => self.cache()?,
            Step::Start => self.start(progress)?,
            Step::Health => return self.health(),
        }
        Ok(Exit::Done)
    }

    /// From the first step that takes something away on, a restore is unfinished until it is
    /// complete. A step by hand is not: but for the database, whose old one is kept.
    fn begin_journal(&self, step: Step) -> Result<()> {
        let begins = match self.selection {
            Selection::Only(only) => only == Step::Database && step == only,
            Selection::All | Selection::From(_) => step == Step::Stop,
        };
        if !begins {
            return Ok(());
        }
        let before_first = match self.selection {
            Selection::From(first) => first.max(Step::Stop).before(),
            Selection::Only(first) => first.before(),
            Selection::All => None,
        };
        self.ledger.begin(|| {
            let now = database_status()?;
            let carried = self.carried.as_ref().filter(|carried| same_server(carried, &now));
            let half = carried.filter(|carried| !carried.reaches(Step::Health));
            Ok(Journal {
                bundle: self.bundle.dir.clone(),
                identity: self.identity.clone(),
                target: journal::target(self.settings),
                serves: half.map_or(now.oid, |carried| carried.serves),
                server: now.system_identifier,
                since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                done: before_first.unwrap_or(Step::Preflight),
                choices: self.choices,
                load: None,
                previous: carried.map(|carried| carried.previous.clone()).unwrap_or_default(),
                config: false,
                incomplete: self.damaged.get(),
            })
        })
    }
}

/// `bash …/restore.sh BUNDLE` with a run's options.
fn restore_command(settings: &Settings, bundle: &Bundle, choices: Choices) -> String {
    let bundle = bundle.dir.to_string_lossy();
    let words = std::iter::once(&*bundle).chain(choices.to_words());
    restore_script(settings, words)
}

/// `bash …/restore.sh --abandon`
fn abandon_command(settings: &Settings) -> String {
    restore_script(settings, ["--abandon"])
}

fn restore_script<'a>(settings: &Settings, words: impl IntoIterator<Item = &'a str>) -> String {
    let script = settings.deploy.join("scripts/restore.sh");
    let script = script.to_string_lossy();
    let words = words.into_iter();
    format!("bash {} {}", shell_words::quote(&script), shell_words::join(words))
}
