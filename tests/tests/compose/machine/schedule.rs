//! The units of `install.sh --timer`, run by systemd.

use super::Machine;
use anyhow::{Context, Result};
use serde_json::Value;
use test_kit::process::wait_until;

const INSTALL: &str = "/toolkit/scripts/install.sh --from /toolkit/bin";
const BUNDLES: &str = "ls -d piprio/backups/piprio_* 2>/dev/null || true";

/// A line of `doctor --json`.
fn doctor(machine: &Machine, name: &str) -> Result<Value> {
    let report = machine.typed("piprio/bin/deploy-env doctor --json").stdout;
    let report: Value = serde_json::from_str(&report)?;
    let lines = report["checks"].as_array().context("checks")?;
    lines
        .iter()
        .find(|line| line["name"] == name)
        .cloned()
        .with_context(|| format!("no {name}: {report}"))
}

#[test]
fn the_timer_runs_the_backup_and_a_backup_that_fails_runs_the_failure_unit() -> Result<()> {
    let Some(machine) = Machine::with_deployment()? else { return Ok(()) };
    let line = doctor(&machine, "schedule")?;
    assert_eq!(line["status"], "finding");
    let typed = line["command"].as_str().context("a command")?;
    assert!(typed.contains("install.sh --timer"), "{typed}");
    let run = machine.typed(&format!("{INSTALL} --timer piprio")).expect(0);
    assert!(run.stderr.contains("piprio-backup.timer is enabled"), "{}", run.stderr);
    // Its next run is known, to systemd and to doctor.
    assert_eq!(machine.printed("systemctl is-enabled piprio-backup.timer"), "enabled\n");
    let next = machine.property("piprio-backup.timer", "NextElapseUSecRealtime");
    assert!(next.contains(" 04:"), "{next}");
    assert!(
        machine
            .printed("systemctl list-timers piprio-backup.timer")
            .contains("piprio-backup.service")
    );
    let line = doctor(&machine, "schedule")?;
    assert_eq!(line["status"], "ok");
    assert_eq!(line["found"], format!("piprio-backup.timer runs next: {next}"));

    machine.printed("systemctl start piprio-backup.service");
    let bundle = machine.printed(BUNDLES);
    assert_eq!(bundle.lines().count(), 1, "{bundle}");
    machine.printed(&format!("PATH=/srv/piprio/bin:$PATH bundle-manifest verify {bundle}"));
    assert_eq!(machine.property("piprio-backup.service", "Result"), "success");
    let failures = "journalctl -q -o cat -p crit -t piprio-backup";
    assert_eq!(machine.printed(failures), "");

    // The timer itself starts the service, as every night.
    let often = "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\nAccuracySec=100ms\n";
    let dropin = "/etc/systemd/system/piprio-backup.timer.d/often.conf";
    machine.typed_by("root", &format!("install -D -m 644 /dev/stdin {dropin}"), often).expect(0);
    machine.printed("systemctl daemon-reload && systemctl restart piprio-backup.timer");
    wait_until("a backup by the timer", || Ok(machine.printed(BUNDLES).lines().count() > 1))?;
    machine.printed(&format!(
        "rm {dropin}; systemctl daemon-reload; systemctl restart piprio-backup.timer"
    ));
    wait_until("the end of it", || {
        Ok(machine.property("piprio-backup.service", "ActiveState") == "inactive")
    })?;
    assert_eq!(machine.printed(failures), "");

    // Without its database.
    let made = machine.printed(BUNDLES);
    machine.printed("systemctl stop 'postgresql@*'");
    machine.typed("systemctl start piprio-backup.service").expect(1);
    assert_eq!(machine.property("piprio-backup.service", "ActiveState"), "failed");
    wait_until("the failure unit", || Ok(!machine.printed(failures).is_empty()))?;
    assert_eq!(
        machine.printed(failures),
        "the backup failed: journalctl -u piprio-backup.service\n"
    );
    assert_eq!(machine.property("piprio-backup-failed@piprio-backup.service", "Result"), "success");
    let journal = machine.printed("journalctl -q -o cat -u piprio-backup.service");
    assert!(journal.contains("127.0.0.1"), "{journal}");
    assert_eq!(machine.printed(BUNDLES), made);
    assert_eq!(machine.printed("ls -A piprio/backups | grep partial || true"), "");

    machine.printed("systemctl disable --now piprio-backup.timer");
    let line = doctor(&machine, "schedule")?;
    assert_eq!(line["command"], "systemctl enable --now piprio-backup.timer");
    Ok(())
}

#[test]
fn a_restore_stops_and_starts_units_and_the_drill_of_its_bundle_passes() -> Result<()> {
    let Some(machine) = Machine::with_deployment()? else { return Ok(()) };
    machine.typed(&format!("{INSTALL} --drill-timer piprio")).expect(0);
    let sql = |sql: &str| {
        machine.printed(&format!("piprio/bin/deploy-env -- psql -X -q -At -c \"{sql}\""))
    };
    let object = "piprio/bin/deploy-env -- obj-mirror";
    sql("create table t as select n from generate_series(1, 1000) n");
    machine.typed_by("root", &format!("{object} put s3://documents/a/b"), "content").expect(0);
    let bundle = machine.printed("bash piprio/scripts/backup.sh 2>/dev/null");
    let bundle = bundle.lines().next().context("a bundle")?;
    sql("delete from t");
    machine.typed_by("root", &format!("{object} put s3://documents/a/b"), "overwritten").expect(0);
    let process = |unit: &str| machine.property(unit, "MainPID");
    let stateful = ["postgresql@*", "redis-server", "piprio-storage"].map(process);
    let app = ["piprio-api", "piprio-worker@1", "piprio-worker@2"].map(process);

    let restore = format!("bash piprio/scripts/restore.sh {bundle}");
    let run = machine.typed_by("root", &restore, "piprio.example.com\nn\n").expect(0);
    assert!(
        run.stderr.contains("stopped api worker; postgres redis minio stay up"),
        "{}",
        run.stderr
    );
    assert_eq!(sql("select count(*), sum(n) from t"), "1000|500500\n");
    assert_eq!(machine.printed(&format!("{object} get s3://documents/a/b")), "content");
    assert_eq!(["postgresql@*", "redis-server", "piprio-storage"].map(process), stateful);
    let again = ["piprio-api", "piprio-worker@1", "piprio-worker@2"].map(process);
    assert!(
        again.iter().zip(&app).all(|(now, then)| now != then && now != "0"),
        "{again:?} {app:?}"
    );

    // Under what the unit leaves it.
    machine.printed("systemctl start piprio-drill.service");
    assert_eq!(machine.property("piprio-drill.service", "Result"), "success");
    let report = machine.printed("cat piprio/.drills/drill_*/report.json");
    let report: Value = serde_json::from_str(&report)?;
    assert_eq!(report["result"], "passed", "{report}");
    Ok(())
}
