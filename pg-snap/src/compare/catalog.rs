//! What the database has, read from its catalog.

use crate::sql::Name;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Each line of the answer is for [`Catalog::add_line`].
pub const QUERY: &str = include_str!("catalog.sql");

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct CatalogRelation {
    pub schema: String,
    pub name: String,
    /// `pg_class.relkind`.
    pub kind: char,
    /// Schema and name, quoted where they must be.
    pub quoted: String,
    pub filenode: u32,
    /// As of the last VACUUM or ANALYZE.
    pub pages: i64,
    /// Whether a materialized view is populated.
    pub filled: bool,
    /// Whether it belongs to an extension.
    pub member: bool,
    /// A WHERE clause for the user's rows of an extension's table.
    pub filter: Option<String>,
    /// Of a partition: the partitioned table at the root.
    pub root: Option<Name>,
    /// Of a sequence.
    pub increment: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct CatalogConstraint {
    pub schema: String,
    /// The table or the domain.
    pub of: String,
    pub name: String,
    pub valid: bool,
    pub enforced: bool,
    /// Defined there rather than inherited.
    pub local: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct CatalogIndex {
    pub schema: String,
    pub name: String,
    pub table: String,
    pub valid: bool,
    pub ready: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    pub schemas: BTreeSet<String>,
    /// Schemas that an extension has made.
    pub member_schemas: BTreeSet<String>,
    pub relations: BTreeMap<Name, CatalogRelation>,
    pub constraints: BTreeMap<(Name, String), CatalogConstraint>,
    pub indexes: BTreeMap<Name, CatalogIndex>,
    pub large_objects: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CatalogLine {
    Schema { name: String, member: bool },
    Relation(CatalogRelation),
    Constraint(CatalogConstraint),
    Index(CatalogIndex),
    LargeObjects(u64),
}

impl Catalog {
    /// Adds a line of the answer.
    pub fn add_line(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line)
            .with_context(|| format!("unexpected line of the catalog: {line}"))?
        {
            CatalogLine::Schema { name, member } => {
                if member {
                    self.member_schemas.insert(name.clone());
                }
                self.schemas.insert(name);
            }
            CatalogLine::Relation(relation) => {
                let name = (relation.schema.clone(), relation.name.clone());
                self.relations.insert(name, relation);
            }
            CatalogLine::Constraint(constraint) => {
                let of = (constraint.schema.clone(), constraint.of.clone());
                self.constraints.insert((of, constraint.name.clone()), constraint);
            }
            CatalogLine::Index(index) => {
                self.indexes.insert((index.schema.clone(), index.name.clone()), index);
            }
            CatalogLine::LargeObjects(count) => self.large_objects = count,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_answer_are_taken() {
        let mut catalog = Catalog::default();
        for line in [
            r#"{"schema":{"name":"s","member":true}}"#,
            r#"{"relation":{"schema":"s","name":"t","kind":"r","quoted":"s.t","filenode":1,"pages":2,"filled":true,"member":false,"filter":null,"root":["s","p"],"increment":null}}"#,
            r#"{"constraint":{"schema":"s","of":"t","name":"c","valid":true,"local":true,"enforced":true}}"#,
            r#"{"index":{"schema":"s","name":"i","table":"t","valid":true,"ready":false}}"#,
            r#"{"large_objects":3}"#,
        ] {
            catalog.add_line(line).unwrap();
        }
        let sizes = (catalog.relations.len(), catalog.constraints.len(), catalog.indexes.len());
        assert_eq!((sizes, catalog.large_objects), ((1, 1, 1), 3));
        assert!(catalog.member_schemas.contains("s") && catalog.add_line("ERROR").is_err());
    }
}
