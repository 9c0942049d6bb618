//! A backup killed at any moment: no finished name on anything less than whole, the bundle before it
//! as it was, and the next backup works and cleans up.

use crate::fault::{Ending, Fault, Scale};
use crate::launched::Launched;
use crate::stand::{Stand, ended, last_words};
use crate::victim::Victim;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::time::Duration;

/// How long a backup of which a part was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

const STAGES: [&str; 4] = ["database", "objects", "config", "manifest"];

struct Killed(Victim);

pub fn faults() -> Vec<Box<dyn Fault>> {
    Victim::ALL.map(|victim| Box::new(Killed(victim)) as Box<dyn Fault>).into()
}

impl Fault for Killed {
    fn name(&self) -> String {
        let who = match self.0 {
            Victim::Everything => "with all that it started",
            Victim::Script => "backup-run alone",
            Victim::Stage => "one process below it",
        };
        format!("backup: kill -9, {who}")
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(40, 2)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let mut run = loop {
            let mut run = stand.launch_backup()?;
            if reach_a_moment(&mut run, stand, n, rng)? {
                break run;
            }
            // Over already: another one, and another moment.
            ended(&run.finish()?, 0)?;
            stand.remove_other_bundles()?;
        };
        self.0.kill(&run, rng)?;
        let status = run.status_within(PATIENCE)?;
        let report = || format!("it ended with {status}: {}", last_words(&run.log()));
        let made = stand.deployment.bundles()?.len() - 1;
        stand.bundles_are_whole().with_context(report)?;
        ensure!(status != 0 || made == 1, "it ended with 0 and made no bundle: {}", report());
        // At once, while what was not killed may still be running.
        ended(&stand.backup()?, 0).context("the next backup").with_context(report)?;
        let report = report();
        run.finish().with_context(|| report.clone())?;
        stand.bundles_are_whole().with_context(|| report.clone())?;
        stand.nothing_is_left().context(report)?;
        stand.remove_other_bundles()?;
        Ending::held(if made == 0 { "no bundle" } else { "a whole bundle" })
    }
}

/// Anywhere in the run, or soon after a certain stage has begun, so that short ones are hit too.
fn reach_a_moment(run: &mut Launched, stand: &Stand, n: usize, rng: &mut Rng) -> Result<bool> {
    if n.is_multiple_of(2) {
        return run.let_run(stand.backup_takes.mul_f64(rng.f64()));
    }
    let begun = format!("] {} …", STAGES[n / 2 % STAGES.len()]);
    Ok(run.wait_for(&begun)? && run.let_run(Duration::from_micros(rng.u64(..90_000)))?)
}
