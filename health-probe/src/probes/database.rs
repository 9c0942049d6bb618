//! The database, asked by `pg-snap status`.

use super::bytes;
use crate::ask::ask;
use crate::limit::Limit;
use crate::probe::{Facts, Kind, Probe};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::process::Command;
use std::time::Instant;

#[derive(Deserialize)]
struct Status {
    server_version: String,
    exists: bool,
    size_bytes: Option<u64>,
    connections: Option<u64>,
}

/// The database's name.
pub fn name() -> String {
    std::env::var("PGDATABASE").unwrap_or_else(|_| "database".into())
}

/// Whether the database answers; its server's version, size and sessions.
pub fn probe(_: &Settings, limit: Limit) -> Vec<Probe> {
    let start = Instant::now();
    let mut command = Command::new("pg-snap");
    let answer = ask(command.args(["status", "--json"]), "pg-snap status", limit);
    let probe = match answer.and_then(|text| told(&text)) {
        Ok((detail, facts)) => {
            Probe::pass(Kind::Database, &name(), detail).knowing(facts).after(start.elapsed())
        }
        Err(error) => Probe::fail(Kind::Database, &name(), format!("{error:#}")),
    };
    vec![probe]
}

fn told(json: &str) -> Result<(String, Facts)> {
    let status: Status =
        serde_json::from_str(json).context("pg-snap status: its answer is not understood")?;
    if !status.exists {
        bail!("PostgreSQL {} answers, but has no such database", status.server_version);
    }
    let mut detail = format!("PostgreSQL {}", status.server_version);
    if let Some(size) = status.size_bytes {
        detail += &format!(", {}", bytes(size));
    }
    if let Some(connections) = status.connections {
        detail += &format!(", {connections} connections");
    }
    let facts = Facts::from([
        ("server_version", status.server_version.into()),
        ("size_bytes", status.size_bytes.into()),
        ("connections", status.connections.into()),
    ]);
    Ok((detail, facts))
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn version_size_and_sessions_are_told_and_an_absent_database_is_a_failure() {
        let json = r#"{"server_version":"15.18","exists":true,"size_bytes":2048,"connections":3,"schemas":["x"]}"#;
        let (detail, facts) = told(json).unwrap();
        assert_eq!(detail, "PostgreSQL 15.18, 2.0 KiB, 3 connections");
        assert_eq!((&facts["size_bytes"], &facts["connections"]), (&2048.into(), &3.into()));
        let absent = r#"{"server_version":"15.18","exists":false,"size_bytes":null}"#;
        assert!(told(absent).unwrap_err().to_string().contains("no such database"));
        assert!(told("").is_err());
    }
}
