//! The health check names what is wrong with a deployment in containers.

use crate::kit::Host;
use anyhow::Result;
use std::net::TcpListener;
use std::time::Instant;
use test_kit::deployment::{self, Run, sh};
use test_kit::process::wait_until;

/// Whether a line begins with pass or fail and is about a service or what is asked of it.
fn has_line(run: &Run, verdict: &str, kind: &str, name: &str) -> bool {
    run.stdout.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&verdict) && words.contains(&kind) && words.contains(&name)
    })
}

#[test]
fn each_thing_that_is_wrong_has_its_line() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let deploy = host.existing("deploy");
    // How long Compose, or a client in a container, takes to start is no concern of this test.
    deploy.set("HEALTH_MAX_LATENCY_MS=60000\nHEALTH_TIMEOUT_SECONDS=20")?;
    let run = deploy.run("health-check.sh", &["--wait", "30"], "")?.expect(0);
    for name in ["api", "minio", "postgres", "redis", "scheduler", "web", "worker"] {
        assert!(has_line(&run, "pass", "service", name), "{}", run.stdout);
    }
    assert!(has_line(&run, "pass", "database", "piprio"), "{}", run.stdout);
    assert!(has_line(&run, "pass", "storage", "documents"), "{}", run.stdout);

    // A process that is stopped accepts connections and answers none.
    let pid = sh(
        &deploy.dir,
        &format!("docker inspect -f '{{{{.State.Pid}}}}' {}", deploy.container("worker")?),
    )?;
    sh(&deploy.dir, &format!("kill -STOP {}", pid.trim()))?;
    deploy.driver(&["stop", "scheduler"]).expect(0);
    let (held, port) = {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        (listener, port)
    };
    let urls = format!(
        "READINESS_URLS=\"api=http://api:8080/ready worker=http://worker:8080/ready web=http://127.0.0.1:{port}/ready\""
    );
    deploy.set(&urls)?;
    wait_until("the worker's health check", || Ok(deploy.ps().contains("worker unhealthy\n")))?;
    // In a mount namespace of its own, which ends with the check.
    let full = "mkdir -p backups && mount -t tmpfs -o size=64k tmpfs backups && \
                { head -c 1M /dev/zero > backups/fill || :; } 2>/dev/null && exec bash scripts/health-check.sh";
    let mut command = host.command("unshare");
    command.args(["--mount", "sh", "-c", full]).current_dir(&deploy.dir);
    let begun = Instant::now();
    let run = deployment::run(command, "")?.expect(1);
    println!("with a limit of 20 s for each probe, the check took {:?}", begun.elapsed());
    for (verdict, kind, name) in [
        ("fail", "disk", "backups"),
        ("fail", "service", "scheduler"),
        ("fail", "service", "worker"),
        ("fail", "readiness", "worker"),
        ("fail", "readiness", "web"),
        ("pass", "service", "api"),
        ("pass", "readiness", "api"),
        ("pass", "database", "piprio"),
    ] {
        assert!(has_line(&run, verdict, kind, name), "{verdict} {kind} {name}\n{}", run.stdout);
    }
    drop(held);

    // A dead cache makes the API unhealthy.
    sh(&deploy.dir, &format!("kill -CONT {}", pid.trim()))?;
    deploy.driver(&["stop", "redis"]).expect(0);
    wait_until("the API's health check", || Ok(deploy.ps().contains("api unhealthy\n")))?;
    let run = deploy.run("health-check.sh", &[], "")?.expect(1);
    for (kind, name) in
        [("service", "redis"), ("service", "api"), ("readiness", "api"), ("cache", "redis")]
    {
        assert!(has_line(&run, "fail", kind, name), "{kind} {name}\n{}", run.stdout);
    }
    Ok(())
}
