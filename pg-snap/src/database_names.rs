//! The names of the databases of a load.

use crate::sql::with_suffix;

/// The names of a load's databases.
pub struct DatabaseNames {
    /// The database to replace.
    pub database: String,
    /// The incoming database. The next load drops what a killed one has left.
    pub incoming: String,
    /// The old database, after the swap and before it is dropped.
    pub outgoing: String,
    /// A temporary name while two others are swapped.
    pub aside: String,
    /// Created to connect to, if no other database accepts the connection.
    pub helper: String,
    /// The previous database, if it is kept.
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

    /// The databases that will be renamed or dropped, so that no session may use them.
    pub fn in_use(&self, keep_previous: bool) -> Vec<&str> {
        let mut names = vec![&*self.database, &*self.incoming, &*self.outgoing];
        names.extend(keep_previous.then_some(&*self.previous));
        names
    }
}

/// Whether a load or a swap has given a database this name.
pub fn is_beside(database: &str, name: &str) -> bool {
    let names = DatabaseNames::of(database.to_owned());
    [names.incoming, names.outgoing, names.aside, names.helper].iter().any(|n| n == name)
        || is_kept(database, name)
}

/// The name under which `--keep-previous` keeps the old database.
pub fn previous_of(database: &str) -> String {
    with_suffix(database, "_previous")
}

/// Whether a load keeps a database under this name: `<database>_previous`, or the same with the time at
/// which a later load has renamed it.
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
