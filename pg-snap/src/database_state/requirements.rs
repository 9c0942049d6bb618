//! What a dump needs of the server that it is loaded into, besides roles and extensions: collected from
//! the dumped database, checked by `pg-snap preflight`.

use super::planned::PLANNED;
use super::public_schema::{PublicSchema, STATE as PUBLIC_SCHEMA_STATE};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The first one returns an object with the requirements, the second an object with the [`HiddenOperators`], the
/// last a [`RowValue`] in each line.
pub fn queries() -> [String; 3] {
    [
        include_str!("requirements.sql").replace(":public_schema", PUBLIC_SCHEMA_STATE),
        include_str!("hidden_operators.sql").to_owned(),
        include_str!("row_values.sql").replace("/*planned*/\n", PLANNED),
    ]
}

/// In [`Requirements::absent`]: the database has no schema public.
pub const ABSENT_PUBLIC: &str = "schema public";

/// Columns that get a warning each.
const LINES: usize = 10;
/// The most values in rows that a dump records, so that its head stays short.
const VALUES: usize = 200;

/// Field names are part of the dump format (docs/FORMAT.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirements {
    /// Of the extensions that the dump creates.
    pub extension_versions: BTreeMap<String, String>,
    /// What a new database has and this one has not, as [`ABSENT_PUBLIC`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// None: unknown, or that of PostgreSQL 15 and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_schema: Option<PublicSchema>,
    /// Extensions that the server loaded when it started.
    pub preloaded: Vec<String>,
    /// Of tables and indexes that are not in the database's own tablespace.
    pub tablespaces: Vec<String>,
    pub dictionaries: Vec<Dictionary>,
    pub collations: Vec<Collation>,
    /// Of functions in C that belong to no extension.
    pub libraries: Vec<String>,
    /// Those that belong to no extension.
    pub foreign_data_wrappers: Vec<String>,
    pub event_triggers: Vec<String>,
    #[serde(skip_serializing_if = "HiddenOperators::is_empty")]
    pub hidden_operators: HiddenOperators,
    /// One of each kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub superuser_objects: Vec<SuperuserObject>,
    pub row_values: Vec<RowValue>,
}

/// Operators of extensions whose schema the text of a definition has no place for, as in `NULLIF (a, b)`: under an
/// empty search path, the server would take one of its own, without an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HiddenOperators {
    /// Of the operators.
    pub schemas: Vec<String>,
    /// The first of the objects that use them.
    pub users: Vec<String>,
    /// The number of all of these objects.
    pub count: usize,
}

/// A definition that belongs to no extension, and that PostgreSQL lets only a superuser create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuperuserObject {
    pub kind: SuperuserKind,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuperuserKind {
    PublicationOfAllTables,
    PublicationOfSchema,
    Subscription,
    OperatorFamily,
    OperatorClass,
    /// The name is its two types, with `AS` between them.
    CastWithoutFunction,
    /// Neither type is of the database.
    CastOfServerTypes,
    InternalFunction,
    LeakproofFunction,
    FunctionWithSupport,
    /// With `internal` as the type of its state.
    InternalAggregate,
    BaseType,
    TextSearchParser,
    TextSearchTemplate,
    AccessMethod,
    Language,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// A text search dictionary of a template of PostgreSQL's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dictionary {
    pub name: String,
    pub template: String,
    /// Name and value.
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Collation {
    pub name: String,
    /// `c` libc, `i` ICU, `b` builtin.
    pub provider: String,
    pub locale: Option<String>,
    pub ctype: Option<String>,
    /// ICU tailoring rules.
    pub rules: Option<String>,
}

/// An object that rows refer to by a type such as `regclass`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowValue {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
    /// Schema, table and column: one of those that contain it.
    pub column: String,
    pub how: Resolution,
}

