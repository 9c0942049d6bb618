//! The report of a comparison, as data and as text.

use super::statement::RelationKind;
use crate::sql::Name;
use serde::Serialize;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    Schema,
    Table,
    View,
    MaterializedView,
    Sequence,
    Constraint,
    Index,
    LargeObjects,
}

impl ObjectKind {
    pub fn of(kind: RelationKind) -> Self {
        match kind {
            RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => Self::Table,
            RelationKind::View => Self::View,
            RelationKind::MaterializedView => Self::MaterializedView,
            RelationKind::Sequence => Self::Sequence,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::LargeObjects => "large objects",
        }
    }
}

/// How the database differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Difference {
    /// The dump has it, the database has not.
    Missing,
    /// The database has it, the dump has not.
    Extra,
    /// Of large objects, their number.
    Rows {
        expected: u64,
        found: u64,
    },
    /// The next values of the sequence.
    Behind {
        expected: i64,
        found: i64,
    },
    NotValid,
    NotEnforced,
    NotReady,
    NotFilled,
}

/// A difference. Field names are the JSON's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub object: ObjectKind,
    /// For a schema, its name.
    pub schema: String,
    pub name: String,
    /// Of a constraint or an index: its table or domain, in the same schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(flatten)]
    pub difference: Difference,
}

/// What was compared, and what was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub schemas: usize,
    /// Tables whose rows were counted.
    pub tables: u64,
    /// Their rows in the dump.
    pub rows: u64,
    pub sequences: u64,
    pub constraints: u64,
    pub indexes: u64,
    pub materialized_views: u64,
    pub large_objects: u64,
    /// Tables whose rows the dump omits, or whose rows cannot be counted in it.
    pub not_compared: Vec<Name>,
    pub findings: Vec<Finding>,
}

/// The report. Field names are the JSON's.
#[derive(Debug, Serialize)]
pub struct CompareReport {
    /// Whether nothing was found.
    pub same: bool,
    pub database: String,
    pub server_version: String,
    /// Of the server that was dumped; null if the dump does not state it.
    pub dump_version: Option<String>,
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl CompareReport {
    /// A line for each finding, then a summary.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for finding in &self.comparison.findings {
            let _ = writeln!(text, "{}", finding.to_text());
        }
        let c = &self.comparison;
        let verdict = match c.findings.len() {
            0 => "Same".to_owned(),
            1 => "Differs: 1 finding".to_owned(),
            n => format!("Differs: {n} findings"),
        };
        let _ = write!(
            text,
            "{verdict}; compared {} schemas, {} tables with {} rows, {} sequences, {} constraints, {} indexes, \
             {} materialized views, {} large objects",
            c.schemas,
            c.tables,
            c.rows,
            c.sequences,
            c.constraints,
            c.indexes,
            c.materialized_views,
            c.large_objects
        );
        if !c.not_compared.is_empty() {
            let _ = write!(text, "; the dump has no rows of {} tables", c.not_compared.len());
        }
        text.push('\n');
        text
    }
}

impl Finding {
    fn to_text(&self) -> String {
        let (schema, name) = (self.schema.escape_debug(), self.name.escape_debug());
        let object = self.object.text();
        let subject = match (self.object, &self.table) {
            (ObjectKind::Schema, _) => format!("{object} {schema}"),
            (ObjectKind::LargeObjects, _) => object.to_owned(),
            (ObjectKind::Constraint, Some(of)) => {
                format!("{object} {name} of {schema}.{}", of.escape_debug())
            }
            _ => format!("{object} {schema}.{name}"),
        };
        match self.difference {
            Difference::Missing => format!("{subject}: missing"),
            Difference::Extra => format!("{subject}: not in the dump"),
            Difference::Rows { expected, found } if self.object == ObjectKind::LargeObjects => {
                format!("{subject}: {found}, {expected} in the dump")
            }
            Difference::Rows { expected, found } => {
                format!("{subject}: {found} rows, {expected} in the dump")
            }
            Difference::Behind { expected, found } => {
                format!("{subject}: behind, its next value is {found}, {expected} in the dump")
            }
            Difference::NotValid => format!("{subject}: not valid"),
            Difference::NotEnforced => format!("{subject}: not enforced"),
            Difference::NotReady => format!("{subject}: not ready, its build did not finish"),
            Difference::NotFilled => {
                format!("{subject}: not populated (REFRESH MATERIALIZED VIEW)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(object: ObjectKind, table: Option<&str>, difference: Difference) -> Finding {
        let table = table.map(str::to_owned);
        Finding { object, schema: "s".into(), name: "x\ny".into(), table, difference }
    }

    #[test]
    fn a_finding_is_a_line_and_a_json_object() {
        let rows = Difference::Rows { expected: 2, found: 1 };
        for (finding, text, json) in [
            (
                finding(ObjectKind::Table, None, rows),
                "table s.x\\ny: 1 rows, 2 in the dump",
                r#"{"object":"table","schema":"s","name":"x\ny","finding":"rows","expected":2,"found":1}"#,
            ),
            (
                finding(ObjectKind::Constraint, Some("t"), Difference::NotValid),
                "constraint x\\ny of s.t: not valid",
                r#"{"object":"constraint","schema":"s","name":"x\ny","table":"t","finding":"not-valid"}"#,
            ),
            (
                finding(ObjectKind::Index, Some("t"), Difference::Missing),
                "index s.x\\ny: missing",
                r#"{"object":"index","schema":"s","name":"x\ny","table":"t","finding":"missing"}"#,
            ),
            (
                finding(ObjectKind::Sequence, None, Difference::Behind { expected: -3, found: -2 }),
                "sequence s.x\\ny: behind, its next value is -2, -3 in the dump",
                r#"{"object":"sequence","schema":"s","name":"x\ny","finding":"behind","expected":-3,"found":-2}"#,
            ),
            (
                finding(ObjectKind::Schema, None, Difference::Extra),
                "schema s: not in the dump",
                r#"{"object":"schema","schema":"s","name":"x\ny","finding":"extra"}"#,
            ),
        ] {
            assert_eq!(finding.to_text(), text);
            assert_eq!(serde_json::to_string(&finding).unwrap(), json);
        }
    }

    #[test]
    fn the_last_line_is_the_verdict() {
        let mut report = CompareReport {
            same: true,
            database: "d".into(),
            server_version: "16.2".into(),
            dump_version: None,
            comparison: Comparison { tables: 3, rows: 9, ..Comparison::default() },
        };
        assert!(report.to_text().starts_with("Same; compared 0 schemas, 3 tables with 9 rows, "));
        report.comparison.findings.push(finding(ObjectKind::View, None, Difference::Missing));
        report.comparison.not_compared.push(("s".into(), "t".into()));
        let text = report.to_text();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("Differs: 1 finding; ") && last.ends_with("no rows of 1 tables"));
    }
}
