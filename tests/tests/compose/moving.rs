//! A host with nothing on it, and one bundle.

use crate::kit::{CREDENTIAL, Host};
use crate::runbook;
use anyhow::Result;
use test_kit::deployment::sh;

#[test]
fn from_an_empty_host_and_one_bundle_to_a_green_health_check_by_the_runbook() -> Result<()> {
    let Some(host) = Host::with_product()? else { return Ok(()) };
    let old = host.existing("deploy");
    let state = old.state()?;
    let bundle = old.backup()?;
    runbook::prepare(&host, &bundle)?;
    // The disaster: containers, volumes, networks and the directory.
    old.compose("down -v")?;
    let yaml = std::fs::read_to_string(old.file("docker-compose.yml"))?;
    sh(
        host.dir(),
        "rm -r deploy && test -z \"$(docker volume ls -q --filter label=piprio.test=compose)\"",
    )?;

    let new = host.deploy("deploy", &yaml);
    assert_eq!(sh(&new.dir, "ls -A")?, "docker-compose.yml\n");
    let lines = runbook::lines("MOVE.md", "Moving to another host with Docker Compose")?;
    runbook::follow(&host, &lines, &bundle, 0)?;

    assert_eq!(new.report("GET", "/credentials/sftp", "")?, CREDENTIAL);
    assert_eq!(new.state()?, state);
    // And without the key it does not read: the column is encrypted.
    sh(
        &new.dir,
        "head -c 32 /dev/zero > new && chmod 600 new && mv new secrets/credential_encryption_key",
    )?;
    new.driver(&["start", "api"]).expect(0);
    new.wait_until_ready()?;
    let answer = new.ask("GET", "/credentials/sftp", "")?;
    assert_eq!(answer.status, 500, "{}", String::from_utf8_lossy(&answer.body));
    Ok(())
}
