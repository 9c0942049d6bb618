//! Which bundle, which steps, what else happens at the same time, and what is refused.

use crate::kit::{Stand, findings, older};
use anyhow::{Context, Result, ensure};
use bundle_format::report::{DrillReport, DrillResult, DrillVerdict};
use std::process::Stdio;
use test_kit::deployment::{Run, run, sh};
use test_kit::process::wait_until;

fn report(run: &Run) -> Result<DrillReport> {
    serde_json::from_str(&run.stdout).with_context(|| run.stdout.clone())
}

#[test]
fn a_damaged_bundle_ends_the_drill_with_a_report() -> Result<()> {
    let stand = Stand::new(40)?;
    let object = sh(&stand.bundle, "find minio -type f -name '*.pdf' | sort | head -n 1")?;
    let object = object.trim();
    sh(&stand.bundle, &format!("printf x >> '{object}'"))?;
    let run = stand.drill(&["--newest", "--json"])?.expect(4);
    let report = report(&run)?;
    assert_eq!(report.result, DrillResult::Damaged);
    assert!(findings(&report).iter().any(|line| line.contains(object)), "{:?}", findings(&report));
    let skipped = report.steps.iter().filter(|step| step.verdict == DrillVerdict::Skipped);
    assert_eq!(skipped.count(), 6, "{:?}", report.steps);
    assert_eq!(stand.reports()?.len(), 1);
    assert!(run.stderr.contains("the bundle is damaged"), "{}", run.stderr);
    // A check that cannot be made is no damage.
    let missing = stand.drill(&["/nowhere/piprio_20260421T020000Z"])?.expect(2);
    assert!(missing.stderr.contains("there is no bundle"), "{}", missing.stderr);
    Ok(())
}

#[test]
fn a_part_of_a_drill_writes_no_report_and_runs_what_it_needs() -> Result<()> {
    let stand = Stand::new(40)?;
    let steps = |run: &Run| -> Result<String> {
        let names = report(run)?.steps.into_iter().map(|step| step.step);
        Ok(names.collect::<Vec<_>>().join(" "))
    };
    let run = stand.drill(&["--newest", "--only", "config", "--json"])?.expect(0);
    assert_eq!(steps(&run)?, "validate config");
    let run = stand.drill(&["--newest", "--only", "objects", "--json"])?.expect(0);
    assert_eq!(steps(&run)?, "validate server load objects");
    assert_eq!(stand.reports()?.len(), 0);
    assert!(!stand.deployment.dir().join(".restore/last-drill.json").exists());
    let planned = stand.drill(&["--newest", "--dry-run"])?.expect(0);
    for command in [
        "bundle-manifest verify --json ",
        "pg-snap load --quiet --keep-going ",
        "cfg-pack extract ",
    ] {
        assert!(planned.stdout.contains(command), "{}", planned.stdout);
    }
    assert_eq!(sh(&stand.drill_dir(), "ls -A")?, "lock\n");
    let app = stand.drill(&["--newest", "--level", "app"])?.expect(2);
    assert!(app.stderr.contains("--level app needs services of Docker Compose"), "{}", app.stderr);
    stand.drill(&["--newest", "--only", "restore"])?.expect(2);
    Ok(())
}

#[test]
fn a_second_drill_is_refused_and_retention_keeps_the_bundle_that_is_read() -> Result<()> {
    let stand = Stand::new(40)?;
    let old = older(&stand, 40)?;
    let pipe = stand.deployment.dir().join("pipe");
    sh(stand.deployment.dir(), "mkfifo pipe")?;
    stand.add_check("waits.sh", &format!("cat '{}' >/dev/null\n", pipe.display()))?;
    let mut command = stand.deployment.script("drill.sh", &["--quiet", "--only", "checks"]);
    command.arg(stand.deployment.dir().join("backups").join(&old));
    let mut first = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    // Opening it for writing succeeds once the check reads.
    let mut writer = None;
    wait_until("the check", || {
        ensure!(first.try_wait()?.is_none(), "the drill ended");
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits())?;
        writer = options.write(true).custom_flags(nonblocking).open(&pipe).ok();
        Ok(writer.is_some())
    })?;
    let second = stand.drill(&["--newest"])?.expect(5);
    assert!(second.stderr.contains("another drill is running"), "{}", second.stderr);
    // Neither of these waits for a drill.
    let backup = stand.deployment.backup(&[])?.expect(0);
    assert!(
        backup.stdout.contains(&format!("keep {old} older than 30 d, but in use")),
        "{}",
        backup.stdout
    );
    drop(writer);
    assert!(first.wait()?.success());
    let backup = stand.deployment.backup(&[])?.expect(0);
    assert!(backup.stdout.contains(&format!("removed {old}")), "{}", backup.stdout);
    Ok(())
}

