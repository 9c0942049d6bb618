//! An object storage that delays, fails, hangs up and cuts off: a run fails loudly, or what it has
//! made is whole.

use crate::fault::{Ending, Fault, Scale};
use crate::stand::{Stand, ended, last_words};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use pipe_kit::Exit;
use std::time::Duration;
use test_kit::s3::faults::{self, Act};

pub fn faults() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Pull), Box::new(Push)]
}

/// Operations, each with how often a run asks for it.
const PULL: [(&str, u64); 2] = [("GetObject", 40), ("ListObjectsV2", 1)];
const PUSH: [(&str, u64); 3] = [("PutObject", 2), ("ListObjectsV2", 3), ("DeleteObject", 1)];

/// From a single mishap to a storage that does nothing right any more.
fn any(operations: &[(&str, u64)], n: usize, rng: &mut Rng) -> faults::Fault {
    let late = Duration::from_millis(rng.u64(50..1500));
    let acts = [Act::Slow(late), Act::Unavailable, Act::Broken, Act::HangUp, Act::Cut];
    let (operation, asked) = rng.choice(operations).copied().unwrap_or(("GetObject", 1));
    faults::Fault {
        operation: operation.into(),
        skip: rng.u64(..asked),
        times: [1, 2, 5, 20, u64::MAX][rng.usize(..5)],
        act: acts[n % acts.len()],
    }
}

struct Pull;

impl Fault for Pull {
    fn name(&self) -> String {
        "backup: object storage delays, answers 500 or 503, hangs up, cuts bodies".into()
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(40, 4)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let fault = any(&PULL, n, rng);
        stand.deployment.s3_fault(&fault)?;
        let run = stand.backup();
        stand.deployment.s3_faults_end()?;
        let run = run?;
        let report =
            || format!("{fault:?}: it ended with {}: {}", run.status, last_words(&run.stderr));
        stand.bundles_are_whole().with_context(report)?;
        stand.nothing_is_left().with_context(report)?;
        let made: Vec<_> =
            stand.deployment.bundles()?.into_iter().filter(|b| *b != stand.bundle).collect();
        ensure!(made.len() == usize::from(run.status == 0), "{} bundles: {}", made.len(), report());
        for bundle in &made {
            stand.mirrors_the_bucket(bundle).with_context(report)?;
        }
        let is_named =
            run.stderr.contains("no bundle was made") && run.stderr.contains("obj-mirror");
        ensure!(run.status == 0 || is_named, "it does not name what failed: {}", report());
        stand.remove_other_bundles()?;
        Ending::held(if run.status == 0 { "a whole bundle" } else { "failed, no bundle" })
    }
}

struct Push;

impl Fault for Push {
    fn name(&self) -> String {
        "restore: object storage delays, answers 500 or 503, hangs up, cuts bodies, dies".into()
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(24, 2)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        stand.wreck(rng)?;
        let mut fault = any(&PUSH, n, rng);
        if n % 8 == 7 {
            fault.act = Act::Die;
        }
        stand.deployment.s3_fault(&fault)?;
        let run = stand.restore()?;
        let report =
            || format!("{fault:?}: it ended with {}: {}", run.status, last_words(&run.stderr));
        if run.status == 0 {
            stand.deployment.s3_faults_end()?;
            stand.is_restored().with_context(report)?;
            return Ending::held("complete");
        }
        let expected = [Exit::Failed, Exit::Incomplete, Exit::Refused].map(|e| i32::from(e.code()));
        ensure!(expected.contains(&run.status), "an odd status: {}", report());
        // Dead, it is started anew, and is empty; else it runs on, without further faults.
        if stand.deployment.s3_faults_end().is_err() {
            stand.deployment.start(&["minio"])?;
        }
        let resume = stand.launch_restore(&["--resume"])?.finish()?;
        let refused = i32::from(Exit::Refused.code());
        if resume.status == refused {
            stand.restores_again().with_context(report)?;
        } else {
            ended(&resume, 0).context("--resume").with_context(report)?;
        }
        stand.is_restored().with_context(report)?;
        Ending::held("failed, complete afterwards")
    }
}
