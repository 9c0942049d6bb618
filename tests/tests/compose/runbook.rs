//! The numbered lists of docs/MOVE.md and docs/DRILL.md, typed exactly.

use crate::kit::Host;
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::path::Path;
use test_kit::tools::{bin_dir, workspace};

/// A line to be typed, and what is answered to what it asks.
#[derive(Debug)]
pub struct Line {
    pub command: String,
    pub answers: String,
}

/// Every line of a page's section that begins with `$ `, in order. An answer follows its question, as on
/// the terminal.
pub fn lines(page: &str, heading: &str) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(workspace().join("docs").join(page))?;
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).context("no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut found: Vec<Line> = Vec::new();
    for line in section.lines().map(str::trim_start) {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push(Line { command: command.to_owned(), answers: String::new() });
        } else if let Some(last) = found.last_mut() {
            let asked = line.split_once("domain to continue: ").or(line.split_once("[y/N] "));
            if let Some((_, answer)) = asked {
                last.answers += &format!("{answer}\n");
            }
        }
    }
    Ok(found)
}

/// What the lists take for granted: the toolkit beside the deployment, and a share with the bundle.
pub fn prepare(host: &Host, bundle: &Path) -> Result<()> {
    let toolkit = host.dir().join("piprio-backup");
    std::fs::create_dir(&toolkit)?;
    symlink(workspace().join("scripts"), toolkit.join("scripts"))?;
    symlink(bin_dir()?, toolkit.join("bin"))?;
    std::fs::create_dir(host.dir().join("share"))?;
    let name = bundle.file_name().context("a bundle's name")?;
    Ok(std::fs::rename(bundle, host.dir().join("share").join(name))?)
}

/// Types them all on a host, whose directory stands for /srv/piprio and /srv.
pub fn follow(host: &Host, lines: &[Line], bundle: &Path, port: u16) -> Result<()> {
    let name = bundle.file_name().context("a bundle's name")?.to_string_lossy();
    for line in lines {
        let command = line
            .command
            .replace("/srv/", &format!("{}/", host.dir().display()))
            .replace("piprio_20261126T013000Z", &name)
            .replace("18080", &port.to_string());
        let command = match host.has_plugin() {
            true => command,
            false => command.replace("docker compose", "docker-compose"),
        };
        println!("$ {command}");
        host.typed(&command, &line.answers)?.expect(0);
    }
    Ok(())
}

/// A port nobody listens at.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn a_section_is_read_as_lines_with_their_answers() {
    let lines = lines("MOVE.md", "Moving to another host with Docker Compose").unwrap();
    let restore = lines.iter().find(|l| {
        l.command.starts_with("bash deploy/scripts/restore.sh") && !l.command.contains("--")
    });
    assert_eq!(restore.unwrap().answers, "piprio.example.com\nn\n");
    assert!(lines.len() > 6 && lines.iter().any(|line| line.command.contains("sha256sum -c")));
}
