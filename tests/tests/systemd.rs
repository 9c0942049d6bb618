//! The `systemd` service driver keeps the drivers' contract, on a stand-in for `systemctl` that prints
//! what the real one does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::net::TcpListener;
use std::path::PathBuf;
use tempfile::TempDir;
use test_kit::tools::{bin_dir, workspace};

struct Units(TempDir);

const RUNNING: &str = "ActiveState=active\nSubState=running\nMainPID=5\n";

impl Units {
    /// A deployment with `SYSTEMD_UNITS` and units by name and properties.
    fn new(setting: &str, units: &[(&str, &str)]) -> Self {
        let new = Self(tempfile::tempdir().unwrap());
        for dir in ["bin", "units", "path"] {
            std::fs::create_dir(new.0.path().join(dir)).unwrap();
        }
        let link = |to: PathBuf, name: &str| {
            std::os::unix::fs::symlink(to, new.0.path().join(name)).unwrap();
        };
        link(bin_dir().unwrap().join("deploy-env"), "bin/deploy-env");
        link(workspace().join("tests/fixtures/systemctl"), "path/systemctl");
        let env = format!("SERVICE_DRIVER=systemd\nSYSTEMD_UNITS=\"{setting}\"\n");
        std::fs::write(new.0.path().join(".env"), env).unwrap();
        for (name, properties) in units {
            new.unit(name, properties);
        }
        new
    }

    fn unit(&self, name: &str, properties: &str) {
        std::fs::write(self.0.path().join("units").join(name), properties).unwrap();
    }

    fn driver(&self, arguments: &[&str]) -> Command {
        let mut path = self.0.path().join("path").into_os_string();
        path.push(":/usr/bin:/bin");
        let mut command = Command::new(workspace().join("scripts/drivers/systemd"));
        command.args(arguments).env("PIPRIO_DEPLOY", self.0.path()).env("PATH", path);
        command.env("STAND_IN", self.0.path().join("units")).env_remove("SYSTEMD_UNITS");
        command
    }

