//! `install.sh --timer` and `--cron`, below a root of their own: what they write works for systemd and
//! for cron, and what they did not write stays as it is.

use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use test_kit::deployment::{Deployment, Options, Run};
use test_kit::tools::{bin_dir, workspace};
use test_kit::user::is_root;

const ODD: &str = "de %h $HOME `id` 'q\" ploy";
const UNITS: [&str; 3] =
    ["piprio-backup.service", "piprio-backup.timer", "piprio-backup-failed@.service"];

struct Host {
    dir: TempDir,
    deploy: PathBuf,
}

impl Host {
    fn new(deploy: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let deploy = dir.path().join(deploy);
        std::fs::create_dir(&deploy)?;
        Ok(Self { dir, deploy })
    }

    fn install(&self, options: &[&str]) -> Result<Run> {
        self.install_into(&self.deploy, options)
    }

    fn install_into(&self, deploy: &Path, options: &[&str]) -> Result<Run> {
        let mut command = Command::new("bash");
        command.arg(workspace().join("scripts/install.sh")).arg("--from").arg(bin_dir()?);
        command.args(options).arg(deploy).env("DESTDIR", self.dir.path().join("root"));
        ended(&mut command)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("root/etc").join(name)
    }

    fn unit(&self, name: &str) -> PathBuf {
        self.file("systemd/system").join(name)
    }

    fn cron(&self) -> PathBuf {
        self.file("cron.d/piprio-backup")
    }
}

fn ended(command: &mut Command) -> Result<Run> {
    let out = command.output()?;
    Ok(Run {
        status: out.status.code().context("ended by a signal")?,
        stdout: String::from_utf8(out.stdout)?,
        stderr: String::from_utf8(out.stderr)?,
    })
}

/// What cron hands to the shell of a file in `/etc/cron.d`: crontab(5).
fn command_of(table: &Path) -> Result<String> {
    let text = std::fs::read_to_string(table)?;
    let line = text.lines().find(|l| l.starts_with("0 4 ")).context("no line")?;
    let mut rest = line;
    for _ in 0..6 {
        rest = rest.split_once(' ').context("fields")?.1;
    }
    ensure!(!rest.replace("\\%", "").contains('%'), "cron ends the command at a %: {rest}");
    Ok(rest.replace("\\%", "%"))
}

/// Runs a line as cron does: nothing in its environment, and at the root.
fn as_cron(line: &str) -> Result<Run> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir("/").env_clear();
    command.envs([("SHELL", "/bin/sh"), ("HOME", "/"), ("LOGNAME", "root")]);
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    ended(&mut command)
}

fn log_to(line: &str, log: &Path) -> String {
    line.replace("/var/log/piprio-backup.log", &log.display().to_string())
}

#[test]
fn the_timer_is_written_once_and_a_second_run_changes_nothing() -> Result<()> {
    let host = Host::new("my deploy")?;
    let first = host.install(&["--timer"])?.expect(0);
    let written = UNITS.map(|unit| std::fs::read_to_string(host.unit(unit)).unwrap_or_default());
    for (unit, text) in UNITS.iter().zip(&written) {
        assert!(first.stderr.contains(&format!("wrote {}", host.unit(unit).display())));
        assert!(!text.contains("@NAME@") && !text.contains("@BACKUP@"), "{text}");
        assert_eq!(std::fs::metadata(host.unit(unit))?.permissions().mode() & 0o777, 0o644);
    }
    assert!(first.stderr.contains("systemctl enable --now piprio-backup.timer"));
    assert!(first.stderr.contains("to undo: systemctl disable --now piprio-backup.timer"));
    assert!(written[0].contains("\nOnFailure=piprio-backup-failed@%N.service\n"));
    assert!(written[1].contains("\nPersistent=true\n"));
    let second = host.install(&["--timer"])?.expect(0);
    assert_eq!(second.stderr.matches("is unchanged").count(), 3, "{}", second.stderr);
    assert_eq!(written, UNITS.map(|u| std::fs::read_to_string(host.unit(u)).unwrap_or_default()));
    Ok(())
}

