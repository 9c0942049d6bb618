//! Whether the input has ended well. The end of a pipe alone does not show that.

use crate::put::input::{FileInput, Input};
use crate::put::source::Whole;
use anyhow::{Context, Result, bail};
use pipe_kit::child::Running;
use pipe_kit::{Stop, cleanup};

/// What must hold before the object is completed.
pub struct Ending {
    child: Option<Running>,
    file: Option<FileInput>,
    sha256: Option<String>,
}

impl Ending {
    /// `child` writes the input; `sha256` is its expected hash, hex.
    pub fn new(input: &Input, child: Option<Running>, sha256: Option<String>) -> Self {
        let file = match input {
            Input::File(file) => Some(file.clone()),
            _ => None,
        };
        Self { child, file, sha256 }
    }

    /// Checks that the input, which has ended, is complete.
    ///
    /// # Errors
    /// If its command failed, or the file has changed; [`Stop::damaged`] if it has another SHA-256.
    pub async fn check(&mut self, whole: &Whole) -> Result<()> {
        if let Some(child) = self.child.take() {
            // On another thread: after a signal, it stays there.
            let finished = tokio::task::spawn_blocking(|| child.finish()).await;
            finished.context("waiting for the command")??.check()?;
        }
        if cleanup::signal().is_some() {
            bail!("ended by a signal");
        }
        if let Some(file) = &self.file {
            file.check_unchanged()?;
        }
        match (&self.sha256, &whole.sha256) {
            (Some(expected), Some(found)) if !expected.eq_ignore_ascii_case(found) => {
                Err(Stop::damaged(format!("the input has the SHA-256 {found}, not {expected}"))
                    .into())
            }
            _ => Ok(()),
        }
    }
}
