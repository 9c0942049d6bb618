//! `install.sh --drill-timer` and `--drill-cron`: what they write runs a drill, at a time that every zone has.

use crate::kit::Stand;
use anyhow::{Context, Result};
use std::process::Command;
use test_kit::deployment::run;
use test_kit::tools::{bin_dir, workspace};

fn install(stand: &Stand, root: &std::path::Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("bash");
    command.arg(workspace().join("scripts/install.sh")).arg("--from").arg(bin_dir()?);
    command.args(options).arg(stand.deployment.dir()).env("DESTDIR", root);
    run(command, "")?.expect(0);
    Ok(())
}

#[test]
fn crons_line_drills_in_a_bare_environment_and_mails_a_finding() -> Result<()> {
    let stand = Stand::new(40)?;
    let root = tempfile::tempdir()?;
    install(&stand, root.path(), &["--drill-cron"])?;
    let table = std::fs::read_to_string(root.path().join("etc/cron.d/piprio-drill"))?;
    let line = table.lines().find(|line| line.starts_with("30 4 * * 3 ")).context("no line")?;
    let command = line.splitn(7, ' ').nth(6).context("no command")?;
    let log = root.path().join("log");
    let command = command.replace("/var/log/piprio-drill.log", &log.display().to_string());
    let as_cron = || {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &command]).current_dir("/").env_clear();
        shell
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/");
        run(shell, "")
    };
    let passed = as_cron()?.expect(0);
    assert_eq!(
        (passed.stdout.as_str(), passed.stderr.as_str()),
        ("", ""),
        "mail of a drill that passed"
    );
    assert_eq!(stand.reports()?.len(), 1);
    stand.add_check("finds.sql", "select 'something is wrong';\n")?;
    assert!(as_cron()?.stdout.contains("finding: finds.sql: something is wrong"));
    Ok(())
}

#[test]
fn the_timer_is_weekly_and_beside_that_of_backups() -> Result<()> {
    let stand = Stand::new(1)?;
    let root = tempfile::tempdir()?;
    install(&stand, root.path(), &["--timer", "--drill-timer"])?;
    let units = root.path().join("etc/systemd/system");
    let read =
        |name: &str| std::fs::read_to_string(units.join(name)).with_context(|| name.to_owned());
    assert!(read("piprio-drill.timer")?.contains("\nOnCalendar=Wed *-*-* 04:30:00\n"));
    let service = read("piprio-drill.service")?;
    assert!(service.contains("/scripts/drill.sh\" --newest\n"), "{service}");
    assert!(service.contains("\nOnFailure=piprio-drill-failed@%N.service\n"), "{service}");
    assert!(read("piprio-backup.service")?.contains("/scripts/backup.sh\"\n"));
    install(&stand, root.path(), &["--drill-timer", "--name", "other"])?;
    for unit in ["other-drill.service", "other-drill.timer", "other-drill-failed@.service"] {
        assert!(!read(unit)?.contains("@NAME@"), "{unit}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        test_kit::skipped!("there is no systemd-analyze to check the units of drills");
        return Ok(());
    }
    std::fs::copy(
        units.join("piprio-drill-failed@.service"),
        units.join("piprio-drill-failed@piprio-drill.service"),
    )?;
    for unit in
        ["piprio-drill.service", "piprio-drill.timer", "piprio-drill-failed@piprio-drill.service"]
    {
        let mut command = Command::new("systemd-analyze");
        command.arg("verify").arg(units.join(unit));
        let verified = run(command, "")?.expect(0);
        assert!(!verified.stderr.contains("piprio"), "{}", verified.stderr);
    }
    Ok(())
}
