//! The scheduler: notes in the cache that it is alive, and nothing asks it for its health.

use super::parts::Parts;
use std::time::Duration;

/// Works until the process ends.
pub fn run(parts: &Parts) -> ! {
    loop {
        if let Err(error) = parts.cache(&["SETEX", "scheduler", "60", "alive"]) {
            pipe_kit::warning!("{error:#}");
        }
        std::thread::sleep(Duration::from_secs(5));
    }
}
