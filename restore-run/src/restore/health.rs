//! The last step: the health check, and what may go once it has passed.

use super::{Restore, restore_command};
use crate::journal::Journal;
use crate::preflight::DatabaseReport;
use crate::step::{Selection, Step};
use crate::tool::{self, Tool};
use anyhow::Result;
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
        if journal.incomplete {
            self.ledger.close()?;
            warning!("the restore is complete but for what was damaged and left out, named above");
            self.tell_previous(journal);
            return Ok(Exit::Incomplete);
        }
        let dropped = self.drop_previous(&journal.previous)?;
        self.ledger.close()?;
        let old = if dropped { "the old database is dropped; " } else { "" };
        say!("the health check passed; {old}the restore is complete");
        self.tell_roles_without_login()
    }

    pub(super) fn drop_tool(oids: &[u32]) -> Tool {
        let drop = Tool::new("pg-snap").args(["previous", "drop"]);
        oids.iter().fold(drop, |tool, oid| tool.arg("--oid").arg(oid.to_string()))
    }

    /// Gives whether they were dropped, and not kept for being others.
    fn drop_previous(&self, oids: &[u32]) -> Result<bool> {
        if oids.is_empty() {
            return Ok(false);
        }
        match Self::drop_tool(oids).run() {
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
        if journal.previous.is_empty() {
            return;
        }
        let swap = Tool::new("pg-snap").args(["previous", "swap"]);
        let swap = match journal.previous.first() {
            Some(oldest) if journal.previous.len() > 1 => swap.arg("--oid").arg(oldest.to_string()),
            _ => swap,
        };
        warning!(
            "the database from before the restore is kept beside the new one; to swap it back: {}",
            self.by_hand(&swap)
        );
        if journal.incomplete {
            let drop = Self::drop_tool(&journal.previous);
            warning!("once it is not needed any more, to drop it: {}", self.by_hand(&drop));
        }
    }

    fn tell_how_to_go_on(&self) {
        warning!(
            "the restore is unfinished, and backup.sh refuses until it is finished: {} --resume; or given up: restore.sh --abandon",
            restore_command(self.settings, &self.bundle, Default::default())
        );
    }

    /// A stage as an operator types it, without this run's environment.
    fn by_hand(&self, tool: &Tool) -> String {
        let deploy_env = self.settings.deploy.join("bin/deploy-env");
        format!("{} -- {}", shell_words::quote(&deploy_env.to_string_lossy()), tool.to_shell())
    }

    /// Roles that a load had to make come back without their passwords, which are in no dump.
    fn tell_roles_without_login(&self) -> Result<Exit> {
        let report: DatabaseReport = self.preflight_checks().database_tool().report()?;
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
                Ok(Exit::Failed)
            }
            None => Ok(Exit::Done),
        }
    }
}
