//! The differences between a database and a dump: a pure decision.

use super::catalog::{Catalog, CatalogConstraint, CatalogRelation};
use super::count::Counts;
use super::dumped_objects::DumpedObjects;
use super::report::{Comparison, Difference, Finding, ObjectKind};
use super::statement::RelationKind;
use crate::sql::Name;
use std::collections::{BTreeMap, BTreeSet};

/// The first major that keeps the names of NOT NULL constraints.
const NAMES_NOT_NULL: u32 = 18;

/// Compares what the dump makes with what the database has.
pub fn compare(
    dumped: &DumpedObjects,
    catalog: &Catalog,
    counts: &Counts,
    major: u32,
) -> Comparison {
    let mut comparer =
        Comparer { dumped, catalog, counts, major, comparison: Comparison::default() };
    comparer.schemas();
    comparer.relations();
    comparer.rows();
    comparer.sequences();
    comparer.constraints();
    comparer.indexes();
    comparer.large_objects();
    comparer.comparison
}

fn object_of(kind: RelationKind) -> ObjectKind {
    match kind {
        RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign => {
            ObjectKind::Table
        }
        RelationKind::View => ObjectKind::View,
        RelationKind::MaterializedView => ObjectKind::MaterializedView,
        RelationKind::Sequence => ObjectKind::Sequence,
    }
}

struct Comparer<'a> {
    dumped: &'a DumpedObjects,
    catalog: &'a Catalog,
    counts: &'a Counts,
    major: u32,
    comparison: Comparison,
}

impl Comparer<'_> {
    fn report(&mut self, object: ObjectKind, name: &Name, difference: Difference) {
        let (schema, name) = name.clone();
        self.comparison.findings.push(Finding { object, schema, name, table: None, difference });
    }

    fn report_of(&mut self, object: ObjectKind, table: &Name, name: &str, difference: Difference) {
        let (schema, table) = (table.0.clone(), Some(table.1.clone()));
        self.comparison.findings.push(Finding {
            object,
            schema,
            name: name.to_owned(),
            table,
            difference,
        });
    }

    fn has(&self, table: &Name) -> bool {
        self.catalog.relations.contains_key(table)
    }

    /// Every database begins with a schema `public`, which a dump does not make.
    fn schemas(&mut self) {
        let (dumped, catalog) = (self.dumped, self.catalog);
        let named = dumped.relations.keys().chain(dumped.rows.keys()).map(|(schema, _)| schema);
        let wanted: BTreeSet<&String> = dumped.schemas.iter().chain(named).collect();
        self.comparison.schemas = wanted.len();
        for schema in &wanted {
            if !catalog.schemas.contains(*schema) {
                self.report(
                    ObjectKind::Schema,
                    &((*schema).clone(), String::new()),
                    Difference::Missing,
                );
            }
        }
        for schema in catalog.schemas.difference(&catalog.member_schemas) {
            if schema != "public" && !wanted.contains(schema) {
                self.report(
                    ObjectKind::Schema,
                    &(schema.clone(), String::new()),
                    Difference::Extra,
                );
            }
        }
    }

    fn relations(&mut self) {
        let (dumped, catalog) = (self.dumped, self.catalog);
        for (name, kind) in &dumped.relations {
            let object = object_of(*kind);
            match catalog.relations.get(name) {
                None => self.report(object, name, Difference::Missing),
                Some(found) if !fits(*kind, found.kind, dumped.rows.contains_key(name)) => {
                    self.report(object, name, Difference::Missing);
                }
                Some(found) if *kind == RelationKind::MaterializedView => {
                    self.comparison.materialized_views += 1;
                    if dumped.filled.contains(name) && !found.filled {
                        self.report(object, name, Difference::NotFilled);
                    }
                }
                Some(_) => {}
            }
        }
        for (name, found) in &catalog.relations {
            let is_table = matches!(found.kind, 'r' | 'p' | 'f');
            if is_table && !found.member && !dumped.relations.contains_key(name) {
                self.report(ObjectKind::Table, name, Difference::Extra);
            }
        }
    }

    /// Rows that go through a partitioned table are in the partition that its key selects, so they are
    /// counted together.
    fn rows(&mut self) {
        let (dumped, catalog) = (self.dumped, self.catalog);
        let tables = |kind| matches!(kind, RelationKind::Table);
        for (name, _) in dumped.relations.iter().filter(|(_, kind)| tables(**kind)) {
            let through = dumped.rows.contains_key(dumped.root_of(name));
            if !through && !dumped.rows.contains_key(name) {
                self.comparison.not_compared.push(name.clone());
            }
        }
        for (name, expected) in expected_rows(dumped) {
            let Some(expected) = expected else {
                self.comparison.not_compared.push(name.clone());
                continue;
            };
            let Some(relation) = catalog.relations.get(name) else {
                if !dumped.relations.contains_key(name) {
                    self.report(ObjectKind::Table, name, Difference::Missing);
                }
                continue;
            };
            if !matches!(relation.kind, 'r' | 'p') {
                continue;
            }
            let found = self.found_rows(name, relation);
            self.comparison.tables += 1;
            self.comparison.rows += expected;
            if found != expected {
                self.report(ObjectKind::Table, name, Difference::Rows { expected, found });
            }
        }
    }

    fn found_rows(&self, name: &Name, relation: &CatalogRelation) -> u64 {
        let count = |name: &Name| self.counts.rows.get(name).copied().unwrap_or_default();
        if relation.kind != 'p' {
            return count(name);
        }
        let parts = self.catalog.relations.iter();
        let parts = parts.filter(|(_, part)| part.root.as_ref() == Some(name));
        parts.map(|(part, _)| count(part)).sum()
    }

    fn sequences(&mut self) {
        let (dumped, catalog, counts) = (self.dumped, self.catalog, self.counts);
        for (name, expected) in &dumped.sequences {
            let Some(relation) = catalog.relations.get(name) else {
                if !dumped.relations.contains_key(name) {
                    self.report(ObjectKind::Sequence, name, Difference::Missing);
                }
                continue;
            };
            let Some(found) = counts.sequences.get(name) else { continue };
            self.comparison.sequences += 1;
            let step = relation.increment.unwrap_or(1);
            let (expected, found) = (next_value(*expected, step), next_value(*found, step));
            if if step < 0 { found > expected } else { found < expected } {
                self.report(ObjectKind::Sequence, name, Difference::Behind { expected, found });
            }
        }
    }

    fn constraints(&mut self) {
        let (dumped, catalog) = (self.dumped, self.catalog);
        for ((of, name), wanted) in &dumped.constraints {
            let kept = !wanted.not_null || self.major >= NAMES_NOT_NULL;
            let key = (of.clone(), name.clone());
            let of_table = dumped.relations.contains_key(of);
            if catalog.constraints.contains_key(&key) {
                self.comparison.constraints += 1;
            } else if kept && (!of_table || self.has(of)) {
                self.report_of(ObjectKind::Constraint, of, name, Difference::Missing);
            }
        }
        for (key @ (of, name), found) in &catalog.constraints {
            let wanted = dumped.constraints.get(key);
            if let Some(difference) = invalidity(found, wanted) {
                self.report_of(ObjectKind::Constraint, of, name, difference);
            }
        }
    }

    fn indexes(&mut self) {
        let (dumped, catalog) = (self.dumped, self.catalog);
        for (name, index) in &dumped.indexes {
            if catalog.indexes.contains_key(name) {
                self.comparison.indexes += 1;
            } else if self.has(&index.table) {
                self.report_of(ObjectKind::Index, &index.table, &name.1, Difference::Missing);
            }
        }
        let incomplete = incomplete(dumped);
        for (name, index) in &catalog.indexes {
            let table = (index.schema.clone(), index.table.clone());
            if !index.ready {
                self.report_of(ObjectKind::Index, &table, &index.name, Difference::NotReady);
            } else if !index.valid && !incomplete.contains(name) {
                self.report_of(ObjectKind::Index, &table, &index.name, Difference::NotValid);
            }
        }
    }

    fn large_objects(&mut self) {
        let Some(expected) = self.dumped.large_objects else { return };
        let found = self.catalog.large_objects;
        self.comparison.large_objects = expected;
        if expected != found {
            let difference = Difference::Rows { expected, found };
            self.report(ObjectKind::LargeObjects, &(String::new(), String::new()), difference);
        }
    }
}

