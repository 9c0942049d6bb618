//! The problems and notes that the checks of a preflight collect.

use super::room::RoomVerdict;
use crate::head::Needs;
use crate::version::Version;

/// What is to be loaded, and how.
pub struct IntendedLoad<'a> {
    pub database: &'a str,
    pub needs: &'a Needs,
    pub server: Version,
    pub psql: Version,
    /// What the new database is called while it is being filled.
    pub made_as: &'a str,
    /// Whether what is derived from rows may be left out.
    pub keep_going: bool,
    /// Whether the old database is dropped before the new one is filled.
    pub drop_first: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Each prevents the load.
    pub problems: Vec<String>,
    /// Each is worth knowing.
    pub notes: Vec<String>,
}

impl Findings {
    pub(super) fn problem(&mut self, line: impl Into<String>) {
        self.problems.push(line.into());
    }

    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Adds whether there is room for the new database.
    pub fn add_room(&mut self, verdict: RoomVerdict) {
        match verdict {
            RoomVerdict::Enough => {}
            RoomVerdict::Unknown(note) => self.note(note),
            RoomVerdict::TooLittle(problem) => self.problem(problem),
        }
    }
}
