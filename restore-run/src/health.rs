//! The last step: the health check, and what is dropped once it has passed.

use crate::commands::by_hand;
use crate::database::{self, InPlace, drop_tool, in_place, swap_tool};
use crate::journal::Journal;
use crate::load_record;
use crate::run::Run;
use crate::step::{Selection, Step};
use anyhow::Result;
use bundle_format::report::LoadPreflight;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, info, warning};

impl Run {
    pub fn health_tool(&self) -> Tool {
        self.settings.tool("health-probe").arg("--wait").arg(self.options.wait_seconds.to_string())
    }

    /// A health check that fails is an outcome, shown by its table, and not a step that failed.
    pub fn health(&self) -> Result<Exit> {
        let passed = self.health_tool().run_to_stdout();
        match (passed, self.state.journal()) {
            (Ok(()), Some(journal)) if self.selection.reaches_the_end() => self.complete(&journal),
            (Ok(()), _) => {
                if self.selection == Selection::All {
                    info!("the health check passed; the restore is complete");
                }
                Ok(Exit::Done)
            }
            (Err(error), journal) => {
                warning!("{error:#}: the health check did not pass");
                if let Some(journal) = journal {
                    self.warn_of_previous(&journal);
                    self.warn_if_unfinished();
                }
                Ok(Exit::Failed)
            }
        }
    }

    /// The check has passed: the old database is dropped, if this restore left nothing out.
    fn complete(&self, journal: &Journal) -> Result<Exit> {
        if !journal.reaches(Step::Health) {
            warning!(
                "the health check passed, but the steps of the restore are finished only up to {}; the old database is kept",
                journal.done
            );
            self.warn_if_unfinished();
            return Ok(Exit::Done);
        }
        // The health check passes with any database that works.
        let now = || database::status(&self.settings);
        if journal.load.is_some() && in_place(journal, now()) != InPlace::New {
            warning!(
                "the health check passed, but the database in place is not the one that this restore has loaded"
            );
            self.warn_if_unfinished();
            return Ok(Exit::Failed);
        }
        if journal.incomplete {
            self.close()?;
            warning!("the restore is complete except for what was left out, named above");
            self.warn_of_previous(journal);
            self.check_roles();
            return Ok(Exit::Incomplete);
        }
        let dropped = self.drop_previous(&journal.previous)?;
        self.close()?;
        let old = if dropped { "the old database is dropped; " } else { "" };
        info!("the health check passed; {old}the restore is complete");
        Ok(self.check_roles())
    }

    /// The restore is complete, so nobody needs what its load has recorded.
    fn close(&self) -> Result<()> {
        self.state.close_journal()?;
        load_record::remove(&self.settings.load_record())
    }

    /// Returns whether they were dropped. Databases that are not ours are kept.
    fn drop_previous(&self, oids: &[u32]) -> Result<bool> {
        if oids.is_empty() {
            return Ok(false);
        }
        match drop_tool(&self.settings, oids).run() {
            Ok(()) => Ok(true),
            // Swapped back in the meantime, or replaced by hand.
            Err(error) if pipe_kit::status::of(&error) == Exit::Refused => {
                let name = &self.settings.database;
                warning!(
                    "the database beside {name} is not the one that this restore has kept; it is not dropped"
                );
                Ok(false)
            }
            Err(error) => {
                Err(error.context("everything is restored, but the old database was not dropped"))
            }
        }
    }

    fn warn_of_previous(&self, journal: &Journal) {
        let Some(oldest) = journal.previous.first() else { return };
        let status = database::status(&self.settings).ok();
        let beside = status.into_iter().flat_map(|status| status.beside);
        let name = beside.into_iter().find(|other| other.oid == *oldest).map(|other| other.name);
        let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
        warning!(
            "the database from before the restore is kept{name} beside the new one; to swap it back: {}",
            by_hand(&self.settings, &swap_tool(&self.settings, *oldest))
        );
        if journal.incomplete {
            let drop = drop_tool(&self.settings, &journal.previous);
            let drop = by_hand(&self.settings, &drop);
            warning!("to drop it once it is no longer needed: {drop}");
        }
    }

    /// Roles that a load has created have no password, since no dump contains one.
    fn check_roles(&self) -> Exit {
        let report: LoadPreflight = match self.preflight_checks().database_tool().report() {
            Ok(report) => report,
            Err(error) => {
                warning!(
                    "cannot determine whether a role of the bundle needs a password here: {error:#}"
                );
                return Exit::Done;
            }
        };
        for role in &report.roles_without_login {
            let quoted = role.replace('"', "\"\"");
            warning!(
                "role {role} could log in where the bundle was made, and cannot here: it needs a password; \
                 as a superuser, in psql: ALTER ROLE \"{quoted}\" LOGIN; \\password \"{quoted}\""
            );
        }
        let own = [report.dump_owner, self.settings.variable("PGUSER")];
        match own.iter().flatten().find(|role| report.roles_without_login.contains(role)) {
            Some(role) => {
                warning!(
                    "{role} is the application's own role: until then, the application cannot reach its database"
                );
                Exit::Failed
            }
            None => Exit::Done,
        }
    }
}
