//! Work that must be undone when the process fails, or a signal ends it.
//!
//! A [`Guard`] holds one undo function. It runs when the guard is dropped, or, on SIGINT, SIGTERM or SIGHUP, in the
//! signal thread, newest first; exactly once, or never after [`Guard::disarm`]. After a signal the main thread starts
//! nothing more, its errors are consequences and are not printed, and the process ends with 128 + the signal's number.
//! [`end`] does the same with a status of one's own.

use crate::mutex::lock;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

type Undo = Box<dyn FnOnce() + Send>;

struct Stack {
    next: u64,
    pending: Vec<(u64, Undo)>,
    running: u32,
}

static STACK: Mutex<Stack> = Mutex::new(Stack { next: 0, pending: Vec::new(), running: 0 });
static IDLE: Condvar = Condvar::new();
/// The exit status of a process that is ending before its main thread has returned; 0 while it is not.
static ENDING: AtomicU8 = AtomicU8::new(0);
const AFTER_SIGNAL: u8 = 128;
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static UNDOING: Cell<bool> = const { Cell::new(false) };
}

fn stack() -> MutexGuard<'static, Stack> {
    lock(&STACK)
}

/// One undo function, run on drop or on a signal.
#[must_use = "dropped at once, it undoes at once"]
pub struct Guard {
    id: u64,
}

/// Registers an undo function.
pub fn on_failure(undo: impl FnOnce() + Send + 'static) -> Guard {
    let mut stack = stack();
    stack.next += 1;
    let id = stack.next;
    stack.pending.push((id, Box::new(undo)));
    Guard { id }
}

impl Guard {
    /// The work succeeded, and nothing is undone any more.
    pub fn disarm(self) {
        stack().pending.retain(|(id, _)| *id != self.id);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let undo = {
            let mut stack = stack();
            let at = stack.pending.iter().position(|(id, _)| *id == self.id);
            let undo = at.map(|at| stack.pending.remove(at).1);
            stack.running += u32::from(undo.is_some());
            undo
        };
        if let Some(undo) = undo {
            run(undo);
        }
    }
}

fn run(undo: Undo) {
    let outer = UNDOING.replace(true);
    undo();
    UNDOING.set(outer);
    stack().running -= 1;
    IDLE.notify_all();
}

/// The signal that is ending the process, if one is.
#[must_use]
pub fn signal() -> Option<i32> {
    exit_status()?.checked_sub(AFTER_SIGNAL).map(i32::from)
}

/// The status that the process ends with, where a signal or [`end`] is ending it: 128 + the signal's number, or its
/// own.
#[must_use]
pub fn exit_status() -> Option<u8> {
    Some(ENDING.load(Ordering::SeqCst)).filter(|status| *status != 0)
}

/// Whether a signal or [`end`] is ending the process, and this thread is not one that undoes something for it.
#[must_use]
pub fn is_ending() -> bool {
    exit_status().is_some() && !UNDOING.get()
}

/// Holds a thread for good once the process is ending, unless it is undoing something.
pub fn halt_if_ending() {
    while is_ending() {
        std::thread::park();
    }
}

/// Starts the thread that waits for SIGINT, SIGTERM and SIGHUP.
///
/// # Errors
/// If the handlers cannot be installed.
pub(crate) fn watch_signals() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            end_by(signal);
        }
    })?;
    Ok(())
}

/// Ends the process with a failure's status from any thread, as a signal does: everything is undone first. That may
/// hang, and takes `limit` at most. If the process is ending already, that goes on.
pub fn end(status: u8, limit: Duration) {
    if !begin(status) {
        return;
    }
    let undo = std::thread::Builder::new().name("ending".into()).spawn(move || undo_all(status));
    if undo.is_err() {
        undo_all(status);
    }
    std::thread::sleep(limit);
    exit(status);
}

fn end_by(signal: i32) {
    let status = u8::try_from(signal).map_or(u8::MAX, |signal| AFTER_SIGNAL.saturating_add(signal));
    if begin(status) {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        crate::log::line(format_args!("ended by {name}"));
        undo_all(status);
    }
}

/// Whether the process is ending only now.
fn begin(status: u8) -> bool {
    ENDING.compare_exchange(0, status, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

fn undo_all(status: u8) {
    loop {
        let undo = {
            let mut stack = stack();
            let undo = stack.pending.pop();
            stack.running += u32::from(undo.is_some());
            undo
        };
        match undo {
            Some((_, undo)) => run(undo),
            None => break,
        }
    }
    // What another thread is undoing must end too, but a hung server must not keep us for ever.
    let _ = IDLE.wait_timeout_while(stack(), PATIENCE, |stack| stack.running > 0);
    exit(status);
}

#[allow(
    clippy::exit,
    reason = "the one way to end a process whose main thread is blocked in a read"
)]
fn exit(status: u8) {
    std::process::exit(status.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn undoes_on_drop_once_and_never_after_disarm() {
        let count = Arc::new(AtomicU32::new(0));
        let add = |count: &Arc<AtomicU32>| {
            let count = Arc::clone(count);
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        drop(on_failure(add(&count)));
        on_failure(add(&count)).disarm();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_undoing_may_register_another() {
        drop(on_failure(|| drop(on_failure(|| {}))));
        assert_eq!(stack().running, 0);
    }
}
