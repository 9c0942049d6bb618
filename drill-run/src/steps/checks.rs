//! `checks`: the operator's own SQL and scripts.

use crate::drill::Drill;
use crate::results::NAMED;
use crate::script::{self, Ended};
use crate::sql;
use crate::steps::objects::KEYS;
use crate::workplace::SCRIPT;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The files of SQL, in order; that of the step `objects` is not one of them.
///
/// # Errors
/// If the directory cannot be read.
pub fn sql_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = script::files(dir, "sql")?;
    files.retain(|file| file.file_name().is_none_or(|name| name != KEYS));
    Ok(files)
}

/// Runs all of them.
///
/// # Errors
/// If they cannot be read.
pub fn run(drill: &Drill) -> Result<()> {
    let dir = drill.settings.checks_dir();
    let (queries, scripts) = (sql_files(&dir)?, script::files(&dir, "sh")?);
    if queries.is_empty() && scripts.is_empty() {
        let expected = format!("the product's own checks in {}", dir.display());
        drill.results.skipped("drill.d", expected, "there is none");
    }
    for file in &queries {
        query(drill, file)?;
    }
    for file in &scripts {
        run_script(drill, file)?;
    }
    Ok(())
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Each row is a finding.
fn query(drill: &Drill, file: &Path) -> Result<()> {
    let name = name(file);
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut rows = 0;
    let ran = sql::each_row(drill, "check", &text, |row| {
        rows += 1;
        if rows <= NAMED {
            let row = if row.is_empty() { "an empty row" } else { row };
            drill.results.finding(name.clone(), "no row", row);
        }
        Ok(())
    });
    match ran {
        Err(error) => drill.results.failed(name, "no row", format!("{error:#}")),
        Ok(()) if rows == 0 => drill.results.pass(name, "no row", "no row"),
        Ok(()) if rows > NAMED => {
            drill.results.finding(name, "no row", format!("{} more rows", rows - NAMED));
        }
        Ok(()) => {}
    }
    Ok(())
}

fn run_script(drill: &Drill, file: &Path) -> Result<()> {
    let name = name(file);
    let Some(config) = drill.config() else {
        drill.results.skipped(name, "status 0", "the configuration was not extracted");
        return Ok(());
    };
    let database = drill.loaded().unwrap_or_default();
    let mut variables = script::environment();
    let own = drill.server()?.environment(database).into_iter();
    variables.extend(own.map(|(name, value)| (name.into(), value.into())));
    let more = [
        ("DRILL_CONFIG", config.as_os_str()),
        ("DRILL_BUNDLE", drill.bundle.dir.as_os_str()),
        ("DRILL_DATABASE", database.as_ref()),
    ];
    variables.extend(more.map(|(name, value)| (name.into(), value.to_owned())));
    let dir = drill.workplace.dir.join(SCRIPT);
    if !dir.exists() {
        drill.workplace.subdirectory(SCRIPT)?;
    }
    let Ended { passed, detail } = script::run(file, &dir, variables)?;
    match passed {
        true => drill.results.pass(name, "status 0", detail),
        false => drill.results.finding(name, "status 0", detail),
    }
    Ok(())
}
