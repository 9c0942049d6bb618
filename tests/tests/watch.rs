//! What watches over the bundles: an alarm where one holds far less than the one before, and a
//! retention that a wrong clock does not mislead.
#![allow(clippy::print_stdout, reason = "a skipped test reports why")]

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{BUCKET, Deployment, Options, Run, sh};

fn root_of(deployment: &Deployment) -> PathBuf {
    deployment.dir().join("backups")
}

/// Gives a bundle the name of one of that age.
fn aged(bundle: &Path, age: &str) -> Result<PathBuf> {
    let name = sh(Path::new("/"), &format!("date -u -d '{age}' +piprio_%Y%m%dT%H%M%SZ"))?;
    let to = bundle.with_file_name(name.trim());
    std::fs::rename(bundle, &to)?;
    Ok(to)
}

fn health(deployment: &Deployment) -> Result<Run> {
    deployment.run_script("health-check.sh", &["--only", "bundle", "--strict"], "")
}

/// A backup by a clock that reads something else; nothing where there is no program for that.
fn backup_at(deployment: &Deployment, clock: &str) -> Result<Option<Run>> {
    let script = deployment.script("backup.sh", &[]);
    let mut command = Command::new("faketime");
    command.arg(clock).arg(script.get_program()).args(script.get_args()).env_clear();
    for (name, value) in script.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let out = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            test_kit::skipped!("faketime is not installed");
            return Ok(None);
        }
        out => out?,
    };
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{clock}: {}{stdout}{stderr}", out.status);
    Ok(Some(Run { status: 0, stdout, stderr }))
}

#[test]
fn an_emptied_table_is_named_and_holds_retention_until_the_rows_are_back() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let good = deployment.newest_bundle()?;
    deployment.psql("truncate tenant_0001.documents cascade")?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("holds far less than"));
    assert!(run.stderr.contains("tenant_0001.documents"), "{}", run.stderr);
    let health_line = health(&deployment)?.expect(1).stdout;
    assert!(health_line.contains("tenant_0001.documents"), "{health_line}");
    let list = deployment.script("restore.sh", &[]).output()?;
    assert!(String::from_utf8_lossy(&list.stdout).contains("intact; holds far less than"));

    let good = aged(&good, "56 days ago")?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("still holds far less than"), "{}", run.stderr);
    assert!(good.is_dir(), "{}", run.stdout);
    deployment.restore(&good, &[], "demo.piprio.test\nn\n")?.expect(0);
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("holds again what"), "{}", run.stderr);
    assert!(!good.exists(), "{}", run.stdout);
    health(&deployment)?.expect(0);
    Ok(())
}

#[test]
fn what_is_meant_is_accepted_and_a_percentage_of_nought_watches_nothing() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let good = aged(&deployment.newest_bundle()?, "25 days ago")?;
    deployment.psql("drop schema tenant_0001 cascade; drop schema tenant_0002 cascade")?;
    for object in deployment.s3().list(BUCKET, "")?.into_iter().skip(1) {
        deployment.s3().delete((BUCKET, &object))?;
    }
    let run = deployment.backup(&[])?.expect(0);
    for words in ["2 schemas gone (tenant_0001, tenant_0002)", "% fewer objects (36 before, 1 now)"]
    {
        assert!(run.stderr.contains(words), "{words} is not in\n{}", run.stderr);
    }
    health(&deployment)?.expect(1);
    let good = aged(&good, "40 days ago")?;
    let shrunk = deployment.newest_bundle()?;
    deployment.backup(&["--accept"])?.expect(0);
    assert!(!good.exists() && shrunk.exists());
    health(&deployment)?.expect(0);

    deployment.psql("drop schema tenant_0003 cascade")?;
    std::fs::OpenOptions::new()
        .append(true)
        .open(deployment.dir().join(".env"))
        .and_then(|mut env| std::io::Write::write_all(&mut env, b"\nALARM_SHRINK_PERCENT=0\n"))?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(!run.stderr.contains("far less"), "{}", run.stderr);
    health(&deployment)?.expect(0);
    Ok(())
}

