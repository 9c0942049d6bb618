//! How the loaded database gets its name, and what becomes of the old one.

use super::Load;
use super::omitted::Omitted;
use crate::database_names::DatabaseNames;
use crate::sql::with_suffix;
use anyhow::{Context, Result};
use pipe_kit::{info, warning};

/// What has come of a load by the swap.
pub struct Swapped {
    pub omitted: Vec<Omitted>,
    /// Whether the old database is kept.
    pub keep: bool,
    /// The name of the old database, if there was one.
    pub old: Option<String>,
}

impl Load {
    /// Swaps the names. `omitted`: what was left out.
    pub(super) fn swap(&self, keep_previous: bool, omitted: Vec<Omitted>) -> Result<Swapped> {
        let DatabaseNames { database, incoming, outgoing, previous, .. } = &self.names;
        let mut renames = Vec::new();
        let has = |name| self.server.has_database(name);
        let old = match has(database)? {
            true => Some(database),
            false if has(outgoing)? => Some(outgoing),
            false => None,
        };
        let kept = if keep_previous { previous } else { outgoing };
        if let Some(old) = old.filter(|old| *old != kept) {
            if keep_previous {
                renames.extend(self.rename_older_previous()?);
            }
            renames.push((old.clone(), kept.clone()));
        }
        renames.push((incoming.clone(), database.clone()));
        self.in_doubt.set(true);
        self.server.rename_databases(&renames)?;
        Ok(Swapped { omitted, keep: keep_previous, old: old.map(|_| kept.clone()) })
    }

    /// Keeps the old database after all, under the name that is returned.
    pub(super) fn keep_old(&self, old: &str) -> Result<String> {
        let previous = &self.names.previous;
        let mut renames = Vec::from_iter(self.rename_older_previous()?);
        renames.push((old.to_owned(), previous.clone()));
        self.server.rename_databases(&renames)?;
        Ok(previous.clone())
    }

    /// The new name of the previous database of an earlier load, which may be the only copy.
    fn rename_older_previous(&self) -> Result<Option<(String, String)>> {
        let previous = &self.names.previous;
        if !self.server.has_database(previous)? {
            return Ok(None);
        }
        let now = self.server.query(
            &self.server.maintenance,
            "select pg_catalog.to_char(pg_catalog.now() at time zone 'UTC', '_YYYYMMDD\"T\"HH24MISS\"Z\"')",
        )?;
        let name = with_suffix(previous, now.trim());
        warning!(
            "there was a database {previous} already; it is kept as {name}; drop it when you are sure"
        );
        Ok(Some((previous.clone(), name)))
    }

    pub(super) fn finish_old(&self, keep_previous: bool, old: Option<&str>) -> Result<()> {
        let name = &self.names.database;
        match old {
            Some(old) if keep_previous => {
                info!("{name} is loaded; the old database is kept as {old}");
                Ok(())
            }
            Some(old) => self
                .server
                .drop_database(old)
                .with_context(|| format!("the old database is still there as {old}")),
            None => Ok(()),
        }
    }
}
