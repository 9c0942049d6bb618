//! PostgreSQL's clients: which there are, and queries through psql, as the other tools send them.

use crate::program::{Answer, LIMIT, Tools, ask};
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Where the clients run.
pub struct Clients<'a> {
    tools: &'a Tools,
    /// The words before every client's name; none where the clients run here.
    prefix: Vec<String>,
}

impl<'a> Clients<'a> {
    /// Those of a deployment, by its `PG_SNAP_EXEC`.
    ///
    /// # Errors
    /// If its quoting is broken.
    pub fn new(tools: &'a Tools, exec: Option<&str>) -> Result<Self> {
        let prefix = shell_words::split(exec.unwrap_or_default()).context("PG_SNAP_EXEC")?;
        Ok(Self { tools, prefix })
    }

    /// The words before every client's name.
    pub fn prefix(&self) -> &[String] {
        &self.prefix
    }

    fn command(&self, program: PathBuf) -> Command {
        match self.prefix.split_first() {
            Some((first, rest)) => {
                let mut command = self.tools.command(first);
                command.args(rest).arg(program);
                command
            }
            None => self.tools.command(program),
        }
    }

    /// The majors of the programs of a name.
    pub fn majors(&self, program: &str) -> Vec<u32> {
        let all = match self.prefix.is_empty() {
            true => self.installed(program),
            false => BTreeSet::from([PathBuf::from(program)]),
        };
        let answers = all.into_iter().filter_map(|path| {
            let answer = ask(self.command(path).arg("--version"), "", LIMIT).ok();
            answer.filter(Answer::is_good)
        });
        answers.filter_map(|answer| major_of(&answer.text)).collect()
    }

    /// On PATH, and where Debian puts them.
    fn installed(&self, program: &str) -> BTreeSet<PathBuf> {
        let path = self.tools.path();
        let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if let Ok(majors) = std::fs::read_dir("/usr/lib/postgresql") {
            dirs.extend(majors.flatten().map(|major| major.path().join("bin")));
        }
        let dirs: BTreeSet<PathBuf> =
            dirs.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
        dirs.into_iter().map(|dir| dir.join(program)).filter(|file| file.is_file()).collect()
    }

    /// The answer to a query that gives one JSON value.
    ///
    /// # Errors
    /// If there is no psql, it fails, or does not end in time.
    pub fn query<T: DeserializeOwned>(&self, sql: &str) -> Result<T> {
        let psql = match self.prefix.is_empty() {
            true => self.installed("psql").pop_last().context("there is no psql")?,
            false => PathBuf::from("psql"),
        };
        let mut command = self.command(psql);
        command.args(["-X", "-q", "-w", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        let answer = ask(command.env("PGAPPNAME", "deploy-env doctor"), sql, LIMIT)?;
        if !answer.is_good() {
            bail!("psql: {}", answer.why());
        }
        serde_json::from_str(&answer.text).context("the answer of psql cannot be read")
    }
}

/// The major in what a client's `--version` prints.
fn major_of(banner: &str) -> Option<u32> {
    let number = banner.split_once(") ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_any_banner() {
        for (banner, expected) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("pg_dump (PostgreSQL) 18beta1\n", Some(18)),
            ("pg_dump (PostgreSQL) 17\n", Some(17)),
            ("something else\n", None),
        ] {
            assert_eq!(major_of(banner), expected, "{banner}");
        }
    }
}
