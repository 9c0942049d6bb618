//! What a shipment records of itself, and whom it notifies.

use crate::hooks::{LINE, log, write_hook};
use crate::metrics::{measured, samples, value};
use crate::record;
use anyhow::Result;
use bundle_format::report::RunKind::Ship;
use bundle_format::report::{HealthReport, ProbeKind, ProbeVerdict};
use std::path::{Path, PathBuf};
use test_kit::deployment::{Deployment, sh};
use test_kit::receiver::{Manner, Receiver, lines, messages};

/// A deployment with two directories that it ships to, hooks that note each call, and a receiver of everything.
struct Stand {
    deployment: Deployment,
    metrics: PathBuf,
    pings: Receiver,
    messages: Receiver,
}

impl Stand {
    fn new(lines: &str) -> Result<Self> {
        let receiver = || Receiver::start(Manner::Status(200));
        let (pings, messages) = (receiver()?, receiver()?);
        let (deployment, metrics) = measured(&format!(
            "\nNOTIFY_PING=http://{}/planted-ping/{{run}}\nNOTIFY_URL=http://{}/planted-url\n\
             SHIP_RECIPIENTS=backup.pub\nSHIP_1=first\nSHIP_2=second\n{lines}",
            pings.address(),
            messages.address()
        ))?;
        sh(
            deployment.dir(),
            "mkdir first second && age-keygen 2>/dev/null | age-keygen -y > backup.pub",
        )?;
        for when in ["before", "after", "failed"] {
            write_hook(&deployment, &format!("{when}-ship.d/10-note"), LINE)?;
        }
        Ok(Self { deployment, metrics, pings, messages })
    }

    fn place(&self, name: &str) -> String {
        self.deployment.dir().join(name).display().to_string()
    }

    /// A metric of a destination.
    fn metric(&self, name: &str, place: &str) -> Result<f64> {
        let destination = self.place(place);
        let name = format!("piprio_ship_destination_{name}{{destination=\"{destination}\"}}");
        Ok(value(&samples(&self.metrics)?, &name))
    }

    /// How the health check sees the copies.
    fn health(&self) -> Result<Vec<(ProbeVerdict, String)>> {
        let arguments = ["--only", "ship", "--json"];
        let run = self.deployment.run_script("health-check.sh", &arguments, "")?;
        let report: HealthReport = serde_json::from_str(&run.stdout)?;
        assert!(report.probes.iter().all(|probe| probe.kind == ProbeKind::Ship));
        Ok(report.probes.into_iter().map(|probe| (probe.verdict, probe.detail)).collect())
    }
}

#[test]
fn a_shipment_after_a_backup_is_a_run_of_its_own() -> Result<()> {
    let stand = Stand::new("")?;
    let missing = stand.health()?;
    assert!(missing.iter().all(|(verdict, _)| *verdict == ProbeVerdict::Warn), "{missing:?}");
    write_hook(
        &stand.deployment,
        "after-ship.d/20-leak",
        "echo visible: $NOTIFY_PING $NOTIFY_URL",
    )?;
    stand.deployment.backup(&[])?.expect(0);
    assert_eq!(
        log(&stand.deployment),
        ["before ship  with a bundle", "after ship 0 with a bundle"]
    );
    let sent = stand.pings.take();
    assert_eq!(
        lines(&sent),
        ["backup/start", "backup/0", "ship/start", "ship/0"]
            .map(|end| format!("POST /planted-ping/{end}"))
    );
    assert!(sent[3].body.contains("visible: ") && !sent[3].body.contains("planted"));
    assert!(stand.messages.take().is_empty());

    let bundle = stand.deployment.newest_bundle()?;
    let shipped = record(&stand.deployment, Ship)?;
    assert_eq!((shipped.status, shipped.last_success), (Some(0), shipped.ended));
    assert_eq!(shipped.bundle.as_deref(), Some(bundle.as_path()));
    let stages: Vec<_> = shipped.stages.iter().map(|s| (s.stage.as_str(), s.status)).collect();
    assert_eq!(stages, [("send", Some(0))]);
    for (record, place) in shipped.destinations.iter().zip(["first", "second"]) {
        assert_eq!((&record.destination, record.status), (&stand.place(place), Some(0)));
        let name = format!("{}.tar.age", bundle.file_name().unwrap().to_string_lossy());
        let size = Path::new(&record.destination).join(name).metadata()?.len();
        assert_eq!(record.bytes, Some(size));
        assert!(record.last_success.is_some() && record.seconds.is_some());
        assert_eq!(stand.metric("status", place)?, 0.0);
        assert_eq!(format!("{}", stand.metric("bytes", place)?), size.to_string());
    }
    let health = stand.health()?;
    assert_eq!(health.len(), 2);
    assert!(health.iter().all(|(verdict, _)| *verdict == ProbeVerdict::Pass), "{health:?}");
    let list = stand.deployment.run_script("restore.sh", &[], "")?.expect(0).stdout;
    let column = format!("to {}, {}\n", stand.place("first"), stand.place("second"));
    assert!(list.contains("shipped ") && list.ends_with(&column), "{list}");
    Ok(())
}

