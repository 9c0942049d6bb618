//! What a drill records of itself, and whom it notifies.

use crate::hooks::{LINE, log, write_hook};
use crate::metrics::{measured, samples, value};
use crate::record;
use anyhow::{Context, Result};
use bundle_format::report::RunKind::{Backup, Drill};
use bundle_format::report::{DrillLevel, DrillReport, DrillResult};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use test_kit::deployment::{Deployment, Run, sh};
use test_kit::process::wait_until;
use test_kit::receiver::{Manner, Receiver, lines, messages};

/// A deployment with a bundle, hooks of drills that note each call, and a receiver of everything.
struct Stand {
    deployment: Deployment,
    metrics: PathBuf,
    pings: Receiver,
    messages: Receiver,
}

impl Stand {
    fn new() -> Result<Self> {
        let receiver = || Receiver::start(Manner::Status(200));
        let (pings, messages) = (receiver()?, receiver()?);
        let (deployment, metrics) = measured(&format!(
            "\nNOTIFY_PING=http://{}/planted-ping/{{run}}\nNOTIFY_URL=http://{}/planted-url\n",
            pings.address(),
            messages.address()
        ))?;
        for when in ["before", "after", "failed"] {
            write_hook(&deployment, &format!("{when}-drill.d/10-note"), LINE)?;
        }
        deployment.backup(&[])?.expect(0);
        let stand = Self { deployment, metrics, pings, messages };
        assert_eq!(stand.pings.take().len(), 2);
        Ok(stand)
    }

    fn drill(&self, arguments: &[&str]) -> Result<Run> {
        self.deployment.run_script("drill.sh", arguments, "")
    }

    /// A check of its own for drills.
    fn add_check(&self, name: &str, text: &str) -> Result<()> {
        let dir = self.deployment.dir().join("drill.d");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        std::fs::write(dir.join(name), text)?;
        // As root, none runs that others may write.
        sh(&dir, "chmod go-w *").map(drop)
    }

    fn reports(&self) -> Result<String> {
        sh(self.deployment.dir(), "ls .drills | grep -c ^drill_ || true")
    }

    /// What drills and their records have left behind.
    fn left(&self) -> Result<String> {
        let hidden =
            sh(self.deployment.dir(), "find .drills .restore metrics -mindepth 1 -name '.*'")?;
        Ok(sh(&self.deployment.dir().join("backups/.drill"), "ls -A")? + &hidden)
    }

    /// A metric of drills.
    fn metric(&self, name: &str) -> Result<f64> {
        Ok(value(&samples(&self.metrics)?, &format!("piprio_drill_{name}")))
    }

    /// How the last drill ended.
    fn result(&self) -> Result<Vec<&'static str>> {
        let samples = samples(&self.metrics)?;
        let is_it = |one: &DrillResult| {
            value(&samples, &format!("piprio_drill_result{{result=\"{}\"}}", one.word())) == 1.0
        };
        Ok(DrillResult::ALL.iter().filter(|one| is_it(one)).map(|one| one.word()).collect())
    }
}

