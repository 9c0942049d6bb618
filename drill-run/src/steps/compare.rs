//! `compare`: the restored database with its dump and with itself, and the bundle with what came before.

use crate::baseline::{self, Baseline, Drilled, definitions, difference};
use crate::bundle::{Bundle, major_of};
use crate::drill::Drill;
use crate::results::Judged;
use crate::sql;
use anyhow::{Context, Result, anyhow};
use bundle_format::report::{
    CompareDifference, CompareReport, DrillReport, DrillVerdict, DumpDefinition,
};
use pipe_kit::tool::Tool;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Questions that any database answers, each with no row if all is well.
const CATALOG: &str = include_str!("compare/catalog.sql");

/// The options of `pg-snap` that compare a database with a dump.
pub const COMPARE: [&str; 2] = ["compare", "--json"];

/// The command that compares two bundles.
pub fn diff_tool(before: &Path, now: &Path) -> Tool {
    Tool::new("bundle-manifest").args(["diff", "--json"]).arg(before).arg(now)
}

/// The command that lists what a dump defines.
pub fn definitions_tool(dump: &Path) -> Tool {
    Tool::new("pg-snap").args(["inspect", "--definitions", "--json"]).arg(dump)
}

/// Compares.
///
/// # Errors
/// If something could not be compared.
pub fn run(drill: &Drill) -> Result<()> {
    let restored = match drill.loaded() {
        Some(_) => with_dump(drill).and_then(|()| within(drill)),
        None => {
            drill.results.skipped("restored database", "as its dump", "it was not loaded");
            Ok(())
        }
    };
    count_rows(drill)?;
    let before = with_baseline(drill).map_err(of_another);
    with_last_drill(drill)?;
    restored.and(before)
}

fn with_dump(drill: &Drill) -> Result<()> {
    let tool = drill.pg_snap()?.args(COMPARE).arg(drill.bundle.dump());
    let report: CompareReport = tool.report()?;
    let compared = &report.comparison;
    let found = format!(
        "{} schemas, {} tables, {} rows, {} sequences, {} constraints, {} indexes",
        compared.schemas,
        compared.tables,
        compared.rows,
        compared.sequences,
        compared.constraints,
        compared.indexes
    );
    if report.same {
        drill.results.pass("database against its dump", "the same", format!("the same: {found}"));
    }
    let judged = compared.findings.iter().map(|finding| {
        let (expected, found) = words(finding.difference);
        Judged::new(DrillVerdict::Finding, finding.subject(), expected, found)
    });
    drill.results.add_all("differences from the dump", judged.collect());
    if !compared.not_compared.is_empty() {
        let tables = format!("{} tables", compared.not_compared.len());
        drill.results.note("rows that the dump leaves out", "none", tables);
    }
    Ok(())
}

fn words(difference: CompareDifference) -> (String, String) {
    let pair = |expected: &str, found: &str| (expected.to_owned(), found.to_owned());
    match difference {
        CompareDifference::Missing => pair("there", "missing"),
        CompareDifference::Extra => pair("not there", "there"),
        CompareDifference::Rows { expected, found } => {
            pair(&expected.to_string(), &found.to_string())
        }
        CompareDifference::Behind { expected, found } => {
            (format!("next value {expected}"), format!("next value {found}"))
        }
        CompareDifference::NotValid => pair("valid", "not valid"),
        CompareDifference::NotEnforced => pair("enforced", "not enforced"),
        CompareDifference::NotReady => pair("built", "its build did not finish"),
        CompareDifference::NotFilled => pair("populated", "not populated"),
    }
}

/// What the catalog's questions answer.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Index { name: String, table: String },
    NotValid(String),
    Counted(u64),
    Sequence { name: String, column: String, next: serde_json::Number, last: serde_json::Number },
}

