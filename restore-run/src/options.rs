//! What a restore is told on the command line.

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

/// What decides how a restore is done. A run that goes on from another keeps to that one's choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// What to do with `secrets/` and `certs/`.
    pub config: ConfigChoice,
    /// Replace `.env` too.
    pub force_config: bool,
    /// Drop the old database before the new one is loaded.
    pub drop_first: bool,
    /// Go on with a bundle that is damaged.
    pub skip_verify: bool,
    /// Restore all rows, whatever of what is derived from them cannot be made.
    #[serde(default)]
    pub keep_going: bool,
}

impl Choices {
    /// Those of an earlier run, with what this one was told beyond them.
    pub fn over(self, earlier: Self) -> Self {
        Self {
            config: match self.config {
                ConfigChoice::Ask => earlier.config,
                told => told,
            },
            force_config: self.force_config || earlier.force_config,
            drop_first: self.drop_first || earlier.drop_first,
            skip_verify: self.skip_verify || earlier.skip_verify,
            keep_going: self.keep_going || earlier.keep_going,
        }
    }

    /// As words of a command line.
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

/// Which steps are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// These, from the bundle anew.
    Steps(Selection),
    /// What an unfinished restore has left to do.
    Resume,
}

impl Asked {
    /// From the options of the command line, of which clap lets one be given.
    pub fn of(resume: bool, from: Option<Step>, only: Option<Step>) -> Self {
        match (resume, from, only) {
            (true, ..) => Self::Resume,
            (_, Some(step), _) => Self::Steps(Selection::From(step)),
            (_, _, Some(step)) => Self::Steps(Selection::Only(step)),
            _ => Self::Steps(Selection::All),
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which steps.
    pub asked: Asked,
    /// How.
    pub choices: Choices,
    /// The answer of the confirm step, where it was given.
    pub confirm: Option<String>,
    /// Change nothing.
    pub dry_run: bool,
    /// Take a bundle of the present state first.
    pub safety_backup: bool,
    /// How long services that start are waited for, in seconds.
    pub wait_seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_goes_on_keeps_to_what_the_first_was_told() {
        let first = Choices { force_config: true, config: ConfigChoice::No, ..Choices::default() };
        assert_eq!(Choices::default().over(first), first);
        let now = Choices { config: ConfigChoice::Yes, ..Choices::default() };
        assert_eq!(now.over(first).config, ConfigChoice::Yes);
        assert!(now.over(first).force_config);
        assert_eq!(first.to_words(), ["--force-config", "--config", "no"]);
    }
}
