//! The scripts whose runs are disturbed.

/// A script that runs `backup-run` or `restore-run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    Backup,
    Restore,
}

impl Script {
    pub const ALL: [Self; 2] = [Self::Backup, Self::Restore];

    /// The word for its runs, in pings, messages, metrics and names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// The last of the stages in the record of a run.
    pub fn last_stage(self) -> &'static str {
        match self {
            Self::Backup => "prune",
            Self::Restore => "health",
        }
    }
}
