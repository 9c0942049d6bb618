//! `pg-snap compare`

use serde::{Deserialize, Serialize};

/// `pg-snap compare --json`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompareReport {
    /// Whether nothing was found.
    pub same: bool,
    /// The database's name.
    pub database: String,
    /// Its server's version.
    pub server_version: String,
    /// Of the server that was dumped; null if the dump does not state it.
    pub dump_version: Option<String>,
    /// What was compared.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What was compared, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Schemas of the dump.
    pub schemas: usize,
    /// Tables whose rows were counted.
    pub tables: u64,
    /// Their rows in the dump.
    pub rows: u64,
    /// Sequences.
    pub sequences: u64,
    /// Constraints.
    pub constraints: u64,
    /// Indexes.
    pub indexes: u64,
    /// Materialized views.
    pub materialized_views: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Tables (schema and name) whose rows the dump omits, or whose rows cannot be counted in it.
    pub not_compared: Vec<(String, String)>,
    /// The differences.
    pub findings: Vec<CompareFinding>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareFinding {
    /// What differs.
    pub object: ComparedKind,
    /// For a schema, its name.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Of a constraint or an index: its table or domain, in the same schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How it differs.
    #[serde(flatten)]
    pub difference: CompareDifference,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComparedKind {
    /// A schema.
    Schema,
    /// A table of any kind.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A sequence.
    Sequence,
    /// A constraint.
    Constraint,
    /// An index.
    Index,
    /// All large objects.
    LargeObjects,
}

/// How the database differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum CompareDifference {
    /// The dump has it, the database has not.
    Missing,
    /// The database has it, the dump has not.
    Extra,
    /// Of large objects, their number.
    Rows {
        /// In the dump.
        expected: u64,
        /// In the database.
        found: u64,
    },
    /// The next values of the sequence.
    Behind {
        /// In the dump.
        expected: i64,
        /// In the database.
        found: i64,
    },
    /// A constraint or index that is not valid.
    NotValid,
    /// A constraint that is not enforced.
    NotEnforced,
    /// An index whose build did not finish.
    NotReady,
    /// A materialized view without rows.
    NotFilled,
}

impl ComparedKind {
    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
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

impl CompareFinding {
    /// What differs: `table tenant_0001.documents`.
    #[must_use]
    pub fn subject(&self) -> String {
        let (schema, name) = (self.schema.escape_debug(), self.name.escape_debug());
        let object = self.object.words();
        match (self.object, &self.table) {
            (ComparedKind::Schema, _) => format!("{object} {schema}"),
            (ComparedKind::LargeObjects, _) => object.to_owned(),
            (ComparedKind::Constraint, Some(of)) => {
                format!("{object} {name} of {schema}.{}", of.escape_debug())
            }
            _ => format!("{object} {schema}.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_documented_shape() {
        let text = r#"{"same":false,"database":"d","server_version":"16.2","dump_version":null,"schemas":1,"tables":1,"rows":2,"sequences":1,"constraints":0,"indexes":0,"materialized_views":0,"large_objects":0,"not_compared":[["s","u"]],"findings":[{"object":"table","schema":"s","name":"t","finding":"rows","expected":2,"found":1},{"object":"sequence","schema":"s","name":"q","finding":"behind","expected":-3,"found":-2},{"object":"constraint","schema":"s","name":"c","table":"t","finding":"not-valid"}]}"#;
        let report: CompareReport = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
        let subjects: Vec<String> =
            report.comparison.findings.iter().map(CompareFinding::subject).collect();
        assert_eq!(subjects, ["table s.t", "sequence s.q", "constraint c of s.t"]);
    }
}
