//! The error of a standard output that was closed.

/// Marks the error of a write to our own standard output after its reader closed it, so that a broken pipe to a
/// child is never taken for it.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl std::fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of standard output went away")
    }
}

impl std::error::Error for ClosedPipe {}

pub(crate) fn is_it(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<ClosedPipe>()
}