fn within(drill: &Drill) -> Result<()> {
    let (mut judged, mut not_valid, mut indexes) = (Vec::new(), Vec::new(), 0);
    sql::each_row(drill, "catalog", CATALOG, |row| {
        match serde_json::from_str(row)
            .with_context(|| format!("an answer of the catalog: {row}"))?
        {
            Answer::Index { name, table } => {
                let check = format!("index {name} of {table}");
                judged.push(Judged::new(DrillVerdict::Finding, check, "valid", "not valid"));
            }
            Answer::NotValid(name) => not_valid.push(name),
            Answer::Counted(count) => indexes = count,
            Answer::Sequence { name, column, next, last } => {
                let expected = format!("a next value past {last}, which {column} has");
                let found = format!("next value {next}");
                let check = format!("sequence {name}");
                judged.push(Judged::new(DrillVerdict::Finding, check, expected, found));
            }
        }
        Ok(())
    })?;
    if judged.is_empty() {
        drill.results.pass(
            "indexes and sequences",
            "every index valid, every sequence past its column's values",
            format!("all; {indexes} indexes"),
        );
    }
    drill.results.add_all("indexes and sequences", judged);
    if !not_valid.is_empty() {
        drill.results.note("constraints NOT VALID in the dump", "none", not_valid.join(", "));
    }
    Ok(())
}

/// The rows of each schema, by the dump.
fn count_rows(drill: &Drill) -> Result<()> {
    let dump = drill.dump()?;
    let mut rows: BTreeMap<String, u64> = dump.schemas.iter().map(|s| (s.clone(), 0)).collect();
    for table in &dump.tables {
        *rows.entry(table.schema.clone()).or_default() += table.rows;
    }
    drill.results.update(|report| report.rows = rows);
    Ok(())
}

/// The bundle as what comes before it is chosen by.
fn drilled(bundle: &Bundle) -> Drilled<'_> {
    Drilled { name: &bundle.name, taken: bundle.taken, domain: bundle.manifest.domain.as_deref() }
}

/// The bundle to compare with.
pub fn baseline(drill: &Drill) -> Option<Baseline> {
    baseline::choose(drilled(&drill.bundle), &drill.history, &drill.listing)
}

/// What is wrong with another bundle, however it is wrong, is no damage of this one.
pub fn of_another(error: anyhow::Error) -> anyhow::Error {
    anyhow!("the bundle before could not be compared: {error:#}")
}

fn with_baseline(drill: &Drill) -> Result<()> {
    let Some(base) = baseline(drill) else {
        drill.results.skipped("bundle before", "one to compare with", "there is none");
        return Ok(());
    };
    // Kept from bundle-prune while it is read.
    let before = Bundle::open(&base.path)?;
    let difference: difference::Difference = diff_tool(&before.dir, &drill.bundle.dir)
        .json()
        .with_context(|| format!("against {}", base.name))?;
    let percent = drill.settings.shrink_percent;
    let mut rows = BTreeMap::new();
    drill.results.update(|report| rows.clone_from(&report.rows));
    let judged = difference::judge(&difference, &rows, percent);
    let is_finding = |judged: &Judged| judged.verdict == DrillVerdict::Finding;
    if !judged.iter().any(is_finding) {
        drill.results.pass(
            format!("contents against {}", base.name),
            "nothing gone, emptied, or far less",
            format!(
                "{} rows, {} before",
                difference.database.rows.after, difference.database.rows.before
            ),
        );
    }
    drill.results.add_all(&format!("contents against {}", base.name), judged);
    against_definitions(drill, &before, &difference)
}

fn against_definitions(
    drill: &Drill,
    before: &Bundle,
    difference: &difference::Difference,
) -> Result<()> {
    let (old, new) = (definitions_of(&before.dump())?, definitions_of(&drill.bundle.dump())?);
    let gone = difference.tables_gone();
    let database = &difference.database;
    let schemas = database.schemas_added.iter().chain(&database.schemas_removed);
    let expected = definitions::Expected {
        same_version: is_same_version(before, drill)?,
        schemas: schemas.map(String::as_str).collect::<BTreeSet<_>>(),
        tables: gone.iter().map(|(schema, table)| (schema.as_str(), table.as_str())).collect(),
    };
    let judged = definitions::judge(&old, &new, &expected);
    let check = format!("definitions against {}", before.name);
    if !judged.iter().any(|judged| judged.verdict == DrillVerdict::Finding) {
        let found = format!("{} definitions, {} before", new.len(), old.len());
        drill.results.pass(check.clone(), "none missing", found);
    }
    drill.results.add_all(&check, judged);
    Ok(())
}