#[test]
fn an_old_bundle_is_drilled_at_random_and_one_from_a_sealed_file_with_its_key() -> Result<()> {
    let stand = Stand::new(40)?;
    let old = older(&stand, 10)?;
    let random = stand.drill(&["--random", "--json"])?.expect(0);
    assert_eq!(report(&random)?.bundle.name, old);
    let keys = stand.deployment.dir().join("keys");
    std::fs::create_dir(&keys)?;
    sh(&keys, "age-keygen -o key 2>/dev/null && age-keygen -y key > recipient")?;
    let recipient = std::fs::read_to_string(keys.join("recipient"))?;
    let mut seal = stand.deployment.script("seal.sh", &[]);
    seal.arg(&stand.bundle)
        .args(["-r", recipient.trim()])
        .stdout(std::fs::File::create(keys.join("b.tar.age"))?);
    assert!(seal.stdin(Stdio::null()).status()?.success());
    let mut command = stand.deployment.script("drill.sh", &["--json"]);
    command.arg(keys.join("b.tar.age")).arg("-i").arg(keys.join("key"));
    let drilled = report(&run(command, "")?.expect(0))?;
    assert_eq!(drilled.bundle.name, stand.bundle.file_name().context("a name")?.to_string_lossy());
    assert_eq!(sh(&stand.drill_dir(), "ls -A")?, ".unsealed.lock\nlock\n");
    // What one that was killed has left.
    sh(&stand.drill_dir(), "mkdir .drill-unsealed && touch .drill-unsealed/x")?;
    stand.drill(&["--newest", "--only", "validate"])?.expect(0);
    assert_eq!(sh(&stand.drill_dir(), "ls -A")?, ".unsealed.lock\nlock\n");
    Ok(())
}

#[test]
fn checks_that_others_may_write_are_refused_and_a_failing_one_is_no_finding_of_the_bundle()
-> Result<()> {
    let stand = Stand::new(40)?;
    stand.add_check("fails.sql", "select 1 / 0;\n")?;
    stand.add_check("writes.sql", "create table public.x ();\n")?;
    let run = stand.drill(&["--newest", "--only", "checks", "--json"])?.expect(1);
    let report = report(&run)?;
    let failed = |name: &str| {
        let found = report.checks.iter().find(|check| check.check == name);
        found.is_some_and(|check| check.verdict == DrillVerdict::Failed)
    };
    assert!(failed("fails.sql") && failed("writes.sql"), "{:?}", report.checks);
    assert_eq!(report.result, DrillResult::Failed);
    if test_kit::user::is_root() {
        sh(stand.deployment.dir(), "chmod o+w drill.d/fails.sql")?;
        let refused = stand.drill(&["--newest"])?.expect(5);
        assert!(
            refused.stderr.contains("fails.sql is writable by users other than root"),
            "{}",
            refused.stderr
        );
    }
    Ok(())
}

#[test]
fn a_goal_that_is_missed_is_a_finding_and_the_list_and_the_health_check_show_the_drill()
-> Result<()> {
    let stand = Stand::new(40)?;
    let env = stand.deployment.dir().join(".env");
    let settings = std::fs::read_to_string(&env)?;
    let with = |more: &str| std::fs::write(&env, format!("{settings}\n{more}\n"));
    with("HEALTH_MAX_DRILL_AGE_DAYS=8\nDRILL_RTO_GOAL_MINUTES=60\nDRILL_RPO_GOAL_HOURS=1")?;
    let line = |run: &Run| -> Result<String> {
        let line = run.stdout.lines().find(|line| line.contains(" drill "));
        Ok(line.context("no line")?.to_owned())
    };
    assert!(line(&stand.deployment.health_check()?)?.starts_with("warn "));
    stand.drill(&["--newest"])?.expect(0);
    assert!(line(&stand.deployment.health_check()?)?.starts_with("pass "));
    let listed = stand.deployment.run_script("restore.sh", &[], "")?.expect(0);
    assert!(
        listed.stdout.contains("  drilled ") && listed.stdout.contains(" ago, loaded in "),
        "{}",
        listed.stdout
    );
    let name = stand.bundle.file_name().context("a name")?.to_string_lossy().into_owned();
    sh(&stand.deployment.dir().join("backups"), &format!("mv {name} piprio_20260421T020000Z"))?;
    let run = stand.drill(&["--newest", "--json"])?.expect(1);
    let found = findings(&report(&run)?);
    assert!(found.iter().any(|line| line.contains("age of the data (RPO)")), "{found:?}");
    assert!(line(&stand.deployment.health_check()?)?.starts_with("warn "));
    stand.drill(&["--verify-reports"])?.expect(0);
    sh(stand.deployment.dir(), "cp -a .drills .all")?;
    std::fs::remove_dir_all(&stand.reports()?[0])?;
    stand.drill(&["--verify-reports"])?.expect(4);
    sh(stand.deployment.dir(), "rm -r .drills && mkdir .drills")?;
    let emptied = stand.drill(&["--verify-reports"])?.expect(4);
    assert!(emptied.stdout.contains("missing: last-drill.json names it"), "{}", emptied.stdout);
    sh(stand.deployment.dir(), "rm -r .drills && mv .all .drills")?;
    stand.drill(&["--verify-reports"])?.expect(0);
    Ok(())
}

#[test]
fn what_is_kept_stays_until_the_command_that_is_printed_removes_it() -> Result<()> {
    let stand = Stand::new(40)?;
    let kept = stand.drill(&["--keep", "--only", "load"])?.expect(0);
    let after = |words: &str| -> Result<String> {
        let line = kept.stderr.lines().find_map(|line| line.split_once(words));
        Ok(line.with_context(|| kept.stderr.clone())?.1.to_owned())
    };
    let connect = after("; to connect: ")?
        .replace(" -l", " -d piprio -XAtc 'select count(*) from tenant_0001.documents'");
    assert_eq!(sh(stand.deployment.dir(), &connect)?, "40\n");
    stand.drill(&["--only", "validate"])?.expect(0);
    assert_eq!(sh(stand.deployment.dir(), &connect)?, "40\n");
    sh(stand.deployment.dir(), &after("which holds production's data: ")?)?;
    assert_eq!(sh(&stand.drill_dir(), "ls -A")?, "lock\n");
    Ok(())
}
