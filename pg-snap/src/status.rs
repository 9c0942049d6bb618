//! `pg-snap status`: does the server answer, and what is in the database?

use crate::client::Clients;
use crate::load::is_beside;
use crate::psql::{self, Server};
use crate::sql::literal;
use anyhow::{Context, Result};
use bundle_format::report::{DatabaseBeside, DatabaseStatus};
use pipe_kit::Exit;

/// Prints the status of `PGDATABASE` on its server. A database that is not there is an answer too.
///
/// # Errors
/// If the server, or a database that is there, does not answer.
pub fn run(clients: &Clients, json: bool) -> Result<Exit> {
    let database = psql::wanted_database()?;
    let server = Server::connect(clients, &database)?;
    let status = ask(&server, &database)?;
    let text =
        if json { format!("{}\n", serde_json::to_string(&status)?) } else { to_text(&status) };
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

fn ask(server: &Server, database: &str) -> Result<DatabaseStatus> {
    let databases = server.databases()?;
    let beside = databases.iter().filter(|(_, name)| is_beside(database, name));
    let beside =
        beside.map(|(oid, name)| DatabaseBeside { name: name.clone(), oid: *oid }).collect();
    let facts = server.query(
        &server.maintenance,
        &format!(
            "select pg_catalog.json_build_array( \
               (select oid::pg_catalog.int8 from pg_catalog.pg_database where datname = {name}), \
               coalesce((select datistemplate from pg_catalog.pg_database where datname = {name}), false), \
               (select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts where database = {name}), \
               (select rolcreatedb or rolsuper from pg_catalog.pg_roles where rolname = current_user))",
            name = literal(database)
        ),
    )?;
    let (oid, is_template, prepared_transactions, may_create): (Option<u32>, _, _, _) =
        serde_json::from_str(&facts).context("asking the server")?;
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
        size_bytes: None,
        connections: None,
        schemas: Vec::new(),
        beside,
    };
    if status.exists {
        let answer = server.query(
            database,
            "select pg_catalog.json_build_array(pg_catalog.pg_database_size(pg_catalog.current_database()), \
             (select count(*) from pg_catalog.pg_stat_activity where datname = pg_catalog.current_database() \
              and pid <> pg_catalog.pg_backend_pid()), \
             (select coalesce(pg_catalog.json_agg(nspname order by nspname), '[]') from pg_catalog.pg_namespace \
              where nspname !~ '^pg_' and nspname <> 'information_schema'))",
        )?;
        let (size, connections, schemas) =
            serde_json::from_str(&answer).context("asking the database")?;
        (status.size_bytes, status.connections, status.schemas) =
            (Some(size), Some(connections), schemas);
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
        _ => text += "Exists: no\n",
    }
    if !status.beside.is_empty() {
        let names: Vec<&str> = status.beside.iter().map(|b| b.name.as_str()).collect();
        text += &format!("Beside it: {}\n", names.join(" "));
    }
    text
}
