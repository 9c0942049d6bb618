//! A deployment of a user: root installs and schedules, and the user's backups run.

use super::Machine;
use anyhow::Result;
use test_kit::process::wait_until;

/// Any name is a directory's.
const ODD: &str = "de %h $HOME `id` q\" ploy";

#[test]
fn a_users_deployment_that_root_has_scheduled_is_backed_up_by_that_user() -> Result<()> {
    let Some(machine) = Machine::with_deployment()? else { return Ok(()) };
    let install = "/toolkit/scripts/install.sh --from /toolkit/bin";
    // Not what root has installed there.
    let copy = "install -d -o piprio -m 700 home; cp -a piprio/.env piprio/secrets home/; chown -R piprio: home";
    machine.printed(&format!("mv home '{ODD}' 2>/dev/null || true; {copy}; mv home '{ODD}'"));
    let run = machine.typed(&format!("{install} --timer --drill-timer --name nightly '{ODD}'"));
    assert!(run.expect(0).stderr.contains("nightly.timer is enabled"));
    let started = machine.typed("systemctl start nightly.service");
    let journal = machine.printed("journalctl -q -o cat -u nightly.service");
    assert_eq!(started.status, 0, "{journal}");
    let bundles = machine.printed(&format!("stat -c '%U %n' '{ODD}'/backups/piprio_*"));
    assert!(bundles.starts_with("piprio ") && bundles.lines().count() == 1, "{bundles}");
    machine.printed("systemctl start nightly-drill.service");
    let typed = format!("cd '{ODD}' && bin/deploy-env doctor");
    let report = machine.typed_by("piprio", &typed, "").stdout;
    for expected in ["ok       schedule ", "ok       schedule drills ", "nightly.timer runs next: "]
    {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    // Its own names and no other's are in its failure.
    machine.printed("systemctl stop 'postgresql@*'");
    machine.typed("systemctl start nightly.service").expect(1);
    let failures = "journalctl -q -o cat -p crit -t nightly";
    wait_until("the failure unit", || Ok(!machine.printed(failures).is_empty()))?;
    assert_eq!(machine.printed(failures), "the backup failed: journalctl -u nightly.service\n");
    Ok(())
}