    fn ps(&self) -> String {
        let output = self.driver(&["ps"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What systemctl was asked to do, but for looking.
    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.0.path().join("units/calls")).unwrap_or_default();
        calls.lines().filter(|l| !l.starts_with("show")).map(str::to_owned).collect()
    }
}

#[test]
fn every_state_of_a_unit_is_one_of_the_contracts() {
    let oneshot = "Type=oneshot\nActiveState=inactive\nSubState=dead\n";
    let ended = format!("{oneshot}ExecMainStartTimestampMonotonic=77\n");
    let table = [
        (RUNNING.to_owned(), "running"),
        ("ActiveState=reloading\nSubState=reload\n".to_owned(), "running"),
        ("ActiveState=inactive\nSubState=dead\n".to_owned(), "stopped"),
        ("ActiveState=failed\nSubState=failed\nResult=exit-code\n".to_owned(), "stopped"),
        ("ActiveState=activating\nSubState=start\n".to_owned(), "unhealthy"),
        ("ActiveState=activating\nSubState=auto-restart\n".to_owned(), "unhealthy"),
        ("ActiveState=deactivating\nSubState=stop-sigterm\n".to_owned(), "unhealthy"),
        ("LoadState=masked\nActiveState=inactive\n".to_owned(), "stopped"),
        // A service that ended by itself is no one-shot.
        ("ActiveState=inactive\nExecMainStartTimestampMonotonic=77\n".to_owned(), "stopped"),
        (oneshot.to_owned(), "stopped"),
        (ended.clone(), "done"),
        (format!("{ended}Result=exit-code\n"), "stopped"),
        ("Type=oneshot\nRemainAfterExit=yes\nActiveState=active\nSubState=exited\n".into(), "done"),
        (format!("{ended}RemainAfterExit=yes\n"), "stopped"),
    ];
    for (properties, state) in table {
        let units = Units::new("app", &[("app.service", &properties)]);
        assert_eq!(units.ps(), format!("app\t{state}\n"), "{properties}");
    }
}

#[test]
fn ps_names_every_unit_of_the_setting_in_order_missing_ones_too() {
    let setting = "web=piprio-web.socket db=postgresql@15-main api gone work=w@1,w@2 half=w@1,off";
    let units = Units::new(
        setting,
        &[
            ("api.service", RUNNING),
            ("postgresql@15-main.service", RUNNING),
            ("piprio-web.socket", "ActiveState=active\nSubState=listening\n"),
            ("w@1.service", RUNNING),
            ("w@2.service", RUNNING),
            ("off.service", ""),
        ],
    );
    let states = "api\trunning\ndb\trunning\ngone\tstopped\nhalf\tunhealthy\nweb\trunning\n\
                  work\trunning\n";
    units
        .driver(&["ps"])
        .assert()
        .success()
        .stdout(states)
        .stderr(contains("gone: there is no unit gone.service"));
}

#[test]
fn start_and_stop_are_idempotent_and_return_when_it_is_so() {
    let units = Units::new("api worker=w@1,w@2", &[("api.service", ""), ("w@1.service", "")]);
    units.unit("w@2.service", RUNNING);
    units.driver(&["start", "api", "worker"]).assert().success().stdout("");
    assert_eq!(units.ps(), "api\trunning\nworker\trunning\n");
    units.driver(&["start", "api"]).assert().success();
    units.driver(&["stop", "api", "worker"]).assert().success().stdout("");
    assert_eq!(units.ps(), "api\tstopped\nworker\tstopped\n");
    let calls = units.calls();
    assert_eq!(calls.last().unwrap(), "stop api.service w@1.service w@2.service");
    units.driver(&["stop", "api", "worker"]).assert().success();
    assert_eq!(units.calls(), calls, "what is stopped is not stopped again");
}

#[test]
fn stopping_what_does_not_exist_is_fine_and_starting_it_is_not() {
    let units = Units::new("gone masked", &[("masked.service", "LoadState=masked\n")]);
    units.driver(&["stop", "gone", "masked"]).assert().success();
    units
        .driver(&["start", "gone"])
        .assert()
        .code(1)
        .stderr(contains("Unit gone.service not found"));
    units.driver(&["start", "masked"]).assert().code(1).stderr(contains("is masked"));
}

#[test]
fn what_is_started_again_behind_a_stop_fails_it() {
    let units = Units::new("api", &[("api.service", &format!("{RUNNING}Fate=returns\n"))]);
    units
        .driver(&["stop", "api"])
        .assert()
        .code(1)
        .stderr(contains("active again").and(contains("TriggeredBy")));
}

#[test]
fn start_waits_for_what_is_on_its_way_and_for_what_flaps() {
    for fate in ["slow", "flaps"] {
        let units = Units::new("api", &[("api.service", &format!("Fate={fate}\n"))]);
        units.driver(&["start", "api"]).assert().success();
        let unit = std::fs::read_to_string(units.0.path().join("units/api.service")).unwrap();
        let looks = unit.lines().find_map(|l| l.strip_prefix("Looks=")).unwrap();
        assert!(looks.parse::<u32>().unwrap() >= 3, "{fate}: {looks}");
        assert_eq!(units.ps(), "api\trunning\n");
    }
}

#[test]
fn a_service_that_fails_or_dies_at_its_start_fails_it() {
    let units = Units::new("api", &[("api.service", "Fate=fails\n")]);
    units.driver(&["start", "api"]).assert().code(1).stderr(contains("control process exited"));
    units.unit("api.service", "Fate=dies\n");
    let start = units.driver(&["start", "api"]).assert().code(1);
    start.stderr(
        contains("api ended at once: api.service: ").and(contains("journalctl -u api.service")),
    );
    assert_eq!(units.ps(), "api\tstopped\n");
}

#[test]
fn what_crashed_too_often_is_forgiven_and_changed_units_are_read_and_restarted() {
    let changed = format!("{RUNNING}NeedDaemonReload=yes\n");
    let units = Units::new(
        "tired changed",
        &[("tired.service", "ActiveState=failed\nTired=yes\n"), ("changed.service", &changed)],
    );
    units.driver(&["start", "changed", "tired"]).assert().success();
    assert_eq!(units.ps(), "changed\trunning\ntired\trunning\n");
    let calls = units.calls();
    let acts = ["daemon-reload", "restart changed.service", "start tired.service"];
    assert_eq!(calls[calls.len() - 3..], acts);
}

#[test]
fn one_shots_are_started_again_and_are_done() {
    let units = Units::new("once stays", &[("once.service", "Type=oneshot\n")]);
    units.unit("stays.service", "Type=oneshot\nRemainAfterExit=yes\n");
    units.driver(&["start", "once", "stays"]).assert().success();
    assert_eq!(units.ps(), "once\tdone\nstays\tdone\n");
    units.driver(&["stop", "once", "stays"]).assert().success();
    assert_eq!(units.ps(), "once\tdone\nstays\tstopped\n");
}

#[test]
fn exec_passes_streams_status_and_clients_variables_through() {
    let units = Units::new("db", &[]);
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let cat = units.driver(&["exec", "db", "cat"]).write_stdin(bytes.clone()).assert().success();
    cat.stdout(predicate::function(move |out: &[u8]| out == bytes));
    units
        .driver(&["exec", "db", "sh", "-c", "echo $PGUSER; echo err >&2; exit 7"])
        .env("PGUSER", "a b")
        .assert()
        .code(7)
        .stdout("a b\n")
        .stderr("err\n");
}

#[test]
fn addr_is_loopback_but_for_a_port_that_is_open_elsewhere_alone() {
    let units = Units::new("db", &[]);
    for (bound, report) in
        [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.9", "127.0.0.9")]
    {
        let listener = TcpListener::bind((bound, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let addr = units.driver(&["addr", "db", &port]).assert().success();
        addr.stdout(format!("{report}:{port}\n"));
    }
}

#[test]
fn wrong_settings_and_calls_are_usage_errors_and_touch_nothing() {
    let units = Units::new("web", &[("web.service", "")]);
    for arguments in [
        &["start", "web", "none"][..],
        &["stop", "none"],
        &["exec", "none", "true"],
        &["addr", "none", "1"],
        &["start"],
        &["addr", "web", "port"],
        &["restart", "web"],
        &["image", "web"],
        &["isolate", "--from", "."],
        &["destroy"],
        &[],
    ] {
        units.driver(arguments).assert().code(2).stdout("").stderr(contains("\n"));
    }
    for setting in ["", "a=", "a=w@", "a=w@.service", "a a=b", "a=*", "-a", "a=-b", "a=b/c", "a=;b"]
    {
        let units = Units::new(setting, &[]);
        units.driver(&["ps"]).assert().code(2).stdout("").stderr(contains("SYSTEMD_UNITS"));
    }
    assert_eq!(units.calls(), Vec::<String>::new());
}

#[test]
fn a_systemctl_that_cannot_answer_is_a_failure_and_no_state() {
    let units = Units::new("api", &[("api.service", RUNNING)]);
    let stand_in = units.0.path().join("path/systemctl");
    std::fs::remove_file(&stand_in).unwrap();
    let words = "#!/bin/sh\necho 'Failed to connect to bus: Host is down' >&2\nexit 1\n";
    std::fs::write(&stand_in, words).unwrap();
    std::fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    for verb in [&["ps"][..], &["stop", "api"], &["start", "api"]] {
        units.driver(verb).assert().code(1).stdout("").stderr(contains("Host is down"));
    }
}

#[test]
fn settings_see_its_services_and_a_run_keeps_those_it_began_with() {
    let units = Units::new("api", &[("api.service", RUNNING)]);
    let drivers = units.0.path().join("scripts/drivers");
    std::fs::create_dir_all(&drivers).unwrap();
    std::fs::copy(workspace().join("scripts/drivers/systemd"), drivers.join("systemd")).unwrap();
    let env = "SERVICE_DRIVER=systemd\nSYSTEMD_UNITS=\"pg=postgresql@15-main api\"\nPOSTGRES_HOST=pg\n\
               OBJECT_STORAGE=external\n";
    let file = units.0.path().join(".env");
    std::fs::write(&file, env).unwrap();
    let script = "echo $POSTGRES_VIA $STATEFUL_SERVICES; echo SYSTEMD_UNITS=other > .env; \
                  scripts/drivers/systemd ps 2>/dev/null";
    let mut path = units.0.path().join("path").into_os_string();
    path.push(":/usr/bin:/bin");
    // Nor does it take those of another deployment's run, inside which it is started.
    let foreign = [
        ("PIPRIO_RESOLVED", "1"),
        ("PIPRIO_DEPLOY", "/"),
        ("SYSTEMD_UNITS", "foreign"),
        ("PIPRIO_SET", "PIPRIO_RESOLVED PIPRIO_DEPLOY SYSTEMD_UNITS PIPRIO_SET"),
    ];
    for inherited in [&[][..], &foreign] {
        std::fs::write(&file, env).unwrap();
        let mut command = Command::new(units.0.path().join("bin/deploy-env"));
        command.arg("--deploy").arg(units.0.path()).args(["--", "sh", "-c", script]);
        command.current_dir(units.0.path()).env("PATH", &path);
        command.env("STAND_IN", units.0.path().join("units")).envs(inherited.iter().copied());
        let answer = command.assert().success();
        answer.stdout("exec postgres redis minio pg\napi\trunning\npg\tstopped\n");
    }
}
