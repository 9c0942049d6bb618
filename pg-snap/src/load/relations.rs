//! What the dump has made so far, as far as the order of a load depends on it.

use super::schedule::Way;
use super::statement::Statement;
use crate::words::Name;
use std::collections::{HashMap, HashSet};

/// See the module.
#[derive(Default)]
pub struct Relations {
    /// Made by this load, and so nobody else's.
    made: HashSet<Name>,
    /// In the order in which they were made, and whether they are materialized views.
    order: Vec<(Name, bool)>,
    parts: HashMap<Name, Vec<Name>>,
    /// Tables by the indexes on them.
    indexed: HashMap<Name, Name>,
    /// Bytes of rows.
    bytes: HashMap<Name, u64>,
    /// Functions, and types and tables whose values or rows need one of them.
    calls: HashSet<(Kind, Name)>,
    /// Tables whose definition names something that is not the server's own.
    needing: HashSet<Name>,
}

/// What a name is of.
#[derive(PartialEq, Eq, Hash)]
enum Kind {
    Function,
    Type,
}

impl Relations {
    /// Notes what a statement makes.
    pub fn note(&mut self, statement: &Statement) {
        match statement {
            Statement::Function(name) => {
                self.calls.insert((Kind::Function, name.clone()));
            }
            Statement::Type { name, needs } => self.note_needs(name, needs),
            Statement::Relation { name, parent, is_view, needs } => {
                self.note_needs(name, needs);
                if self.made.insert(name.clone()) {
                    self.order.push((name.clone(), *is_view));
                }
                if let Some(parent) = parent {
                    self.attach(parent, name);
                }
            }
            Statement::Partition { parent, child } => self.attach(parent, child),
            Statement::Index { table, index, .. }
            | Statement::Table { table, index: Some(index) } => {
                self.indexed.insert(index.clone(), table.clone());
            }
            _ => {}
        }
    }

    fn note_needs(&mut self, name: &Name, needs: &[Name]) {
        if !needs.is_empty() {
            self.needing.insert(name.clone());
        }
        let calls = |need: &Name| {
            [Kind::Function, Kind::Type]
                .into_iter()
                .any(|k| self.calls.contains(&(k, need.clone())))
        };
        if needs.iter().any(calls) {
            self.calls.insert((Kind::Type, name.clone()));
        }
    }

    fn attach(&mut self, parent: &Name, child: &Name) {
        // Whether a row is the parent's is asked of the child.
        self.note_needs(child, std::slice::from_ref(parent));
        self.parts.entry(parent.clone()).or_default().push(child.clone());
    }

    /// Whether this load has made it.
    pub fn has_made(&self, name: &Name) -> bool {
        self.made.contains(name)
    }

    /// Whether its rows need functions or types that are not the server's own.
    pub fn needs_more(&self, name: &Name) -> bool {
        self.family(name).iter().any(|part| self.needing.contains(part))
    }

    /// All tables that it has made.
    pub fn tables(&self) -> impl Iterator<Item = &Name> {
        self.order.iter().filter(|(_, is_view)| !is_view).map(|(name, _)| name)
    }

    /// All materialized views that it has made.
    pub fn views(&self) -> impl Iterator<Item = &Name> {
        self.order.iter().filter(|(_, is_view)| *is_view).map(|(name, _)| name)
    }

    /// Whether it has partitions, and so no rows of its own.
    pub fn is_partitioned(&self, name: &Name) -> bool {
        self.parts.contains_key(name)
    }

    pub fn add_bytes(&mut self, name: &Name, bytes: u64) {
        *self.bytes.entry(name.clone()).or_default() += bytes;
    }

    /// Bytes of rows of a relation and its partitions: how long what is done to it may take.
    pub fn bytes(&self, name: &Name) -> u64 {
        self.family(name).iter().filter_map(|part| self.bytes.get(part)).sum()
    }

    /// A relation with all its partitions, and theirs.
    pub fn family(&self, name: &Name) -> Vec<Name> {
        let mut family = vec![name.clone()];
        let mut at = 0;
        while let Some(next) = family.get(at) {
            let parts = self.parts.get(next).cloned().unwrap_or_default();
            // A dump that makes a circle of them is refused by the server, not walked for ever.
            let new: Vec<Name> = parts.into_iter().filter(|part| !family.contains(part)).collect();
            family.extend(new);
            at += 1;
        }
        family
    }

    /// What a statement uses, and how; none where that cannot be told, so that nothing may run beside it.
    pub fn uses(&self, statement: &Statement) -> Option<Vec<(Name, Way)>> {
        let (tables, way) = match statement {
            Statement::Copy { table } => (vec![table], Way::Fill),
            Statement::Index { table, calls, .. } => {
                let mut uses = self.uses_of(&[table], Way::Build)?;
                uses.extend(calls.then(|| (everything(), Way::Build)));
                return Some(uses);
            }
            Statement::Table { table, .. } => (vec![table], Way::Alone),
            Statement::ForeignKey { table, references } => (vec![table, references], Way::Alone),
            Statement::AttachIndex { parent, child } => {
                (vec![self.indexed.get(parent)?, self.indexed.get(child)?], Way::Alone)
            }
            _ => return None,
        };
        let mut uses = self.uses_of(&tables, way)?;
        // What may look at any table waits for all rows before it.
        let looks = uses.iter().any(|(name, _)| self.calls.contains(&(Kind::Type, name.clone())));
        let all = if looks { Way::Alone } else { Way::Fill };
        uses.extend((way == Way::Fill).then(|| (everything(), all)));
        Some(uses)
    }

