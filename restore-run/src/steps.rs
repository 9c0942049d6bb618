//! The steps, up to the health check.

use crate::commands::by_hand;
use crate::journal::Load;
use crate::options::ConfigChoice;
use crate::prompt::{Answers, confirms};
use crate::run::Run;
use crate::summary::{Summary, why_no_objects};
use crate::{cache, credentials, database, load_record, services};
use anyhow::{Context, Result};
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, info, warning};
use std::io::{BufRead, Write};

impl Run {
    pub fn validate(&self) -> Result<()> {
        if !self.choices.skip_verify {
            return self.verify_tool().run();
        }
        if !self.bundle.dump().is_file() {
            let what = format!("{} is missing", self.bundle.dump().display());
            return Err(Stop::damaged(what).into());
        }
        warning!(
            "--skip-verify: the seal, the end of the dump, the objects' bytes and the config archive are \
             not checked; what is found damaged on the way is reported and left out, and no object \
             is deleted from the bucket"
        );
        // No later step finds what is missing altogether.
        if let Err(error) = self.verify_tool().arg("--quick").run() {
            warning!("{error:#}: the restore will be incomplete");
            // A dry run leaves the journal as it is.
            if !self.options.dry_run {
                self.state.found_damage()?;
            }
        }
        Ok(())
    }

    pub fn verify_tool(&self) -> Tool {
        self.settings.tool("bundle-manifest").arg("verify").arg(&self.bundle.dir)
    }

    pub fn show_summary(&self) {
        let summary = Summary::gather(&self.bundle, &self.settings);
        let text = summary.to_text(&self.bundle, &self.settings, self.choices, chrono::Utc::now());
        // Beside the prompt, wherever standard output goes.
        let _ = writeln!(std::io::stderr().lock(), "\n{text}");
    }

    pub fn confirm(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        let Some(domain) = &self.settings.domain else {
            return Err(Stop::usage(
                "PIPRIO_DOMAIN is not set in .env: a restore is confirmed by typing it",
            )
            .into());
        };
        let question =
            "All current data will be replaced. Type the deployment's domain to continue:";
        let typed = answers.given_or_asked(self.options.confirm.as_deref(), question)?;
        if confirms(typed.as_deref(), domain) {
            return Ok(());
        }
        Err(Stop::refused("the deployment's domain was not typed").into())
    }

    pub fn preflight(&self) -> Result<()> {
        let started = services::start_stateful(&self.settings)?;
        self.preflight_checks().run(if started { self.options.wait_seconds } else { 0 })?;
        if self.options.safety_backup {
            info!("making a bundle of the present state, because of --safety-backup");
            self.safety_tool().run().context("the safety backup failed, so nothing is restored")?;
        }
        Ok(())
    }

    pub fn safety_tool(&self) -> Tool {
        let script = self.settings.deploy.join("scripts/backup.sh");
        let tool = self.settings.tool("bash").arg(script).arg("--safety-backup");
        if !self.options.root_lock {
            return tool;
        }
        tool.arg("--locked-root").arg(self.bundle.root())
    }

    pub fn database_tool(&self, drop_first: bool) -> Tool {
        let keep = if drop_first { "--drop-first" } else { "--keep-previous" };
        let left_out = self.settings.state_dir().join("left-out.sql");
        let tool = self.settings.tool("pg-snap").args(["load", keep]);
        let tool = if self.choices.keep_going { tool.arg("--keep-going") } else { tool };
        let tool = tool.arg("--left-out").arg(left_out);
        tool.arg("--record").arg(self.settings.load_record()).arg(self.bundle.dump())
    }

    pub fn database(&self) -> Result<()> {
        self.warn_if_running();
        let before = database::status(&self.settings)?;
        let appeared = self.appeared(before.oid);
        let drop_first = self.choices.drop_first && appeared.is_none();
        load_record::remove(&self.settings.load_record())?;
        self.state.update(|journal| {
            journal.add_appeared(appeared);
            journal.load = Some(Load::replacing(before.oid));
            journal.add_previous(before.oid.filter(|_| !drop_first));
        })?;
        // If the load fails, this ends it.
        let first_push = self.begin_first_push()?;
        let ended = self.database_tool(drop_first).run();
        let is_incomplete =
            ended.as_ref().is_err_and(|e| pipe_kit::status::of(e) == Exit::Incomplete);
        if is_incomplete {
            warning!("the database has all rows; the objects named above are left out");
        } else {
            ended?;
        }
        self.state.swapped();
        // Another program in the place of pg-snap may record nothing.
        let loaded = load_record::read(&self.settings.load_record())?;
        let is_recorded = loaded.is_some();
        self.state.update(|journal| {
            journal.incomplete |= is_incomplete || loaded.is_some_and(|loaded| loaded.left_out > 0);
            journal.load = Some(Load { before: before.oid, is_recorded, loaded });
        })?;
        // The swap of a restore that was killed may have come after the server was asked: what this load has
        // kept is then a database that nobody knew.
        let kept = database::kept_since(&before, &database::status(&self.settings)?);
        self.state.update(|journal| journal.add_previous(kept))?;
        if let Some(first_push) = first_push {
            first_push.finish();
        }
        Ok(())
    }

