//! Was standard output closed when we were started?
//!
//! The Rust runtime replaces a closed descriptor by `/dev/null` before `main`, so that a dump
//! written to `>&-` would be lost and reported as done. Only code that runs before the runtime can
//! tell, and only `fcntl` on the raw number: the one unsafe call of the workspace.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

extern "C" fn look() {
    // SAFETY: F_GETFD takes no pointer and changes nothing; any descriptor number may be asked.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    CLOSED.store(flags < 0, Ordering::Relaxed);
}

// SAFETY: the loader calls each entry of .init_array once, before main, with arguments that a
// function of the C convention may ignore; `look` touches an atomic alone.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// Whether the process was started with standard output closed.
pub(crate) fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
