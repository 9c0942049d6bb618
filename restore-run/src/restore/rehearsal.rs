//! `--dry-run`: the steps' exact commands, without taking them.

use super::Restore;
use super::health::drop_tool;
use crate::options::ConfigChoice;
use crate::services;
use crate::step::Step;
use crate::summary::{database_status, why_no_objects};
use crate::tool::Tool;
use anyhow::Result;
use pipe_kit::Exit;

impl Restore<'_> {
    /// `--dry-run`: what can be checked is checked, the rest is told.
    pub(super) fn rehearse(&self) -> Result<Exit> {
        let steps = self.selection.steps();
        let mut checked = Ok(());
        for step in &steps {
            match step {
                Step::Validate => self.validate()?,
                Step::Summary => self.show_summary(),
                Step::Preflight => checked = self.preflight_checks().rehearse(),
                _ => {}
            }
        }
        let mut plan = String::new();
        for step in steps {
            plan += &format!("[{}/{}] {step}\n", step.number(), Step::ALL.len());
            for line in self.commands(step)? {
                plan += &format!("    {line}\n");
            }
        }
        pipe_kit::output::print(&plan)?;
        checked.map(|()| Exit::Done)
    }

    /// The exact commands of a step, and what it does without one, as `# …`.
    fn commands(&self, step: Step) -> Result<Vec<String>> {
        let listed = services::list(self.settings).unwrap_or_default();
        let shown = |tool: Tool| vec![tool.to_shell()];
        Ok(match step {
            Step::Validate => shown(self.verify_tool()),
            Step::Summary => vec![
                Tool::new("pg-snap").args(["status", "--json"]).to_shell(),
                match self.objects_tool()? {
                    Some(_) => Tool::new("obj-mirror")
                        .args(["status", "--json"])
                        .arg(self.settings.bucket_url()?)
                        .to_shell(),
                    None => format!("# objects: {}", why_no_objects(&self.bundle, self.settings)),
                },
            ],
            Step::Confirm => {
                vec![format!(
                    "# typed: {}",
                    self.settings.domain.as_deref().unwrap_or("PIPRIO_DOMAIN is not set")
                )]
            }
            Step::Preflight => {
                let safety = self.options.safety_backup.then(|| self.safety_tool().to_shell());
                std::iter::once("# was run just now".into()).chain(safety).collect()
            }
            Step::Stop => shown(services::stop(
                self.settings,
                &services::application(&listed, &self.settings.stateful),
            )),
            Step::Database => shown(self.database_tool()),
            Step::Objects => match self.objects_tool()? {
                Some(tool) => shown(tool),
                None => vec![format!("# skipped: {}", why_no_objects(&self.bundle, self.settings))],
            },
            Step::Config => self.config_commands(),
            Step::Cache => vec![format!("# FLUSHDB on {}", self.settings.redis_for_people())],
            Step::Start => {
                let (stateful, application) = services::to_start(&listed, &self.settings.stateful);
                let names = [stateful, application].into_iter().filter(|names| !names.is_empty());
                names.map(|names| services::start(self.settings, &names).to_shell()).collect()
            }
            Step::Health => self.health_commands(),
        })
    }

    fn health_commands(&self) -> Vec<String> {
        let mut lines = vec![self.health_tool().to_shell()];
        let oid = database_status().ok().and_then(|status| status.oid);
        if let (Some(oid), false) = (oid, self.choices.drop_first) {
            let drop = drop_tool(&[oid]);
            lines.push(format!("{}    # only if the health check passed", drop.to_shell()));
        }
        lines
    }

    fn config_commands(&self) -> Vec<String> {
        let mut lines = vec![self.cfg_pack("diff").arg(".env").to_shell()];
        lines.push(match self.choices.force_config {
            true => self.cfg_pack("extract").arg(".env").to_shell(),
            false => "# .env is left as it is; --force-config replaces it".into(),
        });
        let extract = self.extract_secrets().to_shell();
        lines.push(match self.choices.config {
            ConfigChoice::Yes => extract,
            ConfigChoice::No => "# secrets/ and certs/ are left as they are".into(),
            ConfigChoice::Ask => format!("{extract}    # only after a second yes"),
        });
        lines
    }
}
