//! The steps and their order.

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
