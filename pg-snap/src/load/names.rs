//! The names of the databases that a load has to do with.

use crate::sql::beside;

/// The names a load uses.
pub struct Names {
    /// To be replaced.
    pub database: String,
    /// Being filled; a leftover of a killed load is dropped by the next.
    pub incoming: String,
    /// Swapped out, about to be dropped.
    pub outgoing: String,
    /// Kept, where that was asked for.
    pub previous: String,
}

impl Names {
    pub fn of(database: String) -> Self {
        Self {
            incoming: beside(&database, "_pg_snap_incoming"),
            outgoing: beside(&database, "_pg_snap_outgoing"),
            previous: previous_of(&database),
            database,
        }
    }

    /// The databases that will be renamed or dropped, so that nobody may be in them.
    pub fn in_use(&self, keep_previous: bool) -> Vec<&str> {
        let mut names = vec![&*self.database, &*self.incoming, &*self.outgoing];
        names.extend(keep_previous.then_some(&*self.previous));
        names
    }
}

/// The name under which `--keep-previous` keeps the old database.
pub fn previous_of(database: &str) -> String {
    beside(database, "_previous")
}
