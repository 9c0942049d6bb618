//! What the driver reports of services, with every Compose there is.

use crate::kit::{Deploy, Host, composes, image};
use anyhow::Result;
use test_kit::deployment::{run, sh};
use test_kit::process::wait_until;
use test_kit::tools::{Target, examples};

/// A line of a Compose file: a service that runs a command and can be stopped at once.
pub fn service(name: &str, command: &str, more: &str) -> String {
    format!(
        "  {name}: {{image: '{image}', command: [bash, -c, \"{command}\"], \
         stop_grace_period: 1s, labels: {{piprio.test: compose}}{more}}}\n",
        image = image().unwrap_or_default()
    )
}

/// Services, and a network that is known as ours.
pub fn yaml(services: &[String]) -> String {
    format!(
        "version: '3.8'\nnetworks: {{default: {{labels: {{piprio.test: compose}}}}}}\nservices:\n{}",
        services.concat()
    )
}

pub const SLEEPS: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// The test once for each Compose.
pub fn with_each(test: impl Fn(&Host) -> Result<()>) -> Result<()> {
    if image().is_none() {
        return Ok(());
    }
    for (name, path) in composes() {
        println!("with {name}");
        let mut host = Host::new();
        host.path = path;
        test(&host)?;
    }
    Ok(())
}

fn states(deploy: &Deploy, expected: &str) -> Result<()> {
    let mut last = String::new();
    let is_so = wait_until("the states", || {
        last = deploy.ps();
        Ok(last == expected)
    });
    is_so.map_err(|error| error.context(format!("they are\n{last}not\n{expected}")))
}

#[test]
fn every_state_that_a_container_can_be_in_has_its_name() -> Result<()> {
    with_each(|host| {
        let checked =
            |test: &str| format!(", healthcheck: {{test: '{test}', interval: 1s, retries: 1}}");
        let deploy = host.deploy(
            "deploy",
            &yaml(&[
                service("plain", SLEEPS, ""),
                service("healthy", SLEEPS, &checked("true")),
                service("sick", SLEEPS, &checked("false")),
                service("never", SLEEPS, ""),
                service("created", SLEEPS, ""),
                service("paused", SLEEPS, ""),
                service("ended", "exit 0", ""),
                service("retried", "exit 0", ", restart: on-failure"),
                service("failed", "exit 3", ""),
                service("restarting", "exit 1", ", restart: always"),
                service("meant-to-run", "exit 0", &checked("true")),
            ]),
        );
        deploy.compose("up --no-start created")?;
        deploy.compose(
            "up -d plain healthy sick paused ended retried failed restarting meant-to-run",
        )?;
        deploy.compose("pause paused")?;
        states(
            &deploy,
            "created stopped\nended done\nfailed stopped\nhealthy running\nmeant-to-run stopped\n\
             never stopped\npaused unhealthy\nplain running\nrestarting unhealthy\nretried done\n\
             sick unhealthy\n",
        )?;
        // Its image is no part of what it is: the driver answers without any.
        deploy.compose("kill plain")?;
        states(
            &deploy,
            "created stopped\nended done\nfailed stopped\nhealthy running\nmeant-to-run stopped\n\
             never stopped\npaused unhealthy\nplain stopped\nrestarting unhealthy\nretried done\n\
             sick unhealthy\n",
        )?;
        deploy.driver(&["start", "paused"]).expect(0);
        assert!(deploy.ps().contains("paused running\n"), "{}", deploy.ps());
        Ok(())
    })
}

/// An application that obeys SIGTERM ends with 0: that must not make a one-shot of it, which nobody
/// would start again.
#[test]
fn a_service_that_ends_well_when_it_is_stopped_is_stopped_and_not_done() -> Result<()> {
    with_each(|host| {
        let deploy = host
            .deploy("deploy", &yaml(&[service("api", SLEEPS, ""), service("once", "exit 0", "")]));
        deploy.driver(&["start", "api", "once"]).expect(0);
        states(&deploy, "api running\nonce done\n")?;
        deploy.driver(&["stop", "api", "once"]).expect(0);
        states(&deploy, "api stopped\nonce done\n")?;
        deploy.driver(&["stop", "api", "once"]).expect(0);
        states(&deploy, "api stopped\nonce done\n")?;
        deploy.driver(&["start", "api"]).expect(0);
        // What ends by itself later on is what it is.
        sh(&deploy.dir, &format!("docker kill -s TERM {}", deploy.container("api")?))?;
        states(&deploy, "api done\nonce done\n")
    })
}

