//! `load`: the dump into the private server. Its time is the recovery time.

use crate::drill::{Drill, database_name};
use crate::results::Judged;
use crate::sql;
use anyhow::{Context, Result};
use bundle_format::report::DrillVerdict;
use pipe_kit::Exit;
use std::path::Path;
use std::time::Instant;

/// The options of `pg-snap` that load a dump: an object that cannot be made is a finding, not the end.
pub fn arguments(left_out: &Path, dump: &Path) -> Vec<std::ffi::OsString> {
    // Its advice is for a server that stays.
    let options = ["load", "--quiet", "--keep-going", "--left-out"].map(Into::into).into_iter();
    options.chain([left_out.as_os_str().to_owned(), dump.as_os_str().to_owned()]).collect()
}

/// Loads it.
///
/// # Errors
/// If not all rows could be loaded.
pub fn run(drill: &Drill) -> Result<()> {
    let database = database_name(drill.dump()?);
    let left_out = drill.workplace.dir.join("left-out.sql");
    let tool = drill.server()?.tool("pg-snap", &database);
    let tool = tool.args(arguments(&left_out, &drill.bundle.dump()));
    let began = Instant::now();
    let loaded = tool.run();
    let seconds = crate::results::rounded(began.elapsed());
    let rows = drill.dump()?.rows;
    match loaded {
        Ok(()) => drill.results.pass("rows and objects", format!("all, {rows} rows"), "all"),
        Err(error) if pipe_kit::status::of(&error) == Exit::Incomplete => {
            drill.results.add_all("objects left out", omitted(&left_out)?);
        }
        Err(error) => return Err(error),
    }
    drill.set_loaded(database);
    drill.recovered(seconds);
    let size = sql::rows(
        drill,
        "size",
        "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())",
    );
    let size = size?.first().and_then(|row| row.parse().ok());
    drill.results.update(|report| {
        report.goals.rto_seconds = Some(seconds);
        if let Some(server) = &mut report.server {
            server.database_bytes = size;
        }
    });
    Ok(())
}

/// What was left out, by the comments of the file with its statements.
fn omitted(left_out: &Path) -> Result<Vec<Judged>> {
    let text = std::fs::read_to_string(left_out);
    let text = text.with_context(|| format!("reading {}", left_out.display()))?;
    Ok(omitted_of(&text))
}

fn omitted_of(text: &str) -> Vec<Judged> {
    let of = |line: &str| -> Option<Judged> {
        let rest = line.strip_prefix("-- ")?;
        let (how, rest) = ["left out", "not validated"]
            .into_iter()
            .find_map(|how| Some((how, rest.strip_prefix(how)?.strip_prefix(": ")?)))?;
        let (what, why) = rest.split_once(": ").unwrap_or((rest, ""));
        Some(Judged::new(DrillVerdict::Finding, what, "made", format!("{how}: {why}")))
    };
    text.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_named_with_its_error() {
        let text = "-- Statements of the dump that failed when database d was loaded, each below its error.\n\
                    -- left out: index s.i: ERROR: 42883: no function f(); statement: CREATE INDEX i\n\
                    SET search_path = '';\n\
                    -- not validated: constraint k of s.t: ERROR: 23503: no such row; statement: ALTER TABLE\n";
        let found: Vec<_> = omitted_of(text).into_iter().map(|j| (j.check, j.found)).collect();
        assert_eq!(
            found,
            [
                (
                    "index s.i".to_owned(),
                    "left out: ERROR: 42883: no function f(); statement: CREATE INDEX i".to_owned()
                ),
                (
                    "constraint k of s.t".to_owned(),
                    "not validated: ERROR: 23503: no such row; statement: ALTER TABLE".to_owned()
                ),
            ]
        );
    }
}
