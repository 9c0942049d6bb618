//! Every example of every `--help`, run as printed: an operator at three in the morning types them.

use anyhow::{Context, Result, ensure};
use pipeline_tests::deployment::{Deployment, Options, sh};
use pipeline_tests::tool;
use std::process::{Command, Stdio};

const DOMAIN: &str = "piprio.example.com";
const BUNDLE: &str = "piprio_20260421T020000Z";
const HELPS: [&str; 32] = [
    "deploy-env",
    "deploy-env get",
    "deploy-env show",
    "pg-snap",
    "pg-snap dump",
    "pg-snap load",
    "pg-snap extract",
    "pg-snap inspect",
    "pg-snap status",
    "pg-snap previous",
    "obj-mirror",
    "obj-mirror verify",
    "obj-mirror status",
    "obj-mirror make-bucket",
    "cfg-pack",
    "cfg-pack create",
    "cfg-pack list",
    "cfg-pack diff",
    "cfg-pack extract",
    "bundle-manifest",
    "bundle-manifest describe",
    "bundle-manifest sums",
    "bundle-manifest publish",
    "bundle-manifest verify",
    "bundle-manifest list",
    "bundle-manifest diff",
    "bundle-manifest alarm",
    "bundle-manifest pack",
    "bundle-manifest unpack",
    "bundle-prune",
    "restore-run",
    "health-probe",
];

/// The commands of a help text's EXAMPLES: lines indented by two; deeper ones explain.
fn examples(help: &str) -> Vec<String> {
    let after = help.lines().skip_while(|l| !l.starts_with("EXAMPLES")).skip(1);
    after
        .take_while(|l| l.is_empty() || l.starts_with("  "))
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        // A remark may follow at a distance.
        .map(|l| l[2..].split("   ").next().unwrap_or_default().trim_end().to_owned())
        .collect()
}

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
    if example.contains("previous") {
        let out = deployment
            .stage("pg-snap", &["load", "--keep-previous", "database.sql.gz"])
            .output()?;
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

#[test]
fn every_example_of_every_help_runs_as_printed() -> Result<()> {
    let deployment = Deployment::temporary(&Options::default())?;
    sh(deployment.dir(), &format!("sed -i 's/^PIPRIO_DOMAIN=.*/PIPRIO_DOMAIN={DOMAIN}/' .env"))?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    sh(deployment.dir(), &format!("mv '{}' pristine", bundle.display()))?;

    let (mut failures, mut run_so_far) = (Vec::new(), 0);
    for help in HELPS {
        let mut words = help.split(' ');
        let program = tool(words.next().context("a name")?);
        let out = Command::new(program).args(words).arg("--help").output()?;
        let examples = examples(&String::from_utf8(out.stdout)?);
        run_so_far += examples.len();
        if examples.is_empty() && !help.starts_with("deploy-env ") {
            failures.push(format!("{help}: no examples"));
        }
        failures.extend(
            examples
                .iter()
                .filter_map(|e| run(&deployment, e).err())
                .map(|e| format!("{help}: {e:#}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(run_so_far > 40, "only {run_so_far} examples were found");
    Ok(())
}
