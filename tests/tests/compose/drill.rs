//! A second deployment beside the first, in a directory of the same name.

use crate::kit::{CREDENTIAL, Host};
use crate::runbook;
use anyhow::Result;
use bundle_format::report::{DrillReport, DrillResult};
use test_kit::deployment::sh;

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
    let planned = first.run("drill.sh", &["--newest", "--level", "app", "--dry-run"], "")?;
    assert!(planned.expect(0).stdout.contains(" isolate --from "));
    let run = first.run("drill.sh", &["--newest", "--level", "app", "--json"], "")?.expect(0);
    let report: DrillReport = serde_json::from_str(&run.stdout)?;
    assert_eq!(report.result, DrillResult::Passed);
    let names = |step: &str| report.checks.iter().filter(|it| it.step == step).count();
    assert!(names("app") > 10 && names("compare") > 0, "{:#?}", report.checks);
    assert_eq!((first.state()?, first.started(&ALL)?), before);
    assert_eq!(sh(&first.dir, "ls -A backups/.drill")?, "lock\n");
    let left = sh(
        &first.dir,
        "docker ps -a --format '{{.Names}}'; docker volume ls -q; docker network ls --format '{{.Name}}'",
    )?;
    // Other tests' projects have the word test there.
    assert!(!left.contains("piprio-drill-2"), "{left}");
    Ok(())
}
