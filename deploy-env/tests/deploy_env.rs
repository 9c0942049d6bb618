//! The promises of `deploy-env`, through the built program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const SERVICES: &str = "postgres redis minio api";

/// A deployment whose driver names [`SERVICES`], notes each call in `calls`, and answers `addr`.
fn deployment(dotenv: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let drivers = dir.path().join("scripts/drivers");
    std::fs::create_dir_all(&drivers).unwrap();
    program(
        &drivers.join("process"),
        &format!(
            "echo \"$*\" >> calls\ncase $1 in\n\
             ps) for s in {SERVICES}; do printf '%s\\trunning\\n' $s; done ;;\n\
             addr) echo 127.0.0.1:1$3 ;;\nesac"
        ),
    );
    write(&dir, ".env", &format!("SERVICE_DRIVER=process\n{dotenv}"));
    dir
}

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn write(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn tool(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-env"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("PIPRIO_DEPLOY", dir.path());
    command
}

/// The environment that a command gets.
fn environment(command: &mut Command) -> BTreeMap<String, String> {
    let output = command.args(["--", "env", "-0"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn calls(dir: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

const FULL: &str = "PIPRIO_DOMAIN=example.org
POSTGRES_HOST=postgres
POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password
S3_ENDPOINT=http://127.0.0.1:9000
S3_BUCKET=documents
MINIO_ROOT_USER=root
MINIO_ROOT_PASSWORD_FILE=/run/secrets/minio
READINESS_URLS=\"api=http://127.0.0.1:8080/ready  web=http://127.0.0.1/\"
STATEFUL_SERVICES=redis
";

fn full() -> TempDir {
    let dir = deployment(FULL);
    write(&dir, "secrets/postgres_password", "p w$1\n");
    write(&dir, "secrets/minio", "m\n");
    dir
}

#[test]
fn a_command_gets_the_documented_environment_and_nothing_that_steers_its_clients() {
    let dir = full();
    let mut command = tool(&dir);
    command.env("PGOPTIONS", "evil").env("PGHOST", "evil").env("AWS_PROFILE", "evil");
    let got = environment(&mut command);
    let root = dir.path().to_str().unwrap();
    let driver = format!("{root}/scripts/drivers/process");
    let exec = format!("{driver} exec postgres");
    let expected = [
        ("PIPRIO_DEPLOY", root),
        ("PIPRIO_DOMAIN", "example.org"),
        ("PIPRIO_VERSION", "unknown"),
        ("PIPRIO_DRIVER", &driver),
        ("POSTGRES_VIA", "exec"),
        ("PG_SNAP_EXEC", &exec),
        ("PGPORT", "5432"),
        ("PGDATABASE", "piprio"),
        ("PGUSER", "piprio"),
        ("PGPASSWORD", "p w$1"),
        ("PGCONNECT_TIMEOUT", "10"),
        ("OBJECT_STORAGE", "bundled"),
        ("OBJECT_STORAGE_REASON", "S3_ENDPOINT 127.0.0.1 is this machine"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "root"),
        ("AWS_SECRET_ACCESS_KEY", "m"),
        ("S3_BUCKET", "documents"),
        ("S3_FORCE_PATH_STYLE", "yes"),
        ("REDIS_URL", "redis://127.0.0.1:6379"),
        ("READINESS_URLS", "api=http://127.0.0.1:8080/ready web=http://127.0.0.1/"),
        ("STATEFUL_SERVICES", "redis postgres"),
        ("BACKUP_ROOT", &format!("{root}/backups")),
        ("BACKUP_KEEP_DAYS", "30"),
        ("BACKUP_KEEP_DAILY", "0"),
        ("BACKUP_KEEP_WEEKLY", "0"),
        ("BACKUP_KEEP_MONTHLY", "0"),
        ("BACKUP_KEEP_YEARLY", "0"),
        ("BACKUP_LEVEL", "default"),
        ("BACKUP_LINK", "no"),
        ("BACKUP_SHIP", "yes"),
        ("SHIP_TIMEOUT_HOURS", "24"),
        ("POSTGRES_SERVICE", "postgres"),
        ("DRILL_USER", "postgres"),
        ("DRILL_TIMEOUT_HOURS", "12"),
        ("HEALTH_MAX_DRILL_AGE_DAYS", "0"),
        ("HEALTH_MAX_SHIP_AGE_HOURS", "36"),
        ("ALARM_SHRINK_PERCENT", "50"),
        ("HEALTH_TIMEOUT_SECONDS", "5"),
        ("HEALTH_MAX_LATENCY_MS", "2000"),
        ("HEALTH_MIN_FREE_MIB", "1024"),
        ("HEALTH_MAX_BUNDLE_AGE_HOURS", "26"),
        ("HOOK_TIMEOUT_SECONDS", "600"),
        ("PIPRIO_SECRETS", "PGPASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"),
        ("PIPRIO_RESOLVED", "1"),
        ("NO_PROXY", "127.0.0.1"),
        ("no_proxy", "127.0.0.1"),
        ("PATH", "/usr/bin:/bin"),
    ];
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in expected {
        assert_eq!(got.get(name).map(String::as_str), Some(value), "{name}");
        names.push(name);
    }
    names.extend(["PIPRIO_SET", "PWD", "SHLVL", "_"]);
    let others: Vec<_> = got.keys().filter(|name| !names.contains(&name.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
    let added: Vec<&str> = got["PIPRIO_SET"].split(' ').collect();
    assert!(added.contains(&"S3_BUCKET") && !added.contains(&"PIPRIO_DEPLOY"));
    assert_eq!(calls(&dir), ["ps"]);
}

#[test]
fn the_driver_is_not_called_where_it_decides_nothing() {
    let dir = deployment("POSTGRES_HOST=127.0.0.1\nS3_ENDPOINT=http://localhost:1\nS3_BUCKET=b\n");
    let got = environment(&mut tool(&dir));
    assert_eq!((got["POSTGRES_VIA"].as_str(), got["PGHOST"].as_str()), ("tcp", "127.0.0.1"));
    assert!(calls(&dir).is_empty());
}

#[test]
fn a_service_without_a_name_here_is_reached_at_the_address_the_driver_gives() {
    let dir = deployment(
        "POSTGRES_VIA=tcp\nPOSTGRES_HOST=postgres\nS3_ENDPOINT=http://minio:9000\nS3_BUCKET=b\n\
         REDIS_URL=redis://redis\n",
    );
    let got = environment(&mut tool(&dir));
    assert_eq!(got["PGHOST"], "postgres");
    assert_eq!((got["PGHOSTADDR"].as_str(), got["PGPORT"].as_str()), ("127.0.0.1", "15432"));
    assert_eq!(got["PIPRIO_RESOLVE"], "minio:9000:127.0.0.1:19000 redis:6379:127.0.0.1:16379");
    assert_eq!(calls(&dir)[0], "ps");
    assert_eq!(calls(&dir).iter().filter(|call| *call == "ps").count(), 1);
}

#[test]
fn the_process_environment_wins_over_the_file() {
    let dir = full();
    let mut command = tool(&dir);
    command.env("POSTGRES_PASSWORD", "other").env("S3_BUCKET", "b").env("BACKUP_ROOT", "/mnt");
    let got = environment(&mut command);
    assert_eq!(got["PGPASSWORD"], "other");
    assert_eq!(got["S3_BUCKET"], "b");
    assert_eq!(got["BACKUP_ROOT"], "/mnt");
    assert!(!got["PIPRIO_SET"].split(' ').any(|name| name == "S3_BUCKET"));
}

#[test]
fn a_run_keeps_the_settings_it_began_with_and_another_deployment_gets_its_own() {
    let dir = full();
    let other = deployment("PIPRIO_DOMAIN=other.org\n");
    let us = env!("CARGO_BIN_EXE_deploy-env");
    let script = format!(
        "echo PIPRIO_DOMAIN=changed >> {0}/.env; {us} -- sh -c 'echo $PIPRIO_DOMAIN $S3_BUCKET'; \
         {us} --deploy {1} -- sh -c 'echo $PIPRIO_DOMAIN x$S3_BUCKET x$AWS_ACCESS_KEY_ID'",
        dir.path().display(),
        other.path().display()
    );
    tool(&dir)
        .args(["--", "sh", "-c", &script])
        .assert()
        .success()
        .stdout("example.org documents\nother.org x x\n");
}

#[test]
fn the_commands_status_and_arguments_are_its_own() {
    let dir = deployment("");
    tool(&dir).args(["--", "sh", "-c", "exit 7"]).assert().code(7);
    tool(&dir)
        .args(["--", "echo", "get", "--json", "--", "a b"])
        .assert()
        .stdout("get --json -- a b\n");
    tool(&dir).args(["--", "no-such-command"]).assert().code(1).stderr(contains("no-such-command"));
}

#[test]
fn without_a_dotenv_nothing_runs_and_the_next_step_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--", "echo", "ran"][..], &["show"]] {
        tool(&dir).args(args).assert().code(5).stdout("").stderr(
            contains(".env is missing").and(predicate::function(|e: &str| e.lines().count() == 1)),
        );
    }
    tool(&dir).args(["get", "BACKUP_KEEP_DAYS"]).assert().success().stdout("30\n");
    let root = format!("{}/backups\n", dir.path().display());
    tool(&dir).args(["get", "BACKUP_ROOT"]).assert().success().stdout(root);
}

#[test]
fn a_wrong_setting_is_a_usage_error_that_names_it_and_never_its_value() {
    for (line, named) in [
        ("POSTGRES_PORT=hunter2", "POSTGRES_PORT"),
        ("POSTGRES_VIA=hunter2", "POSTGRES_VIA"),
        ("OBJECT_STORAGE=hunter2", "OBJECT_STORAGE"),
        ("S3_ENDPOINT=hunter2", "S3_ENDPOINT"),
        ("S3_ENDPOINT=http://localhost:1", "S3_BUCKET"),
        ("BACKUP_KEEP_DAYS=0", "BACKUP_KEEP_DAYS"),
        ("BACKUP_LEVEL=hunter2", "BACKUP_LEVEL"),
        ("BACKUP_LINK=hunter2", "BACKUP_LINK"),
        ("ALARM_SHRINK_PERCENT=101", "ALARM_SHRINK_PERCENT"),
        ("DRILL_RTO_GOAL_MINUTES=hunter2", "DRILL_RTO_GOAL_MINUTES"),
        ("DRILL_RPO_GOAL_HOURS=0", "DRILL_RPO_GOAL_HOURS"),
        ("DRILL_TIMEOUT_HOURS=hunter2", "DRILL_TIMEOUT_HOURS"),
        ("HEALTH_TIMEOUT_SECONDS=0", "HEALTH_TIMEOUT_SECONDS"),
        ("HEALTH_MIN_FREE_MIB=hunter2", "HEALTH_MIN_FREE_MIB"),
        ("S3_FORCE_PATH_STYLE=hunter2", "S3_FORCE_PATH_STYLE"),
        ("REDIS_URL=hunter2", "REDIS_URL"),
        ("READINESS_URLS=http://hunter2/", "READINESS_URLS"),
        ("BACKUP_KEEP_DAYS=hunter2", "BACKUP_KEEP_DAYS"),
        ("S3_ACCESS_KEY=hunter2", "S3_SECRET_KEY"),
        ("SERVICE_DRIVER=hunter2", "SERVICE_DRIVER"),
        ("POSTGRES_PASSWORD=\"hunter2", ".env, line 2: POSTGRES_PASSWORD"),
        ("POSTGRES_PASSWORD=hunter2\nPOSTGRES_PASSWORD_FILE=x", "POSTGRES_PASSWORD_FILE"),
        ("S3_ENDPOINT=http://10.0.0.9:9000", "OBJECT_STORAGE=external"),
    ] {
        let dir = deployment(line);
        tool(&dir)
            .args(["--", "echo", "ran"])
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(named).and(contains("hunter2").not()));
    }
}

#[test]
fn a_secret_that_cannot_be_read_stops_the_run_and_is_named() {
    let dir = deployment("POSTGRES_PASSWORD_FILE=/run/secrets/absent\n");
    tool(&dir)
        .args(["--", "echo", "ran"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("secrets/absent").and(contains("POSTGRES_PASSWORD_FILE")));
}

#[test]
fn a_driver_that_fails_where_it_is_needed_stops_the_run_and_is_named() {
    let dir = deployment("POSTGRES_HOST=db\n");
    program(&dir.path().join("scripts/drivers/process"), "echo 'no engine' >&2; exit 1");
    tool(&dir)
        .args(["--", "echo", "ran"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("drivers/process ps").and(contains("no engine")));
}

#[test]
fn the_deployments_own_programs_come_first_on_the_path() {
    let dir = deployment("");
    std::fs::create_dir(dir.path().join("bin")).unwrap();
    let got = environment(&mut tool(&dir));
    assert_eq!(got["PATH"], format!("{}/bin:/usr/bin:/bin", dir.path().display()));
}

#[test]
fn root_runs_no_driver_and_no_programs_that_others_may_write() {
    let is_root =
        std::fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    for name in ["scripts/drivers", "scripts/drivers/process", "bin"] {
        let dir = deployment("POSTGRES_HOST=db\n");
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let mode = PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.path().join(name), mode).unwrap();
        let assert = tool(&dir).args(["--", "echo", "ran"]).assert();
        if is_root.as_ref().is_ok_and(|root| *root) {
            assert.code(5).stdout("").stderr(contains(name));
            assert!(calls(&dir).is_empty());
        } else {
            assert.success();
        }
    }
}

#[test]
fn show_prints_every_setting_and_no_secret() {
    let dir = full();
    for args in [&["show"][..], &["show", "--json"]] {
        tool(&dir).args(args).assert().success().stdout(
            contains("POSTGRES_VIA")
                .and(contains("POSTGRES_HOST postgres is a service of this deployment"))
                .and(contains("secrets/postgres_password"))
                .and(contains("p w$1").not()),
        );
    }
    let output = tool(&dir).args(["show", "--json"]).output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = rows.as_array().unwrap().iter().find(|r| r["setting"] == "BACKUP_KEEP_DAYS").unwrap();
    assert_eq!((row["value"].as_str(), row["source"].as_str()), (Some("30"), Some("default")));
}

#[test]
fn get_refuses_secrets_and_unknown_settings() {
    let dir = full();
    tool(&dir).args(["get", "PIPRIO_DOMAIN"]).assert().success().stdout("example.org\n");
    tool(&dir).args(["get", "MINIO_ROOT_USER"]).assert().code(2).stdout("");
    tool(&dir).args(["get", "--reveal", "MINIO_ROOT_USER"]).assert().success().stdout("root\n");
    tool(&dir).args(["get", "NO_SUCH"]).assert().code(2).stdout("");
    assert!(calls(&dir).is_empty());
}

#[test]
fn usage_errors_are_two_and_a_full_disk_is_a_failure() {
    let dir = full();
    for args in [&[][..], &["--"], &["get"], &["--nonsense"], &["env"]] {
        tool(&dir).args(args).assert().code(2).stdout("");
    }
    let full_disk = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [&["show"][..], &["get", "PIPRIO_DOMAIN"], &["--help"]] {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_deploy-env"))
            .args(args)
            .env("PIPRIO_DEPLOY", dir.path())
            .stdout(full_disk())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(1), "{args:?}");
    }
}
