//! The sequence of a backup: its stages, what it records of itself, and what a stage that is another program gets.

use crate::kit::{Failing, deployment, finish, mode, record, record_file, replace, start};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use test_kit::deployment::sh;
use test_kit::process::wait_until;

const STAGES: [&str; 8] =
    ["database", "objects", "config", "manifest", "seal", "publish", "alarm", "prune"];

fn stages(record: &Value) -> Vec<&str> {
    let stages = record["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    stages.iter().filter_map(|stage| stage["stage"].as_str()).collect()
}

#[test]
fn a_dry_run_names_every_command_and_changes_nothing() -> Result<()> {
    let deployment = deployment()?;
    let all = "find . -path ./.data -prune -o -printf '%p %T@ %s\\n' | sort";
    let before = sh(deployment.dir(), all)?;
    let run = deployment.backup(&["--dry-run"])?.expect(0);
    assert_eq!(sh(deployment.dir(), all)?, before);
    for (n, stage) in STAGES.iter().enumerate() {
        assert!(run.stdout.contains(&format!("[{}/8] {stage}\n", n + 1)), "{}", run.stdout);
    }
    for command in [
        "pg-snap dump > ",
        "/minio  # beside it; begins with it\n",
        "obj-mirror s3://documents ",
        "/minio --delete\n",
        "cfg-pack create --root ",
        "bundle-manifest describe ",
        "bundle-manifest sums ",
        "bundle-manifest publish ",
        "bundle-manifest alarm --shrink-percent 50 ",
        "bundle-prune --domain demo.piprio.test --record ",
    ] {
        assert!(run.stdout.contains(command), "{command} is not in\n{}", run.stdout);
    }

    // While a restore is unfinished, the run would be refused, and so is the dry run.
    std::fs::create_dir_all(deployment.dir().join(".restore"))?;
    std::fs::write(deployment.dir().join(".restore/unfinished.json"), "{}")?;
    for arguments in [&["--dry-run"][..], &[]] {
        let run = deployment.backup(arguments)?.expect(5);
        assert!(run.stderr.contains("restore.sh --abandon"), "{}", run.stderr);
    }
    assert!(deployment.bundles()?.is_empty() && !record_file(&deployment).exists());
    Ok(())
}

#[test]
fn a_run_records_its_stages_sizes_and_status() -> Result<()> {
    let f = Failing::new()?;
    let deployment = &f.deployment;
    let run = deployment.backup(&["--json"])?.expect(0);
    for (n, stage) in STAGES.iter().enumerate() {
        let line = format!("backup-run: [{}/8] {stage}", n + 1);
        assert!(run.stderr.contains(&format!("{line} …\n")), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("{line}: ")), "{}", run.stderr);
    }
    let good = record(deployment)?;
    assert_eq!(serde_json::from_str::<Value>(&run.stdout)?, good);
    assert_eq!(mode(&record_file(deployment))?, 0o600);
    let bundle = deployment.newest_bundle()?;
    assert_eq!(good["bundle"].as_str(), bundle.to_str());
    assert_eq!(good["root"].as_str(), bundle.parent().and_then(|root| root.to_str()));
    assert_eq!((&good["status"], stages(&good)), (&Value::from(0), STAGES.to_vec()));
    for stage in good["stages"].as_array().context("stages")? {
        assert!(stage["status"] == 0 && stage["seconds"].is_number(), "{stage}");
    }
    for (component, file) in [("database", "database.sql.gz"), ("config", "config.tar.gz")] {
        assert_eq!(good["bytes"][component], std::fs::metadata(bundle.join(file))?.len());
    }
    assert!(good["bytes"]["objects"].as_u64().is_some_and(|bytes| bytes > 0), "{good}");
    assert!(good["started"].as_str() <= good["ended"].as_str(), "{good}");

    f.set("S3_BUCKET", "missing")?;
    let run = deployment.backup(&["--json"])?.expect(1);
    let failed = record(deployment)?;
    assert_eq!(serde_json::from_str::<Value>(&run.stdout)?, failed);
    assert_eq!(stages(&failed), STAGES[..2]);
    assert!(failed["status"] == 1 && failed["bundle"].is_null(), "{failed}");
    assert_eq!(
        (&failed["stages"][0]["status"], &failed["stages"][1]["status"]),
        (&0.into(), &1.into())
    );
    Ok(())
}

#[test]
fn a_signal_after_the_bundle_is_published_does_not_deny_it() -> Result<()> {
    let f = Failing::new()?;
    replace(&f.deployment, "bundle-prune", "exec sleep 60")?;
    let child = start(&f.deployment)?;
    let pruning = || -> Result<bool> {
        let record = record(&f.deployment)?;
        Ok(record["status"].is_null() && stages(&record).last() == Some(&"prune"))
    };
    wait_until("the last stage", pruning)?;
    let pid = child.id().to_string();
    ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
    let run = finish(child)?.expect(143);
    assert!(
        run.stderr.contains(" is complete, but pruning older bundles failed"),
        "{}",
        run.stderr
    );
    let bundle = f.deployment.newest_bundle()?;
    assert_ne!(bundle, f.bundle);
    let record = record(&f.deployment)?;
    assert_eq!(record["bundle"].as_str(), bundle.to_str());
    assert_eq!(record["status"], 143);
    Ok(())
}

#[test]
fn a_stage_gets_the_standard_input_of_the_backup_and_creates_files_for_nobody_else() -> Result<()> {
    let deployment = deployment()?;
    replace(&deployment, "bundle-prune", "cat > \"$PIPRIO_DEPLOY/seen\"; exit 7")?;
    let mut program = Command::new(deployment.dir().join("bin/backup-run"));
    program.env_clear().envs([("HOME", "/root"), ("PATH", "/usr/bin:/bin")]).current_dir("/");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "a line\n")?;
    // Without the wrapper it resolves the settings itself.
    let out = program.stdin(file.reopen()?).output()?;
    let words = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{words}");
    assert!(words.contains("bundle-prune ended with status 7; "), "{words}");
    assert!(words.contains(" is complete, but pruning older bundles failed"), "{words}");
    assert_eq!(std::fs::read_to_string(deployment.dir().join("seen"))?, "a line\n");
    assert_eq!(mode(&deployment.dir().join("seen"))?, 0o600);
    assert_eq!(deployment.bundles()?.len(), 1);
    Ok(())
}

#[test]
fn a_bundle_that_cannot_be_compared_ends_the_run_but_not_a_safety_backup() -> Result<()> {
    let deployment = deployment()?;
    let ours = deployment.dir().join("bin/.bundle-manifest");
    std::fs::copy(deployment.dir().join("bin/bundle-manifest"), &ours)?;
    let script = format!("[ \"$1\" != alarm ] || exit 4\nexec '{}' \"$@\"", ours.display());
    replace(&deployment, "bundle-manifest", &script)?;
    let run = deployment.backup(&[])?.expect(1);
    assert!(
        run.stderr.contains("could not be compared with the bundle before it"),
        "{}",
        run.stderr
    );
    let run = deployment.backup(&["--safety-backup"])?.expect(0);
    assert!(run.stderr.contains("warning: [7/8] alarm: "), "{}", run.stderr);
    assert_eq!(deployment.bundles()?.len(), 2);
    assert_eq!(stages(&record(&deployment)?), STAGES[..7]);
    Ok(())
}