/// How a load finds what a row refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// A role that could log in.
    Login,
    /// Another role.
    Role,
    /// It comes with the server.
    System,
    /// It is created after the rows are loaded.
    Late,
    /// Its name is that of several objects.
    Ambiguous,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl Requirements {
    /// Adds a line of the answers.
    pub fn add_line(&mut self, line: &str) -> Result<()> {
        let reading = || format!("unexpected line in the list of requirements: {line}");
        if line.starts_with("{\"extension_versions\"") {
            let (row_values, hidden_operators) =
                (std::mem::take(&mut self.row_values), std::mem::take(&mut self.hidden_operators));
            let others = serde_json::from_str(line).with_context(reading)?;
            *self = Self { row_values, hidden_operators, ..others };
        } else if line.starts_with("{\"hidden_operators\"") {
            let hidden: Self = serde_json::from_str(line).with_context(reading)?;
            self.hidden_operators = hidden.hidden_operators;
        } else {
            self.row_values.push(serde_json::from_str(line).with_context(reading)?);
        }
        Ok(())
    }

    /// A line for each column whose rows no load can read, up to a limit, and the number of the others.
    pub fn warnings(&self) -> Vec<String> {
        let lost = self
            .row_values
            .iter()
            .filter(|v| matches!(v.how, Resolution::Late | Resolution::Ambiguous));
        let mut columns = BTreeSet::new();
        let lost = lost.filter(|value| columns.insert(&value.column));
        let mut lines: Vec<String> = lost
            .map(|value| {
                let line = value.unreadable();
                format!("{line}; store the name as text: ALTER TABLE … ALTER COLUMN … TYPE text;")
            })
            .collect();
        let more = lines.len().saturating_sub(LINES);
        if more > 0 {
            lines.truncate(LINES);
            lines.push(format!("columns whose rows no load can read: and {more} more"));
        }
        lines.extend(self.hidden_operators.warnings());
        lines
    }
}

impl HiddenOperators {
    fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }

    fn warnings(&self) -> Vec<String> {
        let schemas = self.schemas.join(", ");
        let mut lines: Vec<String> = self
            .users
            .iter()
            .map(|user| {
                format!(
                    "{user} compares by an operator of schema {schemas} whose schema its definition cannot name: \
                     psql alone loads it with an operator of pg_catalog (pg-snap load sets the search_path)"
                )
            })
            .collect();
        let more = self.count.saturating_sub(self.users.len());
        if more > 0 {
            lines.push(format!("operators that a definition cannot name: and {more} more"));
        }
        lines
    }
}

impl RowValue {
    /// Why a row with it cannot be read back.
    pub fn unreadable(&self) -> String {
        let Self { kind, value, column, how } = self;
        let why = match how {
            Resolution::Ambiguous => "a name of several objects",
            _ => "which a load creates only after the rows",
        };
        format!("rows of {column} refer to {value} as {kind}, {why}: no load can read them")
    }
}

impl Requirements {
    /// Takes out the roles that rows refer to, each with whether it could log in, and keeps every other
    /// value once.
    pub fn take_roles(&mut self) -> Vec<(String, bool)> {
        let (roles, mut others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.row_values)
            .into_iter()
            .partition(|value| matches!(value.how, Resolution::Login | Resolution::Role));
        others.sort();
        others.dedup_by(|a, b| (&a.kind, &a.value) == (&b.kind, &b.value));
        others.truncate(VALUES);
        self.row_values = others;
        roles.into_iter().map(|role| (role.value, role.how == Resolution::Login)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_in_rows_are_taken_out_and_other_values_are_kept_once() {
        let mut requirements = Requirements::default();
        let value = |value: &str, how: &str, column: &str| {
            format!(r#"{{"type":"regclass","column":"{column}","value":"{value}","how":"{how}"}}"#)
        };
        for line in [
            value("b", "login", "t.x"),
            value("a", "role", "t.x"),
            value("i", "late", "t.y"),
            value("i", "late", "t.z"),
            value("j", "late", "t.y"),
            r#"{"extension_versions":{"citext":"1.6"},"preloaded":[]}"#.to_owned(),
        ] {
            requirements.add_line(&line).unwrap();
        }
        assert!(requirements.add_line("ERROR").is_err());
        assert_eq!(requirements.warnings().len(), 2);
        let mut many = Requirements::default();
        (0..12).for_each(|n| many.add_line(&value("i", "late", &format!("t.c{n}"))).unwrap());
        let lines = many.warnings();
        assert_eq!(
            (lines.len(), &*lines[10]),
            (11, "columns whose rows no load can read: and 2 more")
        );
        assert_eq!(requirements.take_roles(), [("b".into(), true), ("a".into(), false)]);
        assert_eq!(requirements.extension_versions["citext"], "1.6");
        let kept = requirements.row_values.iter().map(|v| &*v.value).collect::<Vec<_>>();
        assert_eq!(kept, ["i", "j"]);
    }
}
