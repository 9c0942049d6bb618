//! `--dry-run`: the exact commands of the steps, without running them.

use crate::database::{self, drop_tool};
use crate::options::ConfigChoice;
use crate::run::Run;
use crate::services;
use crate::step::Step;
use crate::summary::why_no_objects;
use anyhow::Result;
use pipe_kit::Exit;
use pipe_kit::tool::Tool;

impl Run {
    /// Checks what can be checked, and prints the commands.
    pub fn dry_run(&self) -> Result<Exit> {
        let steps = self.selection.steps();
        let mut checked = Ok(());
        for step in &steps {
            match step {
                Step::Validate => self.validate()?,
                Step::Summary => self.show_summary(),
                Step::Preflight => checked = self.preflight_checks().dry_run(),
                _ => {}
            }
        }
        let mut plan = String::new();
        for step in steps {
            plan += &format!("{}\n", step.heading());
            for line in self.commands(step)? {
                plan += &format!("    {line}\n");
            }
        }
        pipe_kit::output::print(&plan)?;
        checked.map(|()| Exit::Done)
    }

    /// The exact commands of a step; what it does without one is a line `# …`.
    fn commands(&self, step: Step) -> Result<Vec<String>> {
        let listed = services::list(&self.settings).unwrap_or_default();
        let shown = |tool: Tool| vec![tool.to_shell()];
        Ok(match step {
            Step::Validate => shown(self.verify_tool()),
            Step::Summary => vec![
                self.settings.tool("pg-snap").args(["status", "--json"]).to_shell(),
                match self.objects_tool()? {
                    Some(_) => self
                        .settings
                        .tool("obj-mirror")
                        .args(["status", "--json"])
                        .arg(self.settings.bucket_url()?)
                        .to_shell(),
                    None => format!("# objects: {}", why_no_objects(&self.bundle, &self.settings)),
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
                std::iter::once("# has just run".into()).chain(safety).collect()
            }
            Step::Stop => shown(services::stop(
                &self.settings,
                &services::application(&listed, &self.settings.stateful),
            )),
            Step::Database => {
                let beside = self.first_push_tool()?.map(|tool| {
                    format!("{}    # beside it, only if the bucket is empty", tool.to_shell())
                });
                shown(self.database_tool(self.choices.drop_first))
                    .into_iter()
                    .chain(beside)
                    .collect()
            }
            Step::Objects => match self.objects_tool()? {
                Some(tool) => shown(tool),
                None => {
                    vec![format!("# skipped: {}", why_no_objects(&self.bundle, &self.settings))]
                }
            },
            Step::Config => self.config_commands(),
            Step::Cache => vec![format!("# FLUSHDB on {}", self.settings.redis_without_password())],
            Step::Start => {
                let (stateful, application) = services::to_start(&listed, &self.settings.stateful);
                let names = [stateful, application].into_iter().filter(|names| !names.is_empty());
                names.map(|names| services::start(&self.settings, &names).to_shell()).collect()
            }
            Step::Health => self.health_commands(),
        })
    }

    fn health_commands(&self) -> Vec<String> {
        let mut lines = vec![self.health_tool().to_shell()];
        let oid = database::status(&self.settings).ok().and_then(|status| status.oid);
        if let (Some(oid), false) = (oid, self.choices.drop_first) {
            let drop = drop_tool(&self.settings, &[oid]);
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
