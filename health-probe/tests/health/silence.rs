//! Parts that swallow what they are sent: each is reported in its own line, and the whole check takes one
//! limit, not the sum of them.

use super::health;
use anyhow::Result;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::Path;
use std::time::{Duration, Instant};
use test_kit::dead_host::DeadHost;
use test_kit::deployment::{APPS, Deployment, Options, sh};

/// What is promised of the whole check: the limit and one second.
const LIMIT: &str = "--timeout=3";
const WHOLE: Duration = Duration::from_secs(4);

#[test]
fn a_dead_host_for_everything_at_once_costs_one_limit() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    let dead = DeadHost::new()?;
    let (address, port) = (dead.address()?, dead.address()?.port().to_string());
    let mut command = Command::from_std(deployment.script("health-check.sh", &[LIMIT]));
    command
        .env("POSTGRES_PORT", &port)
        .env("REDIS_URL", format!("redis://:pw@{address}"))
        .env("S3_ENDPOINT", format!("http://{address}"))
        .env("READINESS_URLS", format!("api=http://{address}/ready worker=http://{address}/ready"));
    let start = Instant::now();
    let assert = command.assert().code(1);
    let took = start.elapsed();
    assert.stdout(
        contains("fail  database   piprio      no answer in 3 s\n")
            .and(contains("fail  cache      redis "))
            .and(contains("fail  readiness  api         no answer in 3 s from http://"))
            .and(contains("fail  readiness  worker      no answer in 3 s from http://"))
            .and(contains("fail  storage    documents   no answer in 3 s\n"))
            .and(contains("pass  service    postgres    running\n"))
            .and(contains(", 5 failed\n")),
    );
    assert!(took < WHOLE, "{took:?}");
    Ok(())
}

/// As if its host hung: connections are taken, and nothing is answered.
fn freeze(deployment: &Deployment, service: &str, signal: &str) -> Result<()> {
    let pid = deployment.pid(service)?;
    sh(Path::new("/"), &format!("kill -{signal} -- -{pid}")).map(drop)
}

#[test]
fn a_hanging_api_a_stopped_worker_and_a_dead_cache_are_a_line_each_within_the_limit() -> Result<()>
{
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.stop(&["worker", "redis"])?;
    freeze(&deployment, "api", "STOP")?;
    let start = Instant::now();
    let run = deployment.run_script("health-check.sh", &[LIMIT], "")?;
    let took = start.elapsed();
    freeze(&deployment, "api", "CONT")?;
    let run = run.expect(1);
    for line in [
        "fail  service    api         unhealthy\n",
        "fail  service    worker      stopped\n",
        "fail  service    redis       stopped\n",
        "fail  cache      redis ",
        "fail  readiness  api         no answer in 3 s from http://127.0.0.1:",
        "fail  readiness  worker      no answer (",
        "pass  service    postgres    running\n",
    ] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    assert!(took < WHOLE, "{took:?}\n{}", run.stdout);
    Ok(())
}

#[test]
fn waiting_is_for_services_that_are_starting() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.stop(&APPS)?;
    health(&deployment, &[]).code(1).stdout(contains("fail  service    api         stopped\n"));
    let mut check = deployment.script("health-check.sh", &["--wait", "120"]);
    let check = check.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = check.spawn()?;
    deployment.start(&APPS)?;
    let out = child.wait_with_output()?;
    let words = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{words}");
    assert!(words.contains("pass  service    api         running\n"), "{words}");
    Ok(())
}