#[test]
fn a_service_scaled_by_hand_keeps_its_containers_and_one_that_is_down_is_reported() -> Result<()> {
    with_each(|host| {
        let deploy = host.deploy(
            "deploy",
            &yaml(&[service("worker", SLEEPS, ""), service("other", SLEEPS, "")]),
        );
        deploy.compose("up -d --scale worker=3")?;
        states(&deploy, "other running\nworker running\n")?;
        let before = deploy.containers("worker")?.len();
        sh(&deploy.dir, &format!("docker stop {}", deploy.containers("worker")?[1]))?;
        states(&deploy, "other running\nworker unhealthy\n")?;
        deploy.driver(&["stop", "worker"]).expect(0);
        states(&deploy, "other running\nworker stopped\n")?;
        deploy.driver(&["start", "worker", "other"]).expect(0);
        states(&deploy, "other running\nworker running\n")?;
        assert_eq!((before, deploy.containers("worker")?.len()), (3, 3));
        Ok(())
    })
}

#[test]
fn profiles_override_files_and_the_projects_name_are_composes_own() -> Result<()> {
    with_each(|host| {
        let services =
            [service("api", SLEEPS, ""), service("debug", SLEEPS, ", profiles: [debug]")];
        let deploy = host.deploy("deploy", &yaml(&services));
        deploy.set("COMPOSE_PROJECT_NAME=piprio-own")?;
        std::fs::write(
            deploy.file("docker-compose.override.yml"),
            yaml(&[service("extra", SLEEPS, "")]),
        )?;
        assert_eq!(deploy.ps(), "api stopped\nextra stopped\n");
        deploy.driver(&["start", "api", "extra"]).expect(0);
        assert!(sh(&deploy.dir, "docker ps --format '{{.Names}}'")?.contains("piprio-own"));
        // Of another profile: there while it runs.
        deploy.compose("--profile debug up -d debug")?;
        assert_eq!(deploy.ps(), "api running\ndebug running\nextra running\n");
        deploy.driver(&["stop", "debug"]).expect(0);
        assert_eq!(deploy.ps(), "api running\nextra running\n");
        deploy.set("COMPOSE_PROFILES=debug")?;
        assert_eq!(deploy.ps(), "api running\ndebug stopped\nextra running\n");
        deploy.driver(&["start", "debug"]).expect(0);
        assert_eq!(deploy.ps(), "api running\ndebug running\nextra running\n");
        // Named in .env, files are read instead of the usual ones.
        std::fs::rename(deploy.file("docker-compose.yml"), deploy.file("one.yml"))?;
        std::fs::rename(deploy.file("docker-compose.override.yml"), deploy.file("two.yml"))?;
        deploy.set("COMPOSE_FILE=one.yml:two.yml")?;
        assert_eq!(deploy.ps(), "api running\ndebug running\nextra running\n");
        Ok(())
    })
}

#[test]
fn every_example_of_its_help_runs_as_printed() -> Result<()> {
    with_each(|host| {
        let names = ["api", "worker", "postgres", "redis"];
        let services = names.map(|name| service(name, SLEEPS, ""));
        let deploy = host.deploy("deploy", &yaml(&services));
        deploy.driver(&[&["--quiet", "start"], &names[..]].concat()).expect(0);
        let examples = examples(&Target { tool: "compose-driver", verb: None }.help()?);
        assert!(examples.len() >= 5, "{examples:?}");
        for example in examples {
            let mut command = host.command("bash");
            command.args(["-c", &example]).env("PIPRIO_DEPLOY", &deploy.dir);
            run(command, "")?.expect(0);
        }
        Ok(())
    })
}

#[test]
fn the_image_of_a_service_is_one_that_the_engine_has_whether_or_not_it_runs() -> Result<()> {
    with_each(|host| {
        let deploy = host.deploy("deploy", &yaml(&[service("api", SLEEPS, "")]));
        let name = image().unwrap_or_default();
        assert_eq!(deploy.driver(&["image", "api"]).expect(0).stdout, format!("{name}\n"));
        deploy.driver(&["start", "api"]).expect(0);
        let inspect = format!("docker image inspect -f '{{{{.Id}}}}' {name}");
        let id = sh(&deploy.dir, &inspect)?;
        for state in ["running", "stopped"] {
            let printed = deploy.driver(&["image", "api"]).expect(0).stdout;
            assert_eq!(printed.trim(), id.trim(), "{state}");
            deploy.driver(&["stop", "api"]).expect(0);
        }
        Ok(())
    })
}

#[test]
fn unknown_services_and_verbs_are_usage_errors_and_touch_nothing() -> Result<()> {
    with_each(|host| {
        let deploy = host.deploy("deploy", &yaml(&[service("api", SLEEPS, "")]));
        for arguments in [
            &["start", "api", "none"][..],
            &["stop", "none"],
            &["exec", "none", "true"],
            &["addr", "none", "1"],
            &["start"],
            &["addr", "api", "port"],
            &["restart", "api"],
            &["image", "none"],
            &[],
        ] {
            let run = deploy.driver(arguments).expect(2);
            assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{arguments:?}");
        }
        assert_eq!(deploy.ps(), "api stopped\n");
        deploy.driver(&["exec", "api", "true"]).expect(1);
        Ok(())
    })
}
