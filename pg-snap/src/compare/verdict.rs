//! Where a database is not what a dump says: a pure decision.

use super::count::Counts;
use super::database::{Constraint, Database, Relation};
use super::holdings::Holdings;
use super::report::{Compared, Finding, Is, Object};
use super::statement::Kind;
use crate::sql::Name;
use std::collections::{BTreeMap, BTreeSet};

/// The major since which a server keeps names of NOT NULL constraints.
const NAMES_NOT_NULL: u32 = 18;

/// What was compared, and what was found.
pub fn verdict(held: &Holdings, database: &Database, counts: &Counts, major: u32) -> Compared {
    let mut verdict = Verdict { held, database, counts, major, compared: Compared::default() };
    verdict.schemas();
    verdict.relations();
    verdict.rows();
    verdict.sequences();
    verdict.constraints();
    verdict.indexes();
    verdict.large_objects();
    verdict.compared
}

struct Verdict<'a> {
    held: &'a Holdings,
    database: &'a Database,
    counts: &'a Counts,
    major: u32,
    compared: Compared,
}

impl Verdict<'_> {
    fn find(&mut self, object: Object, name: &Name, is: Is) {
        let (schema, name) = name.clone();
        self.compared.findings.push(Finding { object, schema, name, table: None, is });
    }

    fn find_of(&mut self, object: Object, table: &Name, name: &str, is: Is) {
        let (schema, table) = (table.0.clone(), Some(table.1.clone()));
        self.compared.findings.push(Finding { object, schema, name: name.to_owned(), table, is });
    }

    fn has(&self, table: &Name) -> bool {
        self.database.relations.contains_key(table)
    }

    /// Every database begins with a schema `public`, which a dump does not make.
    fn schemas(&mut self) {
        let (held, database) = (self.held, self.database);
        let named = held.relations.keys().chain(held.rows.keys()).map(|(schema, _)| schema);
        let wanted: BTreeSet<&String> = held.schemas.iter().chain(named).collect();
        self.compared.schemas = wanted.len();
        for schema in &wanted {
            if !database.schemas.contains(*schema) {
                self.find(Object::Schema, &((*schema).clone(), String::new()), Is::Missing);
            }
        }
        for schema in database.schemas.difference(&database.member_schemas) {
            if schema != "public" && !wanted.contains(schema) {
                self.find(Object::Schema, &(schema.clone(), String::new()), Is::Extra);
            }
        }
    }

    fn relations(&mut self) {
        let (held, database) = (self.held, self.database);
        for (name, kind) in &held.relations {
            let object = Object::of(*kind);
            match database.relations.get(name) {
                None => self.find(object, name, Is::Missing),
                Some(found) if !fits(*kind, found.kind, held.rows.contains_key(name)) => {
                    self.find(object, name, Is::Missing);
                }
                Some(found) if *kind == Kind::MaterializedView => {
                    self.compared.materialized_views += 1;
                    if held.filled.contains(name) && !found.filled {
                        self.find(object, name, Is::NotFilled);
                    }
                }
                Some(_) => {}
            }
        }
        for (name, found) in &database.relations {
            let is_table = matches!(found.kind, 'r' | 'p' | 'f');
            if is_table && !found.member && !held.relations.contains_key(name) {
                self.find(Object::Table, name, Is::Extra);
            }
        }
    }

    /// Rows that go through a partitioned table are in whatever partition its key tells, so they are
    /// counted together.
    fn rows(&mut self) {
        let (held, database) = (self.held, self.database);
        let tables = |kind| matches!(kind, Kind::Table);
        for (name, _) in held.relations.iter().filter(|(_, kind)| tables(**kind)) {
            let through = held.rows.contains_key(held.root_of(name));
            if !through && !held.rows.contains_key(name) {
                self.compared.not_compared.push(name.clone());
            }
        }
        for (name, expected) in expected_rows(held) {
            let Some(expected) = expected else {
                self.compared.not_compared.push(name.clone());
                continue;
            };
            let Some(relation) = database.relations.get(name) else {
                if !held.relations.contains_key(name) {
                    self.find(Object::Table, name, Is::Missing);
                }
                continue;
            };
            if !matches!(relation.kind, 'r' | 'p') {
                continue;
            }
            let found = self.found_rows(name, relation);
            self.compared.tables += 1;
            self.compared.rows += expected;
            if found != expected {
                self.find(Object::Table, name, Is::Rows { expected, found });
            }
        }
    }

    fn found_rows(&self, name: &Name, relation: &Relation) -> u64 {
        let count = |name: &Name| self.counts.rows.get(name).copied().unwrap_or_default();
        if relation.kind != 'p' {
            return count(name);
        }
        let parts = self.database.relations.iter();
        let parts = parts.filter(|(_, part)| part.root.as_ref() == Some(name));
        parts.map(|(part, _)| count(part)).sum()
    }

    fn sequences(&mut self) {
        let (held, database, counts) = (self.held, self.database, self.counts);
        for (name, expected) in &held.sequences {
            let Some(relation) = database.relations.get(name) else {
                if !held.relations.contains_key(name) {
                    self.find(Object::Sequence, name, Is::Missing);
                }
                continue;
            };
            let Some(found) = counts.sequences.get(name) else { continue };
            self.compared.sequences += 1;
            let step = relation.increment.unwrap_or(1);
            let (expected, found) = (next(*expected, step), next(*found, step));
            if if step < 0 { found > expected } else { found < expected } {
                self.find(Object::Sequence, name, Is::Behind { expected, found });
            }
        }
    }

    fn constraints(&mut self) {
        let (held, database) = (self.held, self.database);
        for ((of, name), wanted) in &held.constraints {
            let kept = !wanted.not_null || self.major >= NAMES_NOT_NULL;
            let key = (of.clone(), name.clone());
            let of_table = held.relations.contains_key(of);
            if database.constraints.contains_key(&key) {
                self.compared.constraints += 1;
            } else if kept && (!of_table || self.has(of)) {
                self.find_of(Object::Constraint, of, name, Is::Missing);
            }
        }
        for (key @ (of, name), found) in &database.constraints {
            let wanted = held.constraints.get(key);
            if let Some(is) = state(found, wanted) {
                self.find_of(Object::Constraint, of, name, is);
            }
        }
    }

    fn indexes(&mut self) {
        let (held, database) = (self.held, self.database);
        for (name, index) in &held.indexes {
            if database.indexes.contains_key(name) {
                self.compared.indexes += 1;
            } else if self.has(&index.table) {
                self.find_of(Object::Index, &index.table, &name.1, Is::Missing);
            }
        }
        let incomplete = incomplete(held);
        for (name, index) in &database.indexes {
            let table = (index.schema.clone(), index.table.clone());
            if !index.ready {
                self.find_of(Object::Index, &table, &index.name, Is::NotReady);
            } else if !index.valid && !incomplete.contains(name) {
                self.find_of(Object::Index, &table, &index.name, Is::NotValid);
            }
        }
    }

    fn large_objects(&mut self) {
        let Some(expected) = self.held.large_objects else { return };
        let found = self.database.large_objects;
        self.compared.large_objects = expected;
        if expected != found {
            let is = Is::Rows { expected, found };
            self.find(Object::LargeObjects, &(String::new(), String::new()), is);
        }
    }
}

