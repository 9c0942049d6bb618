//! Exit statuses: they are API, for wrappers, cron and operators.

use crate::closed_pipe;
use std::fmt;

/// How a tool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The whole task was done.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// The command line or a setting is wrong.
    Usage = 2,
    /// Some objects failed; the others are in place.
    Incomplete = 3,
    /// What was read is damaged or not whole.
    Damaged = 4,
    /// Not confirmed, locked, or stopped by a safeguard; nothing was changed.
    Refused = 5,
    /// The reader of our standard output went away (128 + SIGPIPE).
    ClosedPipe = 141,
}

impl Exit {
    /// The status as the number the process exits with.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An error with the status that the tool ends with. Other errors end it with [`Exit::Failed`].
#[derive(Debug)]
pub struct Stop {
    exit: Exit,
    message: String,
}

impl Stop {
    /// A wrong command line or setting.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Some of the work could not be done.
    pub fn incomplete(message: impl Into<String>) -> Self {
        Self { exit: Exit::Incomplete, message: message.into() }
    }

    /// Damaged or incomplete input.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { exit: Exit::Damaged, message: message.into() }
    }

    /// A safeguard that stops the tool before anything is changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    /// An error that ends the tool with the given status, as passed on from a child.
    pub fn with_exit(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// The status that an error chain asks for: that of the outermost [`Stop`] in it,
/// [`Exit::ClosedPipe`] where our own standard output was closed, else [`Exit::Failed`].
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            return stop.exit;
        }
        let io = cause.downcast_ref::<std::io::Error>();
        if closed_pipe::is_it(cause)
            || io.and_then(|e| e.get_ref()).is_some_and(|e| closed_pipe::is_it(e))
        {
            return Exit::ClosedPipe;
        }
        // An io::Error keeps what it wraps out of the chain; a Stop that passed through a Read must count.
        if let Some(stop) = io.and_then(|e| e.get_ref()).and_then(|e| e.downcast_ref::<Stop>()) {
            return stop.exit;
        }
    }
    Exit::Failed
}

/// An error and its causes in one line, as the tool prints it at its end.
#[must_use]
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !parts.last().is_some_and(|last| last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn an_error_chain_is_one_line_without_repeats() {
        let error = anyhow!("no such file").context("opening a: no such file").context("packing");
        assert_eq!(one_line(&error), "packing: opening a: no such file");
        assert_eq!(one_line(&anyhow!("two\n  lines")), "two lines");
    }

    #[test]
    fn statuses_are_the_documented_numbers() {
        let all = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Incomplete, 3),
            (Exit::Damaged, 4),
            (Exit::Refused, 5),
            (Exit::ClosedPipe, 141),
        ];
        for (exit, number) in all {
            assert_eq!(exit.code(), number);
        }
    }

    #[test]
    fn a_stop_keeps_its_status_under_added_context() {
        let error = Err::<(), _>(Stop::damaged("cut")).context("reading the dump").unwrap_err();
        assert_eq!(of(&error), Exit::Damaged);
        assert_eq!(of(&anyhow::anyhow!("plain")), Exit::Failed);
    }

    #[test]
    fn a_stop_that_passed_through_a_reader_keeps_its_status() {
        let io = std::io::Error::other(Stop::refused("no"));
        assert_eq!(of(&anyhow::Error::new(io).context("copying")), Exit::Refused);
    }

    #[test]
    fn a_broken_pipe_to_a_child_is_a_failure_not_a_closed_stdout() {
        let io = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(of(&anyhow::Error::new(io).context("feeding psql")), Exit::Failed);
    }
}
