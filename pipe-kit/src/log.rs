//! Messages to the operator, on stderr. Each line begins with the tool's name.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static TOOL: OnceLock<&'static str> = OnceLock::new();
static QUIET: AtomicBool = AtomicBool::new(false);
static COPY: OnceLock<Copy> = OnceLock::new();

type Copy = Box<dyn Fn(&str) + Send + Sync>;

/// The option every tool has.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Quiet {
    /// Suppress all output except warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Quiet {
    /// Applies the option to the whole process.
    pub fn apply(self) {
        QUIET.store(self.quiet, Ordering::Relaxed);
    }
}

pub(crate) fn set_tool(name: &'static str) {
    TOOL.get_or_init(|| name);
}

/// Whether `--quiet` was given.
#[must_use]
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Passes every line of this process to another place too, with its end of line. The first call counts.
pub fn copy_to(copy: impl Fn(&str) + Send + Sync + 'static) {
    COPY.get_or_init(|| Box::new(copy));
}

/// A line as [`line()`] writes it, without its end.
#[must_use]
pub fn formatted(text: &dyn std::fmt::Display) -> String {
    let tool = TOOL.get().copied().unwrap_or("pipe-kit");
    format!("{tool}: {text}")
}

/// Writes a line to stderr. A stderr that cannot be written to does not stop a backup.
pub fn line(text: Arguments<'_>) {
    let line = formatted(&text) + "\n";
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
    if let Some(copy) = COPY.get() {
        copy(&line);
    }
}

/// Prints a message to the operator; nothing with `--quiet`.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { if !$crate::log::is_quiet() { $crate::log::line(format_args!($($arg)*)) } };
}

/// Warns the operator, `--quiet` or not.
#[macro_export]
macro_rules! warning {
    ($($arg:tt)*) => { $crate::log::line(format_args!("warning: {}", format_args!($($arg)*))) };
}