#[test]
fn a_difference_names_what_changed_and_no_value() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let first = deployment.newest_bundle()?;
    deployment.psql("delete from tenant_0001.documents; create table added as select 1 as n")?;
    deployment.s3().put((BUCKET, "fresh/one"), &[], b"12345")?;
    std::fs::write(deployment.dir().join("secrets/signing_key"), "hunter2")?;
    let env = deployment.dir().join(".env");
    std::fs::write(&env, std::fs::read_to_string(&env)? + "\nSMTP_PASSWORD=hunter2\n")?;
    deployment.backup(&[])?.expect(0);
    let second = deployment.newest_bundle()?;
    let sides = [first.display().to_string(), second.display().to_string()];
    for json in [&[][..], &["--json"]] {
        let mut command = deployment.stage("bundle-manifest", &["diff", &sides[0], &sides[1]]);
        let out = command.args(json).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout)?;
        for words in
            ["tenant_0001", "documents", "added", "fresh", "SMTP_PASSWORD", "secrets/signing_key"]
        {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    Ok(())
}

#[test]
fn wrong_clocks_lose_no_bundle_and_what_they_made_is_never_the_newest() -> Result<()> {
    let options = Options { external_storage: true, ..Options::default() };
    let deployment = Deployment::temporary(&options)?;
    for age in ["28 days ago", "12 days ago", "3 days ago"] {
        deployment.backup(&[])?.expect(0);
        aged(&deployment.newest_bundle()?, age)?;
    }
    deployment.backup(&[])?.expect(0);
    let right = deployment.newest_bundle()?;
    let before = deployment.bundles()?;
    // Days ahead, twice, years back: each run is reported, and loses nothing.
    for clock in ["+20 days", "+400 days", "+401 days", "-400 days", "1970-01-05 02:00:00"] {
        let Some(run) = backup_at(&deployment, clock)? else { return Ok(()) };
        let consistent = clock == "+401 days";
        let warned = run.stderr.contains("warning: the clock reads ");
        assert_eq!(warned, !consistent, "{clock}: {}", run.stderr);
        let left = deployment.bundles()?;
        assert!(before.iter().all(|bundle| left.contains(bundle)), "{clock}: {}", run.stdout);
        let line = health(&deployment)?.expect(0).stdout;
        let name = right.file_name().context("a name")?.to_string_lossy();
        assert!(line.contains(&*name), "{clock}: {line}");
    }
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("the clock reads "), "{}", run.stderr);
    let old = aged(&before[0], "31 days ago")?;
    deployment.backup(&[])?.expect(0);
    assert!(!old.exists(), "retention continues with the run after");
    assert_eq!(deployment.bundles()?.len(), before.len() - 1 + 5 + 2);
    Ok(())
}

#[test]
fn deployments_that_share_a_root_prune_and_count_their_own_bundles() -> Result<()> {
    let options = Options { external_storage: true, ..Options::default() };
    let deployment = Deployment::temporary(&options)?;
    let root = root_of(&deployment);
    deployment.backup(&[])?.expect(0);
    let ours = aged(&deployment.newest_bundle()?, "40 days ago")?;
    let theirs = root.join("piprio_20200101T000000Z");
    let newest = root.join(sh(&root, "date -u -d '+1 hour' +piprio_%Y%m%dT%H%M%SZ")?.trim());
    for copy in [&theirs, &newest] {
        sh(&root, &format!("cp -a '{}' '{}'", ours.display(), copy.display()))?;
        sh(copy, "sed -i 's/^Domain: .*/Domain:    other.example.org/' MANIFEST.txt")?;
        sh(copy, r#"sed -i "s/^.*  MANIFEST.txt$/$(sha256sum MANIFEST.txt)/" SHA256SUMS"#)?;
    }
    let line = health(&deployment)?.expect(1).stdout;
    let name = ours.file_name().context("a name")?.to_string_lossy().into_owned();
    assert!(line.contains(&name) && line.contains("40 d old"), "{line}");
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stdout.contains("another deployment's"), "{}", run.stdout);
    assert!(!ours.exists() && theirs.exists() && newest.exists(), "{}", run.stdout);
    Ok(())
}
