//! The `process` service driver keeps the drivers' contract, and that of Compose is found where it lies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use test_kit::tools::workspace;

/// A deployment with services; gone with all that it started.
struct Services(TempDir);

impl Services {
    /// Services by name and shell script.
    fn new(scripts: &[(&str, &str)]) -> Self {
        let services = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(services.path("services")).unwrap();
        for (name, script) in scripts {
            services.write(name, script);
        }
        services
    }

    fn write(&self, name: &str, script: &str) {
        let path = self.path(&format!("services/{name}"));
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn driver(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(workspace().join("scripts/drivers/process"));
        command.args(arguments).env("PIPRIO_DEPLOY", self.0.path());
        command
    }

    fn ps(&self) -> String {
        let output = self.driver(&["ps"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    fn pid(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(&format!("run/{name}.pid"))).unwrap();
        text.split(' ').next().unwrap().to_owned()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let entries = std::fs::read_dir(self.path("services")).unwrap().flatten();
        let names = entries.map(|e| e.file_name().into_string().unwrap());
        let names: Vec<String> =
            names.filter(|n| !n.ends_with(".ready") && !n.ends_with(".oneshot")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            let _ = self.driver(&[&["stop"], names.as_slice()].concat()).output();
        }
    }
}

const SLEEPS: &str = "exec sleep 1000";

fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

#[test]
fn ps_names_every_configured_service_those_never_started_too() {
    let services = Services::new(&[("web", SLEEPS), ("api", SLEEPS), ("api.ready", "exit 0")]);
    std::fs::write(services.path("services/README"), "no program").unwrap();
    assert_eq!(services.ps(), "api\tstopped\nweb\tstopped\n");
    services.driver(&["start", "web"]).assert().success().stdout("");
    assert_eq!(services.ps(), "api\tstopped\nweb\trunning\n");
}

#[test]
fn start_and_stop_are_idempotent_and_return_when_it_is_so() {
    let services = Services::new(&[("web", "sleep 1000 & wait")]);
    services.driver(&["stop", "web"]).assert().success();
    services.driver(&["start", "web"]).assert().success();
    let pid = services.pid("web");
    services.driver(&["start", "web"]).assert().success();
    assert_eq!(services.pid("web"), pid);
    services.driver(&["stop", "web"]).assert().success();
    assert!(!is_running(&pid));
    services.driver(&["stop", "web"]).assert().success();
    assert_eq!(services.ps(), "web\tstopped\n");
}

#[test]
fn stop_ends_what_the_service_started_too() {
    let services = Services::new(&[
        ("web", "sleep 1000 & echo $! > child; wait"),
        ("web.ready", "[[ -s child ]]"),
    ]);
    services.driver(&["start", "web"]).assert().success();
    let child = std::fs::read_to_string(services.path("child")).unwrap().trim().to_owned();
    assert!(is_running(&child));
    services.driver(&["stop", "web"]).assert().success();
    assert!(!is_running(&child));
}

#[test]
fn start_waits_until_the_service_is_ready() {
    let services = Services::new(&[
        ("web", "sleep 0.7; touch answers; exec sleep 1000"),
        ("web.ready", "test -e answers"),
    ]);
    services.driver(&["start", "web"]).assert().success();
    assert!(services.path("answers").exists());
    std::fs::remove_file(services.path("answers")).unwrap();
    assert_eq!(services.ps(), "web\tunhealthy\n");
}

#[test]
fn services_that_need_one_another_start_in_any_order() {
    let deployment = Services::new(&[
        ("first", "touch run/first.up; exec sleep 1000"),
        ("second", "touch run/second.up; exec sleep 1000"),
    ]);
    deployment.write("first.ready", "test -e run/second.up");
    deployment.write("second.ready", "test -e run/first.up");
    deployment.driver(&["start", "first", "second"]).assert().success();
    assert_eq!(deployment.ps(), "first\trunning\nsecond\trunning\n");
}

#[test]
fn a_service_that_dies_at_its_start_fails_with_its_last_words() {
    for ready in [None, Some("exit 1")] {
        let services = Services::new(&[("web", "echo starting; echo 'no port' >&2; exit 3")]);
        if let Some(ready) = ready {
            services.write("web.ready", ready);
        }
        let start = services.driver(&["start", "web"]).assert().code(1).stdout("");
        start.stderr(contains("web ended at once: no port"));
        assert_eq!(services.ps(), "web\tstopped\n");
    }
}

#[test]
fn a_one_shot_that_ended_well_is_done_and_one_that_failed_is_stopped() {
    let services = Services::new(&[("good", "exit 0"), ("bad", "exit 1"), ("crash", "exit 0")]);
    for name in ["good", "bad"] {
        std::fs::write(services.path(&format!("services/{name}.oneshot")), "").unwrap();
    }
    services.driver(&["start", "good"]).assert().success();
    services.driver(&["start", "bad"]).assert().code(1);
    services.driver(&["start", "crash"]).assert().code(1);
    assert_eq!(services.ps(), "bad\tstopped\ncrash\tstopped\ngood\tdone\n");
    services.driver(&["stop", "good"]).assert().success();
    assert_eq!(services.ps(), "bad\tstopped\ncrash\tstopped\ngood\tdone\n");
}

#[test]
fn a_recycled_process_id_is_neither_believed_nor_killed() {
    let services = Services::new(&[("web", SLEEPS)]);
    std::fs::create_dir(services.path("run")).unwrap();
    let mut other = std::process::Command::new("setsid").args(["sleep", "1000"]).spawn().unwrap();
    let stale = format!("{} 1\n", other.id());
    std::fs::write(services.path("run/web.pid"), &stale).unwrap();
    assert_eq!(services.ps(), "web\tstopped\n");
    services.driver(&["stop", "web"]).assert().success();
    assert!(other.try_wait().unwrap().is_none());
    std::fs::write(services.path("run/web.pid"), &stale).unwrap();
    services.driver(&["start", "web"]).assert().success();
    assert_ne!(services.pid("web"), other.id().to_string());
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_service_inherits_no_lock_no_input_and_none_of_a_runs_settings() {
    let script = "ls /proc/self/fd > fds; readlink /proc/self/fd/0 > stdin; env > written\n\
                  mv written environment; exec sleep 1000";
    let services = Services::new(&[("web", script)]);
    // On a busy machine, a service runs before its first commands have.
    services.write("web.ready", "[[ -e environment ]]");
    // As a wrapper holds its lock: in a descriptor that its children inherit.
    let hold = "exec 7>lock; flock 7; exec \"$0\" start web";
    Command::new("bash")
        .args(["-c", hold])
        .arg(workspace().join("scripts/drivers/process"))
        .current_dir(services.0.path())
        .env("PIPRIO_DEPLOY", services.0.path())
        .env("PIPRIO_SET", "S3_BUCKET PGPASSWORD PIPRIO_SET")
        .env("S3_BUCKET", "resolved")
        .env("PGPASSWORD", "hunter2")
        .env("KEPT", "1")
        .assert()
        .success();
    File::open(services.path("lock")).unwrap().try_lock().unwrap();
    let environment = std::fs::read_to_string(services.path("environment")).unwrap();
    assert!(environment.contains("KEPT=1\n"));
    for dropped in ["S3_BUCKET", "PGPASSWORD", "PIPRIO_SET"] {
        assert!(!environment.contains(dropped), "{environment}");
    }
    assert_eq!(std::fs::read_to_string(services.path("stdin")).unwrap(), "/dev/null\n");
    let fds = std::fs::read_to_string(services.path("fds")).unwrap();
    // The fourth is the directory that `ls` reads.
    assert_eq!(fds.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn exec_passes_streams_status_and_clients_variables_through() {
    let services = Services::new(&[("db", SLEEPS)]);
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    services
        .driver(&["exec", "db", "cat"])
        .write_stdin(bytes.clone())
        .assert()
        .success()
        .stdout(predicate::function(move |out: &[u8]| out == bytes));
    services
        .driver(&["exec", "db", "sh", "-c", "pwd; echo $PGUSER; echo err >&2; exit 7"])
        .env("PGUSER", "a b")
        .assert()
        .code(7)
        .stdout(format!("{}\na b\n", services.0.path().canonicalize().unwrap().display()))
        .stderr("err\n");
}

#[test]
fn addr_is_this_machine() {
    let services = Services::new(&[("db", SLEEPS)]);
    services.driver(&["addr", "db", "5432"]).assert().success().stdout("127.0.0.1:5432\n");
}

#[test]
fn unknown_services_and_verbs_are_usage_errors_and_touch_nothing() {
    let services = Services::new(&[("web", SLEEPS), ("web.ready", "exit 0")]);
    for arguments in [
        &["start", "web", "none"][..],
        &["stop", "none"],
        &["exec", "none", "true"],
        &["addr", "none", "1"],
        &["start", "../services/web"],
        &["start", "web.ready"],
        &["start"],
        &["addr", "web", "port"],
        &["restart", "web"],
        &["image", "web"],
        &["isolate", "--from", "."],
        &["destroy"],
        &[],
    ] {
        services.driver(arguments).assert().code(2).stdout("").stderr(contains("\n"));
    }
    assert_eq!(services.ps(), "web\tstopped\n");
}

#[test]
fn the_deployment_is_two_levels_above_the_driver() {
    let services = Services::new(&[("web", SLEEPS)]);
    let drivers = services.path("scripts/drivers");
    std::fs::create_dir_all(&drivers).unwrap();
    std::fs::copy(workspace().join("scripts/drivers/process"), drivers.join("process")).unwrap();
    let mut command = Command::new(drivers.join("process"));
    command.arg("ps").env_remove("PIPRIO_DEPLOY").current_dir("/");
    command.assert().success().stdout("web\tstopped\n");
}

#[test]
fn a_service_that_ignores_the_signal_is_killed() {
    let services = Services::new(&[("web", "trap '' TERM; while :; do sleep 1; done")]);
    services.driver(&["start", "web"]).assert().success();
    let (pid, start) = (services.pid("web"), Instant::now());
    services.driver(&["stop", "web"]).assert().success();
    assert!(!is_running(&pid));
    assert!(start.elapsed() >= Duration::from_secs(15), "it had no time to end by itself");
}

/// Writes a program that prints who it is, how it was called and for which deployment.
fn stand_in(path: &std::path::Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let script = format!("#!/bin/sh\necho {} \"$*\" \"$PIPRIO_DEPLOY\"\n", path.display());
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn the_compose_driver_is_that_of_its_toolkit_else_of_the_deployment_else_on_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let script = path("toolkit/scripts/drivers/compose");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::copy(workspace().join("scripts/drivers/compose"), &script).unwrap();
    std::fs::create_dir(path("deploy")).unwrap();
    let call = || {
        let mut command = Command::new(&script);
        command.args(["exec", "db", "a b"]).env("PIPRIO_DEPLOY", path("deploy"));
        command.env("PATH", format!("{}:/usr/bin:/bin", path("path").display()));
        command.assert()
    };
    call().code(1).stdout("").stderr(contains("scripts/install.sh"));
    for place in ["path", "deploy/bin", "toolkit/bin"] {
        let program = path(place).join("compose-driver");
        stand_in(&program);
        let (program, deploy) = (program.display(), path("deploy"));
        let expected = format!("{program} exec db a b {}\n", deploy.display());
        call().success().stdout(expected);
    }
    // Without a deployment's name, it is the one that the script lies in.
    let mut command = Command::new(&script);
    let out = command.arg("ps").env_remove("PIPRIO_DEPLOY").assert().success();
    out.stdout(contains(format!("ps {}\n", path("toolkit").display())));
    // By the name that led there: Compose names the project after it.
    std::os::unix::fs::symlink("toolkit", path("link")).unwrap();
    let link = path("link").display().to_string();
    for (named, expected) in [("", &link), (".", &link)] {
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(format!("cd '{link}' && PIPRIO_DEPLOY={named} scripts/drivers/compose ps"));
        command.assert().success().stdout(contains(format!("ps {expected}\n")));
    }
}
