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

    /// How the line begins that its program logs at the end of its last part.
    pub fn last_line(self) -> &'static str {
        match self {
            Self::Backup => "backup-run: [8/8] prune: ",
            Self::Restore => "restore-run: [11/11] health: ",
        }
    }
}
