//! What each step does, up to the health check.

use super::Restore;
use super::progress::Progress;
use crate::journal::Load;
use crate::options::ConfigChoice;
use crate::preflight::Preflight;
use crate::prompt::{Answers, confirms};
use crate::summary::{Summary, database_status, why_no_objects};
use crate::tool::Tool;
use crate::{cache, credentials, services};
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, say, warning};
use std::io::{BufRead, Write};

impl Restore<'_> {
    pub(super) fn validate(&self) -> Result<()> {
        if !self.choices.skip_verify {
            return self.verify_tool().run();
        }
        if !self.bundle.dump().is_file() {
            let what = format!("{} is missing", self.bundle.dump().display());
            return Err(Stop::damaged(what).into());
        }
        warning!(
            "--skip-verify: not checked are the seal, whether the dump is whole, the objects' bytes, and \
             the config archive; what is found damaged on the way is left out and named, and no object \
             is deleted from the bucket"
        );
        // What is not there at all, no later step can find damaged.
        if let Err(error) = self.verify_tool().arg("--quick").run() {
            warning!("{error:#}: the restore will not be complete");
            self.damaged.set(true);
            self.ledger.note(|journal| journal.incomplete = true)?;
        }
        Ok(())
    }

    pub(super) fn verify_tool(&self) -> Tool {
        Tool::new("bundle-manifest").arg("verify").arg(&self.bundle.dir)
    }

    pub(super) fn show_summary(&self) {
        let summary = Summary::gather(&self.bundle, self.settings);
        let text = summary.to_text(&self.bundle, self.settings, self.choices, chrono::Utc::now());
        // Beside the prompt, wherever standard output goes.
        let _ = writeln!(std::io::stderr().lock(), "\n{text}");
    }

    pub(super) fn confirm(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        let Some(domain) = &self.settings.domain else {
            return Err(Stop::usage(
                "PIPRIO_DOMAIN is not set in .env: a restore is confirmed by typing it",
            )
            .into());
        };
        let question = "All current data will be replaced. Type the deployment's domain to go on:";
        let typed = answers.given_or_asked(self.options.confirm.as_deref(), question)?;
        if confirms(typed.as_deref(), domain) {
            return Ok(());
        }
        Err(Stop::refused("the deployment's domain was not typed").into())
    }

    pub(super) fn preflight(&self) -> Result<()> {
        let waited = if services::wake(self.settings)? { self.options.wait_seconds } else { 0 };
        self.preflight_checks().run(waited)?;
        if self.options.safety_backup {
            say!("a bundle of the present state, as --safety-backup asks for:");
            self.safety_tool().run().context("no safety backup, so no restore")?;
        }
        Ok(())
    }

    pub(super) fn preflight_checks(&self) -> Preflight<'_> {
        Preflight {
            bundle: &self.bundle,
            settings: self.settings,
            drop_first: self.choices.drop_first,
        }
    }

    pub(super) fn safety_tool(&self) -> Tool {
        let script = self.settings.deploy.join("scripts/backup.sh");
        Tool::new("bash").arg(script).arg("--safety-backup")
    }

    pub(super) fn stop(&self, progress: &Progress) -> Result<()> {
        let names = services::application(&services::list(self.settings)?, &self.settings.stateful);
        if names.is_empty() {
            say!("there are no application services to stop");
            return Ok(());
        }
        progress.stopping(&names);
        services::stop(self.settings, &names).run()?;
        say!("stopped {}; {} stay up", names.join(" "), self.settings.stateful.join(" "));
        Ok(())
    }

    pub(super) fn database_tool(&self) -> Tool {
        let keep = if self.choices.drop_first { "--drop-first" } else { "--keep-previous" };
        let left_out = self.settings.state_dir().join("left-out.sql");
        let tool = Tool::new("pg-snap").args(["load", keep]);
        let tool = if self.choices.keep_going { tool.arg("--keep-going") } else { tool };
        tool.arg("--left-out").arg(left_out).arg(self.bundle.dump())
    }

    pub(super) fn database(&self, progress: &Progress) -> Result<()> {
        self.warn_if_running(progress);
        let before = database_status()?.oid;
        self.ledger.note(|journal| {
            journal.load = Some(Load { before });
            let put_aside = before.filter(|_| !self.choices.drop_first);
            journal.previous.extend(put_aside.filter(|oid| !journal.previous.contains(oid)));
        })?;
        let ended = self.database_tool().run();
        if ended.as_ref().is_err_and(|e| pipe_kit::status::of(e) == Exit::Incomplete) {
            warning!("the database has all rows, but objects named above are left out; going on");
            self.ledger.note(|journal| journal.incomplete = true)?;
        } else {
            ended?;
        }
        progress.swapped();
        Ok(())
    }

    /// With `--only database`, nobody has stopped the application.
    fn warn_if_running(&self, progress: &Progress) {
        let running = services::list(self.settings).unwrap_or_default();
        let apps = services::application(&running, &self.settings.stateful);
        let up = running.iter().any(|s| apps.contains(&s.name) && s.state == "running");
        if up && !progress.has_stopped() {
            warning!("application services are running while their database is replaced");
        }
    }

    pub(super) fn objects(&self) -> Result<()> {
        let Some(tool) = self.objects_tool()? else {
            say!("skipped: {}", why_no_objects(&self.bundle, self.settings));
            return Ok(());
        };
        self.leaving_out_what_is_damaged(Exit::Incomplete, tool.run(), "objects")
    }

    pub(super) fn objects_tool(&self) -> Result<Option<Tool>> {
        match self.bundle.mirror() {
            Some(mirror) if self.settings.bundled_storage => {
                let how = if self.choices.skip_verify { "--skip-damaged" } else { "--delete" };
                let bucket = self.settings.bucket_url()?;
                Ok(Some(Tool::new("obj-mirror").arg(how).arg(mirror).arg(bucket)))
            }
            _ => Ok(None),
        }
    }

    /// With `--skip-verify`, damage is no reason to stop, but one to say so in the end.
    fn leaving_out_what_is_damaged(
        &self,
        damage: Exit,
        ended: Result<()>,
        what: &str,
    ) -> Result<()> {
        match ended {
            Err(error) if self.choices.skip_verify && pipe_kit::status::of(&error) == damage => {
                warning!(
                    "{error:#}: the {what} are not restored in full; going on, as --skip-verify asks for"
                );
                self.ledger.note(|journal| journal.incomplete = true)
            }
            ended => ended,
        }
    }

    pub(super) fn cfg_pack(&self, verb: &str) -> Tool {
        Tool::new("cfg-pack")
            .args([verb, "--root"])
            .arg(&self.settings.deploy)
            .input(&self.bundle.config())
    }

    pub(super) fn extract_secrets(&self) -> Tool {
        self.cfg_pack("extract").args(["--optional", "secrets", "--optional", "certs"])
    }

    pub(super) fn config(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        if !self.bundle.config().is_file() {
            say!("skipped: the bundle has no config.tar.gz");
            return Ok(());
        }
        let ended = self.config_files(answers);
        self.leaving_out_what_is_damaged(Exit::Damaged, ended, "config files")
    }

    fn config_files(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        say!("what the bundle's .env would change (- now, + bundle):");
        self.cfg_pack("diff").arg(".env").run()?;
        if self.choices.force_config {
            self.ledger.note(|journal| journal.config = true)?;
            self.cfg_pack("extract").arg(".env").run()?;
        } else {
            say!(".env is left as it is; --force-config replaces it");
        }
        self.cfg_pack("diff").args(["--optional", "secrets", "--optional", "certs"]).run()?;
        let yes = match self.choices.config {
            ConfigChoice::Yes => true,
            ConfigChoice::No => false,
            ConfigChoice::Ask => {
                answers.yes("Replace secrets/ and certs/ by the bundle's too? [y/N]")?
            }
        };
        if !yes {
            say!("secrets/ and certs/ are left as they are");
            return Ok(());
        }
        self.ledger.note(|journal| journal.config = true)?;
        self.extract_secrets().run()
    }

    pub(super) fn cache(&self) -> Result<()> {
        let keys = cache::flush(self.settings)?;
        say!("the cache held {keys} keys; it is empty now, and jobs queued in it are lost");
        Ok(())
    }

    /// The services that hold state first: where their configuration changed, they take it on, and
    /// are asked whether the restored credentials fit before an application depends on it.
    pub(super) fn start(&self, progress: &Progress) -> Result<()> {
        let (stateful, application) =
            services::to_start(&services::list(self.settings)?, &self.settings.stateful);
        if !stateful.is_empty() {
            services::start(self.settings, &stateful).run()?;
        }
        if self.ledger.journal().is_some_and(|journal| journal.config) {
            credentials::prove(self.settings, &stateful)?;
        }
        progress.starting();
        if !application.is_empty() {
            services::start(self.settings, &application).run()?;
        }
        Ok(())
    }
}
