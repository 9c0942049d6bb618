//! One line of the report.

use pipe_kit::text::one_line;
use serde::Serialize;

/// What a check concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is as it should be.
    Ok,
    /// It works, and the operator should know it; or it could not be determined.
    Note,
    /// A backup or a restore would fail, or be worth less than it should.
    Finding,
    /// It was not checked.
    Skipped,
}

impl Status {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Finding => "finding",
            Self::Skipped => "skipped",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it concludes.
    pub status: Status,
    /// What was checked.
    pub name: String,
    /// What was found, in one line, without secrets.
    pub found: String,
    /// The command to type; every finding has one.
    pub command: Option<String>,
}

impl Line {
    fn new(status: Status, name: &str, found: &str, command: Option<String>) -> Self {
        Self { status, name: one_line(name), found: one_line(found), command }
    }

    /// As it should be.
    pub fn ok(name: &str, found: impl AsRef<str>) -> Self {
        Self::new(Status::Ok, name, found.as_ref(), None)
    }

    /// Worth knowing.
    pub fn note(name: &str, found: impl AsRef<str>) -> Self {
        Self::new(Status::Note, name, found.as_ref(), None)
    }

    /// To be corrected by a command.
    pub fn finding(name: &str, found: impl AsRef<str>, command: impl Into<String>) -> Self {
        Self::new(Status::Finding, name, found.as_ref(), Some(command.into()))
    }

    /// Not checked, and why.
    pub fn skipped(name: &str, why: impl AsRef<str>) -> Self {
        Self::new(Status::Skipped, name, why.as_ref(), None)
    }

    /// The same with a command to type.
    pub fn with_command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }
}
