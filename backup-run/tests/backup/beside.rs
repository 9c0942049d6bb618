//! The first pass over the objects, beside the dump: it saves time, and decides nothing.

use crate::kit::{Failing, Held, deployment, finish, record, replace, start, waiting_for_lock};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{BUCKET, Deployment, sh};
use test_kit::process::wait_until;
use test_kit::s3::faults::{Act, Fault};

/// A file of the mirror in the bundle that is being made.
fn in_partial(deployment: &Deployment, path: &str) -> Result<Option<PathBuf>> {
    let root = deployment.dir().join("backups");
    let partial = sh(&root, "ls -A | grep '[.]partial$' || true")?;
    let file = root.join(partial.trim_end()).join("minio").join(path);
    Ok((!partial.is_empty() && file.exists()).then_some(file))
}

fn wait_for_first_pass(deployment: &Deployment) -> Result<()> {
    wait_until("the dump", || waiting_for_lock(deployment))?;
    wait_until("the first pass", || {
        Ok(in_partial(deployment, ".obj-mirror/SHA256SUMS")?.is_some()
            && in_partial(deployment, ".obj-mirror/journal.jsonl")?.is_none())
    })
}

fn is_whole(deployment: &Deployment, bundle: &Path) -> Result<()> {
    let mut verify = Command::new(deployment.dir().join("bin/bundle-manifest"));
    verify.arg("verify").arg(bundle).env("PATH", test_kit::tool_path());
    ensure!(verify.status()?.success());
    sh(bundle, "sha256sum -c --quiet --strict SHA256SUMS").map(drop)
}

/// The processes of one of the deployment's programs.
fn processes(deployment: &Deployment, program: &str) -> Result<Vec<String>> {
    let ours = format!("PIPRIO_DEPLOY={}\0", deployment.dir().display());
    let is_one = |process: &Path| -> Option<String> {
        let name = std::fs::read_to_string(process.join("comm")).ok()?;
        let environment = std::fs::read(process.join("environ")).ok()?;
        let is_ours = String::from_utf8_lossy(&environment).contains(&ours);
        let id = process.file_name()?.to_str()?.to_owned();
        (name.trim_end() == program && is_ours).then_some(id)
    };
    let all = std::fs::read_dir("/proc")?.flatten();
    Ok(all.filter_map(|entry| is_one(&entry.path())).collect())
}

fn has_ended(deployment: &Deployment, program: &str) -> Result<bool> {
    Ok(processes(deployment, program)?.is_empty())
}

#[test]
fn what_changes_in_the_bucket_while_the_dump_runs_is_in_the_bundle_as_it_is_after_the_dump()
-> Result<()> {
    let deployment = deployment()?;
    let s3 = deployment.s3();
    for key in ["kept", "changed", "deleted", "file"] {
        s3.put((BUCKET, key), &[], b"before")?;
    }
    std::fs::create_dir_all(deployment.dir().join("backups"))?;
    let held = Held::new(&deployment)?;
    let child = start(&deployment)?;
    wait_for_first_pass(&deployment)?;
    s3.put((BUCKET, "changed"), &[], b"after!")?;
    s3.put((BUCKET, "added"), &[], b"since")?;
    for gone in ["deleted", "file"] {
        s3.delete((BUCKET, gone))?;
    }
    s3.put((BUCKET, "file/below"), &[], b"in its place")?;
    drop(held);
    let run = finish(child)?.expect(0);
    assert!(run.stderr.contains("[2/8] objects: "), "{}", run.stderr);
    let bundle = deployment.newest_bundle()?;
    let content = |path: &str| std::fs::read(bundle.join("minio").join(path));
    assert_eq!(content("kept")?, b"before");
    assert_eq!(content("changed")?, b"after!");
    assert_eq!(content("added")?, b"since");
    assert!(content("deleted").is_err() && content("file").is_err());
    // A file was in its way when it was planned, so it is stored aside.
    let index = std::fs::read_to_string(bundle.join("minio/.obj-mirror/index.jsonl"))?;
    let entries = index.lines().map(serde_json::from_str::<serde_json::Value>);
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    let below = entries.iter().find(|entry| entry["key"] == "file/below").context("its entry")?;
    assert_eq!(content(below["path"].as_str().context("its path")?)?, b"in its place");
    is_whole(&deployment, &bundle)?;
    // Of what did not change, nothing is fetched twice.
    let fetched: Vec<&str> = run.stderr.lines().filter(|line| line.contains(": pull: ")).collect();
    assert!(fetched.len() == 2 && fetched[1].contains(" 3 transferred"), "{fetched:?}");
    Ok(())
}