    /// What is done to a partitioned table may be done to its partitions.
    fn uses_of(&self, tables: &[&Name], way: Way) -> Option<Vec<(Name, Way)>> {
        let known = tables.iter().all(|table| self.has_made(table));
        let names = tables.iter().flat_map(|table| self.family(table));
        known.then(|| names.map(|name| (name, way)).collect())
    }
}

/// Stands for all rows of all tables: no name of a relation is empty.
fn everything() -> Name {
    (String::new(), String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::statement::classify;

    fn after(sql: &[&str]) -> Relations {
        let mut relations = Relations::default();
        sql.iter().for_each(|sql| relations.note(&classify(sql.as_bytes())));
        relations
    }

    fn told(relations: &Relations, sql: &str) -> Option<String> {
        let uses = relations.uses(&classify(sql.as_bytes()))?;
        Some(uses.iter().map(|((_, name), way)| format!("{name}:{way:?} ")).collect())
    }

    #[test]
    fn statements_use_their_tables_and_those_tables_parts() {
        let r = after(&[
            "CREATE TABLE s.p (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE s.c (a int)",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.c FOR VALUES FROM (1) TO (2)",
            "CREATE TABLE s.d PARTITION OF s.c DEFAULT",
            "CREATE TABLE s.t ()",
            "CREATE INDEX i ON ONLY s.p (a)",
            "CREATE INDEX j ON s.c (a)",
        ]);
        let told = |sql| told(&r, sql).unwrap_or_else(|| "none".into());
        assert_eq!(told("COPY s.d (a) FROM stdin"), "d:Fill :Fill ");
        assert_eq!(told("COPY s.p (a) FROM stdin"), "p:Fill c:Fill d:Fill :Fill ");
        assert_eq!(told("CREATE INDEX k ON s.t (a)"), "t:Build ");
        assert_eq!(told("CREATE INDEX k ON s.t (s.f(a))"), "t:Build :Build ");
        assert_eq!(told("ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a)"), "t:Alone ");
        assert_eq!(
            told("ALTER TABLE s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.p(a)"),
            "t:Alone p:Alone c:Alone d:Alone "
        );
        assert_eq!(
            told("ALTER INDEX s.i ATTACH PARTITION s.j"),
            "p:Alone c:Alone d:Alone c:Alone d:Alone "
        );
        assert_eq!(told("ALTER INDEX s.i ATTACH PARTITION s.x"), "none");
        assert_eq!(told("CREATE INDEX k ON s.v (a)"), "none");
        assert_eq!(told("CREATE VIEW s.v AS SELECT 1"), "none");
    }

    #[test]
    fn rows_that_call_functions_wait_for_all_rows_before_them() {
        let r = after(&[
            "CREATE FUNCTION s.f(int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$",
            "CREATE FUNCTION s.plain(int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$",
            "CREATE OPERATOR o.## (FUNCTION = s.f, RIGHTARG = int)",
            "CREATE DOMAIN s.d AS int CHECK (s.f(VALUE))",
            "CREATE TYPE s.c AS (a s.d[])",
            "CREATE TABLE s.checks (a int, CHECK (s.f(a)))",
            "CREATE TABLE s.operates (a int, CHECK (OPERATOR(o.##) a))",
            "CREATE TABLE s.holds (a s.c)",
            "CREATE TABLE s.child () INHERITS (s.holds)",
            "CREATE TABLE s.root (a int) PARTITION BY LIST (s.f(a))",
            "CREATE TABLE s.leaf (a int)",
            "ALTER TABLE ONLY s.root ATTACH PARTITION s.leaf DEFAULT",
            "CREATE TABLE s.plain (a int DEFAULT s.f(1), b x.citext, CHECK (x.of_extension(a)))",
        ]);
        for (table, way) in [
            ("checks", "Alone"),
            ("operates", "Alone"),
            ("holds", "Alone"),
            ("child", "Alone"),
            ("leaf", "Alone"),
            ("plain", "Fill"),
        ] {
            let told = told(&r, &format!("COPY s.{table} FROM stdin"));
            assert_eq!(told, Some(format!("{table}:Fill :{way} ")));
        }
    }

    #[test]
    fn a_circle_of_parts_is_walked_once() {
        let r = after(&[
            "ALTER TABLE ONLY s.a ATTACH PARTITION s.b FOR VALUES IN (1)",
            "ALTER TABLE ONLY s.b ATTACH PARTITION s.a FOR VALUES IN (1)",
        ]);
        let a = ("s".into(), "a".into());
        assert_eq!(r.family(&a).len(), 2);
    }
}
