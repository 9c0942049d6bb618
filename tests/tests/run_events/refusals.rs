//! Runs that are refused, or fail in other ways: each is one message and one step of the counter.

use crate::metrics::{measured, samples};
use crate::{ANSWERS, replace};
use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use std::path::Path;
use test_kit::deployment::{Deployment, Run};
use test_kit::receiver::{Manner, Receiver, lines, messages};

/// What is watched of a deployment.
struct Watched {
    deployment: Deployment,
    metrics: std::path::PathBuf,
    pings: Receiver,
    hooks: Receiver,
}

impl Watched {
    fn new() -> Result<Self> {
        let start = || Receiver::start(Manner::Status(200));
        let (pings, hooks) = (start()?, start()?);
        let (deployment, metrics) = measured(&format!(
            "\nNOTIFY_PING=http://{}/{{run}}\nNOTIFY_URL=http://{}/u\n",
            pings.address(),
            hooks.address()
        ))?;
        Ok(Self { deployment, metrics, pings, hooks })
    }

    fn failures(&self, kind: &str) -> f64 {
        let name = format!("piprio_{kind}_failed_runs_total{{domain=\"demo.piprio.test\"}}");
        let found = samples(&self.metrics).unwrap_or_default();
        found.get(&name).copied().unwrap_or_default()
    }

    /// A run fails, and that is reported once.
    fn fails(&self, kind: &str, status: i32, run: impl FnOnce() -> Result<Run>) -> Result<()> {
        let before = self.failures(kind);
        let run = run()?.expect(status);
        let sent = self.pings.take();
        assert_eq!(
            lines(&sent),
            [format!("POST /{kind}/start"), format!("POST /{kind}/{status}")],
            "{}",
            run.stderr
        );
        let sent = messages(&self.hooks.take())?;
        let is_it = |text: &str| text.contains(&format!("{kind} failed with status {status}"));
        ensure!(
            matches!(&sent[..], [(event, text)] if event == "failure" && is_it(text)),
            "{sent:?}"
        );
        assert_eq!(self.failures(kind), before + 1.0);
        Ok(())
    }

    fn succeeds(&self, run: Run, events: &[&str]) -> Result<()> {
        run.expect(0);
        let sent = messages(&self.hooks.take())?;
        assert_eq!(sent.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(), events);
        self.pings.take();
        Ok(())
    }
}

fn lock(path: &Path) -> Result<std::fs::File> {
    let file = std::fs::File::open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[test]
fn every_way_to_fail_is_one_message_and_counts_once_and_so_is_the_recovery() -> Result<()> {
    let watched = Watched::new()?;
    let deployment = &watched.deployment;
    let backup = || deployment.backup(&[]);
    watched.succeeds(backup()?, &[])?;
    let bundle = deployment.newest_bundle()?;
    let restore = |answers: &'static str| deployment.restore(&bundle, &[], answers);

    let held = lock(&deployment.dir().join(".restore/lock"))?;
    watched.fails("backup", 5, backup)?;
    watched.fails("restore", 5, || restore(ANSWERS))?;
    drop(held);
    for (program, script, status) in [
        ("pg-snap", "kill -9 $$", 1),
        ("bundle-manifest", r#"[ "$1" = publish ] && exit 4; exec "$0.aside" "$@""#, 4),
        ("bundle-prune", "exit 1", 1),
    ] {
        let replaced = replace(deployment, program, script)?;
        watched.fails("backup", status, backup)?;
        replaced.put_back()?;
    }
    watched.succeeds(backup()?, &["recovery"])?;

    watched.fails("restore", 5, || restore("not this domain\n"))?;
    let replaced =
        replace(deployment, "pg-snap", r#"[ "$1" = load ] && exit 1; exec "$0.aside" "$@""#)?;
    watched.fails("restore", 1, || restore(ANSWERS))?;
    // A backup is refused meanwhile, and that is a failure of the backup.
    watched.fails("backup", 5, backup)?;
    replaced.put_back()?;
    watched.succeeds(deployment.restore(&bundle, &["--resume"], ANSWERS)?, &["recovery"])?;
    watched.succeeds(backup()?, &["recovery"])?;
    watched.succeeds(backup()?, &[])?;
    assert_eq!((watched.failures("backup"), watched.failures("restore")), (5.0, 3.0));
    Ok(())
}

#[test]
fn a_bundle_that_is_none_any_more_is_a_failure_and_a_mistyped_path_is_none() -> Result<()> {
    let watched = Watched::new()?;
    watched.succeeds(watched.deployment.backup(&[])?, &[])?;
    let bundle = watched.deployment.newest_bundle()?;
    let restore = |bundle: &Path| watched.deployment.restore(bundle, &[], ANSWERS);
    restore(&bundle.with_extension("typo"))?.expect(2);
    restore(bundle.parent().context("a root")?)?.expect(4);
    assert!(watched.pings.take().is_empty() && watched.hooks.take().is_empty());
    let (manifest, aside) = (bundle.join("MANIFEST.txt"), bundle.with_extension("manifest"));
    std::fs::rename(&manifest, &aside)?;
    watched.fails("restore", 4, || restore(&bundle))?;
    std::fs::rename(&aside, &manifest)?;
    watched.succeeds(restore(&bundle)?, &["recovery"])
}
