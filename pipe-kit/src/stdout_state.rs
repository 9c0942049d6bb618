//! Was standard output closed when we were started?
//!
//! The Rust runtime replaces a closed descriptor by `/dev/null` before `main`, so that a dump
//! written to `>&-` would be lost and reported as done. Only code that runs before the runtime can find out,
//! by `fcntl` on the raw number: the one unsafe call of the workspace.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn check() {
    // SAFETY: F_GETFD takes no pointer and changes nothing; any descriptor number is allowed.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    CLOSED.store(flags < 0, Ordering::Relaxed);
}

// SAFETY: the loader calls each entry of .init_array once, before main, with arguments that a
// function of the C convention may ignore; `check` writes an atomic alone.
#[used]
#[unsafe(link_section = ".init_array")]
static CHECK: extern "C" fn() = check;

/// Whether the process was started with standard output closed.
pub(crate) fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
