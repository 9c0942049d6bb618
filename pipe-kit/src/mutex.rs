//! Locking that a panic of another thread does not stop.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whether or not a thread that held it panicked. The panic itself ends the run; what runs
/// until then, clean-up above all, needs the value.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
