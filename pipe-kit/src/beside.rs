//! A program that does early, beside another one, what a later part of the sequence does in any case: it saves time, and
//! decides nothing.

use crate::tool::{Started, Tool};
use crate::{info, progress, warning};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Shorter waits are not logged.
const NOTABLE: Duration = Duration::from_millis(100);

/// Such a program, running. Dropped, it is ended.
pub struct Beside {
    started: Started,
    words: Words,
}

/// How the log names it.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What it is: `the first pass over the objects beside the dump`.
    pub what: &'static str,
    /// What happens if it fails, as the end of a sentence.
    pub otherwise: &'static str,
}

/// With no bar on a terminal, where the program beside it draws one.
#[must_use]
pub fn without_bar(tool: Tool) -> Tool {
    let is_drawn = std::io::stderr().is_terminal();
    tool.args(is_drawn.then_some(["--progress", "none"]).into_iter().flatten())
}

impl Beside {
    /// Starts it. If it cannot be started, that is a warning.
    #[must_use]
    pub fn begin(tool: &Tool, words: Words) -> Option<Self> {
        match tool.start() {
            Ok(started) => Some(Self { started, words }),
            Err(error) => {
                words.warn(&error);
                None
            }
        }
    }

    /// Waits for its end. If it failed, that is a warning.
    pub fn finish(self) {
        let Self { started, words } = self;
        let waiting = progress::bytes(None, words.what);
        waiting.enable_steady_tick(Duration::from_millis(250));
        let begun = Instant::now();
        let ended = started.finish();
        waiting.finish_and_clear();
        match ended {
            Err(error) => words.warn(&error),
            Ok(()) if begun.elapsed() >= NOTABLE => {
                info!("waited {:.1} s for {}", begun.elapsed().as_secs_f64(), words.what);
            }
            Ok(()) => {}
        }
    }
}

impl Words {
    fn warn(self, error: &anyhow::Error) {
        warning!("{} failed: {error:#}; {}", self.what, self.otherwise);
    }
}