/// Whether a relation is what the dump makes. Dumps of old majors make some views from tables without
/// rows.
fn fits(wanted: Kind, found: char, has_rows: bool) -> bool {
    match wanted {
        Kind::Table => found == 'r' || found == 'v' && !has_rows,
        Kind::Partitioned => found == 'p',
        Kind::Foreign => found == 'f',
        Kind::View => found == 'v',
        Kind::MaterializedView => found == 'm',
        Kind::Sequence => found == 'S',
    }
}

/// The rows of a dump's tables, those that go through a partitioned table taken together.
fn expected_rows(held: &Holdings) -> BTreeMap<&Name, Option<u64>> {
    let mut expected = BTreeMap::new();
    for (name, rows) in &held.rows {
        let root = held.root_of(name);
        let at = if held.rows.contains_key(root) { root } else { name };
        let sum = expected.entry(at).or_insert(Some(0u64));
        *sum = sum.zip(*rows).map(|(sum, rows)| sum.saturating_add(rows));
    }
    expected
}

/// What a sequence gives next.
fn next((last, called): (i64, bool), step: i64) -> i64 {
    if called { last.saturating_add(step) } else { last }
}

/// Constraints that hold for every row where the dump says so. What came from a parent is as the
/// parent's is.
fn state(found: &Constraint, wanted: Option<&super::statement::Constraint>) -> Option<Is> {
    if !found.enforced {
        return wanted.is_some_and(|w| !w.not_enforced).then_some(Is::NotEnforced);
    }
    let may_be_invalid = wanted.map_or(!found.local, |w| w.not_valid || w.not_enforced);
    (!found.valid && !may_be_invalid).then_some(Is::NotValid)
}

/// Indexes of partitioned tables that the dump itself leaves without an index of some partition: these
/// are not valid where it comes from, either.
fn incomplete(held: &Holdings) -> BTreeSet<Name> {
    let mut partitions: BTreeMap<&Name, usize> = BTreeMap::new();
    for parent in held.parents.values() {
        *partitions.entry(parent).or_default() += 1;
    }
    let mut incomplete: BTreeSet<Name> = BTreeSet::new();
    loop {
        let before = incomplete.len();
        for (name, index) in held.indexes.iter().filter(|(_, index)| index.only) {
            let parts = index.parts.iter().filter(|part| !incomplete.contains(*part)).count();
            if parts < partitions.get(&index.table).copied().unwrap_or_default() {
                incomplete.insert(name.clone());
            }
        }
        if incomplete.len() == before {
            return incomplete;
        }
    }
}

#[cfg(test)]
mod tests;
