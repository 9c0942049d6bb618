//! What a statement of a dump is, for the order in which a load may run it: a pure decision.

use crate::words::{Name, Rest, Word, operators, words};

/// Of a statement that makes nothing this many words are looked at.
const WORDS: usize = 4096;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Changes the session: whoever runs what follows must have run it. The name of the setting.
    Setting(String),
    /// Makes a relation that may get rows and indexes; of which partitioned table it is a part, and
    /// what its rows need.
    Relation { name: Name, parent: Option<Name>, is_view: bool, needs: Vec<Name> },
    /// Makes a function, which may look at any table. So may all operators of a schema, if it makes one.
    Function(Name),
    /// Makes a type, whose values need other things.
    Type { name: Name, needs: Vec<Name> },
    /// Makes a table a partition of another.
    Partition { parent: Name, child: Name },
    /// COPY … FROM stdin.
    Copy { table: Name },
    /// Concerns nobody else, and needs nothing but what defines it.
    Free,
    /// Builds an index, which others of the table may do meanwhile. `calls`: it may call a function,
    /// which may look at any table.
    Index { table: Name, index: Name, calls: bool },
    /// Changes one table, which nobody may use meanwhile; `index`: what it makes.
    Table { table: Name, index: Option<Name> },
    /// Makes an index a part of another.
    AttachIndex { parent: Name, child: Name },
    /// Checks a table against another.
    ForeignKey { table: Name, references: Name },
    /// Nothing that is loaded at the same time as others needs it.
    Late,
    /// Begins a transaction.
    Begin,
    /// Ends one.
    End,
    /// Anything else: before it all that came before, after it all that comes after.
    Other,
}

/// Looks at a statement.
pub fn classify(sql: &[u8]) -> Statement {
    let text = String::from_utf8_lossy(sql);
    let makes = words(&text, 1).first().is_some_and(|word| word.is("CREATE"));
    let words = words(&text, if makes { usize::MAX } else { WORDS });
    let mut rest = Rest(&words);
    told(&mut rest).unwrap_or(Statement::Other)
}

fn told(rest: &mut Rest<'_>) -> Option<Statement> {
    if rest.skip("COPY") {
        return Some(Statement::Copy { table: rest.name()? });
    }
    if rest.skip("SET") || rest.skip("RESET") {
        return setting(rest);
    }
    if rest.skip("SELECT PG_CATALOG") {
        return function(rest);
    }
    if rest.skip("CREATE") {
        return create(rest);
    }
    if rest.skip("ALTER TABLE") {
        return alter_table(rest);
    }
    if rest.skip("ALTER INDEX") {
        let parent = rest.name()?;
        return Some(match rest.skip("ATTACH PARTITION") {
            true => Statement::AttachIndex { parent, child: rest.name()? },
            false => Statement::Late,
        });
    }
    if rest.skip("BEGIN") || rest.skip("START TRANSACTION") {
        return Some(Statement::Begin);
    }
    if rest.skip("COMMIT") || rest.skip("ROLLBACK") || rest.skip("END") {
        // Back to a savepoint, or on in a transaction that follows at once.
        let goes_on =
            rest.0.iter().any(|word| ["TO", "CHAIN", "PREPARED"].iter().any(|w| word.is(w)));
        return (!goes_on).then_some(Statement::End);
    }
    let late = [
        "GRANT",
        "REVOKE",
        "ALTER DEFAULT PRIVILEGES",
        "COMMENT ON",
        "REFRESH MATERIALIZED VIEW",
        "ALTER PUBLICATION",
        "ALTER SUBSCRIPTION",
        "ALTER EVENT TRIGGER",
        "ALTER STATISTICS",
        "ALTER TRIGGER",
    ];
    late.iter().any(|words| rest.skip(words)).then_some(Statement::Late)
}

fn setting(rest: &mut Rest<'_>) -> Option<Statement> {
    // Only for the transaction at hand, or for what one statement cannot tell.
    if rest.skip("LOCAL") || rest.skip("TRANSACTION") || rest.skip("CONSTRAINTS") {
        return None;
    }
    if rest.skip("SESSION AUTHORIZATION") {
        return Some(Statement::Setting("session authorization".into()));
    }
    rest.skip("SESSION");
    let (schema, name) = rest.name()?;
    Some(Statement::Setting(format!("{schema}.{name}").to_lowercase()))
}

/// `SELECT pg_catalog.…(` as pg_dump writes it.
fn function(rest: &mut Rest<'_>) -> Option<Statement> {
    let [Word::Mark('.'), after @ ..] = rest.0 else { return None };
    *rest = Rest(after);
    if rest.skip("SETVAL") {
        return Some(Statement::Free);
    }
    // Only the search path is set so.
    rest.skip("SET_CONFIG").then(|| Statement::Setting(".search_path".into()))
}

