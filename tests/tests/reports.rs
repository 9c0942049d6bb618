//! What the tools print as JSON for one another. The reports are defined in one place, for the tool that prints one
//! and the tools that read it; here the real tools print them.

// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use anyhow::{Context, Result};
use bundle_format::report::{
    BucketStatus, BundleCheck, BundleState, DatabaseStatus, DumpReport, HealthReport, Listing,
    LoadPreflight, MirrorCheck, MirrorProblem, PlannedFile, ProbeKind, ShownSetting,
};
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{BUCKET, Deployment, Options, sh};
use test_kit::process::wait_until;
use test_kit::{tool, tool_path};

/// The report that a command prints, whatever its status is.
fn read<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).with_context(|| format!("{command:?}: {text:?} {words}"))
}

/// A tool that finds the others.
fn tool_among_others(name: &str) -> Command {
    let mut command = Command::new(tool(name));
    command.env("PATH", tool_path());
    command
}

fn status(deployment: &Deployment, arguments: &[&str], bucket: &str) -> Result<BucketStatus> {
    let url = format!("s3://{bucket}");
    let arguments = [&["status", "--json"], arguments, &[&*url]].concat();
    read(&mut deployment.stage("obj-mirror", &arguments))
}

#[test]
fn a_restore_reads_what_the_tools_print() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let quick = || Command::new(tool("deploy-env"));

    let database: DatabaseStatus = read(&mut deployment.stage("pg-snap", &["status", "--json"]))?;
    assert!(database.exists && database.oid.is_some() && database.system_identifier.is_some());
    assert!(database.size_bytes.is_some_and(|size| size > 0));
    assert!(database.schemas.contains(&"tenant_0001".to_owned()), "{:?}", database.schemas);
    assert_eq!(database.beside.len(), 0);
    deployment.psql_in("postgres", "create database piprio_previous")?;
    let database: DatabaseStatus = read(&mut deployment.stage("pg-snap", &["status", "--json"]))?;
    let oid = "select oid from pg_database where datname = 'piprio_previous'";
    assert_eq!(database.beside[0].oid.to_string(), deployment.psql_in("postgres", oid)?);
    let another = ["-c", "PGDATABASE=absent exec pg-snap status --json"];
    let absent: DatabaseStatus = read(&mut deployment.stage("sh", &another))?;
    assert!(!absent.exists && absent.oid.is_none() && absent.schemas.is_empty());

    for arguments in [&[][..], &["--quick"]] {
        let there = status(&deployment, arguments, BUCKET)?;
        assert!(there.exists && there.objects == Options::default().objects as u64);
        assert!(there.bytes > 0);
        let missing = status(&deployment, arguments, "missing")?;
        assert!(!missing.exists && (missing.objects, missing.bytes) == (0, 0));
    }

    let rows: Vec<ShownSetting> =
        read(quick().args(["--deploy"]).arg(deployment.dir()).args(["show", "--json"]))?;
    let value = |name: &str| {
        let row = rows.iter().find(|row| row.setting == name).unwrap();
        row.value.clone()
    };
    assert_eq!(value("POSTGRES_HOST").as_deref(), Some("127.0.0.1"));
    assert_eq!(value("S3_ENDPOINT"), Some(deployment.facts().s3_endpoint()));
    assert!(rows.iter().any(|row| row.value.is_none()));

    let probe = ["--json", "--quiet", "--only", "database,cache,storage"];
    deployment.stop(&["redis"])?;
    let health: HealthReport = read(&mut deployment.stage("health-probe", &probe))?;
    use ProbeKind::{Cache, Database, Storage};
    for (kind, passes) in [(Database, true), (Cache, false), (Storage, true)] {
        let found = health.probes.iter().find(|p| p.kind == kind).context(kind.name())?;
        assert_eq!(found.pass, passes, "{found:?}");
        assert!(!found.name.is_empty() && !found.detail.is_empty(), "{found:?}");
    }
    deployment.start(&["redis"])?;
    let passes = || -> Result<bool> {
        let health: HealthReport = read(&mut deployment.stage("health-probe", &probe))?;
        Ok(health.probes.iter().all(|probe| probe.pass))
    };
    wait_until("the cache", passes)
}

