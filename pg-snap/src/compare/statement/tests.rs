use super::*;

fn n(schema: &str, name: &str) -> Name {
    (schema.into(), name.into())
}

fn plain(name: &str) -> DumpConstraint {
    DumpConstraint { name: name.into(), not_valid: false, not_enforced: false, not_null: false }
}

fn table(kind: RelationKind, constraints: Vec<DumpConstraint>) -> Option<DumpStatement> {
    Some(DumpStatement::Relation { name: n("s", "t"), kind, parent: None, constraints })
}

#[test]
fn relations_are_distinguished_with_the_constraints_they_name() {
    let not_null = DumpConstraint { not_null: true, ..plain("nn") };
    let not_enforced = DumpConstraint { not_enforced: true, ..plain("later") };
    for (sql, expected) in [
        ("CREATE TABLE s.t (\n a integer DEFAULT 1)", table(RelationKind::Table, vec![])),
        (
            "CREATE UNLOGGED TABLE s.t (a int CONSTRAINT nn NOT NULL, CONSTRAINT c CHECK ((a > (1))))",
            table(RelationKind::Table, vec![not_null, plain("c")]),
        ),
        (
            "CREATE TABLE s.t (a int, CONSTRAINT later CHECK (a > 0) NOT ENFORCED, b int NOT NULL)",
            table(RelationKind::Table, vec![not_enforced]),
        ),
        (
            "CREATE TABLE s.t (a int, \"constraint\" int)\nPARTITION BY RANGE (a)",
            table(RelationKind::Partitioned, vec![]),
        ),
        ("CREATE FOREIGN TABLE s.t (a int) SERVER x", table(RelationKind::Foreign, vec![])),
        ("CREATE VIEW s.t AS SELECT 1", table(RelationKind::View, vec![])),
        (
            "CREATE MATERIALIZED VIEW s.t AS SELECT 1 WITH NO DATA",
            table(RelationKind::MaterializedView, vec![]),
        ),
        ("CREATE SEQUENCE s.t START WITH 1", table(RelationKind::Sequence, vec![])),
        (
            "CREATE TABLE s.t PARTITION OF s.p (CONSTRAINT c CHECK (true)) FOR VALUES IN (1)",
            Some(DumpStatement::Relation {
                name: n("s", "t"),
                kind: RelationKind::Table,
                parent: Some(n("s", "p")),
                constraints: vec![plain("c")],
            }),
        ),
        (
            "CREATE DOMAIN s.d AS text CONSTRAINT x CHECK ((VALUE <> ''::text))",
            Some(DumpStatement::Domain { name: n("s", "d"), constraints: vec![plain("x")] }),
        ),
    ] {
        assert_eq!(parse(sql, false), expected, "{sql}");
    }
}

#[test]
fn what_belongs_to_a_table_is_read() {
    use DumpStatement as S;
    let t = || n("s", "t");
    let constraint = |constraint, index, only| S::Constraint { of: t(), constraint, index, only };
    let not_valid = |name| DumpConstraint { not_valid: true, ..plain(name) };
    let added = DumpConstraint { not_null: true, ..not_valid("z") };
    for (sql, expected) in [
        (
            "ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a)",
            constraint(plain("k"), true, true),
        ),
        (
            "ALTER TABLE ONLY s.t ADD CONSTRAINT \"K k\" FOREIGN KEY (a) REFERENCES s.u(a) NOT VALID",
            constraint(not_valid("K k"), false, true),
        ),
        (
            "ALTER TABLE s.t ADD CONSTRAINT c CHECK ((a IS NOT valid(1))) NOT VALID",
            constraint(not_valid("c"), false, false),
        ),
        ("ALTER TABLE s.t ADD CONSTRAINT z NOT NULL a NOT VALID", constraint(added, false, false)),
        (
            "ALTER DOMAIN s.t ADD CONSTRAINT x CHECK (VALUE > 0) NOT VALID",
            constraint(not_valid("x"), false, false),
        ),
        (
            "CREATE UNIQUE INDEX i ON s.t USING btree (a)",
            S::Index { table: t(), name: "i".into(), only: false },
        ),
        (
            "CREATE INDEX i ON ONLY s.t USING btree (a)",
            S::Index { table: t(), name: "i".into(), only: true },
        ),
        (
            "ALTER INDEX s.i ATTACH PARTITION s.j",
            S::AttachIndex { parent: n("s", "i"), child: n("s", "j") },
        ),
        (
            "ALTER TABLE ONLY s.t ATTACH PARTITION s.u FOR VALUES IN (1)",
            S::Attach { parent: t(), child: n("s", "u") },
        ),
        ("COPY s.t (a, b) FROM stdin", S::Copy(t())),
        ("INSERT INTO s.t VALUES (1)", S::Insert(t())),
        ("REFRESH MATERIALIZED VIEW s.t", S::Refresh(t())),
        ("CREATE SCHEMA \"A b\"", S::Schema("A b".into())),
        ("SELECT pg_catalog.lo_create('1')", S::LargeObject),
        ("SET client_encoding = 'LATIN1'", S::Setting("client_encoding".into(), "LATIN1".into())),
        ("SET search_path = x, pg_catalog", S::Setting("search_path".into(), "x".into())),
        (
            "SELECT pg_catalog.set_config('search_path', '', false)",
            S::Setting("search_path".into(), String::new()),
        ),
    ] {
        assert_eq!(parse(sql, false), Some(expected), "{sql}");
    }
    for sql in ["ALTER TABLE s.t OWNER TO o", "SELECT 1", "GRANT ALL ON TABLE s.t TO o", "", "x"] {
        assert_eq!(parse(sql, false), None, "{sql}");
    }
}

#[test]
fn a_sequences_value_is_read_whatever_its_name() {
    for (sql, backslashes, sequence, last, called) in [
        ("SELECT pg_catalog.setval('s.q', 7, true)", false, "q", 7, true),
        ("SELECT pg_catalog.setval('s.q', -7, false)", false, "q", -7, false),
        ("SELECT pg_catalog.setval('s.\"it''s, 1\"', 1, true)", false, "it's, 1", 1, true),
        ("SELECT pg_catalog.setval('s.\"a\\b\"', 1, true)", false, "a\\b", 1, true),
        ("SELECT pg_catalog.setval('s.\"a\\\\b\"', 1, true)", true, "a\\b", 1, true),
        ("SELECT pg_catalog.setval(E's.\"a\\\\b\"', 1, true)", false, "a\\b", 1, true),
    ] {
        let sequence = n("s", sequence);
        let expected = DumpStatement::SetValue { sequence, last, called };
        assert_eq!(parse(sql, backslashes), Some(expected), "{sql}");
    }
}
