//! A database server killed in the middle of a dump or a load: no bundle, and the old database is
//! there once the server is up again.

use crate::fault::{Ending, Fault, Scale};
use crate::launched::Launched;
use crate::processes::{self, Process};
use crate::restore_killed;
use crate::stand::{Stand, last_words};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::process::Signal;
use std::time::Duration;
use test_kit::process::wait_until;

const PATIENCE: Duration = Duration::from_secs(120);

pub fn faults() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Dump), Box::new(Load)]
}

/// Who dies, in turn.
fn strike(stand: &Stand, run: &mut Launched, n: usize, rng: &mut Rng) -> Result<&'static str> {
    let server = postmaster(stand)?;
    match n % 3 {
        0 => {
            processes::signal(server, Signal::KILL)?;
            Ok("server killed")
        }
        1 => {
            // What `pg_ctl stop -m immediate` sends.
            processes::signal(server, Signal::QUIT)?;
            Ok("server stopped at once")
        }
        _ => loop {
            if let Some(session) = rng.choice(sessions(server)) {
                processes::signal(session.id, Signal::KILL)?;
                return Ok("session killed");
            }
            if run.has_ended()? {
                return Ok("nothing, it had ended");
            }
        },
    }
}

fn postmaster(stand: &Stand) -> Result<i32> {
    let file = stand.deployment.facts().data.join("postgres/postmaster.pid");
    let text = std::fs::read_to_string(file).context("the server's pid file")?;
    text.lines().next().context("an empty pid file")?.trim().parse().context("a pid file")
}

/// The processes that serve a client, and not the server itself.
fn sessions(server: i32) -> Vec<Process> {
    let serves = |process: &Process| {
        let words = std::fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
        words.starts_with(format!("postgres: {} ", test_kit::postgres::USER).as_bytes())
    };
    processes::below(server).into_iter().filter(serves).collect()
}

/// Starts the server again where it has ended, and waits until it answers.
pub fn bring_up(stand: &Stand) -> Result<()> {
    let answers = || stand.deployment.psql_in("postgres", "select 1").is_ok();
    if processes::below(postmaster(stand).unwrap_or(i32::MAX)).is_empty() {
        stand.deployment.stop(&["postgres"])?;
        stand.deployment.start(&["postgres"])?;
    }
    wait_until("the database server to be up again", || Ok(answers()))
}

struct Dump;

impl Fault for Dump {
    fn name(&self) -> String {
        "backup: database server or its session killed in the dump".into()
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(18, 3)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let mut run = stand.launch_backup()?;
        run.wait_for("] database …")?;
        run.let_run(Duration::from_millis(rng.u64(..250)))?;
        let what = strike(stand, &mut run, n, rng)?;
        let status = run.status_within(PATIENCE)?;
        let report = || format!("{what}; it ended with {status}: {}", last_words(&run.log()));
        bring_up(stand).with_context(report)?;
        let made = stand.deployment.bundles()?.len() - 1;
        ensure!(made == usize::from(status == 0), "{made} bundles were made: {}", report());
        let report = report();
        run.finish()?;
        let database = stand.database()?;
        ensure!(stand.is_bundled_database(&database), "the database has changed: {report}");
        stand.bundles_are_whole().with_context(|| report.clone())?;
        stand.nothing_is_left().with_context(|| report.clone())?;
        stand.remove_other_bundles()?;
        stand.backs_up_again().context(report)?;
        Ending::held(if made == 0 { "failed, no bundle" } else { "a whole bundle" })
    }
}

struct Load;

impl Fault for Load {
    fn name(&self) -> String {
        "restore: database server or its session killed in the load".into()
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(18, 3)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, _: Scale) -> Result<Ending> {
        let before = stand.wreck(rng)?;
        let mut run = stand.launch_restore(&[])?;
        run.wait_for("] database …")?;
        run.let_run(Duration::from_millis(rng.u64(..1000)))?;
        let what = strike(stand, &mut run, n, rng)?;
        let status = run.status_within(PATIENCE)?;
        let report = || format!("{what}; it ended with {status}: {}", last_words(&run.log()));
        bring_up(stand).with_context(report)?;
        let database = stand.database_is_old_or_new(&before).with_context(report)?;
        ensure!(status != 0 || database == "new", "it ended with 0: {}", report());
        restore_killed::complete(stand, n).with_context(report)?;
        let report = report();
        run.finish()?;
        stand.is_restored().context(report)?;
        Ending::held(format!(
            "{}, {database} database, complete afterwards",
            if status == 0 { "done" } else { "failed" }
        ))
    }
}