fn create(rest: &mut Rest<'_>) -> Option<Statement> {
    let unique = rest.skip("UNIQUE");
    if rest.skip("INDEX") {
        let index = rest.one()?;
        if !rest.skip("ON") {
            return None;
        }
        rest.skip("ONLY");
        let table = rest.name()?;
        let index = (table.0.clone(), index);
        return Some(Statement::Index { table, index, calls: rest.calls_functions() });
    }
    if unique {
        return None;
    }
    let is_view = rest.skip("MATERIALIZED VIEW");
    if is_view || rest.skip("UNLOGGED TABLE") || rest.skip("TABLE") {
        let name = rest.name()?;
        let parent = if rest.skip("PARTITION OF") { Some(rest.name()?) } else { None };
        let needs = if is_view { Vec::new() } else { rest.names_of_definition() };
        return Some(Statement::Relation { name, parent, is_view, needs });
    }
    if rest.skip("DOMAIN") || rest.skip("TYPE") {
        let name = rest.name()?;
        return Some(Statement::Type { name, needs: rest.names_of_definition() });
    }
    if rest.skip("FUNCTION") || rest.skip("OR REPLACE FUNCTION") {
        return Some(Statement::Function(rest.name()?));
    }
    if rest.skip("OPERATOR") {
        let schema = rest.one()?;
        return matches!(rest.0, [Word::Mark('.'), ..])
            .then(|| Statement::Function(operators(&schema)));
    }
    if rest.skip("STATISTICS") {
        return Some(Statement::Table {
            table: rest.find("FROM").then(|| rest.name())??,
            index: None,
        });
    }
    let late = [
        "TRIGGER",
        "CONSTRAINT TRIGGER",
        "RULE",
        "POLICY",
        "PUBLICATION",
        "SUBSCRIPTION",
        "EVENT TRIGGER",
    ];
    late.iter().any(|words| rest.skip(words)).then_some(Statement::Late)
}

fn alter_table(rest: &mut Rest<'_>) -> Option<Statement> {
    rest.skip("ONLY");
    let table = rest.name()?;
    if rest.skip("ATTACH PARTITION") {
        return Some(Statement::Partition { parent: table, child: rest.name()? });
    }
    if rest.skip("ADD CONSTRAINT") {
        let name = rest.one()?;
        if rest.skip("FOREIGN KEY") {
            let references = rest.find("REFERENCES").then(|| rest.name())??;
            return Some(Statement::ForeignKey { table, references });
        }
        let makes_index = ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|words| rest.skip(words));
        if makes_index && !rest.calls_functions() {
            let index = Some((table.0.clone(), name));
            return Some(Statement::Table { table, index });
        }
        return if makes_index { None } else { Some(Statement::Late) };
    }
    let late = ["CLUSTER ON", "REPLICA IDENTITY", "ENABLE", "DISABLE", "FORCE", "NO FORCE"];
    late.iter().any(|words| rest.skip(words)).then_some(Statement::Late)
}

