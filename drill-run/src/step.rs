//! The steps and their order.

use bundle_format::report::DrillLevel;
use pipe_kit::sequence::Heading;
use std::fmt;
use std::str::FromStr;

/// A step of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Validate,
    Server,
    Load,
    Compare,
    Objects,
    Config,
    Checks,
    App,
    Report,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 9] = [
        Self::Validate,
        Self::Server,
        Self::Load,
        Self::Compare,
        Self::Objects,
        Self::Config,
        Self::Checks,
        Self::App,
        Self::Report,
    ];

    /// The name on the command line, in the log and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Server => "server",
            Self::Load => "load",
            Self::Compare => "compare",
            Self::Objects => "objects",
            Self::Config => "config",
            Self::Checks => "checks",
            Self::App => "app",
            Self::Report => "report",
        }
    }

    /// The steps that a drill takes, in order: all of them for this level, or one and those that it needs.
    pub fn taken(level: DrillLevel, only: Option<Self>, has_keys: bool) -> Vec<Self> {
        let wanted = |step: &Self| match only {
            Some(Self::Report) | None => true,
            Some(only) => *step == only || only.needs(has_keys).contains(step),
        };
        let has_level = |step: &Self| *step != Self::App || level == DrillLevel::App;
        Self::ALL.into_iter().filter(|step| has_level(step) && wanted(step)).collect()
    }

    /// The steps without which it can do nothing. `has_keys`: whether rows are compared with the objects.
    fn needs(self, has_keys: bool) -> &'static [Self] {
        match self {
            Self::Validate => &[],
            Self::Server | Self::Config => &[Self::Validate],
            Self::Objects if !has_keys => &[Self::Validate],
            Self::Load => &[Self::Validate, Self::Server],
            Self::Compare | Self::Objects => &[Self::Validate, Self::Server, Self::Load],
            Self::Checks => &[Self::Validate, Self::Server, Self::Load, Self::Config],
            Self::App => &[Self::Validate, Self::Config],
            Self::Report => &Self::ALL,
        }
    }

    /// As the log names it.
    pub fn heading(self) -> Heading {
        Heading { number: self as usize + 1, total: Self::ALL.len(), name: self.name() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_is_taken_with_those_that_it_needs() {
        let names = |level, only, has_keys| -> String {
            let steps = Step::taken(level, only, has_keys);
            steps.iter().map(|step| step.name()).collect::<Vec<_>>().join(" ")
        };
        use DrillLevel::{App, Data};
        let data = "validate server load compare objects config checks report";
        for (level, only, has_keys, expected) in [
            (Data, None, true, data),
            (App, None, true, "validate server load compare objects config checks app report"),
            (Data, Some(Step::Report), false, data),
            (Data, Some(Step::Validate), true, "validate"),
            (Data, Some(Step::Config), true, "validate config"),
            (Data, Some(Step::Objects), false, "validate objects"),
            (Data, Some(Step::Objects), true, "validate server load objects"),
            (Data, Some(Step::Checks), true, "validate server load config checks"),
            (App, Some(Step::App), true, "validate config app"),
        ] {
            assert_eq!(names(level, only, has_keys), expected, "{only:?}");
        }
    }

    #[test]
    fn a_step_is_read_by_its_name() {
        for step in Step::ALL {
            assert_eq!(step.name().parse(), Ok(step));
        }
        assert!("restore".parse::<Step>().is_err());
    }
}
