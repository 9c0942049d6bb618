//! What the dump has created so far, as far as the order of a load depends on it.

use super::schedule::AccessMode;
use crate::sql::{Name, StatementKind, properties};
use std::collections::{HashMap, HashSet};

/// The relations of a dump, and what their rows need.
#[derive(Default)]
pub struct Relations {
    /// Created by this load.
    created: HashSet<Name>,
    /// In the order of their creation, and whether they are materialized views.
    order: Vec<(Name, bool)>,
    parts: HashMap<Name, Vec<Name>>,
    /// The table that each partition is a part of.
    parents: HashMap<Name, Name>,
    /// The table of each index.
    indexed: HashMap<Name, Name>,
    /// Bytes of rows.
    bytes: HashMap<Name, u64>,
    /// Functions, and the types and tables whose values or rows need one of them.
    calls: HashSet<(NameKind, Name)>,
    /// Tables and types whose definition names something that is not the server's own, except plain types.
    needing: HashSet<Name>,
    /// Views that call functions that are not the server's own, themselves or by views that they read.
    needing_views: HashSet<Name>,
    /// Types whose values need nothing.
    plain: HashSet<Name>,
}

#[derive(PartialEq, Eq, Hash)]
enum NameKind {
    Function,
    Type,
}

impl Relations {
    /// Records what a statement creates.
    pub fn record(&mut self, statement: &StatementKind) {
        match statement {
            StatementKind::Function(name) => {
                self.calls.insert((NameKind::Function, name.clone()));
            }
            StatementKind::Type { name, needs } => {
                self.record_needs(name, needs);
                match self.needing.contains(name) {
                    true => self.plain.remove(name),
                    false => self.plain.insert(name.clone()),
                };
            }
            StatementKind::View { name, is_materialized, names, calls } => {
                let needs_others =
                    *calls || names.iter().any(|name| self.needing_views.contains(name));
                if needs_others {
                    self.needing_views.insert(name.clone());
                }
                if *is_materialized {
                    self.record_created(name, true);
                }
            }
            StatementKind::Relation { name, parent, needs } => {
                self.record_needs(name, needs);
                self.record_created(name, false);
                if let Some(parent) = parent {
                    self.attach(parent, name);
                }
            }
            StatementKind::Partition { parent, child } => self.attach(parent, child),
            StatementKind::Index { table, index, .. }
            | StatementKind::Table { table, index: Some(index) } => {
                self.indexed.insert(index.clone(), table.clone());
            }
            _ => {}
        }
    }

    fn record_created(&mut self, name: &Name, is_view: bool) {
        if self.created.insert(name.clone()) {
            self.order.push((name.clone(), is_view));
        }
    }

    fn record_needs(&mut self, name: &Name, needs: &[Name]) {
        // A function may have a type's name.
        let is_function = |need: &Name| self.calls.contains(&(NameKind::Function, need.clone()));
        if needs.iter().any(|need| !self.plain.contains(need) || is_function(need)) {
            self.needing.insert(name.clone());
        }
        self.record_calls(name, needs);
    }

    fn record_calls(&mut self, name: &Name, needs: &[Name]) {
        let calls = |need: &Name| {
            [NameKind::Function, NameKind::Type]
                .into_iter()
                .any(|k| self.calls.contains(&(k, need.clone())))
        };
        if needs.iter().any(calls) {
            self.calls.insert((NameKind::Type, name.clone()));
        }
    }

    fn attach(&mut self, parent: &Name, child: &Name) {
        // The child's rows are checked against the parent's partition bounds.
        self.record_calls(child, std::slice::from_ref(parent));
        self.parents.insert(child.clone(), parent.clone());
        self.parts.entry(parent.clone()).or_default().push(child.clone());
    }

    /// Whether this load has created it.
    pub fn has_created(&self, name: &Name) -> bool {
        self.created.contains(name)
    }

    /// Whether its rows need functions or types that are not the server's own. Of a parent that the dump does not
    /// create, nothing is known.
    pub fn needs_others(&self, name: &Name) -> bool {
        self.family(name).iter().any(|part| self.needing.contains(part))
            || self
                .above(name)
                .any(|above| self.needing.contains(above) || !self.has_created(above))
    }

    /// Whether its rows call functions that this load has created.
    pub fn calls(&self, name: &Name) -> bool {
        let calls = |name: &Name| self.calls.contains(&(NameKind::Type, name.clone()));
        self.family(name).iter().any(calls) || self.above(name).any(calls)
    }

