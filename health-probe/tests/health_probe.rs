//! The promises of `health-probe` that need no real server, through the built program. The stand-ins
//! hang, which a real part cannot be asked to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STATUS: &str = r#"echo '{"server_version":"15.1","size_bytes":2048,"connections":1}'"#;

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Stand-ins for the driver and the tools; what answers, answers well.
fn parts() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    program(&dir.path().join("driver"), "printf 'api\\trunning\\nmig\\tdone\\n'");
    program(&dir.path().join("pg-snap"), STATUS);
    program(&dir.path().join("obj-mirror"), r#"echo '{"objects":3,"bytes":10}'"#);
    dir
}

fn tool(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_health-probe"));
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
        .env("PIPRIO_RESOLVED", "1")
        .env("PIPRIO_DEPLOY", dir.path())
        .env("PIPRIO_DRIVER", dir.path().join("driver"))
        .env("BACKUP_ROOT", dir.path().join("backups"))
        .env("OBJECT_STORAGE", "bundled")
        .env("S3_BUCKET", "documents")
        .env("PGDATABASE", "piprio")
        .env("PGPASSWORD", "hunter2")
        .env("REDIS_URL", format!("redis://:hunter2@{}", nobody()));
    command
}

/// An address at which nothing listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn each_part_is_a_line_and_one_failure_is_the_status() {
    let dir = parts();
    tool(&dir).assert().code(1).stdout(
        contains("pass  service    api         running\n")
            .and(contains("pass  service    mig         done\n"))
            .and(contains("pass  database   piprio      PostgreSQL 15.1, 2.0 KiB, 1 connections"))
            .and(contains("fail  cache      redis "))
            .and(contains("pass  storage    documents   3 objects, 10 B"))
            .and(contains("pass  disk       deployment "))
            .and(contains("pass  disk       backups "))
            .and(predicates::str::ends_with("health: 6 passed, 1 failed\n"))
            .and(contains("readiness").not()),
    );
}

#[test]
fn what_hangs_fails_in_its_own_line_and_delays_by_one_limit_only() {
    let dir = parts();
    for name in ["driver", "pg-snap", "obj-mirror"] {
        program(&dir.path().join(name), "exec sleep 1000");
    }
    // They take the connection and never answer.
    let listeners: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let at = |n: usize| listeners[n].local_addr().unwrap();
    let start = Instant::now();
    tool(&dir)
        .arg("--timeout=1")
        .env("REDIS_URL", format!("redis://{}", at(0)))
        .env("READINESS_URLS", format!("api=http://{}/ web=http://{}/", at(1), at(2)))
        .assert()
        .code(1)
        .stdout(contains("no answer in 1 s").count(6).and(contains("2 passed, 6 failed")));
    // Six limits one after the other would be over this, a busy machine's delays would not.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn parts_that_fail_are_told_with_their_last_words_and_no_secret() {
    let dir = parts();
    program(&dir.path().join("driver"), "echo 'no engine' >&2; exit 1");
    program(&dir.path().join("pg-snap"), "echo \"FATAL: hunter2 is wrong\" >&2; exit 1");
    std::fs::remove_file(dir.path().join("obj-mirror")).unwrap();
    for args in [&[][..], &["--json"]] {
        tool(&dir).args(args).assert().code(1).stdout(
            contains("driver ps ended with status 1: no engine")
                .and(contains("FATAL: *** is wrong"))
                .and(contains("obj-mirror not found"))
                .and(contains("hunter2").not()),
        );
    }
}

#[test]
fn external_storage_is_not_probed_and_a_bundled_one_needs_a_bucket() {
    let dir = parts();
    tool(&dir).env("OBJECT_STORAGE", "external").assert().stdout(contains("storage").not());
    tool(&dir).env_remove("S3_BUCKET").assert().stdout(contains("S3_BUCKET is not set"));
}

#[test]
fn waiting_ends_as_soon_as_all_is_well() {
    let dir = parts();
    // Cannot pass without a cache: the wait is over before the verdict.
    let start = Instant::now();
    tool(&dir).args(["--wait=2", "--quiet"]).assert().code(1).stderr("");
    assert!(start.elapsed() >= Duration::from_secs(1));
    tool(&dir).arg("--wait=2").assert().code(1).stderr(contains("probing again"));
}

#[test]
fn json_is_one_document_on_stdout() {
    let dir = parts();
    let output = tool(&dir).args(["--json", "--quiet"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["healthy"], &report["failed"]), (&false.into(), &1.into()));
    assert_eq!(report["probes"].as_array().unwrap().len(), 7);
    assert!(output.stderr.is_empty());
}

#[test]
fn without_resolved_settings_it_starts_again_under_deploy_env() {
    let dir = parts();
    program(&dir.path().join("deploy-env"), "echo \"deploy-env $*\"");
    // The deploy-env beside the program comes before any on PATH.
    let copy = dir.path().join("health-probe");
    std::fs::copy(env!("CARGO_BIN_EXE_health-probe"), &copy).unwrap();
    Command::new(&copy)
        .env_clear()
        .args(["--timeout", "3"])
        .assert()
        .success()
        .stdout(format!("deploy-env -- {} --timeout 3\n", copy.display()));
}

#[test]
fn usage_errors_are_two() {
    let dir = parts();
    for args in [&["--timeout=0"][..], &["--wait=-1"], &["x"]] {
        tool(&dir).args(args).assert().code(2).stdout("");
    }
}
