//! The last step: the health check, and what may go once it has passed.

use super::swap::{Seen, seen};
use super::{Restore, abandon_command, restore_command};
use crate::journal::Journal;
use crate::step::{Selection, Step};
use crate::summary::database_status;
use crate::tool::{self, Tool};
use anyhow::Result;
use bundle_format::report::LoadPreflight;
use pipe_kit::{Exit, say, warning};

impl Restore<'_> {
    pub(super) fn health_tool(&self) -> Tool {
        Tool::new("health-probe").arg("--wait").arg(self.options.wait_seconds.to_string())
    }

    /// A health check that fails is an outcome, told by its table, and not a step that broke off.
    pub(super) fn health(&self) -> Result<Exit> {
        let well = self.health_tool().run_to_stdout();
        match (well, self.ledger.journal()) {
            (Ok(()), Some(journal)) if self.selection.reaches_the_end() => self.complete(&journal),
            (Ok(()), _) => {
                if self.selection == Selection::All {
                    say!("the health check passed; the restore is complete");
                }
                Ok(Exit::Done)
            }
            (Err(error), journal) => {
                warning!("{error:#}: the health check did not pass");
                if let Some(journal) = journal {
                    self.tell_previous(&journal);
                    self.tell_how_to_go_on();
                }
                Ok(Exit::Failed)
            }
        }
    }

    /// The check has passed: the old database may go, if this restore left nothing out.
    fn complete(&self, journal: &Journal) -> Result<Exit> {
        if !journal.reaches(Step::Health) {
            warning!(
                "the health check passed, but the restore's steps are finished only up to {}; the old database is kept",
                journal.done
            );
            self.tell_how_to_go_on();
            return Ok(Exit::Done);
        }
        // It checks what is there, whatever database that is.
        if journal.load.is_some() && seen(journal, database_status()) != Seen::New {
            warning!(
                "the health check passed, but the database in place is not the one that this restore has loaded"
            );
            self.tell_how_to_go_on();
            return Ok(Exit::Failed);
        }
        if journal.incomplete {
            self.ledger.close()?;
            warning!("the restore is complete except for what was left out, named above");
            self.tell_previous(journal);
            self.tell_roles_without_login();
            return Ok(Exit::Incomplete);
        }
        let dropped = self.drop_previous(&journal.previous)?;
        self.ledger.close()?;
        let old = if dropped { "the old database is dropped; " } else { "" };
        say!("the health check passed; {old}the restore is complete");
        Ok(self.tell_roles_without_login())
    }

    /// Gives whether they were dropped, and not kept for being others.
    fn drop_previous(&self, oids: &[u32]) -> Result<bool> {
        if oids.is_empty() {
            return Ok(false);
        }
        match drop_tool(oids).run() {
            Ok(()) => Ok(true),
            // Swapped back in the meantime, or replaced by hand.
            Err(error) if pipe_kit::status::of(&error) == Exit::Refused => {
                let name = &self.settings.database;
                warning!(
                    "the database beside {name} is not the one that this restore has put aside, and is kept"
                );
                Ok(false)
            }
            Err(error) => {
                Err(error.context("everything is restored, but the old database is still there"))
            }
        }
    }

    fn tell_previous(&self, journal: &Journal) {
        let Some(oldest) = journal.previous.first() else { return };
        warning!(
            "the database from before the restore is kept beside the new one; to swap it back: {}",
            swap_tool(*oldest).by_hand(self.settings)
        );
        if journal.incomplete {
            let drop = drop_tool(&journal.previous).by_hand(self.settings);
            warning!("once it is not needed any more, to drop it: {drop}");
        }
    }

    pub(super) fn tell_how_to_go_on(&self) {
        if self.ledger.journal().is_some() {
            warning!(
                "the restore is unfinished, and backup.sh refuses until it is finished: {} --resume; or given up: {}",
                restore_command(self.settings, &self.bundle, Default::default()),
                abandon_command(self.settings)
            );
        }
    }

    /// Roles that a load had to make come back without their passwords, which are in no dump.
    fn tell_roles_without_login(&self) -> Exit {
        let report: LoadPreflight = match self.preflight_checks().database_tool().report() {
            Ok(report) => report,
            Err(error) => {
                warning!(
                    "whether a role of the bundle needs a password here is not known: {error:#}"
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
        let own = [report.dump_owner, tool::variable("PGUSER")];
        match own.iter().flatten().find(|role| report.roles_without_login.contains(role)) {
            Some(role) => {
                warning!(
                    "{role} is the application's own role: it cannot reach its database before that"
                );
                Exit::Failed
            }
            None => Exit::Done,
        }
    }
}

/// Makes the database with that oid, which was put aside, the one in place again.
pub fn swap_tool(oid: u32) -> Tool {
    Tool::new("pg-snap").args(["previous", "swap", "--oid"]).arg(oid.to_string())
}

/// Drops those that were put aside.
pub fn drop_tool(oids: &[u32]) -> Tool {
    let drop = Tool::new("pg-snap").args(["previous", "drop"]);
    oids.iter().fold(drop, |tool, oid| tool.arg("--oid").arg(oid.to_string()))
}
