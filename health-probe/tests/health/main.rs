//! The health check on a deployment of real parts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documented;
mod limits;
mod silence;

use anyhow::Result;
use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use test_kit::deployment::{Deployment, Options};
use test_kit::{tool, tool_path};

fn health(deployment: &Deployment, arguments: &[&str]) -> Assert {
    Command::new(tool("health-probe"))
        .args(arguments)
        .env("PATH", tool_path())
        .env("PIPRIO_DEPLOY", deployment.dir())
        .assert()
}

#[test]
fn a_whole_deployment_passes_with_a_line_for_each_part_and_no_secret() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let facts = deployment.facts();
    let secrets = [&facts.postgres_password, &facts.redis_password, &facts.s3_secret_key];
    for arguments in [&[][..], &["--json"]] {
        let assert = health(&deployment, arguments).success();
        let output = String::from_utf8(assert.get_output().stdout.clone())?;
        assert!(!secrets.iter().any(|secret| output.contains(*secret)), "{output}");
    }
    health(&deployment, &["--timeout=60"]).success().stdout(
        contains("pass  service    postgres    running\n")
            .and(contains("pass  service    api         running\n"))
            .and(contains("  database   piprio      PostgreSQL "))
            .and(contains("  cache      redis       PONG, "))
            .and(contains("  readiness  api         200, "))
            .and(contains("  storage    documents   "))
            .and(contains("pass  bundle     newest      piprio_"))
            .and(contains(" old, ").and(contains(", intact\n")))
            .and(contains(", 0 failed\n")),
    );
    Ok(())
}

#[test]
fn a_dead_cache_and_what_needs_it_fail_each_in_its_own_line() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.stop(&["redis", "worker"])?;
    health(&deployment, &[]).code(1).stdout(
        contains("fail  service    redis       stopped\n")
            .and(contains("fail  service    worker      stopped\n"))
            .and(contains("fail  service    api         unhealthy\n"))
            .and(contains("fail  cache      redis "))
            .and(contains("fail  readiness  api         503 from http://127.0.0.1:"))
            .and(contains("fail  readiness  worker      no answer"))
            .and(contains("  database   piprio "))
            .and(contains("warn  bundle     newest      none in "))
            .and(contains(", 6 failed\n")),
    );
    Ok(())
}

#[test]
fn wrong_passwords_a_missing_database_and_a_missing_bucket_are_failures_that_show_no_secret()
-> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let url = format!("redis://:wr0ng-cache@127.0.0.1:{}/0", deployment.facts().redis_port);
    let check = |settings: &[(&str, &str)]| {
        let mut command = Command::new(tool("health-probe"));
        command.env("PATH", tool_path()).env("PIPRIO_DEPLOY", deployment.dir());
        command.envs(settings.iter().copied()).assert().code(1)
    };
    check(&[("REDIS_URL", &url), ("POSTGRES_DB", "absent"), ("S3_BUCKET", "nosuch")]).stdout(
        contains("fail  cache      redis ")
            .and(contains("fail  database   absent "))
            .and(contains("fail  storage    nosuch      it answers, but has no such bucket"))
            .and(contains(", 3 failed\n"))
            .and(contains("wr0ng").not()),
    );
    let file = deployment.dir().join("secrets/wrong");
    std::fs::write(&file, "wr0ng-database")?;
    let keys = [("S3_ACCESS_KEY", "wr0ng-id"), ("S3_SECRET_KEY", "wr0ng-key")];
    let password = ("POSTGRES_PASSWORD_FILE", "/run/secrets/wrong");
    for arguments in [&[][..], &["--json"]] {
        Command::new(tool("health-probe"))
            .args(arguments)
            .env("PATH", tool_path())
            .env("PIPRIO_DEPLOY", deployment.dir())
            .envs(keys.into_iter().chain([password]))
            .assert()
            .code(1)
            .stdout(
                contains("psql on piprio ended with status 2")
                    .and(contains("the keys are refused"))
                    .and(contains("wr0ng").not()),
            )
            .stderr(contains("wr0ng").not());
    }
    Ok(())
}

#[test]
fn without_a_configured_deployment_it_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    Command::new(tool("health-probe"))
        .env("PATH", tool_path())
        .env("PIPRIO_DEPLOY", dir.path())
        .assert()
        .code(5)
        .stdout("")
        .stderr(contains(".env is missing"));
    Ok(())
}
