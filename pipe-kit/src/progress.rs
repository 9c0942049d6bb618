//! Progress on stderr: a bar where it is a terminal, else a line a minute, or JSON for a program. Never with `--quiet`.

use crate::mutex::lock;
use crate::text::{age, size};
pub use indicatif::ProgressBar as Bar;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};
use std::io::{IsTerminal, Write};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

const COUNTER: &str = "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}";
const WITH_TOTAL: &str =
    "{msg} {wide_bar} {percent} % {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
/// How often a line is written.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// How often an object is written.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Hands the form on to the programs that this one starts.
const VARIABLE: &str = "PIPE_KIT_PROGRESS";

/// The option of tools that work for a long time.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Progress {
    /// How to show progress on standard error
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t = Form::Auto)]
    progress: Form,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A bar on a terminal, else a line a minute
    #[default]
    Auto,
    /// An object of JSON a second, for a program
    Json,
    /// Nothing
    None,
}

static FORM: OnceLock<Form> = OnceLock::new();
static SHOWN: Mutex<Vec<Shown>> = Mutex::new(Vec::new());
static REPORTER: OnceLock<()> = OnceLock::new();

/// A bar that is not drawn, but reported.
struct Shown {
    label: String,
    bar: WeakProgressBar,
    begun: Instant,
}

impl Progress {
    /// Applies the option to the whole process, and to those that it starts.
    pub fn apply(self) {
        if self.progress != Form::Auto {
            FORM.get_or_init(|| self.progress);
        }
    }
}

fn form() -> Form {
    *FORM.get_or_init(|| match std::env::var(VARIABLE).as_deref() {
        Ok("json") => Form::Json,
        Ok("none") => Form::None,
        _ => Form::Auto,
    })
}