    /// Whether a statement evaluates functions that are not the server's own.
    pub fn evaluates(&self, kind: &StatementKind, sql: &[u8]) -> bool {
        match kind {
            StatementKind::Index { calls, .. } => *calls,
            StatementKind::Refresh { view } => self.needing_views.contains(view),
            StatementKind::Other => properties::adds_calling_constraint(sql),
            _ => false,
        }
    }

    /// The tables that it is a part of, from the nearest on.
    fn above<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Name> {
        let parent = |of: &&'a Name| self.parents.get(*of);
        // No more than there are, even if they formed a circle.
        std::iter::successors(parent(&name), parent).take(self.parents.len())
    }

    /// All tables that this load has created, without the partitions of others.
    pub fn tables(&self) -> impl Iterator<Item = &Name> {
        let partitions: HashSet<&Name> = self.parts.values().flatten().collect();
        let is_root = move |name: &Name| !partitions.contains(name);
        self.order
            .iter()
            .filter(move |(name, is_view)| !is_view && is_root(name))
            .map(|(name, _)| name)
    }

    /// All materialized views that this load has created.
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

    /// Bytes of rows of a relation and its partitions, which estimate how long a job on it takes.
    pub fn bytes(&self, name: &Name) -> u64 {
        self.family(name).iter().filter_map(|part| self.bytes.get(part)).sum()
    }

    /// A relation with all its partitions, and theirs.
    pub fn family(&self, name: &Name) -> Vec<Name> {
        let mut family = vec![name.clone()];
        let mut at = 0;
        while let Some(next) = family.get(at) {
            let parts = self.parts.get(next).cloned().unwrap_or_default();
            // The server refuses partitions that form a circle; this must end with them, too.
            let new: Vec<Name> = parts.into_iter().filter(|part| !family.contains(part)).collect();
            family.extend(new);
            at += 1;
        }
        family
    }

    /// The relations that a statement accesses; none where they are unknown, so that nothing may run at the
    /// same time.
    pub fn uses(&self, statement: &StatementKind) -> Option<Vec<(Name, AccessMode)>> {
        let (tables, mode) = match statement {
            StatementKind::Copy { table } => (vec![table], AccessMode::Fill),
            StatementKind::Index { table, calls, .. } => {
                let mut uses = self.uses_of(&[table], AccessMode::Build)?;
                uses.extend(calls.then(|| (everything(), AccessMode::Build)));
                return Some(uses);
            }
            StatementKind::Table { table, .. } => (vec![table], AccessMode::Alone),
            StatementKind::ForeignKey { table, references } => {
                (vec![table, references], AccessMode::Alone)
            }
            StatementKind::AttachIndex { parent, child } => {
                (vec![self.indexed.get(parent)?, self.indexed.get(child)?], AccessMode::Alone)
            }
            _ => return None,
        };
        let mut uses = self.uses_of(&tables, mode)?;
        // Rows whose checks may read any table wait for all rows before them.
        let calls =
            uses.iter().any(|(name, _)| self.calls.contains(&(NameKind::Type, name.clone())));
        let all = if calls { AccessMode::Alone } else { AccessMode::Fill };
        uses.extend((mode == AccessMode::Fill).then(|| (everything(), all)));
        Some(uses)
    }

    /// A statement on a partitioned table accesses its partitions, too.
    fn uses_of(&self, tables: &[&Name], mode: AccessMode) -> Option<Vec<(Name, AccessMode)>> {
        let known = tables.iter().all(|table| self.has_created(table));
        let names = tables.iter().flat_map(|table| self.family(table));
        known.then(|| names.map(|name| (name, mode)).collect())
    }
}