#[test]
fn a_first_pass_that_fails_is_reported_and_fails_no_backup() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    f.deployment.s3_fault(&Fault::always("GetObject", Act::Broken))?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    wait_until("the first pass", || {
        Ok(in_partial(&f.deployment, "")?.is_some() && has_ended(&f.deployment, "obj-mirror")?)
    })?;
    f.deployment.s3_faults_end()?;
    drop(held);
    let run = finish(child)?.expect(0);
    let warned = "warning: the first pass over the objects beside the dump failed: obj-mirror ended with status 3";
    assert!(run.stderr.contains(warned), "{}", run.stderr);
    assert!(run.stderr.contains("obj-mirror: failed: "), "{}", run.stderr);
    is_whole(&f.deployment, &f.deployment.newest_bundle()?)?;
    assert_eq!(record(&f.deployment)?["stages"][1]["status"], 0);
    Ok(())
}

#[test]
fn a_first_pass_that_is_killed_leaves_its_work_to_the_stage() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    let slow = Act::Slow(std::time::Duration::from_secs(300));
    f.deployment.s3_fault(&Fault { skip: 9, ..Fault::always("GetObject", slow) })?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    wait_until("the first pass", || {
        Ok(in_partial(&f.deployment, ".obj-mirror/journal.jsonl")?.is_some())
    })?;
    let killed = processes(&f.deployment, "obj-mirror")?;
    ensure!(killed.len() == 1 && Command::new("kill").arg("-9").args(killed).status()?.success());
    f.deployment.s3_faults_end()?;
    drop(held);
    let run = finish(child)?.expect(0);
    assert!(run.stderr.contains("obj-mirror was killed by signal 9"), "{}", run.stderr);
    is_whole(&f.deployment, &f.deployment.newest_bundle()?)
}

#[test]
fn a_dump_that_fails_ends_the_first_pass_at_once() -> Result<()> {
    let f = Failing::new()?;
    let slow = Act::Slow(std::time::Duration::from_secs(300));
    f.deployment.s3_fault(&Fault::always("ListObjectsV2", slow))?;
    f.set("POSTGRES_DB", "missing")?;
    f.check(f.deployment.backup(&[])?, 1, "[1/8] database: pg-snap ended with status 1")?;
    assert!(has_ended(&f.deployment, "obj-mirror")?);
    Ok(())
}

#[test]
fn a_signal_ends_the_dump_and_the_first_pass() -> Result<()> {
    let f = Failing::new()?;
    let slow = Act::Slow(std::time::Duration::from_secs(300));
    f.deployment.s3_fault(&Fault::always("ListObjectsV2", slow))?;
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let held = Held::new(&f.deployment)?;
        let child = start(&f.deployment)?;
        wait_until("the dump", || waiting_for_lock(&f.deployment))?;
        wait_until("the first pass", || Ok(!has_ended(&f.deployment, "obj-mirror")?))?;
        let pid = child.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{signal}"), &pid]).status()?.success());
        f.check(finish(child)?, status, "no bundle was made")?;
        assert!(has_ended(&f.deployment, "obj-mirror")? && has_ended(&f.deployment, "pg-snap")?);
        drop(held);
    }
    Ok(())
}

#[test]
fn a_signal_while_the_first_pass_is_waited_for_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let slow = Act::Slow(std::time::Duration::from_secs(300));
    f.deployment.s3_fault(&Fault::always("ListObjectsV2", slow))?;
    let child = start(&f.deployment)?;
    wait_until("the dump's end", || {
        let record = record(&f.deployment)?;
        // Else it is that of the backup before.
        Ok(record["status"].is_null() && record["stages"][0]["seconds"].is_number())
    })?;
    let stages = record(&f.deployment)?["stages"].as_array().map(Vec::len);
    assert_eq!(stages, Some(1), "the stage objects begins after the first pass");
    let pid = child.id().to_string();
    ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
    f.check(finish(child)?, 143, "no bundle was made")?;
    assert!(has_ended(&f.deployment, "obj-mirror")?);
    Ok(())
}

#[test]
fn the_dump_is_sealed_by_what_was_written_and_one_that_is_cut_meanwhile_is_not() -> Result<()> {
    let f = Failing::new()?;
    let ours = f.deployment.dir().join("bin/.obj-mirror");
    std::fs::copy(f.deployment.dir().join("bin/obj-mirror"), &ours)?;
    let cut = "for last; do [ \"$last\" != --delete ] || truncate -s -1 \"${2%/minio}/database.sql.gz\"; done";
    replace(&f.deployment, "obj-mirror", &format!("{cut}\nexec '{}' \"$@\"", ours.display()))?;
    let run = f.deployment.backup(&[])?;
    f.check(run, 4, " were written")?;
    let name = |bundle: &Path| bundle.file_name().map(|name| name.to_owned()).context("a name");
    assert_eq!(name(&f.deployment.newest_bundle()?)?, name(&f.bundle)?);
    Ok(())
}
