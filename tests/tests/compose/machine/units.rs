//! What the driver's `ps` prints of real units.

use super::Machine;
use anyhow::Result;

/// Each unit below `/run`, so that it has no state of an earlier boot.
pub fn write(machine: &Machine, name: &str, text: &str) {
    let line = format!("cat > '/run/systemd/system/{name}'");
    machine.typed_by("root", &line, text).expect(0);
}

/// A deployment of units alone.
pub fn deployment(machine: &Machine, units: &str) {
    let env = format!("SERVICE_DRIVER=systemd\nSYSTEMD_UNITS=\"{units}\"\n");
    machine.typed_by("root", "mkdir -p toy && cat > toy/.env", &env).expect(0);
    machine.typed("systemctl daemon-reload").expect(0);
}

/// The driver's command line for that deployment.
pub fn driver(words: &str) -> String {
    format!(
        "PATH=/toolkit/bin:$PATH PIPRIO_DEPLOY=/srv/toy /toolkit/scripts/drivers/systemd {words}"
    )
}

pub const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

#[test]
fn the_states_of_real_units_are_those_of_the_contract() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    let once = |command: &str| format!("[Service]\nType=oneshot\nExecStart={command}\n");
    let stays = once("/bin/true") + "RemainAfterExit=yes\n";
    // systemd forgets units that have ended, unless another one that is active names them.
    let keeps =
        format!("[Unit]\nWants=once.service failed-once.service by-itself.service\n{SLEEPS}");
    for (unit, text) in [
        ("up.service", &*keeps),
        ("idle.service", SLEEPS),
        ("broken.service", "[Service]\nExecStart=/bin/false\n"),
        (
            "starting.service",
            "[Service]\nExecStartPre=/bin/sleep infinity\nExecStart=/bin/true\nTimeoutStartSec=infinity\n",
        ),
        ("flapping.service", "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1h\n"),
        (
            "ending.service",
            &format!("{SLEEPS}ExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity\n"),
        ),
        ("once.service", &once("/bin/true")),
        ("failed-once.service", &once("/bin/false")),
        ("by-itself.service", "[Service]\nExecStart=/bin/true\n"),
        ("stays.service", &stays),
        ("stays-no-more.service", &stays),
        ("worker@.service", SLEEPS),
        ("web.socket", "[Socket]\nListenStream=127.0.0.1:8088\n"),
        ("web.service", SLEEPS),
        ("masked.service", SLEEPS),
    ] {
        write(&machine, unit, text);
    }
    let alone = "up idle broken starting flapping ending once failed-once by-itself stays stays-no-more masked gone";
    deployment(
        &machine,
        &format!("{alone} web=web.socket worker=worker@1,worker@2 half=worker@1,idle"),
    );
    machine.typed("systemctl mask --runtime masked").expect(1);
    machine
        .typed("ln -sf /dev/null /etc/systemd/system/masked.service && systemctl daemon-reload")
        .expect(0);
    machine.printed(
        "systemctl start up ending stays stays-no-more web.socket worker@1 worker@2
         systemctl start --no-block broken starting flapping
         systemctl stop --no-block ending; systemctl stop stays-no-more",
    );
    // Jobs that nobody waits for.
    let expected = "broken stopped\nby-itself stopped\nending unhealthy\nfailed-once stopped\nflapping unhealthy\n\
                    gone stopped\nhalf unhealthy\nidle stopped\nmasked stopped\nonce done\nstarting unhealthy\n\
                    stays done\nstays-no-more stopped\nup running\nweb running\nworker running\n";
    let mut printed = machine.typed(&driver("ps")).expect(0);
    let settled = test_kit::process::wait_until("the units", || {
        printed = machine.typed(&driver("ps")).expect(0);
        Ok(printed.stdout.replace('\t', " ") == expected)
    });
    assert!(settled.is_ok(), "{}", printed.stdout);
    assert!(printed.stderr.contains("gone: there is no unit gone.service"), "{}", printed.stderr);
    assert!(
        printed.stderr.contains("masked: the unit masked.service is masked"),
        "{}",
        printed.stderr
    );
    // A user other than root may look.
    let user = machine.typed_by("daemon", &driver("ps"), "");
    assert_eq!(user.expect(0).stdout, printed.stdout);
    Ok(())
}
