//! One drill: what its steps work on.

use crate::bundle::Bundle;
use crate::results::Results;
use crate::server::PrivateServer;
use crate::settings::Settings;
use crate::workplace::Workplace;
use anyhow::{Context, Result};
use bundle_format::report::{DrillReport, DumpReport, Listing};
use pipe_kit::tool::Tool;
use run_events::Record;
use serde::Deserialize;
use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::path::PathBuf;
use std::sync::Arc;

/// What `pg-snap dump` records of the database, as far as a drill needs it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DumpedDatabase {
    /// Its name.
    pub name: String,
    /// Its size on its server's disk.
    #[serde(default)]
    pub size_bytes: Option<u64>,
}

/// What the dump holds, by its index.
pub type Dump = DumpReport<DumpedDatabase>;

/// Bytes of a loaded database for each byte of rows in a dump, where the dump does not record the database's size.
const BYTES_PER_BYTE: u64 = 3;
/// An empty database has about so many bytes.
const EMPTY_DATABASE: u64 = 16 << 20;

/// A drill that runs.
pub struct Drill {
    pub settings: Settings,
    pub bundle: Bundle,
    /// The bundles of this deployment.
    pub listing: Listing,
    /// Why they could not be listed.
    pub unlisted: Option<String>,
    /// The reports of earlier drills, oldest first.
    pub history: Vec<DrillReport>,
    pub workplace: Workplace,
    pub results: Arc<Results>,
    /// None: a part of a drill is not recorded.
    pub record: Option<Arc<Record>>,
    pub dump: OnceCell<Dump>,
    /// Whether the server is to outlive us.
    pub keep: Cell<bool>,
    server: RefCell<Option<PrivateServer>>,
    database: OnceCell<String>,
    config: OnceCell<PathBuf>,
}

impl Drill {
    /// A drill of this bundle, at its beginning.
    pub fn new(
        settings: Settings,
        bundle: Bundle,
        listing: Listing,
        history: Vec<DrillReport>,
        workplace: Workplace,
        (results, record): (Arc<Results>, Option<Arc<Record>>),
    ) -> Self {
        Self {
            settings,
            bundle,
            listing,
            unlisted: None,
            history,
            workplace,
            results,
            record,
            dump: OnceCell::new(),
            keep: Cell::new(false),
            server: RefCell::new(None),
            database: OnceCell::new(),
            config: OnceCell::new(),
        }
    }

    /// What the dump holds.
    ///
    /// # Errors
    /// If the dump was not read.
    pub fn dump(&self) -> Result<&Dump> {
        self.dump.get().context("the dump was not read")
    }

    /// The private server runs.
    pub fn set_server(&self, server: PrivateServer) {
        *self.server.borrow_mut() = Some(server);
    }

    /// Whether it runs.
    pub fn has_server(&self) -> bool {
        self.server.borrow().is_some()
    }

    /// The private server.
    ///
    /// # Errors
    /// If none runs.
    pub fn server(&self) -> Result<Ref<'_, PrivateServer>> {
        Ref::filter_map(self.server.borrow(), Option::as_ref)
            .ok()
            .context("no private server is running")
    }

    /// Gives the server away, to be stopped or kept.
    pub fn take_server(&self) -> Option<PrivateServer> {
        self.server.borrow_mut().take()
    }

    /// The dump is loaded into this database of the private server.
    pub fn set_loaded(&self, database: String) {
        let _ = self.database.set(database);
    }

    /// The database that was loaded, if it was.
    pub fn loaded(&self) -> Option<&str> {
        self.database.get().map(String::as_str)
    }

    /// `pg-snap` for the loaded database.
    ///
    /// # Errors
    /// If nothing is loaded.
    pub fn pg_snap(&self) -> Result<Tool> {
        let database = self.loaded().context("no database is loaded")?;
        Ok(self.server()?.tool("pg-snap", database))
    }

    /// `psql` for the loaded database. Where the server runs in a container, so does psql.
    ///
    /// # Errors
    /// If nothing is loaded.
    pub fn psql(&self) -> Result<Tool> {
        let database = self.loaded().context("no database is loaded")?;
        let server = self.server()?;
        let is_inside = server.environment(database).iter().any(|(name, _)| name == "PG_SNAP_EXEC");
        Ok(match is_inside {
            false => server.tool("psql", database),
            true => {
                let inside = r#"eval "exec $PG_SNAP_EXEC psql \"\$@\"""#;
                server.tool("sh", database).args(["-c", inside, "psql"])
            }
        })
    }

    /// The recovery time is known.
    pub fn recovered(&self, seconds: f64) {
        if let Some(record) = &self.record {
            record.change(|run| run.drill.get_or_insert_default().rto_seconds = Some(seconds));
        }
    }

    /// The configuration is extracted there.
    pub fn set_config(&self, dir: PathBuf) {
        let _ = self.config.set(dir);
    }

    /// The extracted configuration, if there is one.
    pub fn config(&self) -> Option<&PathBuf> {
        self.config.get()
    }
}

/// The name under which the database is loaded: its own, unless the server has one of that name from the start.
pub fn database_name(dump: &Dump) -> String {
    let own = dump.database.as_ref().map(|database| database.name.as_str()).unwrap_or_default();
    match own {
        "" | "postgres" | "template0" | "template1" => "drill".to_owned(),
        own => own.to_owned(),
    }
}

/// How many bytes the loaded database needs, estimated.
pub fn estimated_bytes(dump: &Dump) -> u64 {
    let recorded = dump.database.as_ref().and_then(|database| database.size_bytes);
    recorded.unwrap_or(dump.bytes.saturating_mul(BYTES_PER_BYTE)).saturating_add(EMPTY_DATABASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(name: Option<&str>, size_bytes: Option<u64>) -> Dump {
        let database = name.map(|name| DumpedDatabase { name: name.to_owned(), size_bytes });
        Dump { database, bytes: 100 << 20, ..Dump::default() }
    }

    #[test]
    fn a_database_keeps_its_name_where_it_can_and_its_size_where_it_is_known() {
        for (name, expected) in [
            (Some("piprio"), "piprio"),
            (Some("postgres"), "drill"),
            (Some(""), "drill"),
            (None, "drill"),
        ] {
            assert_eq!(database_name(&dump(name, None)), expected);
        }
        assert_eq!(estimated_bytes(&dump(Some("a"), Some(5 << 20))), (5 << 20) + EMPTY_DATABASE);
        assert_eq!(estimated_bytes(&dump(None, None)), (300 << 20) + EMPTY_DATABASE);
    }
}