fn definitions_of(dump: &Path) -> Result<Vec<DumpDefinition>> {
    let text = definitions_tool(dump).capture()?;
    let read =
        |line: &str| serde_json::from_str(line).context("a line of pg-snap inspect --definitions");
    text.lines().map(read).collect()
}

/// Another version of the product, or another major of PostgreSQL, defines other things.
fn is_same_version(before: &Bundle, drill: &Drill) -> Result<bool> {
    let now = drill.dump()?.server_version.as_deref().and_then(major_of).or(drill.bundle.major());
    Ok(before.version() == drill.bundle.version() && before.major() == now)
}

/// Rows of each schema, against those that the last drill counted.
fn with_last_drill(drill: &Drill) -> Result<()> {
    let Some(last) = baseline::last_drill(drilled(&drill.bundle), &drill.history) else {
        return Ok(());
    };
    let mut now: BTreeMap<String, u64> = BTreeMap::new();
    drill.results.update(|report| now.clone_from(&report.rows));
    let judged = judge_rows(last, &now, drill.settings.shrink_percent);
    let judged: Vec<Judged> = judged
        .into_iter()
        // As the bundle before has it already.
        .filter(|(schema, _)| !drill.results.has_finding(&format!("schema {schema}")))
        .map(|(_, judged)| judged)
        .collect();
    let check = format!("rows of each schema against {}", last.drill);
    if judged.is_empty() {
        let found = format!("{} schemas, {} before", now.len(), last.rows.len());
        drill.results.pass(check.clone(), "none without rows, or with far less", found);
    }
    drill.results.add_all(&check, judged);
    Ok(())
}

fn judge_rows(
    last: &DrillReport,
    now: &BTreeMap<String, u64>,
    percent: u64,
) -> Vec<(String, Judged)> {
    /// Fewer rows change by chance.
    const PART: u64 = 100;
    let mut judged = Vec::new();
    for (schema, before) in last.rows.iter().filter(|(_, before)| **before > 0) {
        let after = now.get(schema).copied().unwrap_or_default();
        let is_less =
            *before >= PART && u128::from(after) * 100 < u128::from(*before) * u128::from(percent);
        if is_less || (after == 0 && percent > 0) {
            let check = format!("rows of {schema}");
            let expected = format!("{before} in {}", last.drill);
            let finding = Judged::new(DrillVerdict::Finding, check, expected, after.to_string());
            judged.push((schema.clone(), finding));
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_rows_or_with_far_less_than_in_the_last_drill_is_a_finding() {
        let rows = |rows: &[(&str, u64)]| rows.iter().map(|(s, n)| ((*s).to_owned(), *n)).collect();
        let last = DrillReport {
            drill: "drill_x".into(),
            rows: rows(&[("a", 200), ("b", 50), ("c", 3), ("d", 0), ("e", 200)]),
            ..DrillReport::default()
        };
        let now: BTreeMap<String, u64> = rows(&[("a", 99), ("b", 1), ("c", 0), ("e", 100)]);
        let found: Vec<String> = judge_rows(&last, &now, 50).into_iter().map(|(s, _)| s).collect();
        assert_eq!(found, ["a", "c"]);
        assert!(judge_rows(&last, &now, 0).is_empty());
    }

    #[test]
    fn answers_of_the_catalog_are_read() {
        for row in [
            r#"{"index" : {"name" : "s.i", "table" : "s.t"}}"#,
            r#"{"not_valid" : "k of s.t"}"#,
            r#"{"counted" : 12}"#,
            r#"{"sequence" : {"name" : "s.q", "column" : "s.t.id", "next" : 2, "last" : 40}}"#,
        ] {
            serde_json::from_str::<Answer>(row).unwrap();
        }
    }
}
