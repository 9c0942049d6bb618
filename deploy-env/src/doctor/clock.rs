//! The clock: bundles have their names and their ages by it.

use super::line::Line;
use crate::program::{Answer, LIMIT, Tools, ask};
use pipe_kit::text::age;

/// How many seconds ahead of the clock a bundle may be: two that begin in one second get different names.
const AHEAD: i64 = 60;

/// Whether the clock is synchronized; none if nobody knows.
pub fn is_synchronized(tools: &Tools) -> Option<bool> {
    let mut command = tools.command("timedatectl");
    command.args(["show", "-p", "NTPSynchronized", "--value"]);
    let answer = ask(&mut command, "", LIMIT).ok().filter(Answer::is_good)?;
    match answer.text.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The line; `bundle` is the age of the newest bundle in seconds.
pub fn line(is_synchronized: Option<bool>, bundle: Option<i64>) -> Line {
    const NAME: &str = "clock";
    if let Some(ahead) = bundle.filter(|age| *age < -AHEAD) {
        let ahead = age(-ahead);
        let found = format!("the newest bundle is dated {ahead} ahead: the clock is wrong, or was");
        return Line::finding(NAME, found, "timedatectl set-ntp true && timedatectl");
    }
    match is_synchronized {
        Some(true) => Line::ok(NAME, "synchronized"),
        Some(false) => Line::finding(NAME, "not synchronized", "timedatectl set-ntp true"),
        None => {
            Line::note(NAME, "whether it is synchronized is not known: timedatectl does not answer")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_a_finding_and_one_that_is_not_known_a_note() {
        for (synchronized, bundle, status) in [
            (Some(true), Some(10), Status::Ok),
            (Some(true), Some(-1), Status::Ok),
            (Some(false), None, Status::Finding),
            (None, None, Status::Note),
            (Some(true), Some(-3600), Status::Finding),
        ] {
            assert_eq!(line(synchronized, bundle).status, status, "{synchronized:?} {bundle:?}");
        }
        assert!(line(None, Some(-7200)).found.contains("dated 2 h ahead"));
    }
}
