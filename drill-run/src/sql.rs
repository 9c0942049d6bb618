//! SQL that only reads, run in the restored database.

use crate::drill::Drill;
use anyhow::{Context, Result};
use chrono::SecondsFormat;
use pipe_kit::tool::Tool;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What every file of SQL begins with, on its first line, so that psql counts the file's own lines.
const HEAD: &str = "BEGIN; ";
/// Set when the session starts: a limit of the database's own could end the first statement. Each statement has ten
/// minutes.
const SETTINGS: &str = "-c default_transaction_read_only=on -c statement_timeout=600s";

/// psql with these options prints rows, a line each, columns separated by a tab.
pub const OPTIONS: [&str; 10] =
    ["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-"];

/// Runs SQL, and passes each line that it prints to `take`.
///
/// # Errors
/// If a statement fails, or `take` does.
pub fn each_row(
    drill: &Drill,
    name: &str,
    sql: &str,
    mut take: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let dir = &drill.workplace.dir;
    let (input, output) = (dir.join(format!("{name}.in")), dir.join(format!("{name}.out")));
    write(&input, &format!("{HEAD}{sql}\n;"))?;
    psql(drill)?.input(&input).output(&output).run_quietly()?;
    let failed = || format!("reading {}", output.display());
    let lines = BufReader::new(File::open(&output).with_context(failed)?).split(b'\n');
    for line in lines {
        // A row of nothing but NULL or empty text is an empty line.
        take(&String::from_utf8_lossy(&line.with_context(failed)?))?;
    }
    std::fs::remove_file(&input).and_then(|()| std::fs::remove_file(&output)).with_context(failed)
}

/// All lines that SQL prints.
///
/// # Errors
/// If a statement fails.
pub fn rows(drill: &Drill, name: &str, sql: &str) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    each_row(drill, name, sql, |row| {
        rows.push(row.to_owned());
        Ok(())
    })?;
    Ok(rows)
}

/// `:'bundle_time'` in the SQL is when the bundle was made.
fn psql(drill: &Drill) -> Result<Tool> {
    let taken = drill.bundle.taken.unwrap_or_else(chrono::Utc::now);
    let variable = format!("bundle_time={}", taken.to_rfc3339_opts(SecondsFormat::Secs, true));
    let settings = [("PGOPTIONS".to_owned(), SETTINGS.to_owned())];
    Ok(drill.psql()?.envs(settings).args(OPTIONS).args(["-v", &variable]))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("creating {}", path.display()))
}
