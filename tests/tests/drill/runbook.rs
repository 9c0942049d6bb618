//! What docs/DRILL.md gives to type about `drill.sh`, typed exactly, in the order of the page. The list at its end, which
//! needs Docker Compose, is followed beside the other tests of containers.

use crate::kit::{Stand, older};
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::symlink;
use test_kit::deployment::{clean, run, sh};
use test_kit::tools::{bin_dir, workspace};

/// Where the list for Docker Compose begins.
const COMPOSE: &str = "\n## A drill beside the first deployment";

/// Something that the page has for its reader to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Type(String),
    /// A line for `.env`.
    Set(String),
}

/// In the order of the page: lines after a `$`, lines for `.env`, and every other command of `drill.sh` that it names.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut is_block) = (Vec::new(), false);
    for line in page.split(COMPOSE).next().unwrap_or_default().lines().map(str::trim) {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Type(command.to_owned()));
        } else if is_block && line.split('=').next().is_some_and(is_setting) {
            steps.push(Step::Set(line.to_owned()));
        } else if !is_block {
            let spans = line.split('`').skip(1).step_by(2);
            let commands = spans.filter(|span| span.starts_with("drill.sh "));
            steps.extend(commands.map(|it| Step::Type(format!("bash deploy/scripts/{it}"))));
        }
    }
    steps
}

fn is_setting(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn names_a_copy(command: &str) -> bool {
    ["s3://", "restic:", "SHIP_1:"].iter().any(|place| command.contains(place))
}

#[test]
fn every_command_of_the_page_does_as_described() -> Result<()> {
    let stand = Stand::without_checks(40)?;
    older(&stand, 10)?;
    let host = tempfile::tempdir()?;
    let (here, deploy) = (host.path(), stand.deployment.dir());
    // A drill that is made by hand has a directory of its own, which its settings are read from.
    for name in ["deploy", "drill"] {
        symlink(deploy, here.join(name))?;
    }
    let source = workspace();
    let toolkit = format!(
        "mkdir piprio-backup && cp -a '{0}'/scripts '{0}'/contrib piprio-backup",
        source.display()
    );
    sh(here, &toolkit)?;
    symlink(bin_dir()?, here.join("piprio-backup/bin"))?;
    let keys = "age-keygen -o KEY 2>/dev/null && age-keygen -y KEY > recipient";
    sh(here, keys)?;
    let bundle = stand.bundle.file_name().context("a name")?.to_string_lossy().into_owned();
    let seal = format!(
        "bash deploy/scripts/seal.sh 'deploy/backups/{bundle}' -r \"$(cat recipient)\" > FILE.tar.age"
    );
    let typed = |command: &str| -> Result<_> {
        let mut shell = clean("bash");
        shell.args(["-c", command]).current_dir(here).env("DESTDIR", here.join("root"));
        println!("$ {command}");
        Ok(run(shell, "")?.expect(0))
    };
    typed(&seal)?;

    let page = std::fs::read_to_string(source.join("docs/DRILL.md"))?;
    let mut drills = 0;
    for step in steps(&page) {
        match step {
            Step::Set(line) => drop(sh(here, &format!("echo '{line}' >> deploy/.env"))?),
            // Those of copies elsewhere are tried with the storages that they need, in the tests of `ship`.
            Step::Type(command) if names_a_copy(&command) => {}
            Step::Type(command) => {
                let is_drill = command.contains("drill.sh") && !command.contains("--dry-run");
                drills += usize::from(is_drill && !command.contains("--verify-reports"));
                typed(&command.replace("piprio_20261122T112122Z", &bundle))?;
            }
        }
    }
    ensure!(drills > 4, "the page has {drills} commands of drills");
    assert_eq!(stand.reports()?.len(), drills);
    assert!(here.join("root/etc/systemd/system/piprio-drill.timer").exists());
    assert!(deploy.join("drill.d/objects.sql").exists());
    assert!(sh(deploy, "cat .env")?.contains("\nDRILL_RPO_GOAL_HOURS=26\n"));
    Ok(())
}

#[test]
fn the_steps_of_a_page_are_its_lines_settings_and_commands() {
    let page = "# x\n`drill.sh` is it; `drill.sh --newest` too\n```\n$ mkdir a\nx: y\n```\n```\nA_B=1\n```\n\
                | `drill.sh A`, `drill.sh B` | C=2 |\n## A drill beside the first deployment\n$ no\n";
    let drill = |arguments: &str| Step::Type(format!("bash deploy/scripts/drill.sh {arguments}"));
    let expected = [
        drill("--newest"),
        Step::Type("mkdir a".into()),
        Step::Set("A_B=1".into()),
        drill("A"),
        drill("B"),
    ];
    assert_eq!(steps(page), expected);
}
