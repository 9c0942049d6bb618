//! The promises of `health-probe` that need no real server, through the built program. The stand-ins
//! hang, which a real part cannot be asked to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use bundle_format::report::{BundleState, ListedBundle, Listing};
use predicates::prelude::*;
use predicates::str::contains;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const STATUS: &str = r#"echo '{"server_version":"15.1","system_identifier":"7","database":"piprio","exists":true,"oid":5,"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":2048,"connections":1,"schemas":[],"beside":[]}'"#;

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A `bundle-manifest list` that prints this.
fn list(bundles: Vec<ListedBundle>) -> String {
    let listing = Listing { bundles, ..Listing::default() };
    format!("echo '{}'", serde_json::to_string(&listing).unwrap())
}

/// A `bundle-manifest list` of one bundle.
fn bundle(age_seconds: i64, state: BundleState) -> String {
    let name = "piprio_20260421T020000Z".to_owned();
    list(vec![ListedBundle { name, age_seconds, bytes: 2048, state, ..ListedBundle::default() }])
}

/// Stand-ins for the driver and the tools; what answers, answers well.
fn parts() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    program(&dir.path().join("driver"), "printf 'api\\trunning\\nmig\\tdone\\n'");
    program(&dir.path().join("pg-snap"), STATUS);
    program(
        &dir.path().join("obj-mirror"),
        r#"echo '{"bucket":"documents","prefix":"","endpoint":"http://s3","exists":true,"objects":3,"bytes":10,"complete":true}'"#,
    );
    program(&dir.path().join("bundle-manifest"), &bundle(60, BundleState::Intact));
    std::fs::create_dir(dir.path().join("backups")).unwrap();
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
        .env("HEALTH_TIMEOUT_SECONDS", "5")
        .env("HEALTH_MAX_LATENCY_MS", "60000")
        .env("HEALTH_MIN_FREE_MIB", "0")
        .env("HEALTH_MAX_BUNDLE_AGE_HOURS", "26")
        .env("HEALTH_MAX_DRILL_AGE_DAYS", "0")
        .env("HEALTH_MAX_SHIP_AGE_HOURS", "36")
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
            .and(predicates::str::ends_with("health: 7 passed, 1 failed\n"))
            .and(contains(
                "pass  bundle     newest      piprio_20260421T020000Z, 60 s old, 2.0 KiB, intact\n",
            ))
            .and(contains("readiness").not()),
    );
}

