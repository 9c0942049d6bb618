//! `deploy-env` inside an environment that an earlier resolution has made: of another deployment, or of the same one
//! before its `.env` was replaced.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use assert_cmd::Command;
use std::path::Path;
use tempfile::TempDir;

const US: &str = env!("CARGO_BIN_EXE_deploy-env");

/// The lines of a `.env` that use variables which a resolution sets.
const USES: &str = "S3_BUCKET=${PIPRIO_DOMAIN}-docs
S3_ACCESS_KEY=${AWS_ACCESS_KEY_ID:-none}
S3_SECRET_KEY=${AWS_SECRET_ACCESS_KEY:-none}
BACKUP_KEEP_DAILY
DRILL_DIR=${PIPRIO_DEPLOY:-/var}/drills
DRILL_USER=${OUTER:-nobody}
";

fn deployment(dotenv: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "SERVICE_DRIVER=/bin/true\nPOSTGRES_HOST=127.0.0.1\nOBJECT_STORAGE=external\n{dotenv}"
    );
    std::fs::write(dir.path().join(".env"), text).unwrap();
    dir
}

/// A deployment whose resolution sets everything that [`USES`] refers to.
fn outer() -> TempDir {
    deployment(
        "PIPRIO_DOMAIN=a.org\nS3_BUCKET=a-docs\nS3_ACCESS_KEY=a-id\nS3_SECRET_KEY=a-key\n\
         BACKUP_KEEP_DAILY=7\nDRILL_DIR=/a\nDRILL_USER=a\n",
    )
}

/// What a shell script prints that runs in a deployment's resolved environment.
fn inside(dir: &Path, script: &str) -> String {
    let mut command = Command::new(US);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("OUTER", "operator");
    command.arg("--deploy").arg(dir).args(["--", "sh", "-c", script]);
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

const PRINT: &str = "-- sh -c 'echo $S3_BUCKET $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY \
                     $BACKUP_KEEP_DAILY $DRILL_DIR $DRILL_USER'";

#[test]
fn what_a_dotenv_refers_to_is_never_another_deployments() {
    let other = deployment(&format!("PIPRIO_DOMAIN=b.org\n{USES}"));
    let at = other.path().display();
    let shown = inside(outer().path(), &format!("{US} --deploy {at} {PRINT}"));
    assert_eq!(shown, "b.org-docs none none 0 /var/drills operator\n");
    let get = |key: &str| inside(outer().path(), &format!("{US} get --reveal --deploy {at} {key}"));
    assert_eq!(get("S3_BUCKET"), "b.org-docs\n");
    assert_eq!(get("S3_ACCESS_KEY"), "none\n");
    assert_eq!(get("PIPRIO_DOMAIN"), "b.org\n");
    let rows = inside(outer().path(), &format!("{US} show --json --deploy {at}"));
    assert!(rows.contains("b.org-docs") && !rows.contains("a.org"), "{rows}");
}

#[test]
fn an_operators_variable_that_names_another_deployment_is_not_this_ones_directory() {
    let other = deployment(&format!("PIPRIO_DOMAIN=b.org\n{USES}"));
    let at = other.path().display();
    let script = format!("PIPRIO_DEPLOY=/ {US} --deploy {at} -- sh -c 'echo $DRILL_DIR'");
    assert_eq!(inside(outer().path(), &script), "/var/drills\n");
}

#[test]
fn settings_that_are_resolved_afresh_are_those_of_the_dotenv_as_it_is_now() {
    let dir = outer();
    let after = deployment(&format!("PIPRIO_DOMAIN=new.org\n{USES}"));
    let (now, at) = (after.path().display(), dir.path().display());
    let script = format!("cp {now}/.env {at}/.env; {US} --deploy {at} --afresh {PRINT}");
    assert_eq!(inside(dir.path(), &script), "new.org-docs none none 0 /var/drills operator\n");
}

#[test]
fn a_check_takes_nothing_from_the_environment_but_what_every_process_has() {
    let dir = deployment(
        "POSTGRES_PORT=${OUTER:-5432}\nS3_BUCKET=${S3_BUCKET:-own}\nBACKUP_KEEP_DAYS=${OUTER:-7}\n\
         POSTGRES_DB=${PIPRIO_DOMAIN:-own}\nDRILL_DIR=${HOME:?}/drills\n",
    );
    let script = format!("HOME=/root {US} check --json --deploy {}", dir.path().display());
    let report: serde_json::Value = serde_json::from_str(&inside(outer().path(), &script)).unwrap();
    assert_eq!(report["database"], "own");
    assert!(report["problem"].is_null(), "{report}");
}