/// Whether a statement runs code that may set what later statements depend on, as pg_dump writes none.
pub fn may_set_anything(sql: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sql);
    let words = words(&text, 3);
    let is = |keywords: &str| Rest(&words).skip(keywords);
    is("DO")
        || is("CALL")
        || is("EXECUTE")
        || is("DISCARD")
        || is("SELECT") && !is("SELECT PG_CATALOG")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: &str, name: &str) -> Name {
        (schema.into(), name.into())
    }

    #[test]
    fn statements_of_pg_dump_are_told_apart() {
        use Statement as S;
        let t = || name("s", "t");
        let index = |i: &str, calls| S::Index { table: t(), index: name("s", i), calls };
        for (sql, expected) in [
            ("COPY s.t (a, \"B\") FROM stdin;", S::Copy { table: t() }),
            ("SET default_tablespace = '';", S::Setting(".default_tablespace".into())),
            ("set My.Setting to 1", S::Setting("my.setting".into())),
            ("SET SESSION AUTHORIZATION joe", S::Setting("session authorization".into())),
            ("RESET SESSION AUTHORIZATION", S::Setting("session authorization".into())),
            ("SET LOCAL x = 1", S::Other),
            (
                "SELECT pg_catalog.set_config('search_path', '', false)",
                S::Setting(".search_path".into()),
            ),
            ("SELECT pg_catalog.setval('s.q', 7, true)", S::Free),
            ("SELECT pg_catalog.lo_create('1')", S::Other),
            ("SELECT s.f()", S::Other),
            (
                "CREATE TABLE s.t (\n a integer)",
                S::Relation { name: t(), parent: None, is_view: false, needs: vec![] },
            ),
            (
                "CREATE UNLOGGED TABLE s.t ()",
                S::Relation { name: t(), parent: None, is_view: false, needs: vec![] },
            ),
            (
                "CREATE TABLE s.t PARTITION OF s.p FOR VALUES IN (1)",
                S::Relation {
                    name: t(),
                    parent: Some(name("s", "p")),
                    is_view: false,
                    needs: vec![],
                },
            ),
            (
                "CREATE MATERIALIZED VIEW s.t AS SELECT 1",
                S::Relation { name: t(), parent: None, is_view: true, needs: vec![] },
            ),
            (
                "CREATE TABLE s.t (a s.d CHECK (s.f(a)))",
                S::Relation {
                    name: t(),
                    parent: None,
                    is_view: false,
                    needs: vec![name("s", "d"), name("s", "f")],
                },
            ),
            (
                "CREATE DOMAIN s.t AS text CHECK (s.f(VALUE))",
                S::Type { name: t(), needs: vec![name("s", "f")] },
            ),
            ("CREATE TYPE s.t AS ENUM ('a.b')", S::Type { name: t(), needs: vec![] }),
            ("CREATE FUNCTION s.t(s.u) RETURNS int", S::Function(t())),
            ("CREATE OPERATOR s.=# (FUNCTION = s.f)", S::Function(name("s", "OPERATOR"))),
            ("CREATE OPERATOR CLASS s.t FOR TYPE s.d USING btree AS", S::Other),
            ("CREATE FOREIGN TABLE s.t ()", S::Other),
            ("CREATE VIEW s.v AS SELECT 1", S::Other),
            (
                "ALTER TABLE ONLY s.p ATTACH PARTITION s.t FOR VALUES IN (1)",
                S::Partition { parent: name("s", "p"), child: t() },
            ),
            ("CREATE INDEX i ON s.t USING btree (a)", index("i", false)),
            ("CREATE UNIQUE INDEX \"I x\" ON ONLY s.t USING btree (lower(a))", index("I x", false)),
            ("CREATE INDEX i ON s.t USING btree (\"F\".f(a))", index("i", true)),
            (
                "CREATE INDEX i ON s.t USING btree (pg_catalog.lower(a)) WHERE (a <> 'x.y(')",
                index("i", false),
            ),
            (
                "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT k PRIMARY KEY (a)",
                S::Table { table: t(), index: Some(name("s", "k")) },
            ),
            ("ALTER TABLE ONLY s.t ADD CONSTRAINT k EXCLUDE USING gist (x.f(a) WITH &&)", S::Other),
            ("ALTER TABLE s.t ADD CONSTRAINT k CHECK ((a > 0)) NOT VALID", S::Late),
            (
                "ALTER TABLE ONLY s.t ADD CONSTRAINT f FOREIGN KEY (\"references\") REFERENCES u.w(a) ON DELETE CASCADE",
                S::ForeignKey { table: t(), references: name("u", "w") },
            ),
            (
                "ALTER INDEX s.i ATTACH PARTITION s.j",
                S::AttachIndex { parent: name("s", "i"), child: name("s", "j") },
            ),
            ("ALTER INDEX s.i ALTER COLUMN 1 SET STATISTICS 10", S::Late),
            (
                "CREATE STATISTICS s.x (ndistinct) ON a, b FROM s.t",
                S::Table { table: t(), index: None },
            ),
            ("CREATE TRIGGER x AFTER INSERT ON s.t EXECUTE FUNCTION s.f()", S::Late),
            ("ALTER TABLE s.t ENABLE ROW LEVEL SECURITY", S::Late),
            ("ALTER TABLE s.t OWNER TO joe", S::Other),
            ("COMMENT ON INDEX s.i IS 'CREATE INDEX'", S::Late),
            ("REFRESH MATERIALIZED VIEW s.m", S::Late),
            ("GRANT ALL ON TABLE s.t TO joe", S::Late),
            ("REVOKE ALL ON FUNCTION s.f() FROM PUBLIC", S::Late),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE joe GRANT ALL ON TABLES TO x", S::Late),
            ("BEGIN", S::Begin),
            ("COMMIT", S::End),
            ("ROLLBACK TO SAVEPOINT a", S::Other),
            ("COMMIT AND CHAIN", S::Other),
            ("CREATE UNIQUE x", S::Other),
            ("INSERT INTO s.t VALUES (1)", S::Other),
            ("", S::Other),
        ] {
            assert_eq!(classify(sql.as_bytes()), expected, "{sql}");
        }
    }
}
