//! What the database has, by its catalog.

use crate::sql::Name;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The question; each line of its answer is for [`Database::add`].
pub const ASK: &str = include_str!("catalog.sql");

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Relation {
    pub schema: String,
    pub name: String,
    /// As `pg_class` tells it.
    pub kind: char,
    /// Schema and name, quoted where they must be.
    pub quoted: String,
    pub filenode: u32,
    /// At the last count.
    pub pages: i64,
    /// Whether a materialized view has its rows.
    pub filled: bool,
    /// Of an extension.
    pub member: bool,
    /// Which rows of an extension's table are the user's: a WHERE clause.
    pub filter: Option<String>,
    /// Of a partition: the table at the root of all.
    pub root: Option<Name>,
    /// Of a sequence.
    pub increment: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Constraint {
    pub schema: String,
    /// The table or the domain.
    pub of: String,
    pub name: String,
    pub valid: bool,
    pub enforced: bool,
    /// Made there, rather than come from a parent.
    pub local: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Index {
    pub schema: String,
    pub name: String,
    pub table: String,
    pub valid: bool,
    pub ready: bool,
}

/// All of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Database {
    pub schemas: BTreeSet<String>,
    /// Schemas that an extension has made.
    pub member_schemas: BTreeSet<String>,
    pub relations: BTreeMap<Name, Relation>,
    pub constraints: BTreeMap<(Name, String), Constraint>,
    pub indexes: BTreeMap<Name, Index>,
    pub large_objects: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Schema { name: String, member: bool },
    Relation(Relation),
    Constraint(Constraint),
    Index(Index),
    LargeObjects(u64),
}

impl Database {
    /// Takes a line of the answer.
    ///
    /// # Errors
    /// If it is none.
    pub fn add(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line).with_context(|| format!("the catalog says {line}"))? {
            Line::Schema { name, member } => {
                if member {
                    self.member_schemas.insert(name.clone());
                }
                self.schemas.insert(name);
            }
            Line::Relation(relation) => {
                let name = (relation.schema.clone(), relation.name.clone());
                self.relations.insert(name, relation);
            }
            Line::Constraint(constraint) => {
                let of = (constraint.schema.clone(), constraint.of.clone());
                self.constraints.insert((of, constraint.name.clone()), constraint);
            }
            Line::Index(index) => {
                self.indexes.insert((index.schema.clone(), index.name.clone()), index);
            }
            Line::LargeObjects(count) => self.large_objects = count,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_answer_are_taken() {
        let mut database = Database::default();
        for line in [
            r#"{"schema":{"name":"s","member":true}}"#,
            r#"{"relation":{"schema":"s","name":"t","kind":"r","quoted":"s.t","filenode":1,"pages":2,"filled":true,"member":false,"filter":null,"root":["s","p"],"increment":null}}"#,
            r#"{"constraint":{"schema":"s","of":"t","name":"c","valid":true,"local":true,"enforced":true}}"#,
            r#"{"index":{"schema":"s","name":"i","table":"t","valid":true,"ready":false}}"#,
            r#"{"large_objects":3}"#,
        ] {
            database.add(line).unwrap();
        }
        let sizes = (database.relations.len(), database.constraints.len(), database.indexes.len());
        assert_eq!((sizes, database.large_objects), ((1, 1, 1), 3));
        assert!(database.member_schemas.contains("s") && database.add("ERROR").is_err());
    }
}