#[test]
fn a_drill_runs_hooks_pings_twice_and_leaves_its_record_and_metrics() -> Result<()> {
    let stand = Stand::new()?;
    write_hook(
        &stand.deployment,
        "after-drill.d/20-leak",
        "echo visible: $NOTIFY_PING $NOTIFY_URL",
    )?;
    let bundle = stand.deployment.newest_bundle()?;
    let run = stand.drill(&[])?.expect(0);
    assert_eq!(
        log(&stand.deployment),
        ["before drill  with a bundle", "after drill 0 with a bundle"]
    );
    let sent = stand.pings.take();
    assert_eq!(lines(&sent), ["POST /planted-ping/drill/start", "POST /planted-ping/drill/0"]);
    assert!(sent[1].body.contains("drill-run: passed; the report: "), "{}", sent[1].body);
    assert!(sent[1].body.contains("visible: ") && !sent[1].body.contains("planted"));
    assert!(stand.messages.take().is_empty());

    let report = Path::new(run.stdout.trim_end());
    let written = std::fs::read(report.join("report.json"))?;
    let written: DrillReport = serde_json::from_slice(&written)?;
    let passed = record(&stand.deployment, Drill)?;
    assert_eq!((passed.status, passed.last_success), (Some(0), passed.ended));
    assert_eq!(passed.bundle.as_deref(), Some(bundle.as_path()));
    assert_eq!(passed.bytes, record(&stand.deployment, Backup)?.bytes);
    let steps: Vec<_> = written.steps.iter().map(|step| step.step.as_str()).collect();
    let stages: Vec<_> = passed.stages.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(stages, steps);
    let drill = passed.drill.clone().context("a drill's own")?;
    assert_eq!((drill.result, drill.level), (Some(DrillResult::Passed), DrillLevel::Data));
    assert_eq!(
        (drill.report.as_deref(), drill.rto_seconds),
        (Some(report), written.goals.rto_seconds)
    );

    assert_eq!(stand.result()?, ["passed"]);
    assert_eq!(Some(stand.metric("rto_seconds")?), drill.rto_seconds);
    assert_eq!((stand.metric("last_run_status")?, stand.metric("failed_runs_total")?), (0.0, 0.0));
    stand.metric(r#"duration_seconds{stage="load"}"#)?;
    assert_eq!(stand.left()?, "lock\n");

    // A part of a drill, or none at all.
    let metrics = std::fs::read_to_string(&stand.metrics)?;
    for part in [&["--only", "validate"][..], &["--dry-run"], &["--verify-reports"]] {
        stand.drill(part)?.expect(0);
        assert!(stand.pings.take().is_empty() && log(&stand.deployment).is_empty(), "{part:?}");
        assert_eq!(record(&stand.deployment, Drill)?, passed, "{part:?}");
        assert_eq!(std::fs::read_to_string(&stand.metrics)?, metrics, "{part:?}");
    }
    Ok(())
}

#[test]
fn a_drill_that_finds_something_or_is_refused_is_a_failure_and_the_next_a_recovery() -> Result<()> {
    let stand = Stand::new()?;
    stand.drill(&[])?.expect(0);
    let success = record(&stand.deployment, Drill)?.last_success;
    stand.add_check("finds.sql", "select 'a finding';\n")?;
    stand.pings.take();
    log(&stand.deployment);
    stand.drill(&[])?.expect(1);
    assert_eq!(log(&stand.deployment)[1], "failed drill 1 with a bundle");
    assert_eq!(lines(&stand.pings.take())[1], "POST /planted-ping/drill/1");
    let failed = messages(&stand.messages.take())?;
    let [(event, text)] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!(event, "failure");
    assert!(text.contains("drill failed with status 1 in checks: 1 finding, "), "{text}");
    let found = record(&stand.deployment, Drill)?;
    assert_eq!((found.status, found.last_success), (Some(1), success));
    assert_eq!(found.drill.and_then(|drill| drill.result), Some(DrillResult::Finding));
    assert_eq!(stand.result()?, ["finding"]);
    assert_eq!((stand.metric("last_run_status")?, stand.metric("failed_runs_total")?), (1.0, 1.0));

    // A `before-…` hook refuses the next one, which leaves nothing.
    write_hook(&stand.deployment, "before-drill.d/20-refuses", "exit 3")?;
    let reports = stand.reports()?;
    let run = stand.drill(&[])?.expect(5);
    assert!(run.stderr.contains("20-refuses ended with status 3"), "{}", run.stderr);
    assert_eq!(
        log(&stand.deployment),
        ["before drill  with a bundle", "failed drill 5 with a bundle"]
    );
    assert_eq!((stand.reports()?, stand.left()?), (reports, "lock\n".to_owned()));
    let refused = record(&stand.deployment, Drill)?;
    assert_eq!((refused.status, refused.stages.len()), (Some(5), 0));
    assert_eq!(refused.drill.and_then(|drill| drill.result), None);
    assert_eq!(stand.metric("failed_runs_total")?, 2.0);

    // So does another drill, before its hooks.
    let lock = std::fs::File::open(stand.deployment.dir().join("backups/.drill/lock"))?;
    lock.lock()?;
    stand.drill(&[])?.expect(5);
    assert!(log(&stand.deployment).is_empty());
    assert_eq!(record(&stand.deployment, Drill)?.started, refused.started);
    assert_eq!(stand.metric("failed_runs_total")?, 3.0);
    drop(lock);

    sh(stand.deployment.dir(), "rm drill.d/finds.sql hooks/before-drill.d/20-refuses")?;
    stand.messages.take();
    stand.drill(&[])?.expect(0);
    let sent = messages(&stand.messages.take())?;
    assert!(matches!(&sent[..], [(event, _)] if event == "recovery"), "{sent:?}");
    Ok(())
}

#[test]
fn a_signal_ends_a_drill_in_order_its_server_its_report_its_events() -> Result<()> {
    let stand = Stand::new()?;
    let begun = stand.deployment.dir().join("begun");
    stand.add_check("waits.sh", &format!("touch '{}'\nexec sleep 1000\n", begun.display()))?;
    // What is there when the hooks run.
    let there = "(ls -A backups/.drill; ls -A .drills; cat \"$PIPRIO_RECORD\") > there.log";
    write_hook(&stand.deployment, "failed-drill.d/20-look", there)?;
    let mut command = stand.deployment.script("drill.sh", &[]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    wait_until("the check", || Ok(begun.exists()))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id")?;
    kill_process(pid, Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(143));

    let there = std::fs::read_to_string(stand.deployment.dir().join("there.log"))?;
    let (names, json) = there.split_once('{').context("a record")?;
    let report = names.lines().find(|name| name.starts_with("drill_")).context("a report")?;
    assert_eq!(names, format!("lock\n{report}\nnewest.json\n"));
    let ended = record(&stand.deployment, Drill)?;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&format!("{{{json}"))?,
        serde_json::to_value(&ended)?
    );
    assert_eq!(ended.status, Some(143));
    let drill = ended.drill.context("a drill's own")?;
    assert_eq!(drill.result, Some(DrillResult::Interrupted));
    assert!(drill.report.is_some_and(|dir| dir.ends_with(report)));
    assert_eq!(
        lines(&stand.pings.take()),
        ["POST /planted-ping/drill/start", "POST /planted-ping/drill/143"]
    );
    let sent = messages(&stand.messages.take())?;
    assert!(sent[0].1.contains("drill failed with status 143 in checks: "), "{sent:?}");
    assert_eq!(stand.result()?, ["interrupted"]);
    assert_eq!(stand.left()?, "lock\n");
    Ok(())
}