#[test]
fn what_hangs_fails_in_its_own_line_and_delays_by_one_limit_only() {
    let dir = parts();
    for name in ["driver", "pg-snap", "obj-mirror", "bundle-manifest"] {
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
        .stdout(
            contains("no answer in 1 s").count(7).and(contains("2 passed, 1 warned, 6 failed")),
        );
    // Six limits one after the other would be over this, a busy machine's delays would not.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn parts_that_fail_are_reported_with_their_last_line_and_no_secret() {
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
    assert_eq!(report["probes"].as_array().unwrap().len(), 8);
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
    tool(&dir).env("HEALTH_MIN_FREE_MIB", "much").assert().code(2).stdout("");
    for args in [&["--timeout=0"][..], &["--wait=-1"], &["x"]] {
        tool(&dir).args(args).assert().code(2).stdout("");
    }
}

/// All but the cache, at which nothing listens.
const WITHOUT_CACHE: &str = "--only=service,database,readiness,storage,disk,bundle";

#[test]
fn what_is_beyond_a_limit_is_a_warning_and_a_failure_only_to_the_strict() {
    let dir = parts();
    let old = bundle(27 * 3600, BundleState::Intact);
    let damaged = bundle(0, BundleState::Damaged);
    let cases: [(&str, &str, &str, &str); 4] = [
        ("HEALTH_MIN_FREE_MIB", "4294967295", "", "warn  disk       backups     "),
        ("HEALTH_MAX_LATENCY_MS", "0", "", "warn  database   piprio      PostgreSQL 15.1"),
        ("HEALTH_MAX_BUNDLE_AGE_HOURS", "26", &old, "27 h old (more than 26 h)"),
        ("HEALTH_MAX_BUNDLE_AGE_HOURS", "0", &damaged, "warn  bundle     newest      "),
    ];
    for (limit, value, script, words) in cases {
        let script =
            if script.is_empty() { bundle(60, BundleState::Intact) } else { script.to_owned() };
        program(&dir.path().join("bundle-manifest"), &script);
        let check = || {
            let mut command = tool(&dir);
            command.arg(WITHOUT_CACHE).env(limit, value);
            command
        };
        check().assert().success().stdout(contains(words).and(contains("warned, 0 failed")));
        check().arg("--strict").assert().code(1).stdout(contains(words));
    }
    program(&dir.path().join("bundle-manifest"), &bundle(60, BundleState::Intact));
    tool(&dir).args([WITHOUT_CACHE, "--strict"]).assert().success();
}

#[test]
fn a_missing_bundle_is_a_warning_unless_none_is_expected_and_so_is_a_list_that_fails() {
    let dir = parts();
    let check = |hours: &str| {
        let mut command = tool(&dir);
        command.arg("--only=bundle").env("HEALTH_MAX_BUNDLE_AGE_HOURS", hours);
        command.assert().success()
    };
    program(&dir.path().join("bundle-manifest"), &list(Vec::new()));
    check("26").stdout(contains("warn  bundle     newest  none in /"));
    check("0").stdout(contains("pass  bundle     newest  none in /"));
    program(&dir.path().join("bundle-manifest"), "echo 'no such disk' >&2; exit 1");
    check("26")
        .stdout(contains("warn  bundle     newest  bundle-manifest list ended with status 1"));
    std::fs::remove_dir(dir.path().join("backups")).unwrap();
    check("26").stdout(contains("warn  bundle     newest  none in /"));
}

#[test]
fn a_warning_is_not_waited_for() {
    let dir = parts();
    program(&dir.path().join("bundle-manifest"), &bundle(27 * 3600, BundleState::Intact));
    let arguments = [WITHOUT_CACHE, "--strict", "--wait=3600"];
    tool(&dir).args(arguments).timeout(Duration::from_secs(60)).assert().code(1).stderr("");
}

#[test]
fn waiting_sees_what_starts_meanwhile() {
    let dir = parts();
    // Up at the third time of asking.
    let script = r#"echo x >> "$PIPRIO_DEPLOY/asked"
[ "$(wc -l < "$PIPRIO_DEPLOY/asked")" -ge 3 ] && state=running || state=unhealthy
printf 'api\t%s\n' "$state""#;
    program(&dir.path().join("driver"), script);
    tool(&dir)
        .args(["--only=service", "--wait=60"])
        .assert()
        .success()
        .stdout("pass  service    api  running\nhealth: 1 passed, 0 failed\n")
        .stderr(contains("0 passed, 1 failed; probing again").count(2));
}

#[test]
fn the_env_sets_how_long_a_probe_may_take_and_the_command_line_overrides_it() {
    let dir = parts();
    program(&dir.path().join("pg-snap"), "exec sleep 1000");
    let check = |arguments: &[&str]| {
        let mut command = tool(&dir);
        command.arg("--only=database").args(arguments).env("HEALTH_TIMEOUT_SECONDS", "2");
        command.assert().code(1)
    };
    check(&[]).stdout(contains("no answer in 2 s"));
    check(&["--timeout=1"]).stdout(contains("no answer in 1 s"));
}

/// What a terminal gets to see.
fn on_a_terminal(dir: &TempDir, no_colour: &str) -> String {
    let mut inner = tool(dir);
    let program = inner.get_program().to_owned();
    inner.arg("--only=disk");
    let output = std::process::Command::new("script")
        .args(["-q", "-e", "-c", "\"$PROBE\" --only=disk", "/dev/null"])
        .env_clear()
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .envs([("TERM", "xterm"), ("NO_COLOR", no_colour)])
        .env("PROBE", program)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn only_a_terminal_sees_colour_and_only_if_it_wants_it() {
    let dir = parts();
    assert!(on_a_terminal(&dir, "").contains("\x1b[32mpass\x1b[0m  disk       deployment  "));
    assert!(on_a_terminal(&dir, "1").contains("pass  disk       deployment  "));
    assert!(!on_a_terminal(&dir, "1").contains('\x1b'));
    let mut piped = tool(&dir);
    piped.arg("--only=disk").env("TERM", "xterm").assert().success().stdout(contains("\x1b").not());
}