/// Whether a relation is what the dump makes. Dumps of old majors make some views from tables without
/// rows.
fn fits(wanted: RelationKind, found: char, has_rows: bool) -> bool {
    match wanted {
        RelationKind::Table => found == 'r' || found == 'v' && !has_rows,
        RelationKind::Partitioned => found == 'p',
        RelationKind::Foreign => found == 'f',
        RelationKind::View => found == 'v',
        RelationKind::MaterializedView => found == 'm',
        RelationKind::Sequence => found == 'S',
    }
}

/// The rows of a dump's tables. Those loaded through a partitioned table are one sum.
fn expected_rows(dumped: &DumpedObjects) -> BTreeMap<&Name, Option<u64>> {
    let mut expected = BTreeMap::new();
    for (name, rows) in &dumped.rows {
        let root = dumped.root_of(name);
        let at = if dumped.rows.contains_key(root) { root } else { name };
        let sum = expected.entry(at).or_insert(Some(0u64));
        *sum = sum.zip(*rows).map(|(sum, rows)| sum.saturating_add(rows));
    }
    expected
}

/// The next value of a sequence.
fn next_value((last, called): (i64, bool), step: i64) -> i64 {
    if called { last.saturating_add(step) } else { last }
}

/// How a constraint falls short of what the dump makes. An inherited one may be as invalid as its parent.
fn invalidity(
    found: &CatalogConstraint,
    wanted: Option<&super::statement::DumpConstraint>,
) -> Option<Difference> {
    if !found.enforced {
        return wanted.is_some_and(|w| !w.not_enforced).then_some(Difference::NotEnforced);
    }
    let may_be_invalid = wanted.map_or(!found.local, |w| w.not_valid || w.not_enforced);
    (!found.valid && !may_be_invalid).then_some(Difference::NotValid)
}

/// Indexes of partitioned tables that the dump itself leaves without an index of some partition: these
/// are not valid in its source, either.
fn incomplete(dumped: &DumpedObjects) -> BTreeSet<Name> {
    let mut partitions: BTreeMap<&Name, usize> = BTreeMap::new();
    for parent in dumped.parents.values() {
        *partitions.entry(parent).or_default() += 1;
    }
    let mut incomplete: BTreeSet<Name> = BTreeSet::new();
    loop {
        let before = incomplete.len();
        for (name, index) in dumped.indexes.iter().filter(|(_, index)| index.only) {
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
