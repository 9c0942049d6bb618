//! The names of the databases that a load has to do with.

use crate::sql::with_suffix;

/// The names a load uses.
pub struct DatabaseNames {
    /// To be replaced.
    pub database: String,
    /// Being filled; a leftover of a killed load is dropped by the next.
    pub incoming: String,
    /// Swapped out, about to be dropped.
    pub outgoing: String,
    /// Holds a name for a moment while two others are swapped.
    pub aside: String,
    /// Made to be connected to, where no other database lets us in.
    pub helper: String,
    /// Kept, where that was asked for.
    pub previous: String,
}

impl DatabaseNames {
    pub fn of(database: String) -> Self {
        Self {
            incoming: with_suffix(&database, "_pg_snap_incoming"),
            outgoing: with_suffix(&database, "_pg_snap_outgoing"),
            aside: with_suffix(&database, "_pg_snap_aside"),
            helper: with_suffix(&database, "_pg_snap_helper"),
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

/// Whether that is a name that a load, or a swap of names, has given or left to a database.
pub fn is_beside(database: &str, name: &str) -> bool {
    let names = DatabaseNames::of(database.to_owned());
    [names.incoming, names.outgoing, names.aside, names.helper].iter().any(|n| n == name)
        || is_kept(database, name)
}

/// The name under which `--keep-previous` keeps the old database.
pub fn previous_of(database: &str) -> String {
    with_suffix(database, "_previous")
}

/// Whether that is a name under which a load keeps a database: `<database>_previous`, or that with
/// the time at which a later load has set it aside.
pub fn is_kept(database: &str, name: &str) -> bool {
    let previous = previous_of(database);
    if name == previous {
        return true;
    }
    let Some((_, time)) = name.rsplit_once('_') else { return false };
    let form = time.char_indices().all(|(at, c)| match at {
        8 => c == 'T',
        15 => c == 'Z',
        _ => c.is_ascii_digit(),
    });
    form && time.len() == 16 && name == with_suffix(&previous, &format!("_{time}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_names_are_known_however_long_the_databases_own_is() {
        let long = "x".repeat(60);
        let kept = with_suffix(&previous_of(&long), "_20260102T030405Z");
        assert!(is_kept(&long, &kept) && is_kept(&long, &previous_of(&long)));
        assert!(!is_kept(&"x".repeat(59), &kept));
        assert!(!is_kept("db", "db_previous_20260102T030405é"));
    }
}
