//! A second deployment beside the first, in a directory of the same name.

use crate::kit::{CREDENTIAL, Deploy, Host};
use crate::runbook;
use anyhow::{Context, Result, ensure};
use bundle_format::report::{DrillReport, DrillResult};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::{Duration, Instant};
use test_kit::deployment::sh;

/// How long a drill may take to come to a moment.
const PATIENCE: Duration = Duration::from_secs(600);
const ALL: [&str; 7] = ["api", "minio", "postgres", "redis", "scheduler", "web", "worker"];

#[test]
fn a_drill_in_a_directory_of_the_same_name_never_touches_the_first() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let first = host.existing("deploy");
    let bundle = first.backup()?;
    runbook::prepare(&host, &bundle)?;
    let at_backup = first.state()?;
    // What the drill must not bring to the first, nor take from it.
    first.report("POST", "/documents", "newer than the bundle")?;
    first.wait_for_the_worker()?;
    let (state, started) = (first.state()?, first.started(&ALL)?);

    let lines =
        runbook::lines("DRILL.md", "A drill beside the first deployment, on Docker Compose")?;
    let (named, destroyed) = (
        lines.iter().position(|l| l.command.contains("COMPOSE_PROJECT_NAME")).unwrap_or_default(),
        lines.iter().position(|l| l.command.contains("down -v")).unwrap_or_default(),
    );
    assert!(named > 0 && destroyed > named);
    let port = runbook::free_port()?;
    runbook::follow(&host, &lines[..named], &bundle, port)?;

    // Not named yet: nothing is done, by no verb.
    let second = host.existing("drill/deploy");
    let before = std::fs::read_to_string(second.file(".env"))?;
    std::fs::create_dir(second.file("secrets"))?;
    for name in ["postgres_password", "s3_access_key", "s3_secret_key", "credential_encryption_key"]
    {
        std::fs::write(second.file(&format!("secrets/{name}")), "x")?;
    }
    for verb in [
        &["ps"][..],
        &["stop", "api"],
        &["start", "api"],
        &["exec", "api", "true"],
        &["addr", "api", "1"],
    ] {
        let run = second.driver(verb).expect(5);
        assert!(run.stderr.contains("COMPOSE_PROJECT_NAME") && run.stdout.is_empty(), "{run:?}");
    }
    let path = host.dir().join("share").join(bundle.file_name().unwrap_or_default());
    let path = path.display().to_string();
    second.run("restore.sh", &[&path], "drill.piprio.test\nn\n")?.expect(5);
    second.run("backup.sh", &[], "")?.expect(5);
    std::fs::remove_dir_all(second.file("secrets"))?;
    assert_eq!(std::fs::read_to_string(second.file(".env"))?, before);
    assert_eq!(first.started(&ALL)?, started);

    runbook::follow(&host, &lines[named..destroyed], &bundle, port)?;
    assert_eq!(second.report("GET", "/credentials/sftp", "")?, CREDENTIAL);
    assert_eq!(second.state()?, at_backup);
    assert_eq!((first.state()?, first.started(&ALL)?), (state.clone(), started.clone()));
    runbook::follow(&host, &lines[destroyed..], &bundle, port)?;
    assert!(!host.dir().join("drill").exists());
    assert_eq!((first.state()?, first.started(&ALL)?), (state, started));
    Ok(())
}

