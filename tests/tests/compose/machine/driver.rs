//! What the driver's other verbs do to real units.

use super::Machine;
use super::units::{SLEEPS, deployment, driver, write};
use anyhow::Result;

fn ps(machine: &Machine) -> String {
    machine.printed(&driver("ps")).replace('\t', " ")
}

#[test]
fn start_and_stop_return_when_systemd_has_done_it_and_touch_what_is_named_alone() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    write(&machine, "api.service", SLEEPS);
    write(&machine, "other.service", SLEEPS);
    write(&machine, "worker@.service", SLEEPS);
    deployment(&machine, "api other gone worker=worker@1,worker@2");
    machine.typed(&driver("start other api worker")).expect(0);
    assert_eq!(ps(&machine), "api running\ngone stopped\nother running\nworker running\n");
    let process = |unit: &str| machine.property(unit, "MainPID");
    let (api, other) = (process("api"), process("other"));
    machine.typed(&driver("start api worker")).expect(0);
    assert_eq!(process("api"), api, "what runs is not started again");
    // Its unit has changed on the disk, as after a restore of the configuration.
    write(&machine, "api.service", &SLEEPS.replace("infinity", "1000000"));
    machine.typed(&driver("start api")).expect(0);
    assert_ne!(process("api"), api);
    assert!(machine.printed("systemctl show -p ExecStart api").contains("1000000"));
    machine.typed(&driver("stop gone api worker")).expect(0);
    assert_eq!(ps(&machine), "api stopped\ngone stopped\nother running\nworker stopped\n");
    machine.typed(&driver("stop api")).expect(0);
    assert_eq!(process("other"), other);
    let missing = machine.typed(&driver("start gone")).expect(1);
    assert!(missing.stderr.contains("gone.service"), "{}", missing.stderr);
    let unknown = machine.typed(&driver("start none")).expect(2);
    assert!(unknown.stderr.contains("SYSTEMD_UNITS"), "{}", unknown.stderr);
    Ok(())
}

#[test]
fn what_dies_at_its_start_fails_it_with_its_own_last_words() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    let dies = "[Service]\nExecStart=/bin/sh -c 'echo the port is taken >&2; exit 3'\n";
    write(&machine, "dies.service", dies);
    write(&machine, "refuses.service", &dies.replace("[Service]", "[Service]\nType=oneshot"));
    deployment(&machine, "dies refuses");
    let expected =
        "dies ended at once: dies.service: the port is taken (journalctl -u dies.service)";
    let run = machine.typed(&driver("start dies")).expect(1);
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    // A journal that is behind reads what a process wrote after that process has ended.
    let behind = "journal=$(systemctl show --value -p MainPID systemd-journald)\n\
                  kill -STOP \"$journal\"; (sleep 2; kill -CONT \"$journal\") >/dev/null 2>&1 &\n";
    let run = machine.typed(&format!("{behind}{}", driver("start dies"))).expect(1);
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let run = machine.typed(&driver("start refuses")).expect(1);
    assert!(run.stderr.contains("refuses.service"), "{}", run.stderr);
    // Too often within systemd's limit, so that it refuses to start it; mended, it is started all the same.
    let tired =
        "for i in 1 2 3 4 5 6 7; do systemctl start dies || true; done; systemctl start dies";
    machine.typed(tired).expect(1);
    write(&machine, "dies.service", SLEEPS);
    machine.typed(&driver("start dies")).expect(0);
    assert_eq!(ps(&machine), "dies running\nrefuses stopped\n");
    Ok(())
}

#[test]
fn start_waits_for_what_dies_twice_and_then_stays() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    let flaps = "[Service]\nExecStart=/bin/sh -c 'echo >> /run/tries; [ $(wc -l < /run/tries) -gt 2 ] && exec sleep infinity'\n\
                 Restart=always\nRestartSec=1\n";
    write(&machine, "flaps.service", flaps);
    deployment(&machine, "flaps");
    machine.typed(&driver("start flaps")).expect(0);
    assert_eq!(machine.printed("wc -l < /run/tries"), "3\n");
    assert_eq!(ps(&machine), "flaps running\n");
    Ok(())
}

#[test]
fn what_another_unit_starts_again_fails_a_stop() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    write(&machine, "api.service", SLEEPS);
    write(&machine, "api.path", "[Path]\nPathExists=/srv\n");
    deployment(&machine, "api paths=api.path");
    machine.printed("systemctl start api.path");
    machine.typed(&driver("start api")).expect(0);
    let run = machine.typed(&driver("stop api")).expect(1);
    assert!(run.stderr.contains("again") && run.stderr.contains("TriggeredBy"), "{}", run.stderr);
    machine.typed(&driver("stop paths api")).expect(0);
    assert_eq!(ps(&machine), "api stopped\npaths stopped\n");
    Ok(())
}

#[test]
fn a_user_without_the_right_gets_no_prompt_and_changes_nothing() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    write(&machine, "api.service", SLEEPS);
    deployment(&machine, "api idle=api");
    machine.typed(&driver("start api")).expect(0);
    let run = machine.typed_by("daemon", &driver("stop api"), "").expect(1);
    assert!(run.stderr.contains("only root"), "{}", run.stderr);
    assert!(ps(&machine).starts_with("api running\n"));
    Ok(())
}

#[test]
fn exec_and_addr_answer_for_a_service_of_this_host() -> Result<()> {
    let Some(machine) = Machine::bare()? else { return Ok(()) };
    let listens = "[Service]\nExecStart=/toolkit/bin/app-service --listen 127.0.0.9:8080\n";
    write(&machine, "api.service", listens);
    deployment(&machine, "api");
    machine.typed(&driver("start api")).expect(0);
    let run = machine.typed_by("root", &driver("exec api sh -c 'pwd; cat; exit 7'"), "in\n");
    assert_eq!(run.expect(7).stdout, "/srv/toy\nin\n");
    test_kit::process::wait_until("the port", || {
        Ok(machine.printed(&driver("addr api 8080")) == "127.0.0.9:8080\n")
    })
}
