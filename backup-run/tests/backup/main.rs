//! `backup.sh` on a whole deployment: what a bundle is, and that anything less than whole fails
//! loudly and leaves the bundle before it as it was.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use test_kit::deployment::{BUCKET, Deployment, Options, Run, sh};
use test_kit::process::wait_until;
use test_kit::s3::faults::{Act, Fault};

mod sequence;

fn deployment() -> Result<Deployment> {
    Deployment::temporary(&Options::default())
}

fn mode(path: &Path) -> Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode()
        & 0o7777)
}

#[test]
fn a_bundle_has_the_documented_tree_and_needs_no_tool_of_ours() -> Result<()> {
    let deployment = deployment()?;
    let run = deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    assert!(run.stdout.contains(&bundle.display().to_string()), "{}", run.stdout);
    let tree = sh(&bundle, "ls -A | sort")?;
    assert_eq!(tree, "MANIFEST.txt\nSHA256SUMS\nconfig.tar.gz\ndatabase.sql.gz\nminio\n");
    assert_eq!(mode(&bundle)?, 0o700);
    assert_eq!(sh(&bundle, "find . -type d ! -perm 700; find . -type f ! -perm 600")?, "");
    sh(
        &bundle,
        "sha256sum -c --quiet SHA256SUMS && cd minio && sha256sum -c --quiet .obj-mirror/SHA256SUMS",
    )?;

    let config = tempfile::tempdir()?;
    sh(&bundle, &format!("tar xzf config.tar.gz -C {}", config.path().display()))?;
    for file in [".env", "secrets/postgres_password", "certs/tls.key", "certs/live/x.pem"] {
        let original = std::fs::read(deployment.dir().join(file))?;
        assert!(std::fs::read(config.path().join(file))? == original, "{file}");
    }

    deployment.psql_in("postgres", "create database plain template template0")?;
    let mut psql = deployment.postgres_client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "plain"]);
    let mut gunzip = Command::new("gunzip")
        .arg("-c")
        .arg(bundle.join("database.sql.gz"))
        .stdout(Stdio::piped())
        .spawn()?;
    psql.stdin(gunzip.stdout.take().context("no pipe")?).stdout(Stdio::null());
    ensure!(psql.status()?.success() && gunzip.wait()?.success());
    let count = "select count(*) from tenant_0002.documents";
    assert_eq!(deployment.psql_in("plain", count)?, deployment.psql(count)?);

    let manifest = std::fs::read_to_string(bundle.join("MANIFEST.txt"))?;
    let size = std::fs::metadata(bundle.join("database.sql.gz"))?.len().to_string();
    for words in [
        "Domain:    demo.piprio.test",
        "Version:   ",
        "Postgres:  ",
        "Toolkit:   ",
        &size,
        "36 objects",
    ] {
        assert!(manifest.contains(words), "{words} is not in\n{manifest}");
    }
    Ok(())
}

#[test]
fn it_runs_from_crons_bare_environment_and_writes_where_it_is_told() -> Result<()> {
    let deployment = deployment()?;
    let elsewhere = tempfile::tempdir()?;
    let root = elsewhere.path().join("other/root");
    let out = Command::new("/bin/bash")
        .arg(deployment.dir().join("scripts/backup.sh"))
        .arg(&root)
        .env_clear()
        .envs([("HOME", "/root"), ("PATH", "/usr/bin:/bin")])
        .current_dir("/usr")
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(sh(&root, "ls | wc -l")?.trim(), "1");
    assert_eq!(mode(&root)?, 0o700);
    assert!(deployment.bundles()?.is_empty());
    // A relative root is relative to where the operator stands.
    let out = Command::new("bash")
        .arg(deployment.dir().join("scripts/backup.sh"))
        .arg("here")
        .current_dir(elsewhere.path())
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(sh(elsewhere.path(), "ls here | wc -l")?.trim(), "1");
    Ok(())
}

