//! The steps, their order, and which of them a run takes.

use pipe_kit::sequence::Heading;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A step of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Validate,
    Summary,
    Confirm,
    Preflight,
    Stop,
    Database,
    Objects,
    Config,
    Cache,
    Start,
    Health,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 11] = [
        Self::Validate,
        Self::Summary,
        Self::Confirm,
        Self::Preflight,
        Self::Stop,
        Self::Database,
        Self::Objects,
        Self::Config,
        Self::Cache,
        Self::Start,
        Self::Health,
    ];

    /// The name on the command line and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Summary => "summary",
            Self::Confirm => "confirm",
            Self::Preflight => "preflight",
            Self::Stop => "stop",
            Self::Database => "database",
            Self::Objects => "objects",
            Self::Config => "config",
            Self::Cache => "cache",
            Self::Start => "start",
            Self::Health => "health",
        }
    }

    /// 1 to 11.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// As the log names it.
    pub fn heading(self) -> Heading {
        Heading { number: self.number(), total: Self::ALL.len(), name: self.name() }
    }

    /// The one after it.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step > self)
    }

    /// The one before it.
    pub fn before(self) -> Option<Self> {
        Self::ALL.into_iter().rfind(|step| *step < self)
    }

    /// Whether it takes something away: service, data or files.
    pub fn is_destructive(self) -> bool {
        (Self::Stop..=Self::Cache).contains(&self)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|s| s.name()).collect();
            format!("the steps are {}", names.join(" "))
        })
    }
}

/// Which steps a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    From(Step),
    Only(Step),
}

impl Selection {
    /// The steps in order. The guards run before any destructive step, under every selection.
    pub fn steps(self) -> Vec<Step> {
        let selected: Vec<Step> = Step::ALL
            .into_iter()
            .filter(|step| match self {
                Self::All => true,
                // Between stop and start, no step may meet a running application.
                Self::From(first) => {
                    *step >= first || (*step == Step::Stop && first <= Step::Cache)
                }
                Self::Only(one) => *step == one,
            })
            .collect();
        let guarded = selected.iter().any(|step| step.is_destructive());
        let guards = [Step::Validate, Step::Summary, Step::Confirm];
        let mut steps: Vec<Step> =
            guards.into_iter().filter(|guard| guarded && !selected.contains(guard)).collect();
        steps.extend(selected);
        steps.sort();
        steps
    }

    /// Whether the run ends with what a whole restore ends with.
    pub fn reaches_the_end(self) -> bool {
        !matches!(self, Self::Only(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Confirm, Database, Health, Preflight, Start, Summary, Validate};

    #[test]
    fn the_guards_run_before_any_destructive_step_under_every_option() {
        for step in Step::ALL {
            for selection in [Selection::All, Selection::From(step), Selection::Only(step)] {
                let steps = selection.steps();
                let harm = steps.iter().position(|s| s.is_destructive());
                let Some(harm) = harm else { continue };
                assert!(steps[..harm].starts_with(&[Validate, Summary, Confirm]), "{selection:?}");
                assert!(steps.is_sorted());
            }
        }
    }

    #[test]
    fn a_run_takes_the_steps_that_were_selected() {
        assert_eq!(Selection::All.steps(), Step::ALL);
        assert_eq!(Selection::Only(Health).steps(), [Health]);
        assert_eq!(Selection::Only(Preflight).steps(), [Preflight]);
        assert_eq!(Selection::From(Start).steps(), [Start, Health]);
        assert!(Selection::From(Step::Objects).steps().contains(&Step::Stop));
        assert_eq!(Selection::Only(Database).steps(), [Validate, Summary, Confirm, Database]);
    }

    #[test]
    fn names_read_back() {
        for step in Step::ALL {
            assert_eq!(step.name().parse(), Ok(step));
        }
        assert!("everything".parse::<Step>().is_err());
    }
}
