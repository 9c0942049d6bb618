//! `start`: what is up afterwards is what the configuration is now.

use crate::contract::{SLEEPS, service, with_each, yaml};
use anyhow::Result;
use test_kit::deployment::sh;

#[test]
fn changed_settings_are_applied_and_what_did_not_change_keeps_running() -> Result<()> {
    with_each(|host| {
        let colour = ", environment: {COLOUR: '${COLOUR}'}";
        let services = [service("api", SLEEPS, colour), service("other", SLEEPS, "")];
        let deploy = host.deploy("deploy", &yaml(&services));
        deploy.set("COLOUR=red")?;
        deploy.driver(&["start", "api", "other"]).expect(0);
        let (api, other) = (deploy.container("api")?, deploy.started(&["other"])?);
        deploy.set("COLOUR=green")?;
        deploy.driver(&["start", "api", "other"]).expect(0);
        assert_ne!(deploy.container("api")?, api);
        assert_eq!(deploy.started(&["other"])?, other);
        let report = deploy.driver(&["exec", "api", "printenv", "COLOUR"]).expect(0);
        assert_eq!(report.stdout, "green\n");
        // What the toolkit has set for itself is not what Compose is to read.
        let mut command = deploy.driver_command(&["start", "api"]);
        command.env("PIPRIO_SET", "COLOUR").env("COLOUR", "blue");
        let before = deploy.started(&["api"])?;
        assert!(command.status()?.success());
        assert_eq!(deploy.started(&["api"])?, before);
        Ok(())
    })
}

/// A restore replaces a secret's file by renaming another over it; a container that has that file
/// mounted still uses the old one.
#[test]
fn a_secret_whose_file_was_replaced_reaches_its_service_and_touches_no_other() -> Result<()> {
    with_each(|host| {
        let secret = ", secrets: [key]";
        let file = yaml(&[service("api", SLEEPS, secret), service("other", SLEEPS, "")]);
        let deploy = host.deploy("deploy", &format!("{file}secrets: {{key: {{file: ./key}}}}\n"));
        let seen = || deploy.driver(&["exec", "api", "cat", "/run/secrets/key"]).expect(0).stdout;
        std::fs::write(deploy.file("key"), "one\n")?;
        deploy.driver(&["start", "api", "other"]).expect(0);
        assert_eq!(seen(), "one\n");
        let before = deploy.started(&["api", "other"])?;
        deploy.driver(&["start", "api", "other"]).expect(0);
        assert_eq!(deploy.started(&["api", "other"])?, before);
        // As old as in the archive.
        sh(&deploy.dir, "echo two > new && touch -d '2020-01-01' new && mv new key")?;
        let other = deploy.started(&["other"])?;
        deploy.driver(&["start", "api", "other"]).expect(0);
        assert_eq!(seen(), "two\n");
        assert_eq!(deploy.started(&["other"])?, other);
        // A new file with what was there before is nothing to restart for.
        let before = deploy.started(&["api"])?;
        sh(&deploy.dir, "echo two > new && touch -d '2020-01-01' new && mv new key")?;
        deploy.driver(&["start", "api"]).expect(0);
        assert_eq!(deploy.started(&["api"])?, before);
        Ok(())
    })
}

#[test]
fn what_dies_at_its_start_fails_with_its_last_words() -> Result<()> {
    with_each(|host| {
        let deploy =
            host.deploy("deploy", &yaml(&[service("web", "echo no port >&2; exit 3", "")]));
        let run = deploy.driver(&["start", "web"]).expect(1);
        assert!(run.stderr.contains("web ended at once: ") && run.stderr.contains("no port"));
        assert!(run.stdout.is_empty());
        Ok(())
    })
}