#[test]
fn a_destination_that_fails_is_a_failure_and_a_hook_that_mounts_it_a_recovery() -> Result<()> {
    let stand = Stand::new("")?;
    sh(stand.deployment.dir(), "rmdir second")?;
    let run = stand.deployment.backup(&[])?.expect(1);
    assert!(run.stderr.contains(" is complete, but it is not copied everywhere"), "{}", run.stderr);
    assert_eq!(log(&stand.deployment)[1], "failed ship 3 with a bundle");
    let pings = stand.pings.take();
    assert_eq!(lines(&pings)[1], "POST /planted-ping/backup/0");
    assert_eq!(lines(&pings)[3], "POST /planted-ping/ship/3");
    let failed = messages(&stand.messages.take())?;
    let [(event, text)] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(event, "failure");
    assert!(text.contains("ship failed with status 3 in send: 1 copy failed"), "{text}");
    let recorded = record(&stand.deployment, Ship)?;
    let status: Vec<_> = recorded.destinations.iter().map(|d| d.status).collect();
    assert_eq!(status, [Some(0), Some(1)]);
    assert_eq!((stand.metric("status", "first")?, stand.metric("status", "second")?), (0.0, 1.0));
    let (verdict, detail) = &stand.health()?[1];
    assert_eq!(*verdict, ProbeVerdict::Warn);
    assert!(detail.starts_with("the last shipment failed (status 1)"), "{detail}");
    let first = recorded.destinations[0].last_success;

    write_hook(&stand.deployment, "before-ship.d/20-mount", "mkdir -p second")?;
    stand.deployment.run_script("ship.sh", &["--newest"], "")?.expect(0);
    let recovered = messages(&stand.messages.take())?;
    assert_eq!(recovered[0].0, "recovery", "{recovered:?}");
    let recorded = record(&stand.deployment, Ship)?;
    let bytes: Vec<_> = recorded.destinations.iter().map(|d| d.bytes).collect();
    assert_eq!(bytes[0], Some(0), "it was there already");
    assert!(bytes[1] > Some(0));
    assert!(recorded.destinations[0].last_success >= first);
    assert_eq!(stand.health()?[1].0, ProbeVerdict::Pass);
    Ok(())
}

#[test]
fn a_hook_of_before_refuses_a_shipment_and_not_the_backup() -> Result<()> {
    let stand = Stand::new("")?;
    write_hook(&stand.deployment, "before-ship.d/20-refuses", "exit 1")?;
    stand.deployment.backup(&[])?.expect(1);
    stand.deployment.newest_bundle()?;
    assert_eq!(
        log(&stand.deployment),
        ["before ship  with a bundle", "failed ship 5 with a bundle"]
    );
    assert_eq!(sh(stand.deployment.dir(), "ls -A first second | grep -c age || true")?, "0\n");
    let status: Vec<_> =
        record(&stand.deployment, Ship)?.destinations.iter().map(|d| d.status).collect();
    assert_eq!(status, [Some(5), Some(5)]);
    // What is only read is no run.
    log(&stand.deployment);
    stand.pings.take();
    for verb in ["list", "verify", "prune"] {
        stand.deployment.run_script("ship.sh", &[verb], "")?.expect(0);
    }
    assert!(stand.pings.take().is_empty() && log(&stand.deployment).is_empty());
    Ok(())
}

#[test]
fn copies_are_pruned_where_they_are_complete_and_the_list_no_longer_names_them() -> Result<()> {
    let stand = Stand::new("SHIP_KEEP_DAYS=1\nBACKUP_KEEP_DAYS=400\n")?;
    stand.deployment.backup(&[])?.expect(0);
    let bundle = stand.deployment.newest_bundle()?;
    let name = bundle.file_name().unwrap().to_string_lossy().into_owned();
    let old = "piprio_20260401T020000Z";
    // An old copy at each place, as this host has once made it.
    sh(
        stand.deployment.dir(),
        &format!("cp -a backups/{name} backups/{old} && mv backups/{name} aside"),
    )?;
    let path = stand.place(&format!("backups/{old}"));
    stand.deployment.run_script("ship.sh", &[&path], "")?.expect(0);
    sh(stand.deployment.dir(), &format!("mv aside backups/{name}; rm -rf second"))?;
    let list =
        || Ok::<_, anyhow::Error>(stand.deployment.run_script("restore.sh", &[], "")?.stdout);
    let shipped = |list: &str| list.lines().filter(|line| line.contains("shipped ")).count();
    assert_eq!(shipped(&list()?), 2);
    stand.deployment.backup(&[])?.expect(1);
    let stages: Vec<_> = record(&stand.deployment, Ship)?
        .stages
        .iter()
        .map(|stage| (stage.stage.clone(), stage.status))
        .collect();
    assert_eq!(stages, [("send".to_owned(), Some(3)), ("prune".to_owned(), Some(0))]);
    assert_eq!(sh(stand.deployment.dir(), &format!("ls first | grep -c {old} || true"))?, "0\n");
    let list = list()?;
    let line = list.lines().find(|line| line.starts_with(old)).unwrap_or_default();
    assert!(line.ends_with(&format!("to {}", stand.place("second"))), "{list}");
    Ok(())
}
