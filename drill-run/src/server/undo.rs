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
    // What we have just started may not be known yet by what it is. Once it was waited for, its id may be another's.
    let running = child.as_mut().and_then(|child| match child.try_wait() {
        Ok(None) => Pid::from_raw(child.id().cast_signed()),
        _ => None,
    });
    if let Some(pid) = running {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Starts a program with this id, where the kernel can be asked for it: root can.
    fn start_with_id(id: u32) -> Option<Child> {
        for _ in 0..1000 {
            std::fs::write("/proc/sys/kernel/ns_last_pid", (id - 1).to_string()).ok()?;
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            if child.id() == id {
                return Some(child);
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        None
    }

    #[test]
    fn a_process_that_has_the_id_of_a_server_that_has_ended_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let undo = Undo::new(dir.path());
        let mut server = Command::new("true").spawn().unwrap();
        let id = server.id();
        server.wait().unwrap();
        undo.make(|child| {
            *child = Some(server);
            Ok(())
        })
        .unwrap();
        let other = start_with_id(id);
        undo.now().unwrap();
        let Some(mut other) = other else {
            return crate::server::tests::skipped("the kernel gives no id a second time here");
        };
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