#[test]
fn a_drill_of_the_services_passes_and_leaves_nothing_but_its_report() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let first = host.existing("deploy");
    first.set("DRILL_DATA_KEYS=credential_encryption_key\nHEALTH_MAX_LATENCY_MS=60000")?;
    first.backup()?;
    let before = (first.state()?, first.started(&ALL)?);
    first.set("DRILL_SKIP_SERVICES=scheduler,schedule")?;
    let refused = first.run("drill.sh", &["--newest", "--level", "app"], "")?.expect(2);
    assert!(refused.stderr.contains("is called schedule; they are "), "{}", refused.stderr);
    first.set("DRILL_SKIP_SERVICES=scheduler")?;
    let planned = first.run("drill.sh", &["--newest", "--level", "app", "--dry-run"], "")?;
    assert!(planned.expect(0).stdout.contains(" isolate --from "));
    let run = first.run("drill.sh", &["--newest", "--level", "app", "--json"], "")?.expect(0);
    let report: DrillReport = serde_json::from_str(&run.stdout)?;
    assert_eq!(report.result, DrillResult::Passed);
    let names = |step: &str| report.checks.iter().filter(|it| it.step == step).count();
    assert!(names("app") > 10 && names("compare") > 0, "{:#?}", report.checks);
    let left_out = report.checks.iter().find(|check| check.check == "services left out");
    assert!(left_out.is_some_and(|it| it.found == "scheduler: asked"), "{:#?}", report.checks);
    assert!(!report.checks.iter().any(|check| check.check == "service scheduler"));
    assert_eq!((first.state()?, first.started(&ALL)?), before);
    nothing_is_left(&first)
}

/// No container, volume or network of a drill, and no file but its reports.
fn nothing_is_left(first: &Deploy<'_>) -> Result<()> {
    assert_eq!(sh(&first.dir, "ls -A backups/.drill")?, "lock\n");
    let left = sh(
        &first.dir,
        &["docker ps -a", "docker volume ls", "docker network ls"].map(of_drills).join("; "),
    )?;
    assert_eq!(left, "");
    Ok(())
}

/// The command that lists what belongs to a drill.
fn of_drills(list: &str) -> String {
    format!("{list} -q --filter label=piprio.drill")
}

#[test]
fn a_drill_of_the_services_that_is_ended_by_a_signal_leaves_nothing_but_its_report() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let first = host.existing("deploy");
    first.set("DRILL_DATA_KEYS=credential_encryption_key")?;
    first.backup()?;
    let objects =
        "docker volume ls -q; docker network ls -q; docker image ls -q --no-trunc | sort -u";
    let production =
        || -> Result<_> { Ok((first.state()?, first.started(&ALL)?, sh(&first.dir, objects)?)) };
    let before = production()?;
    // When there is a volume, a network, the database, and the last of the services.
    for (at, moment) in [
        of_drills("docker volume ls"),
        of_drills("docker network ls"),
        of_drills("docker ps") + " --filter label=com.docker.compose.service=postgres",
        of_drills("docker ps") + " --filter label=com.docker.compose.service=api",
    ]
    .into_iter()
    .enumerate()
    {
        let log = host.dir().join("log");
        let mut command = first.script("drill.sh", &["--newest", "--level", "app"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        let mut drill = command.spawn()?;
        let begun = Instant::now();
        while sh(host.dir(), &moment)?.is_empty() {
            let text = || std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(drill.try_wait()?.is_none(), "{moment}: the drill ended: {}", text());
            ensure!(begun.elapsed() < PATIENCE, "waited for {moment}: {}", text());
            std::thread::sleep(Duration::from_millis(100));
        }
        kill_process(Pid::from_child(&drill), Signal::TERM)?;
        let status = drill.wait()?;
        let log = std::fs::read_to_string(&log)?;
        assert_eq!(status.code(), Some(143), "{moment}: {log}");
        nothing_is_left(&first).with_context(|| format!("{moment}: {log}"))?;
        assert_eq!(production()?, before, "{moment}: {log}");
        let reports =
            sh(&first.dir, "ls -d .drills/drill_* | tail -n 1; ls -d .drills/drill_* | wc -l")?;
        let (newest, count) = reports.split_once('\n').context("no report")?;
        assert_eq!(count.trim(), (at + 1).to_string());
        let report = std::fs::read(first.file(newest).join("report.json"))?;
        assert_eq!(
            serde_json::from_slice::<DrillReport>(&report)?.result,
            DrillResult::Interrupted
        );
    }
    Ok(())
}