#[test]
fn external_storage_is_skipped_and_said() -> Result<()> {
    let deployment =
        Deployment::temporary(&Options { external_storage: true, ..Options::default() })?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(
        run.stderr.contains("objects: skipped, the object storage is external"),
        "{}",
        run.stderr
    );
    let bundle = deployment.newest_bundle()?;
    assert!(!bundle.join("minio").exists());
    let manifest = std::fs::read_to_string(bundle.join("MANIFEST.txt"))?;
    assert!(manifest.contains("absent (external object storage)"), "{manifest}");

    deployment.s3().put((BUCKET, "later"), &[], b"not the toolkit's to touch")?;
    let objects = deployment.s3().list(BUCKET, "")?;
    deployment.restore(&bundle, &[], "demo.piprio.test\nn\n")?.expect(0);
    assert_eq!(deployment.s3().list(BUCKET, "")?, objects);
    Ok(())
}

/// A deployment with one good bundle, on which backups are made to fail.
struct Failing {
    deployment: Deployment,
    bundle: PathBuf,
    before: BTreeMap<String, Vec<u8>>,
}

impl Failing {
    fn new() -> Result<Self> {
        let deployment = deployment()?;
        deployment.backup(&[])?.expect(0);
        let bundle = deployment.newest_bundle()?;
        let before = contents(&bundle)?;
        Ok(Self { deployment, bundle, before })
    }

    /// The run failed with that status and reason, and left nothing but the bundle before it.
    fn check(&self, run: Run, status: i32, reason: &str) -> Result<()> {
        let run = run.expect(status);
        assert!(run.stderr.contains(reason), "{reason} is not in\n{}", run.stderr);
        assert_eq!(run.stdout, "");
        for secret in
            [&self.deployment.facts().postgres_password, &self.deployment.facts().s3_secret_key]
        {
            assert!(!run.stderr.contains(secret.as_str()), "a secret in\n{}", run.stderr);
        }
        self.is_as_before()
    }

    fn is_as_before(&self) -> Result<()> {
        let root = self.bundle.parent().context("a root")?;
        let left = sh(root, "ls -A | grep -v '^.lock$'")?;
        assert_eq!(
            left.lines().collect::<Vec<_>>(),
            [self.bundle.file_name().context("name")?.to_string_lossy()]
        );
        assert!(contents(&self.bundle)? == self.before, "the bundle before changed");
        Ok(())
    }

    fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = self.deployment.dir().join(".env");
        let text = std::fs::read_to_string(&path)?;
        let text: String =
            text.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
        Ok(std::fs::write(path, format!("{text}{key}={value}\n"))?)
    }
}

fn contents(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        let bytes =
            if entry.file_type().is_file() { std::fs::read(entry.path())? } else { Vec::new() };
        all.insert(entry.path().display().to_string(), bytes);
    }
    Ok(all)
}

#[test]
fn a_wrong_password_or_key_or_name_is_one_clear_line_and_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let env = f.deployment.dir().join(".env");
    let good = std::fs::read(&env)?;
    let secrets = f.deployment.dir().join("secrets");

    let password = std::fs::read(secrets.join("postgres_password"))?;
    std::fs::write(secrets.join("postgres_password"), "wrong")?;
    f.check(f.deployment.backup(&[])?, 1, "password authentication failed for user \"piprio\"")?;
    std::fs::write(secrets.join("postgres_password"), password)?;

    f.set("POSTGRES_DB", "missing")?;
    f.check(f.deployment.backup(&[])?, 1, "no database missing")?;
    std::fs::write(&env, &good)?;

    f.set("S3_BUCKET", "missing")?;
    f.check(f.deployment.backup(&[])?, 1, "bucket missing does not exist")?;
    std::fs::write(&env, &good)?;

    let key = std::fs::read(secrets.join("s3_secret_key"))?;
    std::fs::write(secrets.join("s3_secret_key"), "wrong")?;
    f.check(f.deployment.backup(&[])?, 1, "403")?;
    std::fs::write(secrets.join("s3_secret_key"), key)?;

    std::fs::rename(&env, f.deployment.dir().join("env.away"))?;
    f.check(f.deployment.backup(&[])?, 5, ".env")?;
    std::fs::rename(f.deployment.dir().join("env.away"), &env)?;

    std::os::unix::fs::symlink("/nowhere/at/all", secrets.join("connector"))?;
    f.check(f.deployment.backup(&[])?, 1, "secrets/connector")?;
    std::fs::remove_file(secrets.join("connector"))?;

    f.check(f.deployment.backup(&["--wrong"])?, 2, "--wrong")?;
    f.check(f.deployment.backup(&["a", "b"])?, 2, "unexpected argument 'b'")?;
    f.deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn an_unreadable_secret_fails_the_backup() -> Result<()> {
    let f = Failing::new()?;
    let secret = f.deployment.dir().join("secrets/signing_key");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o0))?;
    let mut command = f.deployment.script("backup.sh", &[]);
    if rustix::process::geteuid().is_root() {
        // Root reads every file: the run is another user's, in a deployment of that user's own.
        sh(
            f.deployment.dir(),
            "chown -R --no-dereference 65534:65534 . && chown 0 secrets/signing_key",
        )?;
        let inner = command;
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(inner.get_program()).args(inner.get_args()).current_dir("/");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/");
    }
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    f.check(finish(child)?, 1, "secrets/signing_key")
}