/// Stands for all rows of all tables: no relation has an empty name.
fn everything() -> Name {
    (String::new(), String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify;

    fn after(sql: &[&str]) -> Relations {
        let mut relations = Relations::default();
        sql.iter().for_each(|sql| relations.record(&classify(sql.as_bytes())));
        relations
    }

    fn uses_of(relations: &Relations, sql: &str) -> Option<String> {
        let uses = relations.uses(&classify(sql.as_bytes()))?;
        Some(uses.iter().map(|((_, name), mode)| format!("{name}:{mode:?} ")).collect())
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
        let uses = |sql| uses_of(&r, sql).unwrap_or_else(|| "none".into());
        assert_eq!(uses("COPY s.d (a) FROM stdin"), "d:Fill :Fill ");
        assert_eq!(uses("COPY s.p (a) FROM stdin"), "p:Fill c:Fill d:Fill :Fill ");
        assert_eq!(uses("CREATE INDEX k ON s.t (a)"), "t:Build ");
        assert_eq!(uses("CREATE INDEX k ON s.t (s.f(a))"), "t:Build :Build ");
        assert_eq!(uses("ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a)"), "t:Alone ");
        assert_eq!(
            uses("ALTER TABLE s.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.p(a)"),
            "t:Alone p:Alone c:Alone d:Alone "
        );
        assert_eq!(
            uses("ALTER INDEX s.i ATTACH PARTITION s.j"),
            "p:Alone c:Alone d:Alone c:Alone d:Alone "
        );
        assert_eq!(r.tables().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["p", "t"]);
        assert_eq!(uses("ALTER INDEX s.i ATTACH PARTITION s.x"), "none");
        assert_eq!(uses("CREATE INDEX k ON s.v (a)"), "none");
        assert_eq!(uses("CREATE VIEW s.v AS SELECT 1"), "none");
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
        for (table, mode) in [
            ("checks", "Alone"),
            ("operates", "Alone"),
            ("holds", "Alone"),
            ("child", "Alone"),
            ("leaf", "Alone"),
            ("plain", "Fill"),
        ] {
            let uses = uses_of(&r, &format!("COPY s.{table} FROM stdin"));
            assert_eq!(uses, Some(format!("{table}:Fill :{mode} ")));
        }
    }

    #[test]
    fn rows_with_plain_types_need_nothing_else() {
        let r = after(&[
            "CREATE TYPE s.mood AS ENUM ('sad')",
            "CREATE TYPE s.pair AS (a s.mood, b int)",
            "CREATE TYPE s.shell",
            "CREATE FUNCTION s.shell_in(cstring) RETURNS s.shell LANGUAGE c AS 'x'",
            "CREATE TYPE s.shell (INPUT = s.shell_in)",
            "CREATE TYPE s.both AS ENUM ('x')",
            "CREATE FUNCTION s.both(int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$",
            "CREATE DOMAIN s.checked AS text CHECK (x.f(VALUE))",
            "CREATE TABLE s.plain (a s.mood, b s.pair, c int)",
            "CREATE TABLE s.parted (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE s.part (a int)",
            "ALTER TABLE ONLY s.parted ATTACH PARTITION s.part FOR VALUES FROM (1) TO (2)",
            "CREATE TABLE s.by_call (a int) PARTITION BY LIST (x.f(a))",
            "CREATE TABLE s.part_by_call (a int)",
            "ALTER TABLE ONLY s.by_call ATTACH PARTITION s.part_by_call FOR VALUES IN (1)",
            "CREATE TABLE s.part_of_other (a int)",
            "ALTER TABLE ONLY x.other ATTACH PARTITION s.part_of_other FOR VALUES IN (1)",
            "CREATE TABLE s.of_shell (a s.shell)",
            "CREATE TABLE s.of_both (a int CHECK (s.both(a)))",
            "CREATE TABLE s.of_domain (a s.checked)",
            "CREATE TABLE s.of_extension (a x.citext)",
        ]);
        let needs = |table: &str| r.needs_others(&("s".into(), table.into()));
        assert!(!needs("plain") && !needs("parted") && !needs("part"));
        for table in
            ["of_shell", "of_both", "of_domain", "of_extension", "part_by_call", "part_of_other"]
        {
            assert!(needs(table), "{table}");
        }
    }

    #[test]
    fn a_view_evaluates_what_the_views_that_it_reads_call() {
        let r = after(&[
            "CREATE VIEW s.plain AS SELECT t.a, lower(t.b) AS b FROM s.t",
            "CREATE VIEW s.calling AS SELECT s.f(t.a) AS a FROM s.t",
            "CREATE MATERIALIZED VIEW s.of_plain AS SELECT plain.a FROM s.plain",
            "CREATE MATERIALIZED VIEW s.of_calling AS SELECT calling.a FROM s.calling",
        ]);
        let evaluates = |sql: &str| r.evaluates(&classify(sql.as_bytes()), sql.as_bytes());
        assert!(!evaluates("REFRESH MATERIALIZED VIEW s.of_plain;"));
        assert!(evaluates("REFRESH MATERIALIZED VIEW s.of_calling;"));
        assert!(evaluates(
            "ALTER TABLE ONLY s.t ADD CONSTRAINT c EXCLUDE USING gist (s.f(a) WITH &&);"
        ));
        assert!(!evaluates("ALTER TABLE s.t OWNER TO s;"));
        assert_eq!(r.views().count(), 2);
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
