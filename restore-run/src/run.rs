//! One restore: what it restores, where to, and how.

use crate::bundle::Bundle;
use crate::commands;
use crate::database;
use crate::journal::Journal;
use crate::load_record;
use crate::options::{Choices, Options, Request};
use crate::preflight::Preflight;
use crate::resume::{self, Decision, ThisRun};
use crate::settings::Settings;
use crate::state::State;
use crate::step::Selection;
use anyhow::Result;
use pipe_kit::warning;
use std::sync::Arc;

/// What every step needs to know.
pub struct Run {
    pub bundle: Bundle,
    /// Which bundle it is, wherever it lies.
    pub identity: String,
    pub settings: Arc<Settings>,
    pub options: Options,
    /// Those of the command line, over those of the restore that this run continues.
    pub choices: Choices,
    pub selection: Selection,
    /// The unfinished restore in whose place this one begins.
    pub replaced: Option<Journal>,
    pub state: Arc<State>,
}

impl Run {
    /// Decides what the run does; changes nothing.
    ///
    /// # Errors
    /// As [`resume::decide`].
    pub fn new(bundle: Bundle, settings: Settings, options: Options) -> Result<Self> {
        let path = settings.journal();
        let identity = bundle.identity()?;
        let this = ThisRun {
            identity: &identity,
            target: &settings.target(),
            restore: &commands::restore(&settings.deploy, &bundle.dir, Choices::default()),
            abandon: &commands::abandon(&settings.deploy),
        };
        let in_place = |journal: &Journal| database::in_place(journal, database::status(&settings));
        let journal = match Journal::read(&path)? {
            Some(journal) => Some(journal.with_record(load_record::read(&settings.load_record())?)),
            None => None,
        };
        let decision = resume::decide(options.request, journal, &this, in_place)?;
        let Decision { selection, journal, replaced } = decision;
        let choices = match (&journal, options.request) {
            (Some(journal), Request::Resume) => options.choices.over(journal.choices),
            _ => options.choices,
        };
        let state = Arc::new(State::new(path, journal));
        let settings = Arc::new(settings);
        Ok(Self { bundle, identity, settings, options, choices, selection, replaced, state })
    }

    /// The command that restores this bundle, with these options.
    pub fn restore_command(&self, choices: Choices) -> String {
        commands::restore(&self.settings.deploy, &self.bundle.dir, choices)
    }

    /// The command that continues this restore.
    pub fn resume_command(&self) -> String {
        format!("{} --resume", self.restore_command(Choices::default()))
    }

    /// The command that abandons this restore.
    pub fn abandon_command(&self) -> String {
        commands::abandon(&self.settings.deploy)
    }

    /// Warns of an unfinished restore, with the next command.
    pub fn warn_if_unfinished(&self) {
        if self.state.journal().is_some() {
            warning!(
                "the restore is unfinished, and backup.sh refuses until it is finished: {}; or abandoned: {}",
                self.resume_command(),
                self.abandon_command()
            );
        }
    }

    /// What is checked before harm.
    pub fn preflight_checks(&self) -> Preflight<'_> {
        Preflight {
            bundle: &self.bundle,
            settings: &self.settings,
            drop_first: self.choices.drop_first,
            keep_going: self.choices.keep_going,
        }
    }
}
