//! `--dry-run`: the exact command of every step, without running it.

use crate::bundle::{Bundle, list_tool};
use crate::drill::{Dump, database_name};
use crate::sequence::{Options, chosen};
use crate::settings::Settings;
use crate::step::Step;
use crate::steps::{app, checks, compare, config, load, objects, server, validate};
use crate::{script, sql};
use anyhow::Result;
use bundle_format::report::{BundleState, DrillLevel};
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop};
use std::path::{Path, PathBuf};

/// Prints the commands of a drill that begins now.
///
/// # Errors
/// If that drill would be refused, or its bundle is damaged.
pub fn run(settings: &Settings, options: &Options) -> Result<Exit> {
    if options.level == DrillLevel::App {
        app::refuse_unless_possible(settings)?;
    }
    script::refuse_if_others_may_write(&settings.checks_dir())?;
    let (bundle, ..) = chosen(settings, &options.choice)?;
    let check = validate::quick(&bundle)?;
    if check.state == BundleState::Damaged {
        let first = check.problems.first().map(ToString::to_string).unwrap_or_default();
        return Err(Stop::damaged(format!("the bundle is damaged: {first}")).into());
    }
    let dump: Dump = validate::inspect_tool(&bundle).json()?;
    let plan = Plan { settings, bundle: &bundle, dump: &dump, dir: settings.dir.join("drill-…") };
    let has_keys = settings.checks_dir().join(objects::KEYS).is_file();
    let mut text = String::new();
    for step in Step::taken(options.level, options.only, has_keys) {
        text += &format!("{}\n", step.heading());
        for line in plan.commands(step)? {
            text += &format!("    {line}\n");
        }
    }
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

struct Plan<'a> {
    settings: &'a Settings,
    bundle: &'a Bundle,
    dump: &'a Dump,
    dir: PathBuf,
}

impl Plan<'_> {
    /// The exact commands of a step; what it does without one is a line `# …`.
    fn commands(&self, step: Step) -> Result<Vec<String>> {
        let bundle = self.bundle;
        Ok(match step {
            Step::Validate => vec![
                validate::verify_tool(bundle).to_shell(),
                validate::inspect_tool(bundle).to_shell(),
            ],
            Step::Server => {
                let dir = self.dir.join(crate::workplace::SERVER);
                let request = server::request(self.settings, bundle, self.dump, &dir);
                vec![format!("# {}", crate::server::plan(&request)?)]
            }
            Step::Load => {
                let left_out = self.dir.join("left-out.sql");
                let tool = Tool::new("pg-snap").args(load::arguments(&left_out, &bundle.dump()));
                vec![self.in_server(&tool)]
            }
            Step::Compare => self.compare(),
            Step::Objects => self.objects(),
            Step::Config => config::commands(bundle, &self.dir.join("config")),
            Step::Checks => self.checks()?,
            Step::App => app::commands(self.settings, bundle, self.dump, &self.dir),
            Step::Report => vec![format!("# {}", self.settings.deploy.join(".drills").display())],
        })
    }

    /// The server's address is known once it runs.
    fn in_server(&self, tool: &Tool) -> String {
        let database = database_name(self.dump);
        format!("{}    # in the private server, database {database}", tool.to_shell())
    }

    fn psql(&self, file: &Path) -> String {
        self.in_server(&Tool::new("psql").args(sql::OPTIONS).input(file))
    }

    fn compare(&self) -> Vec<String> {
        let tool = Tool::new("pg-snap").args(compare::COMPARE).arg(self.bundle.dump());
        let base = Path::new("BASELINE");
        vec![
            self.in_server(&tool),
            "# BASELINE: the bundle of the last drill, else the newest good one before this"
                .to_owned(),
            list_tool(self.settings).to_shell(),
            compare::diff_tool(base, &self.bundle.dir).to_shell(),
            compare::definitions_tool(&base.join("database.sql.gz")).to_shell(),
            compare::definitions_tool(&self.bundle.dump()).to_shell(),
        ]
    }

    fn objects(&self) -> Vec<String> {
        let keys = self.settings.checks_dir().join(objects::KEYS);
        match (self.bundle.mirror_index(), keys.is_file()) {
            (None, _) => vec!["# skipped: the bundle has no mirror with an index".to_owned()],
            (Some(_), true) => vec![self.psql(&keys)],
            (Some(_), false) => vec![format!("# there is no {}", keys.display())],
        }
    }

    fn checks(&self) -> Result<Vec<String>> {
        let dir = self.settings.checks_dir();
        let queries = checks::sql_files(&dir)?;
        let scripts = script::files(&dir, "sh")?;
        if queries.is_empty() && scripts.is_empty() {
            return Ok(vec![format!("# there are no checks in {}", dir.display())]);
        }
        let limited = |script: &PathBuf| {
            let [program, arguments @ ..] = script::PREFIX;
            Tool::new(program).args(arguments).arg(script).to_shell()
        };
        Ok(queries.iter().map(|file| self.psql(file)).chain(scripts.iter().map(limited)).collect())
    }
}
