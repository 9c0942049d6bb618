//! Progress bars: on stderr, only where it is a terminal, never with `--quiet`.

pub use indicatif::ProgressBar as Bar;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

fn target() -> ProgressDrawTarget {
    if crate::log::is_quiet() || !std::io::stderr().is_terminal() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr_with_hz(4)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar that counts bytes; without a total, a counter with a rate.
#[must_use]
pub fn bytes(total: Option<u64>, label: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::with_draw_target(Some(total), target()),
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::with_draw_target(None, target()),
            "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}",
        ),
    };
    bar.with_style(style(template)).with_message(label.to_owned())
}
