//! The database, by `pg-snap status`.

use crate::limit::Limit;
use crate::probe::{Facts, Probe};
use crate::program::output;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use bundle_format::report::{DatabaseStatus, ProbeKind};
use pipe_kit::text;
use std::process::Command;
use std::time::Instant;

/// The database's name.
pub fn name() -> String {
    std::env::var("PGDATABASE").unwrap_or_else(|_| "database".into())
}

/// Whether the database answers; its server's version, its size and its sessions.
pub fn probe(_: &Settings, limit: Limit) -> Vec<Probe> {
    let start = Instant::now();
    let mut command = Command::new("pg-snap");
    let answer = output(command.args(["status", "--json"]), "pg-snap status", limit);
    let probe = match answer.and_then(|text| read(&text)) {
        Ok((detail, facts)) => Probe::pass(ProbeKind::Database, &name(), detail)
            .with_facts(facts)
            .after(start.elapsed()),
        Err(error) => Probe::fail(ProbeKind::Database, &name(), format!("{error:#}")),
    };
    vec![probe]
}

fn read(json: &str) -> Result<(String, Facts)> {
    let status: DatabaseStatus =
        serde_json::from_str(json).context("pg-snap status: its report cannot be read")?;
    if !status.exists {
        bail!("PostgreSQL {} answers, but has no such database", status.server_version);
    }
    if let Some(why) = status.unopened {
        bail!(
            "PostgreSQL {} answers, but the database cannot be opened: {why}",
            status.server_version
        );
    }
    let mut detail = format!("PostgreSQL {}", status.server_version);
    if let Some(size) = status.size_bytes {
        detail += &format!(", {}", text::size(size));
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
    use super::*;

    #[test]
    fn version_size_and_sessions_are_reported_and_an_absent_database_is_a_failure() {
        let status = DatabaseStatus {
            server_version: "15.18".to_owned(),
            system_identifier: None,
            database: "d".to_owned(),
            exists: true,
            oid: Some(1),
            is_template: false,
            prepared_transactions: 0,
            may_create: true,
            unopened: None,
            size_bytes: Some(2048),
            connections: Some(3),
            schemas: vec!["x".to_owned()],
            beside: Vec::new(),
        };
        let json = |status: &DatabaseStatus| serde_json::to_string(status).unwrap();
        let (detail, facts) = read(&json(&status)).unwrap();
        assert_eq!(detail, "PostgreSQL 15.18, 2.0 KiB, 3 connections");
        assert_eq!((&facts["size_bytes"], &facts["connections"]), (&2048.into(), &3.into()));
        let absent = json(&DatabaseStatus { exists: false, size_bytes: None, ..status.clone() });
        assert!(read(&absent).unwrap_err().to_string().contains("no such database"));
        let unopened = DatabaseStatus { unopened: Some("gone".to_owned()), ..status };
        assert!(read(&json(&unopened)).unwrap_err().to_string().contains("cannot be opened: gone"));
        assert!(read("").is_err());
    }
}
