//! A stage that is stopped, as by a debugger or a frozen disk: it continues as if nothing had been; and
//! where it does not, a signal to the script ends all of it all the same.

use crate::fault::{Ending, Fault, Scale};
use crate::launched::Launched;
use crate::processes;
use crate::restore_killed;
use crate::script::Script;
use crate::stand::{Stand, ended, last_words};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::process::Signal;
use std::time::Duration;

/// How long a script may take to end when it is terminated, its stage stopped: long enough for a
/// stage's own patience with what it has started.
const BOUND: Duration = Duration::from_secs(60);

pub fn faults() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(ForAWhile(Script::Backup)),
        Box::new(ForAWhile(Script::Restore)),
        Box::new(ForGood(Script::Backup)),
        Box::new(ForGood(Script::Restore)),
    ]
}

impl Script {
    fn launch(self, stand: &Stand) -> Result<Launched> {
        if self == Self::Backup { stand.launch_backup() } else { stand.launch_restore(&[]) }
    }

    fn takes(self, stand: &Stand) -> Duration {
        if self == Self::Backup { stand.backup_takes } else { stand.restore_takes }
    }
}

/// A run of which one process is stopped.
struct Stopped {
    run: Launched,
    id: i32,
    name: String,
    /// The database before a restore.
    before: Option<String>,
}

impl Stopped {
    fn new(script: Script, stand: &Stand, rng: &mut Rng) -> Result<Self> {
        loop {
            let before = (script == Script::Restore).then(|| stand.wreck(rng)).transpose()?;
            let mut run = script.launch(stand)?;
            run.let_run(script.takes(stand).mul_f64(rng.f64()))?;
            while !run.has_ended()? {
                // A service that is just being started is no stage.
                let own = |p: &processes::Process| p.group == run.id();
                let below = processes::below(run.id()).into_iter().filter(own);
                if let Some(process) = rng.choice(below.collect::<Vec<_>>()) {
                    processes::signal(process.id, Signal::STOP)?;
                    return Ok(Self { run, id: process.id, name: process.name, before });
                }
            }
            // Over already: another one, and another moment.
            ended(&run.finish()?, 0)?;
            stand.remove_other_bundles()?;
        }
    }
}

struct ForAWhile(Script);

impl Fault for ForAWhile {
    fn name(&self) -> String {
        format!("{}: a process below it stopped for a while (SIGSTOP, SIGCONT)", self.0.name())
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(12, 1)
    }

    fn attempt(&self, stand: &Stand, _: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let Stopped { mut run, id, name, .. } = Stopped::new(self.0, stand, rng)?;
        run.let_run(Duration::from_millis(rng.u64(100..1500)))?;
        processes::signal(id, Signal::CONT)?;
        ended(&run.finish()?, 0).with_context(|| format!("{name} was stopped"))?;
        match self.0 {
            Script::Backup => {
                ensure!(stand.deployment.bundles()?.len() == 2, "no bundle was made");
                stand.bundles_are_whole()?;
                stand.nothing_is_left()?;
                stand.remove_other_bundles()?;
            }
            Script::Restore => stand.is_restored()?,
        }
        Ending::held("complete")
    }
}

struct ForGood(Script);

impl Fault for ForGood {
    fn name(&self) -> String {
        format!("{}: a process below it stopped for good, then SIGTERM", self.0.name())
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(12, 1)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let Stopped { mut run, name, before, .. } = Stopped::new(self.0, stand, rng)?;
        run.signal(Signal::TERM)?;
        let status = run.status_within(BOUND).with_context(|| format!("{name} was stopped"))?;
        let report = format!("{name} was stopped; {}", last_words(&run.log()));
        ensure!(status == 143 || status == 0, "it ended with {status}: {report}");
        run.finish().with_context(|| report.clone())?;
        match before {
            None => {
                stand.bundles_are_whole().with_context(|| report.clone())?;
                stand.nothing_is_left().with_context(|| report.clone())?;
                stand.remove_other_bundles()?;
                stand.backs_up_again().context(report)?;
            }
            Some(before) => {
                stand.database_is_old_or_new(&before).with_context(|| report.clone())?;
                restore_killed::complete(stand, n).with_context(|| report.clone())?;
                stand.is_restored().context(report)?;
            }
        }
        Ending::held(format!("ended with {status}"))
    }
}
