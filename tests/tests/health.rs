//! The health check on a deployment of real parts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::Result;
use assert_cmd::Command;
use assert_cmd::assert::Assert;
use pipeline_tests::deployment::{Deployment, Options};
use pipeline_tests::{tool, tool_path};
use predicates::prelude::*;
use predicates::str::contains;

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
    let facts = deployment.facts();
    let secrets = [&facts.postgres_password, &facts.redis_password, &facts.s3_secret_key];
    for arguments in [&[][..], &["--json"]] {
        let assert = health(&deployment, arguments).success();
        let output = String::from_utf8(assert.get_output().stdout.clone())?;
        assert!(!secrets.iter().any(|secret| output.contains(*secret)), "{output}");
    }
    health(&deployment, &[]).success().stdout(
        contains("pass  service    postgres    running\n")
            .and(contains("pass  service    api         running\n"))
            .and(contains("pass  database   piprio      PostgreSQL "))
            .and(contains("pass  cache      redis       PONG, "))
            .and(contains("pass  readiness  api         200, "))
            .and(contains("pass  storage    documents   "))
            .and(contains("health: 12 passed, 0 failed\n")),
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
            .and(contains("pass  database   piprio "))
            .and(contains("health: 6 passed, 6 failed\n")),
    );
    Ok(())
}

#[test]
fn a_wrong_cache_password_and_a_missing_database_are_failures() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let url = format!("redis://:wrong@127.0.0.1:{}/0", deployment.facts().redis_port);
    Command::new(tool("health-probe"))
        .env("PATH", tool_path())
        .env("PIPRIO_DEPLOY", deployment.dir())
        .env("REDIS_URL", url)
        .env("POSTGRES_DB", "absent")
        .assert()
        .code(1)
        .stdout(
            contains("fail  cache      redis ")
                .and(contains("fail  database   absent "))
                .and(contains("health: 10 passed, 2 failed\n"))
                .and(contains("wrong@").not()),
        );
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
