//! The throwaway deployment itself: what the tests and the demo use must hold.

// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use std::path::Path;
use std::process::Command;
use test_kit::deployment::{APPS, BUCKET, Deployment, Options, STATEFUL};
use test_kit::postgres;
use test_kit::tools::own_program;

/// The command lines of all processes of this machine.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    processes.filter_map(line).map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).collect()
}

fn is_mentioned(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    command_lines().iter().any(|line| line.contains(path))
}

#[test]
fn a_deployment_runs_and_goes_without_a_trace() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let (dir, data) = (deployment.dir().to_owned(), deployment.facts().data.clone());
    let mut running: Vec<String> =
        APPS.iter().chain(&STATEFUL).map(|name| format!("{name} running")).collect();
    running.sort();
    let ps: Vec<String> = deployment.ps()?.into_iter().map(|(n, s)| format!("{n} {s}")).collect();
    assert_eq!(ps, running);
    assert!(is_mentioned(&data));
    assert_eq!(deployment.psql("select count(*) from tenants")?, "3");
    assert_eq!(deployment.redis(&["GET", "session:1"])?, "stale");
    assert_eq!(deployment.s3().list(BUCKET, "")?.len(), Options::default().objects);

    let facts = deployment.facts();
    let secrets = [&facts.postgres_password, &facts.redis_password, &facts.s3_secret_key];
    for line in command_lines() {
        assert!(!secrets.iter().any(|secret| line.contains(*secret)), "{line}");
    }
    drop(deployment);
    assert!(!dir.exists() && !data.exists());
    assert!(!is_mentioned(&data));
    Ok(())
}

#[test]
fn apps_are_unhealthy_without_what_they_need() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.stop(&["redis"])?;
    let state = |name: &str| -> Result<String> {
        Ok(deployment.ps()?.into_iter().find(|(n, _)| n == name).unwrap().1)
    };
    assert_eq!((state("redis")?, state("api")?), ("stopped".into(), "unhealthy".into()));
    deployment.start(&["redis"])?;
    assert_eq!(state("api")?, "running");
    let before = deployment.pid("postgres")?;
    deployment.start(&["postgres"])?;
    assert_eq!(deployment.pid("postgres")?, before);
    Ok(())
}

#[test]
fn the_state_shows_every_change() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let mut before = deployment.state()?;
    assert_eq!(deployment.state()?, before);
    let mut changed = |what: &str| -> Result<()> {
        let now = deployment.state()?;
        assert_ne!(now, before, "{what}");
        before = now;
        Ok(())
    };
    deployment.psql("update tenant_0002.documents set pages = pages + 1 where id = 7")?;
    changed("a row")?;
    deployment.psql("select nextval('tenant_0001.invoice_numbers')")?;
    changed("a sequence")?;
    deployment.psql("select lo_from_bytea(0, 'x')")?;
    changed("a large object")?;
    deployment.psql("alter database piprio set work_mem = '5MB'")?;
    changed("a setting of the database")?;
    deployment.s3().put((BUCKET, "empty"), &[("content-type", "text/html")], b"")?;
    changed("a content type")?;
    deployment.s3().put((BUCKET, "new"), &[], b"")?;
    changed("an object")?;
    std::fs::write(deployment.dir().join("secrets/signing_key"), "other")?;
    changed("a secret")?;
    std::fs::remove_file(deployment.dir().join("certs/live/x.pem"))?;
    changed("a certificate's link")?;
    Ok(())
}

#[test]
fn external_storage_is_no_service_of_the_deployment() -> Result<()> {
    let options = Options { external_storage: true, ..Options::default() };
    let deployment = Deployment::temporary(&options)?;
    assert_eq!(deployment.services()?, ["api", "postgres", "redis", "worker"]);
    assert!(!deployment.s3().list(BUCKET, "")?.is_empty());
    let data = deployment.facts().data.clone();
    let port = deployment.facts().s3_port;
    drop(deployment);
    assert!(!data.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    Ok(())
}

#[test]
fn a_cluster_of_another_locale_can_be_deployed() -> Result<()> {
    let initdb = vec!["--locale=C".to_owned(), "--encoding=UTF8".to_owned()];
    let deployment = Deployment::temporary(&Options { initdb, ..Options::default() })?;
    assert_eq!(
        deployment.psql("select datcollate from pg_database where datname = current_database()")?,
        "C"
    );
    Ok(())
}

#[test]
fn the_program_keeps_what_it_made_refuses_what_is_there_and_removes_it() -> Result<()> {
    let program = || own_program("throwaway-deployment").map(Command::new);
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("deploy");
    let built = test_kit::tools::bin_dir()?;
    let made = program()?.arg(&dir).arg("--bin-dir").arg(built).output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(made.stdout.is_empty());
    let state = || -> Result<String> {
        let output = program()?.arg("dump-state").arg(&dir).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let first = state()?;
    assert!(first.contains("\n-- PostgreSQL database dump complete\n") && first.contains(".env"));

    let again = program()?.arg(&dir).output()?;
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(state()?, first);

    assert!(program()?.arg("--remove").arg(&dir).status()?.success());
    assert!(!dir.exists());
    assert_eq!(program()?.arg("--remove").arg(&dir).output()?.status.code(), Some(1));
    Ok(())
}

#[test]
fn the_superuser_of_a_deployment_is_that_of_its_settings() -> Result<()> {
    let deployment = Deployment::temporary(&Options { objects: 3, docs: 5, ..Options::default() })?;
    let settings = std::fs::read_to_string(deployment.dir().join(".env"))?;
    assert!(settings.contains(&format!("\nPOSTGRES_USER={}\n", postgres::USER)));
    let secret = std::fs::read_to_string(deployment.dir().join("secrets/postgres_password"))?;
    assert_eq!(secret.trim_end_matches('\n'), deployment.facts().postgres_password);
    Ok(())
}
