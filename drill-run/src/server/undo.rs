//! What removes a private server when the drill fails or a signal ends it, even one that arrives while the server
//! is being started: the same as removes what a killed drill has left.

use super::removal::remove;
use anyhow::Result;
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::mutex::lock;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};

/// What there is to be undone.
#[derive(Default)]
struct Made {
    /// The server, where it is a child of ours.
    child: Option<Child>,
    /// Whether somebody takes the result.
    is_awaited: bool,
    result: Option<Result<()>>,
}

/// Removes the server of a directory. Dropped, it does so too.
pub struct Undo {
    made: Arc<Mutex<Made>>,
    guard: Guard,
}

impl Undo {
    /// For a directory in which nothing is yet.
    pub fn new(dir: &Path) -> Self {
        let made: Arc<Mutex<Made>> = Arc::default();
        let (theirs, dir) = (Arc::clone(&made), dir.to_owned());
        let guard = cleanup::on_failure(move || undo(&mut lock(&theirs), dir));
        Self { made, guard }
    }

    /// Makes something of the server. A signal finds either the whole of it or nothing, and nothing is made after
    /// it.
    ///
    /// # Errors
    /// That of `make`.
    pub fn make<T>(&self, make: impl FnOnce(&mut Option<Child>) -> Result<T>) -> Result<T> {
        let mut made = loop {
            let made = lock(&self.made);
            if !cleanup::is_ending() {
                break made;
            }
            drop(made);
            cleanup::halt_if_ending();
        };
        make(&mut made.child)
    }

    /// Removes the server now.
    ///
    /// # Errors
    /// If something of it is left.
    pub fn now(self) -> Result<()> {
        lock(&self.made).is_awaited = true;
        drop(self.guard);
        cleanup::halt_if_ending();
        lock(&self.made).result.take().unwrap_or(Ok(()))
    }

    /// Leaves the server where it is.
    pub fn disarm(self) {
        self.guard.disarm();
    }
}

fn undo(made: &mut Made, dir: PathBuf) {
    let mut child = made.child.take();
    // What we have just started may not be known yet by what it is.
    if let Some(pid) = child.as_ref().and_then(|child| Pid::from_raw(child.id().cast_signed())) {
        let _ = kill_process(pid, Signal::QUIT);
    }
    let result = remove(&dir);
    if let Some(child) = child.as_mut().filter(|_| result.is_ok()) {
        let _ = child.kill();
        let _ = child.wait();
    }
    match (result, made.is_awaited) {
        (Err(error), false) => pipe_kit::warning!(
            "the private server in {} is not removed: {error:#}; the next drill removes it",
            dir.display()
        ),
        (result, _) => made.result = Some(result),
    }
}
