//! The options of the command line.

use crate::step::{Selection, Step};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What to do with `secrets/` and `certs/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigChoice {
    /// Restore them.
    Yes,
    /// Leave them.
    No,
    /// Ask.
    #[default]
    Ask,
}

/// How a restore is done. A run that continues another keeps that one's choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// What to do with `secrets/` and `certs/`.
    pub config: ConfigChoice,
    /// Replace `.env` too.
    pub force_config: bool,
    /// Drop the old database before the new one is loaded.
    pub drop_first: bool,
    /// Restore a bundle although it is damaged.
    pub skip_verify: bool,
    /// Restore all rows, and leave out what cannot be made of what is derived from them.
    #[serde(default)]
    pub keep_going: bool,
}

impl Choices {
    /// These, and those of an earlier run where these leave the choice open.
    pub fn over(self, earlier: Self) -> Self {
        Self {
            config: match self.config {
                ConfigChoice::Ask => earlier.config,
                chosen => chosen,
            },
            force_config: self.force_config || earlier.force_config,
            drop_first: self.drop_first || earlier.drop_first,
            skip_verify: self.skip_verify || earlier.skip_verify,
            keep_going: self.keep_going || earlier.keep_going,
        }
    }

    /// As arguments of a command line.
    pub fn to_words(self) -> Vec<&'static str> {
        let flags = [
            (self.force_config, "--force-config"),
            (self.drop_first, "--drop-first"),
            (self.skip_verify, "--skip-verify"),
            (self.keep_going, "--keep-going"),
        ];
        let mut words: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, w)| *w).collect();
        match self.config {
            ConfigChoice::Yes => words.extend(["--config", "yes"]),
            ConfigChoice::No => words.extend(["--config", "no"]),
            ConfigChoice::Ask => {}
        }
        words
    }
}

/// What a run is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// These steps, whatever an earlier run has done.
    Steps(Selection),
    /// The steps that an unfinished restore has left to do.
    Resume,
}

impl Request {
    /// From the options, of which clap accepts one.
    pub fn of(resume: bool, from: Option<Step>, only: Option<Step>) -> Self {
        match (resume, from, only) {
            (true, ..) => Self::Resume,
            (_, Some(step), _) => Self::Steps(Selection::From(step)),
            (_, _, Some(step)) => Self::Steps(Selection::Only(step)),
            _ => Self::Steps(Selection::All),
        }
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Options {
    pub request: Request,
    pub choices: Choices,
    /// The answer to the question of the confirm step.
    pub confirm: Option<String>,
    /// Change nothing.
    pub dry_run: bool,
    /// Take a bundle of the present state first.
    pub safety_backup: bool,
    /// Take the lock of the bundle's root.
    pub root_lock: bool,
    /// How long services that start are waited for, in seconds.
    pub wait_seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_continues_keeps_the_choices_of_the_first() {
        let first = Choices { force_config: true, config: ConfigChoice::No, ..Choices::default() };
        assert_eq!(Choices::default().over(first), first);
        let now = Choices { config: ConfigChoice::Yes, ..Choices::default() };
        assert_eq!(now.over(first).config, ConfigChoice::Yes);
        assert!(now.over(first).force_config);
        assert_eq!(first.to_words(), ["--force-config", "--config", "no"]);
    }
}