#[test]
fn a_copy_that_cannot_be_opened_is_a_drill_that_did_not_pass() -> Result<()> {
    let stand = Stand::new()?;
    let place = stand.deployment.dir().join("copies");
    let bundle = stand.deployment.newest_bundle()?;
    let name = bundle.file_name().context("a name")?.to_string_lossy();
    sh(
        stand.deployment.dir(),
        &format!(
            "mkdir copies && echo 'SHIP_1={}' >> .env && age-keygen -o key 2>/dev/null
             scripts/seal.sh {} -r \"$(age-keygen -y key)\" > sealed.tar.age
             head -c 2000 sealed.tar.age > damaged.tar.age
             cp sealed.tar.age piprio_20200101T000000Z.tar.age",
            place.display(),
            bundle.display()
        ),
    )?;
    let missing = format!("SHIP_1:{name}");
    for (copy, status, result) in [
        ("damaged.tar.age", 4, DrillResult::Damaged),
        (&missing, 1, DrillResult::Failed),
        // It holds another bundle than the one that it is named after.
        ("piprio_20200101T000000Z.tar.age", 4, DrillResult::Damaged),
    ] {
        let mut command = stand.deployment.script("drill.sh", &["--json", copy, "-i", "key"]);
        let out = command.current_dir(stand.deployment.dir()).output()?;
        let printed = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(i32::from(status)), "{printed}");
        let report: DrillReport = serde_json::from_slice(&out.stdout).context("a report")?;
        assert_eq!((report.result, report.bundle.name.as_str()), (result, copy));
        let ended = record(&stand.deployment, Drill)?;
        assert_eq!(ended.status, Some(status));
        assert_eq!(ended.drill.context("a drill's own")?.result, Some(result));
        let pings = ["start".to_owned(), status.to_string()]
            .map(|s| format!("POST /planted-ping/drill/{s}"));
        assert_eq!(lines(&stand.pings.take()), pings);
        let sent = messages(&stand.messages.take())?;
        let text =
            format!("drill failed with status {status} in validate: {copy} could not be opened");
        assert!(sent.len() == 1 && sent[0].1.contains(&text), "{sent:?}");
        assert_eq!(stand.result()?, [result.word()]);
        assert_eq!(stand.left()?, ".unsealed.lock\nlock\n");
    }
    assert_eq!(stand.reports()?, "3\n");
    stand.drill(&["--verify-reports"])?.expect(0);
    // The bundle of a copy that could not be opened was not changed.
    stand.drill(&["--newest"])?.expect(0);

    // A part of a drill notifies nobody, and another that opens a copy is a reason to refuse this one.
    stand.pings.take();
    stand.drill(&["--only", "config", &missing])?.expect(1);
    assert!(stand.pings.take().is_empty());
    let lock = stand.deployment.dir().join("backups/.drill/.unsealed.lock");
    let held = std::fs::File::open(lock)?;
    held.lock()?;
    stand.drill(&[&missing])?.expect(5);
    assert_eq!(
        lines(&stand.pings.take()),
        ["POST /planted-ping/drill/start", "POST /planted-ping/drill/5"]
    );
    Ok(())
}

#[test]
fn a_drill_whose_copy_cannot_be_opened_holds_no_lock_while_it_notifies() -> Result<()> {
    let stand = Stand::new()?;
    let silent = Receiver::start(Manner::Silent)?;
    let lock = stand.deployment.dir().join("backups/.drill/lock");
    std::fs::write(stand.deployment.dir().join("empty.tar.age"), "")?;
    let mut command = stand.deployment.script("drill.sh", &["empty.tar.age", "-i", "key"]);
    command.env("NOTIFY_URL", format!("http://{}/silent", silent.address()));
    command.current_dir(stand.deployment.dir()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    wait_until("the message", || Ok(!silent.take().is_empty()))?;
    // A drill whose copy was just opened takes it.
    let taken = std::fs::File::open(lock)?.try_lock();
    let status = child.wait()?.code();
    taken.context("the lock of drills")?;
    assert_eq!(record(&stand.deployment, Drill)?.status.map(i32::from), status);
    assert_eq!(stand.reports()?, "1\n");
    Ok(())
}