#[test]
fn a_directory_of_any_name_is_quoted_for_systemd() -> Result<()> {
    let host = Host::new(ODD)?;
    host.install(&["--timer"])?.expect(0);
    let text = std::fs::read_to_string(host.unit(UNITS[0]))?;
    let above = host.dir.path().display();
    let command = "de %%h $$HOME `id` 'q\\\" ploy/scripts/backup.sh";
    assert!(
        text.contains(&format!("\nExecStart=/usr/bin/env bash \"{above}/{command}\"\n")),
        "{text}"
    );
    let path = "de %%h $HOME `id` 'q\\\" ploy";
    assert!(text.contains(&format!("\nReadWritePaths=\"{above}/{path}\"\n")), "{text}");
    Ok(())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() -> Result<()> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        test_kit::skipped!("there is no systemd-analyze to check the units");
        return Ok(());
    }
    let verify = |path: &Path| ended(Command::new("systemd-analyze").arg("verify").arg(path));
    for name in ["deploy", ODD] {
        let host = Host::new(name)?;
        host.install(&["--timer"])?.expect(0);
        // An instance of the template, as OnFailure starts it.
        let instance = host.unit("piprio-backup-failed@piprio-backup.service");
        std::fs::copy(host.unit(UNITS[2]), &instance)?;
        for path in [host.unit(UNITS[0]), host.unit(UNITS[1]), instance] {
            let run = verify(&path)?.expect(0);
            // It warns, with status 0, of what it ignores.
            assert!(!run.stderr.contains("piprio"), "{}", run.stderr);
        }
        let broken = std::fs::read_to_string(host.unit(UNITS[0]))?
            .replace("ProtectClock=yes", "ProtectClock=perhaps\nProtectMoon=yes");
        std::fs::write(host.unit(UNITS[0]), broken)?;
        let words = verify(&host.unit(UNITS[0]))?.stderr;
        assert!(words.contains("boolean") && words.contains("ProtectMoon"), "{words}");
    }
    Ok(())
}

#[test]
fn what_it_did_not_write_or_was_changed_since_is_refused_and_left_alone() -> Result<()> {
    for (option, file) in
        [("--timer", "systemd/system/piprio-backup.timer"), ("--cron", "cron.d/piprio-backup")]
    {
        let host = Host::new("deploy")?;
        let path = host.file(file);
        std::fs::create_dir_all(path.parent().context("no parent")?)?;
        std::fs::write(&path, "# mine\n")?;
        let run = host.install(&[option])?.expect(5);
        assert!(run.stderr.contains(&format!("{} was not written by install.sh", path.display())));
        assert_eq!(std::fs::read_to_string(&path)?, "# mine\n");
        // Nothing at all: units are no use one without the other.
        assert!(!host.unit(UNITS[0]).exists());
        std::fs::remove_file(&path)?;
        host.install(&[option])?.expect(0);
        let mut changed = std::fs::read_to_string(&path)?;
        changed.write_str("# by hand\n")?;
        std::fs::write(&path, &changed)?;
        let run = host.install(&[option])?.expect(5);
        assert!(run.stderr.contains("was changed since"), "{}", run.stderr);
        assert_eq!(std::fs::read_to_string(&path)?, changed);
        std::fs::remove_file(&path)?;
        std::os::unix::fs::symlink("/dev/null", &path)?;
        assert!(host.install(&[option])?.expect(5).stderr.contains("is not a regular file"));
    }
    Ok(())
}

#[test]
fn a_second_deployment_takes_a_name_of_its_own() -> Result<()> {
    let host = Host::new("deploy")?;
    let other = host.dir.path().join("other");
    for option in ["--timer", "--cron"] {
        host.install(&[option])?.expect(0);
        let run = host.install_into(&other, &[option])?.expect(5);
        assert!(run.stderr.contains("belongs to another deployment"), "{}", run.stderr);
        host.install_into(&other, &[option, "--name", "other-backup"])?.expect(0);
    }
    let service = std::fs::read_to_string(host.unit("other-backup.service"))?;
    assert!(service.contains("OnFailure=other-backup-failed@%N.service"), "{service}");
    assert!(host.unit("other-backup-failed@.service").exists());
    Ok(())
}