#[test]
fn a_server_that_is_down_is_one_clear_line_and_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.stop(&["postgres"])?;
    f.check(f.deployment.backup(&[])?, 1, "Connection refused")?;
    f.deployment.start(&["postgres"])?;
    f.deployment.stop(&["minio"])?;
    f.check(f.deployment.backup(&[])?, 1, "obj-mirror")
}

/// Holds a lock that keeps pg_dump waiting, so that a backup is surely in the middle of its dump.
struct Held<'a> {
    psql: Child,
    deployment: &'a Deployment,
}

impl<'a> Held<'a> {
    fn new(deployment: &'a Deployment) -> Result<Self> {
        let mut psql = deployment.postgres_client("psql");
        let sql = "begin; lock table public.tenants; select pg_sleep(600)";
        psql.args(["-X", "-d", "piprio", "-c", sql]).stdout(Stdio::null()).stderr(Stdio::null());
        let held = Self { psql: psql.spawn()?, deployment };
        wait_until("the lock", || {
            let ask = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
                       and relation = 'public.tenants'::regclass";
            Ok(deployment.psql(ask)? == "1")
        })?;
        Ok(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // A session does not notice that its client is gone while it sleeps.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()";
        let _ = self.deployment.psql_in("postgres", end);
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

fn waiting_for_lock(deployment: &Deployment) -> Result<bool> {
    Ok(deployment.psql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")?
        != "0")
}

fn finish(child: Child) -> Result<Run> {
    let out = child.wait_with_output()?;
    Ok(Run {
        status: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

fn start(deployment: &Deployment) -> Result<Child> {
    let mut command = deployment.script("backup.sh", &[]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

#[test]
fn a_signal_in_the_middle_leaves_no_bundle_and_no_process() -> Result<()> {
    let f = Failing::new()?;
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let held = Held::new(&f.deployment)?;
        let child = start(&f.deployment)?;
        wait_until("the dump", || waiting_for_lock(&f.deployment))?;
        let pid = child.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{signal}"), &pid]).status()?.success());
        f.check(finish(child)?, status, "no bundle was made")?;
        let record = sequence::record(&f.deployment)?;
        assert!(record["status"] == status && record["bundle"].is_null(), "{record}");
        drop(held);
        wait_until("pg_dump to be gone", || {
            Ok(f.deployment
                .psql("select count(*) from pg_stat_activity where application_name = 'pg_dump'")?
                == "0")
        })?;
    }
    f.deployment.backup(&[])?.expect(0);
    Ok(())
}

#[test]
fn a_second_run_at_the_same_time_is_refused() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    let second = f.deployment.backup(&[])?.expect(5);
    assert!(second.stderr.contains("another backup or restore is running"), "{}", second.stderr);
    let restore = f.deployment.restore(&f.bundle, &[], "demo.piprio.test\ny\n")?.expect(5);
    assert!(restore.stderr.contains("another backup or restore is running"), "{}", restore.stderr);
    assert!(
        sequence::record(&f.deployment)?["status"].is_null(),
        "a refused run has recorded itself"
    );
    drop(held);
    finish(child)?.expect(0);
    assert_eq!(sequence::record(&f.deployment)?["status"], 0);
    assert_eq!(f.deployment.bundles()?.len(), 2);
    Ok(())
}

#[test]
fn a_killed_run_holds_no_lock_and_its_partial_is_removed_by_the_next() -> Result<()> {
    let f = Failing::new()?;
    let held = Held::new(&f.deployment)?;
    let mut child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    child.kill()?;
    child.wait()?;
    let root = f.bundle.parent().context("a root")?;
    assert!(sh(root, "ls -A")?.contains(".partial"));
    let record = sequence::record(&f.deployment)?;
    assert!(record["started"].is_string() && record["stages"][0]["stage"] == "database");
    assert!(record["ended"].is_null() && record["status"].is_null(), "{record}");
    // Its stage still waits for the lock, and must not keep the next run from starting.
    drop(held);
    f.deployment.backup(&[])?.expect(0);
    assert!(!sh(root, "ls -A")?.contains(".partial"));

    // The same through a link to the root, with a CDPATH that would lead `cd` elsewhere.
    let links = tempfile::tempdir()?;
    std::os::unix::fs::symlink(root, links.path().join("root"))?;
    std::fs::create_dir(root.join(".piprio_20260101T000000Z.partial"))?;
    let mut command = f.deployment.script("backup.sh", &["root"]);
    let out = command
        .current_dir(links.path())
        .env("CDPATH", format!(".:{}", root.display()))
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!sh(root, "ls -A")?.contains(".partial"));
    Ok(())
}

#[test]
fn a_database_server_that_dies_in_the_middle_of_the_dump_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let _held = Held::new(&f.deployment)?;
    let child = start(&f.deployment)?;
    wait_until("the dump", || waiting_for_lock(&f.deployment))?;
    sh(Path::new("/"), &format!("kill -9 -- -{}", f.deployment.pid("postgres")?))?;
    f.check(finish(child)?, 1, "server closed the connection unexpectedly")
}

#[test]
fn a_storage_server_that_dies_in_the_middle_of_the_mirror_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.s3_fault(&Fault {
        operation: "GetObject".into(),
        skip: 9,
        times: 1,
        act: Act::Die,
    })?;
    let run = f.deployment.backup(&[])?;
    let status = run.status;
    assert!([1, 3].contains(&status), "{status}");
    f.check(run, status, "[2/8] objects: obj-mirror ended with status")
}

#[test]
fn objects_that_cannot_be_had_fail_the_backup_with_their_names() -> Result<()> {
    let f = Failing::new()?;
    f.deployment.s3_fault(&Fault { skip: 9, ..Fault::always("GetObject", Act::Broken) })?;
    f.check(f.deployment.backup(&[])?, 3, "/documents/")
}

#[test]
fn a_full_disk_leaves_no_bundle() -> Result<()> {
    let f = Failing::new()?;
    let small = tempfile::tempdir()?;
    let root = small.path().join("root");
    std::fs::create_dir(&root)?;
    for kilobytes in [40, 300, 520] {
        let size = format!("size={kilobytes}k,mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&root)
            .output()?;
        if !mount.status.success() {
            test_kit::skipped!(
                "no tmpfs can be mounted here: {}",
                String::from_utf8_lossy(&mount.stderr).trim()
            );
            return Ok(());
        }
        let run = f.deployment.backup(&[&root.display().to_string()]);
        let left = sh(&root, "ls -A | grep -v '^.lock$' || true");
        let free = sh(&root, "df --output=pcent . | tail -1");
        ensure!(Command::new("umount").arg(&root).status()?.success());
        let run = run?;
        assert!([1, 3].contains(&run.status), "{} kB: {}\n{}", kilobytes, run.status, run.stderr);
        assert!(run.stderr.contains("No space left"), "{kilobytes} kB: {}", run.stderr);
        assert_eq!(left?, "", "{kilobytes} kB");
        assert!(
            free?.trim().trim_end_matches('%').parse::<u32>()? <= 10,
            "room was not given back"
        );
        f.is_as_before()?;
    }
    Ok(())
}

#[test]
fn a_failure_after_the_bundle_is_whole_does_not_deny_it() -> Result<()> {
    let f = Failing::new()?;
    let mut command = f.deployment.script("backup.sh", &[]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full")?);
    let out = command.output()?;
    assert_eq!(out.status.code(), Some(1));
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(words.contains(" is complete; ") && !words.contains("no bundle was made"), "{words}");
    assert_eq!(f.deployment.bundles()?.len(), 2);
    Ok(())
}

#[test]
fn old_bundles_are_pruned_after_success_only() -> Result<()> {
    let f = Failing::new()?;
    let root = f.bundle.parent().context("a root")?;
    let old = root.join("piprio_20200101T000000Z");
    sh(root, &format!("cp -a {} {}", f.bundle.display(), old.display()))?;
    f.set("POSTGRES_DB", "missing")?;
    f.deployment.backup(&[])?.expect(1);
    assert!(old.exists(), "a failed run pruned");
    f.set("POSTGRES_DB", "piprio")?;
    f.deployment.backup(&[])?.expect(0);
    assert!(!old.exists());
    assert!(f.bundle.exists());
    Ok(())
}

#[test]
fn a_stage_replaced_by_a_shell_script_still_gives_a_working_bundle() -> Result<()> {
    let deployment = deployment()?;
    let stage = deployment.dir().join("bin/cfg-pack");
    let ours = deployment.dir().join("bin/.cfg-pack");
    std::fs::rename(&stage, &ours)?;
    // The same contract in four lines: create from tar, the rest by the tool it stands for.
    std::fs::write(
        &stage,
        format!(
            "#!/bin/sh\n[ \"$1\" = create ] || exec '{}' \"$@\"\necho 'cfg-pack in shell' >&2\nexec tar czf - -C \"$3\" .env secrets certs\n",
            ours.display()
        ),
    )?;
    std::fs::set_permissions(&stage, std::fs::Permissions::from_mode(0o755))?;
    let run = deployment.backup(&[])?.expect(0);
    assert!(run.stderr.contains("cfg-pack in shell"), "{}", run.stderr);
    let bundle = deployment.newest_bundle()?;
    let before = deployment.state()?;
    deployment.psql("drop schema tenant_0001 cascade")?;
    std::fs::write(deployment.dir().join("secrets/signing_key"), "lost")?;
    deployment.restore(&bundle, &[], "demo.piprio.test\ny\n")?.expect(0);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn linked_bundles_share_what_is_unchanged_and_each_stands_alone() -> Result<()> {
    let deployment = deployment()?;
    deployment.backup(&[])?.expect(0);
    let first = deployment.newest_bundle()?;
    let env = deployment.dir().join(".env");
    let settings = std::fs::read_to_string(&env)?;
    deployment.backup(&[])?.expect(0);
    let alone = deployment.newest_bundle()?;
    std::fs::write(&env, format!("{settings}\nBACKUP_LINK=yes\n"))?;
    deployment.s3().put((BUCKET, "added"), &[], b"since")?;
    deployment.backup(&[])?.expect(0);
    let linked = deployment.newest_bundle()?;
    let inodes = |bundle: &Path| sh(bundle, "find minio -type f -links +1 | wc -l");
    assert_eq!(inodes(&first)?.trim(), "0", "by default every bundle has its own bytes");
    let objects: usize = sh(&alone, "wc -l < minio/.obj-mirror/index.jsonl")?.trim().parse()?;
    assert_eq!(inodes(&linked)?.trim(), objects.to_string());
    std::fs::remove_dir_all(&alone)?;
    let mut verify = Command::new(deployment.dir().join("bin/bundle-manifest"));
    verify.arg("verify").arg(&linked).env("PATH", test_kit::tool_path());
    ensure!(verify.status()?.success());
    // One that is damaged is not linked from.
    std::fs::write(linked.join("minio/added"), "other")?;
    std::fs::write(linked.join("minio/.obj-mirror/index.jsonl"), "")?;
    deployment.backup(&[])?.expect(0);
    let newest = deployment.newest_bundle()?;
    assert_eq!(std::fs::read(newest.join("minio/added"))?, b"since");
    Ok(())
}
