//! `pg-snap status`: whether the server answers, and what is in the database.

use crate::client::Clients;
use crate::database_names::{is_beside, is_kept};
use crate::psql::{self, Server};
use crate::sql::literal;
use anyhow::{Context, Result};
use bundle_format::report::{DatabaseBeside, DatabaseStatus};
use pipe_kit::{Exit, text};

/// Prints the status of `PGDATABASE` on its server. A database that is not there is an answer too.
pub fn run(clients: &Clients, json: bool) -> Result<Exit> {
    let database = psql::wanted_database()?;
    // One that is there and cannot be opened is seen from another.
    let server = Server::connect(clients, &database)
        .or_else(|error| Server::connect_beside(clients, &database).map_err(|_| error))?;
    let status = read_status(&server, &database)?;
    let text =
        if json { format!("{}\n", serde_json::to_string(&status)?) } else { to_text(&status) };
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

fn read_status(server: &Server, database: &str) -> Result<DatabaseStatus> {
    let databases = server.databases()?;
    let beside = databases.iter().filter(|(_, name)| is_beside(database, name));
    let beside = beside
        .map(|(oid, name)| DatabaseBeside {
            name: name.clone(),
            oid: *oid,
            kept: is_kept(database, name),
        })
        .collect();
    let query = include_str!("status/server.sql").replace(":'db'", &literal(database));
    let facts = server.query(&server.maintenance, &query)?;
    let (oid, is_template, prepared_transactions, may_create): (Option<u32>, _, _, _) =
        serde_json::from_str(&facts).context("reading the server's answer")?;
    // Not every hosted server lets its roles ask.
    let ask = "select system_identifier from pg_catalog.pg_control_system()";
    let system_identifier = server.query(&server.maintenance, ask).ok();
    let mut status = DatabaseStatus {
        server_version: server.version.to_string(),
        system_identifier: system_identifier.map(|text| text.trim().to_owned()),
        database: database.to_owned(),
        exists: oid.is_some(),
        oid,
        is_template,
        prepared_transactions,
        may_create,
        unopened: None,
        size_bytes: None,
        connections: None,
        schemas: Vec::new(),
        beside,
    };
    if status.exists {
        // The server has answered: a database that does not open is there, and can be replaced.
        match server.query(database, include_str!("status/database.sql")) {
            Ok(answer) => {
                let (size, connections, schemas) =
                    serde_json::from_str(&answer).context("reading the database's answer")?;
                (status.size_bytes, status.connections, status.schemas) =
                    (Some(size), Some(connections), schemas);
            }
            Err(error) => status.unopened = Some(text::one_line(&format!("{error:#}"))),
        }
    }
    Ok(status)
}

fn to_text(status: &DatabaseStatus) -> String {
    let mut text =
        format!("Server: PostgreSQL {}\nDatabase: {}\n", status.server_version, status.database);
    match (status.size_bytes, status.connections) {
        (Some(size), Some(connections)) => {
            text += &format!("Bytes: {size}\nConnections: {connections}\n");
            text += &format!("Schemas: {} ({})\n", status.schemas.len(), status.schemas.join(" "));
        }
        _ => match &status.unopened {
            Some(why) => text += &format!("Cannot be opened: {why}\n"),
            None => text += "Exists: no\n",
        },
    }
    if !status.beside.is_empty() {
        let names: Vec<&str> = status.beside.iter().map(|b| b.name.as_str()).collect();
        text += &format!("Beside it: {}\n", names.join(" "));
    }
    text
}
