//! Which sessions of the server to end, and the statement that does it.

use crate::sql::literal;
use std::fmt;

/// Whether the connected role may end a session of `pg_stat_activity`.
pub const MAY_END: &str = include_str!("may_end.sql");

/// The sessions to end, but for the one that ends them.
#[derive(Clone, Copy)]
pub enum Sessions<'a> {
    /// All in these databases.
    InDatabases(&'a [&'a str]),
    /// All with this name (`application_name`).
    Named(&'a str),
    /// All with the name of the session that ends them.
    WithOwnName,
    /// Those of them in this database. Waits until they have ended, where the server can.
    WithOwnNameIn(&'a str),
}

impl fmt::Display for Sessions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InDatabases(names) => write!(f, "in {}", names.join(", ")),
            Self::Named(name) => write!(f, "named '{name}'"),
            Self::WithOwnName => f.write_str("of this load"),
            Self::WithOwnNameIn(database) => write!(f, "of this load in {database}"),
        }
    }
}

impl Sessions<'_> {
    /// A condition on a row of `pg_stat_activity`.
    pub fn condition(self) -> String {
        const OWN_NAME: &str = "application_name = pg_catalog.current_setting('application_name')";
        match self {
            Self::InDatabases(names) => {
                let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
                format!("datname IN ({})", names.join(", "))
            }
            Self::Named(name) => format!("application_name = {}", literal(name)),
            Self::WithOwnName => OWN_NAME.into(),
            Self::WithOwnNameIn(database) => {
                format!("{OWN_NAME} AND datname = {}", literal(database))
            }
        }
    }

    /// A query that ends them, as far as the role may, and counts them.
    pub fn end_statement(self, server_major: u32) -> String {
        let waits = matches!(self, Self::WithOwnNameIn(_)) && server_major >= 14;
        include_str!("end_sessions.sql")
            .replace("/*timeout*/", if waits { ", 10000" } else { "" })
            .replace("/*may end*/", MAY_END)
            .replace("/*which*/", &self.condition())
    }
}