#[test]
fn crons_line_makes_a_bundle_in_a_bare_environment_and_mails_a_failure() -> Result<()> {
    let host = Host::new("hand")?;
    let above = tempfile::Builder::new().prefix("50% of 'it' ").tempdir()?;
    std::fs::set_permissions(above.path(), PermissionsExt::from_mode(0o755))?;
    let deploy = above.path().join("deploy");
    let deployment = Deployment::create(&deploy, &Options::default())?;
    host.install_into(&deploy, &["--cron"])?.expect(0);
    let log = host.dir.path().join("log");
    let line = log_to(&command_of(&host.cron())?, &log);
    let run = as_cron(&line)?.expect(0);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("", ""),
        "mail of a run that succeeded"
    );
    assert!(deployment.newest_bundle()?.join("SHA256SUMS").exists());
    std::fs::remove_file(deploy.join(".env"))?;
    let run = as_cron(&line)?;
    assert!(run.stdout.contains(".env"), "a failure is not mailed: {run:?}");
    Ok(())
}

#[test]
fn crons_line_finds_the_script_in_a_directory_of_any_name() -> Result<()> {
    let host = Host::new(ODD)?;
    host.install(&["--cron"])?.expect(0);
    std::fs::write(
        host.deploy.join("scripts/backup.sh"),
        "#!/bin/sh\nprintf 'ran %s\\n' \"$0\"\n",
    )?;
    let log = host.dir.path().join("log");
    as_cron(&log_to(&command_of(&host.cron())?, &log))?.expect(0);
    if is_root() {
        let ran = format!("ran {}/scripts/backup.sh\n", host.deploy.display());
        assert_eq!(std::fs::read_to_string(log)?, ran);
    }
    let text = std::fs::read_to_string(host.cron())?;
    assert!(text.ends_with('\n'), "cron ignores a last line without its end");
    Ok(())
}

#[test]
fn who_is_not_root_gets_the_command_to_type_and_nothing_is_scheduled() -> Result<()> {
    let host = Host::new("my deploy")?;
    host.install(&[])?.expect(0);
    let mut command = Command::new("bash");
    if is_root() {
        std::fs::set_permissions(host.dir.path(), PermissionsExt::from_mode(0o777))?;
        std::fs::set_permissions(&host.deploy, PermissionsExt::from_mode(0o777))?;
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "bash"]);
    }
    // A source directory that others may read.
    let source = host.dir.path().join("source");
    std::fs::create_dir(&source)?;
    std::fs::copy(workspace().join("scripts/schedule.sh"), source.join("schedule.sh"))?;
    std::fs::set_permissions(&source, PermissionsExt::from_mode(0o755))?;
    command.arg(source.join("schedule.sh")).args(["cron", "piprio-backup"]).arg(&host.deploy);
    let run = ended(command.env_remove("DESTDIR"))?.expect(5);
    assert!(
        run.stderr.contains("only root") && run.stderr.contains("crontab -e"),
        "{}",
        run.stderr
    );
    let script = host.deploy.join("scripts/backup.sh");
    assert!(
        run.stdout.starts_with(&format!("0 4 * * * '{}' >> ", script.display())),
        "{}",
        run.stdout
    );
    Ok(())
}

#[test]
fn wrong_names_and_both_at_once_are_usage_errors() -> Result<()> {
    let host = Host::new("deploy")?;
    host.install(&["--timer", "--cron"])?.expect(2);
    host.install(&["--timer", "--name", "a.b"])?.expect(2);
    host.install(&["--cron", "--name", "../x"])?.expect(2);
    assert!(!host.file("").exists());
    Ok(())
}

/// With it, systemd 257 takes the right to become another user from root, as whom a drill starts its server.
#[test]
fn roots_units_may_become_another_user_and_a_users_may_gain_nothing() -> Result<()> {
    if !is_root() {
        test_kit::skipped!("only root can give a deployment to another user");
        return Ok(());
    }
    for (owner, expected) in [(0, "no"), (1, "yes")] {
        let host = Host::new("deploy")?;
        std::os::unix::fs::chown(&host.deploy, Some(owner), Some(owner))?;
        host.install(&["--timer", "--drill-timer"])?.expect(0);
        for unit in ["piprio-backup.service", "piprio-drill.service"] {
            let text = std::fs::read_to_string(host.unit(unit))?;
            let line = format!("\nNoNewPrivileges={expected}\n");
            assert!(text.contains(&line), "{owner}: {text}");
        }
    }
    Ok(())
}
