//! A restore killed at any moment: there is always a database, the old one or the new, and continuing
//! or starting over brings everything back and cleans up.

use crate::fault::{Ending, Fault, Scale};
use crate::launched::Launched;
use crate::stand::{Stand, ended, last_words};
use crate::victim::Victim;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use pipe_kit::Exit;
use std::time::Duration;

/// How long a restore of which a part was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(60);
const STEPS: [&str; 11] = [
    "validate",
    "summary",
    "confirm",
    "preflight",
    "stop",
    "database",
    "objects",
    "config",
    "cache",
    "start",
    "health",
];

struct Killed(Victim);

pub fn faults() -> Vec<Box<dyn Fault>> {
    Victim::ALL.map(|victim| Box::new(Killed(victim)) as Box<dyn Fault>).into()
}

impl Fault for Killed {
    fn name(&self) -> String {
        let who = match self.0 {
            Victim::Everything => "with all that it started",
            Victim::Script => "restore-run alone",
            Victim::Stage => "one process below it",
        };
        format!("restore: kill -9, {who}")
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(44, 2)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let (before, mut run) = loop {
            let before = stand.wreck(rng)?;
            let mut run = stand.launch_restore(&[])?;
            if reach_a_moment(&mut run, stand, n, rng)? {
                break (before, run);
            }
            // Over already: another one, and another moment.
            ended(&run.finish()?, 0)?;
        };
        self.0.kill(&run, rng)?;
        let status = run.status_within(PATIENCE)?;
        let message = run.log();
        let report = || format!("it ended with {status}: {}", last_words(&message));
        let database = stand.database_is_old_or_new(&before).with_context(report)?;
        let how = complete(stand, n).with_context(report)?;
        run.finish().with_context(report)?;
        if status == 0 {
            ensure!(database == "new", "it ended with 0 and the database is old: {}", report());
        }
        stand.is_restored().with_context(|| format!("{how}, after {}", report()))?;
        Ending::held(format!("in {}", last_step(&message)))
    }
}

/// Anywhere in the run, or soon after a certain step has begun, so that short steps are hit too.
fn reach_a_moment(run: &mut Launched, stand: &Stand, n: usize, rng: &mut Rng) -> Result<bool> {
    if n.is_multiple_of(2) {
        return run.let_run(stand.restore_takes.mul_f64(rng.f64()));
    }
    let step = n / 2 % STEPS.len();
    let begun = format!("[{}/{}] {} …", step + 1, STEPS.len(), STEPS[step]);
    Ok(run.wait_for(&begun)? && run.let_run(Duration::from_micros(rng.u64(..60_000)))?)
}

fn last_step(message: &str) -> &str {
    let began = |line: &&str| line.contains("/11] ") && line.ends_with(" …");
    let last = message.lines().rev().find(began).and_then(|line| line.split_whitespace().nth(2));
    last.unwrap_or("the start of it")
}

/// Continues or starts over, in turn; where there is nothing to continue, `--resume` is refused.
pub fn complete(stand: &Stand, n: usize) -> Result<&'static str> {
    let unfinished = stand.deployment.dir().join(".restore/unfinished.json").exists();
    if (n / 2).is_multiple_of(2) {
        let run = stand.launch_restore(&["--resume"])?.finish()?;
        if run.status == 0 {
            return Ok("resumed");
        }
        let refused = run.status == i32::from(Exit::Refused.code()) && !unfinished;
        ensure!(refused, "--resume ended with {}: {}", run.status, last_words(&run.stderr));
    }
    ended(&stand.restore()?, 0).context("a plain restore afterwards")?;
    Ok("restored anew")
}

#[cfg(test)]
mod tests {
    use super::last_step;

    #[test]
    fn the_step_that_has_begun_last_is_the_one_that_was_hit() {
        let message = "restore-run: [5/11] stop …\nrestore-run: stopped api\nrestore-run: [5/11] stop: 0.6 s\n";
        assert_eq!(
            last_step(&format!("{message}restore-run: [6/11] database …\npg-snap: x\n")),
            "database"
        );
        assert_eq!(last_step(message), "stop");
        assert_eq!(last_step("deploy-env: x\n"), "the start of it");
    }
}