/// Hands the form on to a program that is about to be started.
pub(crate) fn hand_on(command: &mut Command) {
    match FORM.get() {
        Some(Form::Json) => command.env(VARIABLE, "json"),
        Some(Form::None) => command.env(VARIABLE, "none"),
        _ => command,
    };
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar that counts bytes; without a total, a counter with a rate.
#[must_use]
pub fn bytes(total: Option<u64>, label: &str) -> ProgressBar {
    let is_drawn = form() == Form::Auto && std::io::stderr().is_terminal();
    let target = match crate::log::is_quiet() || !is_drawn {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr_with_hz(4),
    };
    let template = if total.is_some() { WITH_TOTAL } else { COUNTER };
    let bar = ProgressBar::with_draw_target(total, target).with_style(style(template));
    let bar = bar.with_message(label.to_owned());
    if !is_drawn && form() != Form::None && !crate::log::is_quiet() {
        report(&bar, label);
    }
    bar
}

/// The total becomes known, or is corrected.
pub fn set_total(bar: &ProgressBar, total: u64) {
    bar.set_length(total);
    bar.set_style(style(WITH_TOTAL));
}

/// An estimate that is a part of the total turned out to be another number.
pub fn correct(bar: &ProgressBar, estimate: u64, actual: u64) {
    if let Some(total) = bar.length() {
        bar.set_length(total.saturating_sub(estimate).saturating_add(actual));
    }
}

fn report(bar: &ProgressBar, label: &str) {
    let shown = Shown { label: label.to_owned(), bar: bar.downgrade(), begun: Instant::now() };
    lock(&SHOWN).push(shown);
    REPORTER.get_or_init(|| {
        // Without the thread, only progress is missing.
        let _ = std::thread::Builder::new().name("progress".into()).spawn(report_for_ever);
    });
}

fn report_for_ever() {
    let is_json = form() == Form::Json;
    loop {
        sleep(if is_json { JSON_EVERY } else { LINE_EVERY });
        if crate::cleanup::is_ending() {
            return;
        }
        for state in states() {
            match is_json {
                true => {
                    let _ = writeln!(std::io::stderr().lock(), "{}", state.json());
                }
                false => crate::log::line(format_args!("{}", state.line())),
            }
        }
    }
}

/// Those that have moved at all, without those that are done.
fn states() -> Vec<State> {
    let mut shown = lock(&SHOWN);
    shown.retain(|shown| shown.bar.upgrade().is_some_and(|bar| !bar.is_finished()));
    let state = |shown: &Shown| {
        let bar = shown.bar.upgrade()?;
        Some(State {
            label: shown.label.clone(),
            done: bar.position(),
            // An estimate can turn out too low.
            total: bar.length().filter(|total| *total > 0).map(|total| total.max(bar.position())),
            seconds: shown.begun.elapsed().as_secs().max(1),
        })
    };
    shown.iter().filter_map(state).filter(|state| state.done > 0).collect()
}

/// How far something is.
struct State {
    label: String,
    done: u64,
    total: Option<u64>,
    seconds: u64,
}

impl State {
    fn rate(&self) -> u64 {
        self.done / self.seconds
    }

    /// A total can be an estimate: what is not finished is never complete.
    fn percent(&self) -> Option<u64> {
        let share = u128::from(self.done) * 100 / u128::from(self.total?);
        Some(u64::try_from(share).unwrap_or(u64::MAX).min(99))
    }

    fn seconds_left(&self) -> Option<u64> {
        self.total?.saturating_sub(self.done).checked_div(self.rate())
    }

    fn line(&self) -> String {
        let Self { label, done, .. } = self;
        let rate = format!("{}/s", size(self.rate()));
        let left = self.seconds_left().and_then(|seconds| i64::try_from(seconds).ok());
        match (self.total, self.percent()) {
            (Some(total), Some(percent)) => {
                let left = left.map(|left| format!(", {} left", age(left))).unwrap_or_default();
                format!("{label}: {percent} %, {} of {}, {rate}{left}", size(*done), size(total))
            }
            _ => format!("{label}: {}, {rate}", size(*done)),
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "progress": self.label,
            "bytes": self.done,
            "total": self.total,
            "percent": self.percent(),
            "bytes_per_second": self.rate(),
            "seconds_left": self.seconds_left(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(done: u64, total: Option<u64>, seconds: u64) -> State {
        State { label: "load".to_owned(), done, total, seconds }
    }

    #[test]
    fn a_line_has_percent_rate_and_time_left() {
        let mib = 1 << 20;
        for (state, line) in [
            (
                state(25 * mib, Some(100 * mib), 5),
                "load: 25 %, 25.0 MiB of 100.0 MiB, 5.0 MiB/s, 15 s left",
            ),
            (
                state(120 * mib, Some(120 * mib), 60),
                "load: 99 %, 120.0 MiB of 120.0 MiB, 2.0 MiB/s, 0 s left",
            ),
            (state(30 * mib, None, 60), "load: 30.0 MiB, 512.0 KiB/s"),
            (state(5, Some(10), 60), "load: 50 %, 5 B of 10 B, 0 B/s"),
            (
                state(u64::MAX, Some(u64::MAX), 1),
                "load: 99 %, 16.0 EiB of 16.0 EiB, 16.0 EiB/s, 0 s left",
            ),
        ] {
            assert_eq!(state.line(), line);
        }
    }

    #[test]
    fn an_object_has_the_same_numbers() {
        let text = state(50, Some(200), 10).json().to_string();
        assert_eq!(
            text,
            r#"{"bytes":50,"bytes_per_second":5,"percent":25,"progress":"load","seconds_left":30,"total":200}"#
        );
        assert!(state(50, None, 10).json()["percent"].is_null());
    }

    #[test]
    fn an_estimate_gives_way_to_what_it_became() {
        let bar = ProgressBar::hidden();
        correct(&bar, 5, 7);
        assert_eq!(bar.length(), None);
        set_total(&bar, 100);
        correct(&bar, 40, 10);
        assert_eq!(bar.length(), Some(70));
    }

    #[test]
    fn a_bar_is_reported_until_it_is_finished_or_gone() {
        let of = |label: &str| states().into_iter().filter(|state| state.label == label).count();
        let (first, second) = (ProgressBar::hidden(), ProgressBar::hidden());
        for (bar, label) in [(&first, "first"), (&second, "second")] {
            let shown = Shown { label: label.into(), bar: bar.downgrade(), begun: Instant::now() };
            lock(&SHOWN).push(shown);
        }
        assert_eq!(of("first"), 0);
        first.inc(1);
        second.inc(1);
        assert_eq!((of("first"), of("second")), (1, 1));
        first.finish_and_clear();
        drop(second);
        assert_eq!((of("first"), of("second")), (0, 0));
    }
}
