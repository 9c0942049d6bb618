//! The sequence itself.

mod progress;
mod rehearsal;

use crate::bundle::Bundle;
use crate::note::{self, Note};
use crate::prompt::{Answers, confirms};
use crate::services;
use crate::settings::Settings;
use crate::step::{Selection, Step};
use crate::summary::{Summary, database_status, why_no_objects};
use crate::tool::Tool;
use crate::{cache, lock, preflight};
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, cleanup, say, warning};
use progress::Progress;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What to do with `secrets/` and `certs/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigChoice {
    Yes,
    No,
    Ask,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    pub selection: Selection,
    pub confirm: Option<String>,
    pub config: ConfigChoice,
    pub force_config: bool,
    pub drop_first: bool,
    pub dry_run: bool,
    pub wait_seconds: u32,
}

/// Restores the deployment from the bundle.
///
/// # Errors
/// Names the step that failed, the state things are in, and the command that goes on from there.
pub fn run(dir: &Path, settings: &Settings, options: &Options) -> Result<Exit> {
    let bundle = Bundle::open(dir)?;
    let restore = Restore { bundle, settings, options };
    if options.dry_run {
        return restore.rehearse();
    }
    let _locks = lock::take(&settings.state_dir(), restore.bundle.root())?;
    restore.take_up()?;
    let stdin = std::io::stdin();
    let typed = stdin.is_terminal();
    restore.run_steps(&mut Answers::new(stdin.lock(), typed))
}

fn forget(note: &Path) -> Result<()> {
    match std::fs::remove_file(note) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", note.display()))
        }
        _ => Ok(()),
    }
}

struct Restore<'a> {
    bundle: Bundle,
    settings: &'a Settings,
    options: &'a Options,
}

impl Restore<'_> {
    fn run_steps(&self, answers: &mut Answers<impl BufRead>) -> Result<Exit> {
        let progress = Arc::new(Progress::new(self.settings, &self.bundle, self.options));
        let on_signal = {
            let progress = Arc::clone(&progress);
            cleanup::on_failure(move || warning!("{}", progress.recover()))
        };
        let mut exit = Exit::Done;
        let total = Step::ALL.len();
        for step in self.options.selection.steps() {
            let started = Instant::now();
            progress.begin(step);
            say!("[{}/{total}] {step} …", step.number());
            match self.take(step, answers, &progress) {
                Ok(outcome) => exit = outcome,
                Err(error) => {
                    on_signal.disarm();
                    return Err(Stop::with_exit(
                        pipe_kit::status::of(&error),
                        format!(
                            "[{}/{total}] {step}: {error:#}; {}",
                            step.number(),
                            progress.recover()
                        ),
                    )
                    .into());
                }
            }
            say!("[{}/{total}] {step}: {:.1} s", step.number(), started.elapsed().as_secs_f64());
            if step < Step::Health {
                // Noted before it counts as ended: a signal in between only repeats the step.
                self.finished(step)?;
            }
            progress.end(step);
        }
        on_signal.disarm();
        Ok(exit)
    }

    fn take(
        &self,
        step: Step,
        answers: &mut Answers<impl BufRead>,
        progress: &Progress,
    ) -> Result<Exit> {
        match step {
            Step::Validate => self.validate().run()?,
            Step::Summary => self.show_summary(),
            Step::Confirm => self.confirm(answers)?,
            Step::Preflight => preflight::check(&self.bundle, self.settings)?,
            Step::Stop => self.stop(progress)?,
            Step::Database => {
                self.warn_if_running(progress);
                self.database(progress)?;
            }
            Step::Objects => match self.objects()? {
                Some(tool) => tool.run()?,
                None => say!("skipped: {}", why_no_objects(&self.bundle, self.settings)),
            },
            Step::Config => self.config(answers)?,
            Step::Cache => {
                let keys = cache::flush(self.settings)?;
                say!("the cache held {keys} keys; it is empty now, and jobs queued in it are lost");
            }
            Step::Start => {
                progress.starting();
                self.start()?;
            }
            Step::Health => return self.health(),
        }
        Ok(Exit::Done)
    }

    fn validate(&self) -> Tool {
        Tool::new("bundle-manifest").arg("verify").arg(&self.bundle.dir)
    }

    fn show_summary(&self) {
        let summary = Summary::gather(&self.bundle, self.settings);
        let text = summary.to_text(&self.bundle, self.settings, self.options, chrono::Utc::now());
        // Beside the prompt, wherever standard output goes.
        let _ = writeln!(std::io::stderr().lock(), "\n{text}");
    }

    fn confirm(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        let Some(domain) = &self.settings.domain else {
            return Err(Stop::usage(
                "PIPRIO_DOMAIN is not set in .env: a restore is confirmed by typing it",
            )
            .into());
        };
        let typed = match &self.options.confirm {
            Some(answer) => Some(answer.clone()),
            None => answers
                .ask("All current data will be replaced. Type the deployment's domain to go on:")?,
        };
        if confirms(typed.as_deref(), domain) {
            return Ok(());
        }
        Err(Stop::refused("the deployment's domain was not typed").into())
    }

    fn stop(&self, progress: &Progress) -> Result<()> {
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

    /// With `--only database`, nobody has stopped the application.
    fn warn_if_running(&self, progress: &Progress) {
        let running = services::list(self.settings).unwrap_or_default();
        let apps = services::application(&running, &self.settings.stateful);
        let up = running.iter().any(|s| apps.contains(&s.name) && s.state == "running");
        if up && !progress.has_stopped() {
            warning!("application services are running while their database is replaced");
        }
    }

    fn database_tool(&self) -> Tool {
        let keep = if self.options.drop_first { "--drop-first" } else { "--keep-previous" };
        Tool::new("pg-snap").args(["load", keep]).arg(self.bundle.dump())
    }

    fn database(&self, progress: &Progress) -> Result<()> {
        let before = database_status()?.oid;
        progress.loading(before);
        let note = note::path(self.settings);
        if self.options.drop_first {
            // What an earlier restore has put aside is not this one's to drop.
            forget(&note)?;
        } else {
            Note::begin(self.settings, before).write(&note)?;
        }
        self.database_tool().run()?;
        progress.swapped();
        Ok(())
    }

    /// A run that goes on from another must go on against the same servers, and knows from the
    /// database's server, not from the note alone, whether the names were swapped.
    fn take_up(&self) -> Result<()> {
        let Selection::From(first) = self.options.selection else { return Ok(()) };
        let path = note::path(self.settings);
        let Some(note) = Note::read(&path)? else { return Ok(()) };
        if first <= Step::Database {
            return Ok(());
        }
        let here = note::target(self.settings);
        if note.target != here {
            return Err(Stop::refused(format!(
                "the restore to go on with went to {}, and the settings now say {here}; nothing was changed; \
                 put the .env from before back (.env.before-…), or restore from the start",
                note.target
            ))
            .into());
        }
        let swapped = || database_status().is_ok_and(|s| s.exists && s.oid != note.previous_oid);
        if !note.reaches(Step::Objects) && swapped() {
            note.with(Step::Database).write(&path)?;
        }
        Ok(())
    }

    fn finished(&self, step: Step) -> Result<()> {
        let path = note::path(self.settings);
        match Note::read(&path)? {
            Some(note) if step >= Step::Database => note.with(step).write(&path),
            _ => Ok(()),
        }
    }

    fn objects(&self) -> Result<Option<Tool>> {
        match self.bundle.mirror() {
            Some(mirror) if self.settings.bundled_storage => Ok(Some(
                Tool::new("obj-mirror")
                    .arg("--delete")
                    .arg(mirror)
                    .arg(self.settings.bucket_url()?),
            )),
            _ => Ok(None),
        }
    }

    fn cfg_pack(&self, verb: &str) -> Tool {
        Tool::new("cfg-pack")
            .args([verb, "--root"])
            .arg(&self.settings.deploy)
            .input(&self.bundle.config())
    }

    fn extract_secrets(&self) -> Tool {
        self.cfg_pack("extract").args(["--optional", "secrets", "--optional", "certs"])
    }

    fn config(&self, answers: &mut Answers<impl BufRead>) -> Result<()> {
        if !self.bundle.config().is_file() {
            say!("skipped: the bundle has no config.tar.gz");
            return Ok(());
        }
        say!("what the bundle's .env would change (- now, + bundle):");
        self.cfg_pack("diff").arg(".env").run()?;
        if self.options.force_config {
            self.cfg_pack("extract").arg(".env").run()?;
        } else {
            say!(".env is left as it is; --force-config replaces it");
        }
        self.cfg_pack("diff").args(["--optional", "secrets", "--optional", "certs"]).run()?;
        let yes = match self.options.config {
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
        self.extract_secrets().run()
    }

    fn start(&self) -> Result<()> {
        let names = services::to_start(&services::list(self.settings)?);
        if names.is_empty() {
            return Ok(());
        }
        services::start(self.settings, &names).run()
    }

    fn health_tool(&self) -> Tool {
        Tool::new("health-probe").arg("--wait").arg(self.options.wait_seconds.to_string())
    }

    /// A health check that fails is an outcome, told by its table, and not a step that broke off.
    fn health(&self) -> Result<Exit> {
        let path = note::path(self.settings);
        let note = Note::read(&path)?.filter(|n| n.target == note::target(self.settings));
        let well = self.health_tool().run_to_stdout();
        match (well, note) {
            (Ok(()), Some(note)) if self.options.selection.reaches_the_end() => {
                self.complete(&note, &path)?;
                Ok(Exit::Done)
            }
            (Ok(()), _) => {
                if self.options.selection == Selection::All {
                    say!("the health check passed; the restore is complete");
                }
                Ok(Exit::Done)
            }
            (Err(error), note) => {
                warning!("{error:#}: the health check did not pass");
                if note.is_some_and(|n| n.previous_oid.is_some()) {
                    self.tell_previous();
                }
                Ok(Exit::Failed)
            }
        }
    }

    /// The check has passed: the old database may go, if this restore left no step out.
    fn complete(&self, note: &Note, path: &Path) -> Result<()> {
        if !note.reaches(Step::Health) {
            warning!(
                "the health check passed, but the restore's steps are finished only up to {}; the old database is kept",
                note.done
            );
            return Ok(());
        }
        let dropped = match note.previous_oid {
            Some(oid) => self.drop_previous(oid)?,
            None => false,
        };
        forget(path)?;
        let old = if dropped { "the old database is dropped; " } else { "" };
        say!("the health check passed; {old}the restore is complete");
        Ok(())
    }

    /// Gives whether it was dropped, and not kept for being another.
    fn drop_previous(&self, oid: u32) -> Result<bool> {
        match self.previous("drop").args(["--oid", &oid.to_string()]).run() {
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

    fn tell_previous(&self) {
        let quoted = |path: PathBuf| shell_words::quote(&path.to_string_lossy()).into_owned();
        warning!(
            "the database from before the restore is kept beside the new one; to swap it back: {}",
            self.by_hand(&self.previous("swap"))
        );
        warning!(
            "once the cause is mended, to check again and drop it: bash {} {} --from health",
            quoted(self.settings.deploy.join("scripts/restore.sh")),
            quoted(self.bundle.dir.clone())
        );
    }

    fn previous(&self, action: &str) -> Tool {
        Tool::new("pg-snap").args(["previous", action])
    }

    /// A stage as an operator types it, without this run's environment.
    fn by_hand(&self, tool: &Tool) -> String {
        let deploy_env = self.settings.deploy.join("bin/deploy-env");
        format!("{} -- {}", shell_words::quote(&deploy_env.to_string_lossy()), tool.to_shell())
    }
}