    /// The database in place, if it appeared after the restore began. Nobody has confirmed that it may be dropped.
    fn appeared(&self, in_place: Option<u32>) -> Option<u32> {
        let journal = self.state.journal()?;
        let is_one = |oid: &u32| journal.appeared.contains(oid) || journal.has_appeared(*oid);
        let oid = in_place.filter(is_one)?;
        warning!(
            "the database {} appeared after the restore began; it is kept beside the new one; to drop it once it \
             is no longer needed: {}",
            self.settings.database,
            by_hand(&self.settings, &database::drop_tool(&self.settings, &[oid]))
        );
        Some(oid)
    }

    /// With `--only database`, no step has stopped the application.
    fn warn_if_running(&self) {
        let running = services::list(&self.settings).unwrap_or_default();
        let apps = services::application(&running, &self.settings.stateful);
        let up = running.iter().any(|s| apps.contains(&s.name) && s.state == "running");
        if up && self.state.progress().stopped.is_empty() {
            warning!("application services are running while their database is replaced");
        }
    }

    pub fn objects(&self) -> Result<()> {
        let Some(tool) = self.objects_tool()? else {
            info!("skipped: {}", why_no_objects(&self.bundle, &self.settings));
            return Ok(());
        };
        self.accept_damage(Exit::Incomplete, tool.run(), "objects")
    }

    pub fn objects_tool(&self) -> Result<Option<Tool>> {
        match self.bundle.mirror() {
            Some(mirror) if self.settings.bundled_storage => {
                let how = if self.choices.skip_verify { "--skip-damaged" } else { "--delete" };
                let bucket = self.settings.bucket_url()?;
                Ok(Some(self.settings.tool("obj-mirror").arg(how).arg(mirror).arg(bucket)))
            }
            _ => Ok(None),
        }
    }

    /// With `--skip-verify`, damage does not stop the restore, but makes it incomplete.
    fn accept_damage(&self, damage: Exit, ended: Result<()>, what: &str) -> Result<()> {
        match ended {
            Err(error) if self.choices.skip_verify && pipe_kit::status::of(&error) == damage => {
                warning!(
                    "{error:#}: the {what} are not restored in full; the restore continues because of --skip-verify"
                );
                self.state.update(|journal| journal.incomplete = true)
            }
            ended => ended,
        }
    }

    pub fn cfg_pack(&self, verb: &str) -> Tool {
        self.settings
            .tool("cfg-pack")
            .args([verb, "--root"])
            .arg(&self.settings.deploy)
            .input(&self.bundle.config())
    }

    pub fn extract_secrets(&self) -> Tool {
        self.cfg_pack("extract").args(["--optional", "secrets", "--optional", "certs"])
    }

    pub fn config(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        if !self.bundle.config().is_file() {
            info!("skipped: the bundle has no config.tar.gz");
            return Ok(());
        }
        let ended = self.config_files(answers);
        self.accept_damage(Exit::Damaged, ended, "config files")
    }

    fn config_files(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        info!("what the bundle's .env would change (- now, + bundle):");
        self.cfg_pack("diff").arg(".env").run()?;
        if self.choices.force_config {
            self.state.update(|journal| journal.config = true)?;
            self.cfg_pack("extract").arg(".env").run()?;
        } else {
            info!(".env is left as it is; --force-config replaces it");
        }
        self.cfg_pack("diff").args(["--optional", "secrets", "--optional", "certs"]).run()?;
        let yes = match self.choices.config {
            ConfigChoice::Yes => true,
            ConfigChoice::No => false,
            ConfigChoice::Ask => {
                answers.yes("Replace secrets/ and certs/ with the bundle's too? [y/N]")?
            }
        };
        if !yes {
            info!("secrets/ and certs/ are left as they are");
            return Ok(());
        }
        self.state.update(|journal| journal.config = true)?;
        self.extract_secrets().run()
    }

    pub fn cache(&self) -> Result<()> {
        let keys = cache::flush(&self.settings)?;
        let held = keys.map(|keys| format!("the cache held {keys} keys; "));
        let held = held.as_deref().unwrap_or("the cache: ");
        info!("{held}it is empty now, and jobs queued in it are lost");
        Ok(())
    }

    /// The stateful services first: they load their changed configuration, and the restored credentials are
    /// proved before an application depends on them.
    pub fn start(&self) -> Result<()> {
        let (stateful, application) =
            services::to_start(&services::list(&self.settings)?, &self.settings.stateful);
        if !stateful.is_empty() {
            services::start_servers(&self.settings, &stateful)?;
        }
        if self.state.journal().is_some_and(|journal| journal.config) {
            credentials::prove(&self.settings, &stateful)?;
        }
        self.state.starting();
        if !application.is_empty() {
            services::start(&self.settings, &application).run()?;
        }
        Ok(())
    }
}
