//! What outside a schema depends on what is inside it. When the schema is renamed, dependents would stay
//! with it: a foreign key would still refer to the table that is no longer in use.

use crate::preflight;
use crate::psql::Server;
use crate::sql::{literal, with_values};
use anyhow::{Context, Result};

/// How many are listed.
const LISTED: usize = 20;

/// Checks that nothing outside a schema depends on it.
///
/// # Errors
/// [`pipe_kit::Stop::refused`], after a line for each of the first dependents.
pub fn check(server: &Server, database: &str, schema: &str) -> Result<()> {
    let query = with_values(include_str!("dependents/dependents.sql"), &[("schema", schema)]);
    let answer = server.query(database, &query)?;
    let lines: Vec<String> =
        serde_json::from_str(&answer).context("asking what depends on the schema")?;
    preflight::refuse(&problems(schema, &lines))
}

/// The lines of the refusal; empty if there are no dependents.
fn problems(schema: &str, lines: &[String]) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let schema = schema.replace(char::is_control, "?");
    let mut problems: Vec<String> = lines
        .iter()
        .take(LISTED)
        .map(|line| {
            format!(
                "outside schema {schema} and dependent on it: {}",
                line.replace(char::is_control, "?")
            )
        })
        .collect();
    if lines.len() > LISTED {
        problems.push(format!("and {} more", lines.len() - LISTED));
    }
    let count = match lines.len() {
        1 => "1 object".to_owned(),
        n => format!("{n} objects"),
    };
    problems.push(format!(
        "{count} outside schema {schema} would still depend on the renamed schema; nothing was changed; load \
         the schema under another name (--into), or drop what is listed and create it again afterwards"
    ));
    problems
}

/// A statement that fails if a table of the schema is a partition or child of one elsewhere, whose readers
/// would see its rows.
pub fn forbid_partitions(schema: &str) -> String {
    let code = with_values(include_str!("dependents/forbid_partitions.sql"), &[("schema", schema)]);
    format!("DO LANGUAGE plpgsql {};\n", literal(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_listed_and_all_are_counted() {
        let lines = |n: usize| (0..n).map(|n| format!("view v{n}")).collect::<Vec<_>>();
        assert!(problems("s", &lines(0)).is_empty());
        assert_eq!(problems("s", &lines(1))[0], "outside schema s and dependent on it: view v0");
        assert!(problems("s", &lines(1))[1].starts_with("1 object outside schema s "));
        let many = problems("s", &lines(23));
        assert_eq!((many.len(), many[20].as_str()), (22, "and 3 more"));
        assert!(many[21].starts_with("23 objects "));
    }
}
