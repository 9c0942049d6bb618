//! The first pass over the objects, beside the dump. The stage that comes after the dump mirrors them again: what the
//! first pass has brought and what has not changed since costs that stage a listing. So the last listing is later than
//! the snapshot of the database, as if there had been no first pass.

use crate::commands::Commands;
use pipe_kit::tool::Started;
use pipe_kit::{info, progress, warning};
use std::time::{Duration, Instant};

/// Shorter waits are not logged.
const NOTABLE: Duration = Duration::from_millis(100);

/// A first pass that is running. Dropped, it is ended.
pub struct FirstPass(Started);

impl FirstPass {
    /// Begins it, if objects are mirrored. One that cannot begin fails no backup.
    pub fn begin(commands: &Commands) -> Option<Self> {
        match commands.first_pass()?.start() {
            Ok(started) => Some(Self(started)),
            Err(error) => {
                warn(&error);
                None
            }
        }
    }

    /// Waits for its end. Its failure fails no backup: the stage decides.
    pub fn finish(self) {
        let waiting = progress::bytes(None, "mirroring the objects, begun with the dump");
        waiting.enable_steady_tick(Duration::from_millis(250));
        let begun = Instant::now();
        let ended = self.0.finish();
        waiting.finish_and_clear();
        match ended {
            Err(error) => warn(&error),
            Ok(()) if begun.elapsed() >= NOTABLE => info!(
                "waited {:.1} s for the first pass over the objects, which began with the dump",
                begun.elapsed().as_secs_f64()
            ),
            Ok(()) => {}
        }
    }
}

fn warn(error: &anyhow::Error) {
    warning!(
        "the first pass over the objects, beside the dump, failed: {error:#}; the stage objects mirrors them"
    );
}
