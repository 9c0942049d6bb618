//! Every example of every `--help`, run as printed: an operator at three in the morning types them.

use anyhow::{Context, Result, ensure};
use std::process::Stdio;
use test_kit::deployment::{Deployment, Options, sh};
use test_kit::tools::{examples, targets};

const DOMAIN: &str = "piprio.example.com";
const BUNDLE: &str = "piprio_20260421T020000Z";
/// Its examples take a container engine: they are run beside the other tests that have one, in
/// `compose/contract.rs`.
const NEEDS_AN_ENGINE: &str = "compose-driver";

/// Puts in place what the example takes for granted.
fn prepare(deployment: &Deployment, example: &str) -> Result<()> {
    let dir = deployment.dir();
    sh(
        dir,
        &format!(
            "rm -rf backups minio unpacked && mkdir -m 700 backups && cp -a pristine backups/.{BUNDLE}.partial && cp -a pristine/minio pristine/database.sql.gz pristine/config.tar.gz ."
        ),
    )?;
    if !example.contains(".partial") && !example.contains("$PARTIAL") {
        sh(dir, &format!("mv backups/.{BUNDLE}.partial backups/{BUNDLE}"))?;
    }
    if example.contains(" diff ") {
        let earlier = example.split(['/', ' ']).find(|part| part.starts_with("piprio_"));
        if let Some(earlier) = earlier.filter(|name| *name != BUNDLE) {
            sh(dir, &format!("cp -a backups/{BUNDLE} backups/{earlier}"))?;
        }
    }
    if example.contains("previous") {
        let out = deployment
            .stage("pg-snap", &["load", "--keep-previous", "database.sql.gz"])
            .output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    if example.contains("pg-snap compare") {
        // Examples before it have brought schemas back beside what the dump has.
        let out = deployment.stage("pg-snap", &["load", "database.sql.gz"]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    if example.contains("s3://offsite") || example.starts_with("ship-run") {
        // A copy that the examples of one object, and those of copies, can read.
        let ship =
            format!("ship-run backups/{BUNDLE} && obj-mirror put s3://offsite/a.tar.age a.tar.age");
        let out = deployment.stage("bash", &["-c", &ship]).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    if example.contains("--resume") {
        // The other steps are left to do.
        let bundle = format!("backups/{BUNDLE}");
        let steps = [&bundle, "--only", "database", "--confirm", DOMAIN];
        let out = deployment.stage("restore-run", &steps).output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

fn run(deployment: &Deployment, example: &str) -> Result<()> {
    prepare(deployment, example)?;
    let here = deployment.dir().display().to_string();
    let line = example
        .replace("/srv/deploy", &here)
        .replace("/srv/drill", &here)
        .replace("/tmp/extracted", &here)
        .replace("cd BUNDLE", &format!("cd backups/{BUNDLE}"));
    let mut command = deployment.stage("bash", &["-euo", "pipefail", "-c", &line]);
    command.env("PARTIAL", format!("backups/.{BUNDLE}.partial"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // What the operator would type, where it asks.
    let _ = std::io::Write::write_all(
        &mut child.stdin.take().context("stdin")?,
        format!("{DOMAIN}\nn\n").as_bytes(),
    );
    let out = child.wait_with_output()?;
    ensure!(
        out.status.success(),
        "{example}\nended with {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// Makes a bucket of the deployment's own storage the destination of copies.
fn ship_to_itself(deployment: &Deployment) -> Result<()> {
    deployment.s3().create_bucket("offsite")?;
    let facts = deployment.facts();
    sh(
        deployment.dir(),
        &format!(
            "echo sealed > a.tar.age && age-keygen 2>/dev/null | age-keygen -y > backup.pub
             printf '%s\\n' BACKUP_SHIP=no SHIP_RECIPIENTS=backup.pub SHIP_1=s3://offsite/host1 \
               'SHIP_1_ENDPOINT={}' 'SHIP_1_ACCESS_KEY={}' 'SHIP_1_SECRET_KEY={}' >> .env",
            facts.s3_endpoint(),
            facts.s3_access_key,
            facts.s3_secret_key
        ),
    )
    .map(drop)
}

#[test]
fn every_example_of_every_help_runs_as_printed() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    sh(deployment.dir(), &format!("sed -i 's/^PIPRIO_DOMAIN=.*/PIPRIO_DOMAIN={DOMAIN}/' .env"))?;
    ship_to_itself(&deployment)?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    sh(deployment.dir(), &format!("mv '{}' pristine", bundle.display()))?;

    let (mut failures, mut run_so_far) = (Vec::new(), 0);
    for target in targets()?.iter().filter(|target| target.tool != NEEDS_AN_ENGINE) {
        let help = target.name();
        let examples = examples(&target.help()?);
        run_so_far += examples.len();
        if examples.is_empty() && !help.starts_with("deploy-env ") {
            failures.push(format!("{help}: no examples"));
        }
        failures.extend(
            examples
                .iter()
                // As the compose driver's, these need an engine.
                .filter(|example| !example.contains("--level app"))
                .filter_map(|e| run(&deployment, e).err())
                .map(|e| format!("{help}: {e:#}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(run_so_far > 40, "only {run_so_far} examples were found");
    Ok(())
}