#[test]
fn a_restore_reads_what_an_archive_would_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let to = dir.path().join("to");
    fs::create_dir_all(dir.path().join("from/secrets"))?;
    fs::create_dir_all(to.join("secrets"))?;
    for (path, text) in [
        ("from/secrets/created", "x"),
        ("from/secrets/replaced", "new"),
        ("to/secrets/replaced", "old"),
        ("from/secrets/same", "x"),
        ("to/secrets/same", "x"),
    ] {
        fs::write(dir.path().join(path), text)?;
    }
    sh(dir.path(), "chmod 600 from/secrets/* to/secrets/* && chmod 700 from/secrets to/secrets")?;
    let archive = Command::new(tool("cfg-pack"))
        .args(["create", "--root"])
        .arg(dir.path().join("from"))
        .arg("secrets")
        .output()?;
    fs::write(dir.path().join("archive"), archive.stdout)?;
    let plan: Vec<PlannedFile> = read(
        Command::new(tool("cfg-pack"))
            .args(["extract", "--dry-run", "--json", "--quiet", "--root"])
            .arg(&to)
            .stdin(fs::File::open(dir.path().join("archive"))?),
    )?;
    let mut actions: Vec<_> = plan.iter().map(|planned| planned.action.as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["create", "replace"]);
    Ok(())
}

/// A mirror of three objects, one of them aside, as `obj-mirror` leaves it.
fn mirror(dir: &Path) -> Result<PathBuf> {
    let s3 = test_kit::S3::start(BUCKET)?;
    for key in ["a/b", "a", "c d"] {
        s3.put(key, &[], key.as_bytes())?;
    }
    let path = dir.join("minio");
    let mut pull = Command::new(tool("obj-mirror"));
    let pulled = pull.arg(format!("s3://{BUCKET}")).arg(&path).envs(s3.env()).output()?;
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    Ok(path)
}

#[test]
fn a_bundle_reads_what_the_mirror_and_the_dump_record_of_themselves() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = mirror(dir.path())?;
    let verify = || -> Result<MirrorCheck> {
        read(Command::new(tool("obj-mirror")).args(["verify", "--json"]).arg(&path))
    };
    assert_eq!(verify()?.problems, []);
    fs::write(path.join("a/b"), "other")?;
    fs::remove_file(path.join("c d"))?;
    fs::write(path.join("extra"), "")?;
    let problem = |path: &str, key: Option<&str>, problem: &str| MirrorProblem {
        path: path.to_owned(),
        key: key.map(str::to_owned),
        problem: problem.to_owned(),
    };
    let expected = [
        problem("a/b", Some("a/b"), "changed: 5 bytes, 3 in the index"),
        problem("c d", Some("c d"), "missing"),
        problem("extra", None, "not in the index"),
    ];
    assert_eq!(verify()?.problems, expected);

    let inspect = |text: &str| -> Result<DumpReport> {
        let file = dir.path().join("dump.sql.gz");
        fs::write(dir.path().join("dump.sql"), text)?;
        sh(dir.path(), "gzip -c dump.sql > dump.sql.gz")?;
        let full = ["inspect", "--json", "--full"];
        read(Command::new(tool("pg-snap")).args(full).arg(file))
    };
    let whole = "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    assert_eq!(inspect(whole)?.problem, None);
    let cut = inspect(&whole[..whole.len() / 2])?.problem.context("no problem is named")?;
    assert!(!cut.is_empty());
    Ok(())
}

#[test]
fn a_bundle_names_each_object_with_its_entry_in_the_mirror() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    let listing: Listing = read(
        tool_among_others("bundle-manifest")
            .args(["list", "--json"])
            .arg(bundle.parent().context("a root")?),
    )?;
    assert_eq!(listing.bundles[0].path, bundle.to_string_lossy());
    assert_eq!((listing.bundles[0].state, listing.bundles.len()), (BundleState::Intact, 1));
    let dump = bundle.join("database.sql.gz");
    let arguments = ["preflight", "--json", &*dump.to_string_lossy()];
    let preflight: LoadPreflight = read(&mut deployment.stage("pg-snap", &arguments))?;
    assert!(preflight.exists && preflight.problems.is_empty(), "{preflight:?}");
    let entries = fs::read_to_string(bundle.join("minio/.obj-mirror/index.jsonl"))?;
    let entries: Vec<serde_json::Value> =
        entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entry = entries.iter().find(|entry| entry["size"].as_u64() > Some(0)).context("none")?;
    let path = entry["path"].as_str().context("path")?;
    // Of the same size, so that nothing but the mirror's own check sees it.
    let mut content = fs::read(bundle.join("minio").join(path))?;
    content[0] ^= 1;
    fs::write(bundle.join("minio").join(path), content)?;
    let check: BundleCheck =
        read(tool_among_others("bundle-manifest").args(["verify", "--json"]).arg(&bundle))?;
    assert_eq!((check.state, check.sealed), (BundleState::Damaged, true));
    let problem = &check.problems[0];
    assert_eq!(problem.path, format!("minio/{path}"));
    assert_eq!(problem.problem, "is damaged: changed: its SHA-256 does not match the index");
    Ok(())
}
