//! Things that a signal must undo, even one that arrives while they are being made.

use pipe_kit::cleanup::{self, Guard};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was made, until somebody takes it away to undo it.
pub type Held<T> = Arc<Mutex<Option<T>>>;

/// Makes something that `undo` undoes on failure or on a signal, and gives what else came of it. The
/// lock is held while it is made: a signal finds either the whole thing or nothing, and nothing is
/// made after it.
pub fn make<T: Send + 'static, R, E>(
    make: impl FnOnce() -> Result<(T, R), E>,
    undo: impl FnOnce(T) + Send + 'static,
) -> Result<(R, Held<T>, Guard), E> {
    let held: Held<T> = Arc::default();
    let theirs = Arc::clone(&held);
    let guard = cleanup::on_failure(move || {
        if let Some(made) = lock(&theirs).take() {
            undo(made);
        }
    });
    let mut slot = loop {
        let slot = lock(&held);
        if !cleanup::is_ending() {
            break slot;
        }
        drop(slot);
        cleanup::halt_if_ending();
    };
    let (made, rest) = match make() {
        Ok(both) => both,
        Err(error) => {
            drop(slot);
            guard.disarm();
            return Err(error);
        }
    };
    *slot = Some(made);
    drop(slot);
    Ok((rest, held, guard))
}

/// What is held.
pub fn lock<T>(held: &Held<T>) -> MutexGuard<'_, Option<T>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn what_was_made_is_undone_once_and_what_was_taken_is_not() {
        let (send, undone) = mpsc::channel();
        let made = |n: u8| {
            let send = send.clone();
            make(move || Ok::<_, ()>((n, ())), move |n| send.send(n).unwrap()).unwrap()
        };
        drop(made(1).2);
        let ((), held, guard) = made(2);
        assert_eq!(lock(&held).take(), Some(2));
        drop(guard);
        assert_eq!(undone.try_iter().collect::<Vec<_>>(), [1]);
        assert_eq!(make(|| Err::<((), ()), _>("no"), |()| panic!()).err(), Some("no"));
    }
}
