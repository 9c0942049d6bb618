//! The stages and their order.

use pipe_kit::sequence::Heading;

/// A stage of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Database,
    Objects,
    Config,
    Manifest,
    Seal,
    Publish,
    Alarm,
    Prune,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 8] = [
        Self::Database,
        Self::Objects,
        Self::Config,
        Self::Manifest,
        Self::Seal,
        Self::Publish,
        Self::Alarm,
        Self::Prune,
    ];

    /// Its name, in the log and in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Objects => "objects",
            Self::Config => "config",
            Self::Manifest => "manifest",
            Self::Seal => "seal",
            Self::Publish => "publish",
            Self::Alarm => "alarm",
            Self::Prune => "prune",
        }
    }

    /// As the log names it.
    pub fn heading(self) -> Heading {
        Heading { number: self as usize + 1, total: Self::ALL.len(), name: self.name() }
    }
}
