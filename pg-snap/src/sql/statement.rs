//! What a statement of a dump is, for the order in which a load may run it: a pure decision.

use super::tokens::{Name, Token, TokenCursor, operators, tokens};

/// How many tokens of a statement that creates nothing are read.
const TOKENS: usize = 4096;

/// What a statement is, as far as the order of a load depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Changes a setting of the session, which all that follows depends on. The setting's name.
    Setting(String),
    /// Creates a relation that may get rows and indexes. `parent`: the partitioned table that it is a
    /// partition of; `needs`: what its rows need.
    Relation { name: Name, parent: Option<Name>, needs: Vec<Name> },
    /// Creates a view, which may get indexes if it is materialized. `names`: all in it; `calls`: it may call a
    /// function that is not the server's own.
    View { name: Name, is_materialized: bool, names: Vec<Name>, calls: bool },
    /// Creates a function, which may read any table. An operator stands for all operators of its schema.
    Function(Name),
    /// Creates a type, whose values need other objects.
    Type { name: Name, needs: Vec<Name> },
    /// Makes a table a partition of another.
    Partition { parent: Name, child: Name },
    /// COPY … FROM stdin.
    Copy { table: Name },
    /// Affects nothing else, and needs only the object that it names.
    Free,
    /// Builds an index, at the same time as others on the table. `calls`: it may call a function,
    /// which may read any table.
    Index { table: Name, index: Name, calls: bool },
    /// Changes one table, which nothing else may use at that time. `index`: the index that it creates.
    Table { table: Name, index: Option<Name> },
    /// Makes an index a partition of another.
    AttachIndex { parent: Name, child: Name },
    /// Checks a table against another.
    ForeignKey { table: Name, references: Name },
    /// Fills a materialized view; nothing that the workers do depends on it.
    Refresh { view: Name },
    /// Nothing that the workers do depends on it.
    Late,
    /// Creates or changes an event trigger, which would take what comes after it for changes to watch or to refuse.
    EventTrigger,
    /// Begins a transaction.
    Begin,
    /// Ends one.
    End,
    /// Anything else: it runs after everything before it, and before everything after it.
    Other,
}

/// Recognises a statement.
pub fn classify(sql: &[u8]) -> StatementKind {
    let text = String::from_utf8_lossy(sql);
    let creates = tokens(&text, 1).first().is_some_and(|token| token.is("CREATE"));
    let tokens = tokens(&text, if creates { usize::MAX } else { TOKENS });
    let mut rest = TokenCursor(&tokens);
    kind_of(&mut rest).unwrap_or(StatementKind::Other)
}

/// Whether it creates or changes an event trigger.
pub fn is_of_event_trigger(sql: &[u8]) -> bool {
    of_event_trigger(TokenCursor(&tokens(&String::from_utf8_lossy(sql), EVENT_TRIGGER)))
}

/// `SECURITY LABEL FOR provider ON EVENT TRIGGER` has as many tokens.
const EVENT_TRIGGER: usize = 7;

fn of_event_trigger(mut rest: TokenCursor<'_>) -> bool {
    let phrases = ["CREATE EVENT TRIGGER", "ALTER EVENT TRIGGER", "COMMENT ON EVENT TRIGGER"];
    phrases.iter().any(|phrase| rest.skip(phrase))
        || rest.skip("SECURITY LABEL") && rest.find("ON") && rest.skip("EVENT TRIGGER")
}

fn kind_of(rest: &mut TokenCursor<'_>) -> Option<StatementKind> {
    if of_event_trigger(*rest) {
        return Some(StatementKind::EventTrigger);
    }
    if rest.skip("COPY") {
        return Some(StatementKind::Copy { table: rest.name()? });
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
            true => StatementKind::AttachIndex { parent, child: rest.name()? },
            false => StatementKind::Late,
        });
    }
    if rest.skip("BEGIN") || rest.skip("START TRANSACTION") {
        return Some(StatementKind::Begin);
    }
    if rest.skip("COMMIT") || rest.skip("ROLLBACK") || rest.skip("END") {
        // Back to a savepoint, or on in a transaction that follows at once.
        let goes_on =
            rest.0.iter().any(|token| ["TO", "CHAIN", "PREPARED"].iter().any(|w| token.is(w)));
        return (!goes_on).then_some(StatementKind::End);
    }
    if rest.skip("REFRESH MATERIALIZED VIEW") {
        return Some(StatementKind::Refresh { view: rest.name()? });
    }
    let late = [
        "GRANT",
        "REVOKE",
        "ALTER DEFAULT PRIVILEGES",
        "COMMENT ON",
        "ALTER PUBLICATION",
        "ALTER SUBSCRIPTION",
        "ALTER STATISTICS",
        "ALTER TRIGGER",
    ];
    late.iter().any(|phrase| rest.skip(phrase)).then_some(StatementKind::Late)
}

fn setting(rest: &mut TokenCursor<'_>) -> Option<StatementKind> {
    // For the current transaction only, or more than one statement can express.
    if rest.skip("LOCAL") || rest.skip("TRANSACTION") || rest.skip("CONSTRAINTS") {
        return None;
    }
    if rest.skip("SESSION AUTHORIZATION") {
        return Some(StatementKind::Setting("session authorization".into()));
    }
    rest.skip("SESSION");
    let (schema, name) = rest.name()?;
    Some(StatementKind::Setting(format!("{schema}.{name}").to_lowercase()))
}

/// `SELECT pg_catalog.…(` as pg_dump writes it.
fn function(rest: &mut TokenCursor<'_>) -> Option<StatementKind> {
    let [Token::Mark('.'), after @ ..] = rest.0 else { return None };
    *rest = TokenCursor(after);
    if rest.skip("SETVAL") {
        return Some(StatementKind::Free);
    }
    // Only the search path is set so.
    rest.skip("SET_CONFIG").then(|| StatementKind::Setting(".search_path".into()))
}

fn create(rest: &mut TokenCursor<'_>) -> Option<StatementKind> {
    let unique = rest.skip("UNIQUE");
    if rest.skip("INDEX") {
        let index = rest.identifier()?;
        if !rest.skip("ON") {
            return None;
        }
        rest.skip("ONLY");
        let table = rest.name()?;
        let index = (table.0.clone(), index);
        return Some(StatementKind::Index { table, index, calls: rest.calls_functions() });
    }
    if unique {
        return None;
    }
    let is_materialized = rest.skip("MATERIALIZED VIEW");
    if is_materialized || rest.skip("VIEW") || rest.skip("RECURSIVE VIEW") {
        let (name, names) = (rest.name()?, rest.names_of_definition());
        let calls = rest.calls_functions();
        return Some(StatementKind::View { name, is_materialized, names, calls });
    }
    if rest.skip("UNLOGGED TABLE") || rest.skip("TABLE") {
        let name = rest.name()?;
        let parent = if rest.skip("PARTITION OF") { Some(rest.name()?) } else { None };
        return Some(StatementKind::Relation { name, parent, needs: rest.names_of_definition() });
    }
    if rest.skip("DOMAIN") || rest.skip("TYPE") {
        let name = rest.name()?;
        return Some(StatementKind::Type { name, needs: rest.names_of_definition() });
    }
    if rest.skip("FUNCTION") || rest.skip("OR REPLACE FUNCTION") {
        return Some(StatementKind::Function(rest.name()?));
    }
    if rest.skip("OPERATOR") {
        let schema = rest.identifier()?;
        return matches!(rest.0, [Token::Mark('.'), ..])
            .then(|| StatementKind::Function(operators(&schema)));
    }
    if rest.skip("STATISTICS") {
        return Some(StatementKind::Table {
            table: rest.find("FROM").then(|| rest.name())??,
            index: None,
        });
    }
    let late = ["TRIGGER", "CONSTRAINT TRIGGER", "RULE", "POLICY", "PUBLICATION", "SUBSCRIPTION"];
    late.iter().any(|phrase| rest.skip(phrase)).then_some(StatementKind::Late)
}

fn alter_table(rest: &mut TokenCursor<'_>) -> Option<StatementKind> {
    rest.skip("ONLY");
    let table = rest.name()?;
    if rest.skip("ATTACH PARTITION") {
        return Some(StatementKind::Partition { parent: table, child: rest.name()? });
    }
    if rest.skip("ADD CONSTRAINT") {
        let name = rest.identifier()?;
        if rest.skip("FOREIGN KEY") {
            let references = rest.find("REFERENCES").then(|| rest.name())??;
            return Some(StatementKind::ForeignKey { table, references });
        }
        let makes_index =
            ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|phrase| rest.skip(phrase));
        if makes_index && !rest.calls_functions() {
            let index = Some((table.0.clone(), name));
            return Some(StatementKind::Table { table, index });
        }
        return if makes_index { None } else { Some(StatementKind::Late) };
    }
    let late = ["CLUSTER ON", "REPLICA IDENTITY", "ENABLE", "DISABLE", "FORCE", "NO FORCE"];
    late.iter().any(|phrase| rest.skip(phrase)).then_some(StatementKind::Late)
}

/// `ALTER TABLE t ADD CONSTRAINT c …` or the same of a domain.
pub(super) struct AddedConstraint<'a> {
    /// `TABLE` or `DOMAIN`.
    pub kind: &'static str,
    pub owner: Name,
    pub name: String,
    /// What follows the constraint's name.
    pub definition: TokenCursor<'a>,
}

pub(super) fn added_constraint(tokens: &[Token]) -> Option<AddedConstraint<'_>> {
    let mut rest = TokenCursor(tokens);
    let kind = ["TABLE", "DOMAIN"].into_iter().find(|kind| rest.skip(&format!("ALTER {kind}")))?;
    rest.skip("ONLY");
    let owner = rest.name()?;
    let name = rest.skip("ADD CONSTRAINT").then(|| rest.identifier())??;
    Some(AddedConstraint { kind, owner, name, definition: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: &str, name: &str) -> Name {
        (schema.into(), name.into())
    }

    #[test]
    fn statements_of_pg_dump_are_recognised() {
        use StatementKind as S;
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
                S::Relation { name: t(), parent: None, needs: vec![] },
            ),
            (
                "CREATE UNLOGGED TABLE s.t ()",
                S::Relation { name: t(), parent: None, needs: vec![] },
            ),
            (
                "CREATE TABLE s.t PARTITION OF s.p FOR VALUES IN (1)",
                S::Relation { name: t(), parent: Some(name("s", "p")), needs: vec![] },
            ),
            (
                "CREATE MATERIALIZED VIEW s.t AS SELECT 1",
                S::View { name: t(), is_materialized: true, names: vec![], calls: false },
            ),
            (
                "CREATE TABLE s.t (a s.d CHECK (s.f(a)))",
                S::Relation {
                    name: t(),
                    parent: None,
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
            (
                "CREATE VIEW s.t AS SELECT s.f(a) FROM s.u",
                S::View {
                    name: t(),
                    is_materialized: false,
                    names: vec![name("s", "f"), name("s", "u")],
                    calls: true,
                },
            ),
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
            ("CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION s.f()", S::EventTrigger),
            ("ALTER EVENT TRIGGER e OWNER TO joe", S::EventTrigger),
            ("COMMENT ON EVENT TRIGGER e IS 'x'", S::EventTrigger),
            ("SECURITY LABEL FOR \"On\" ON EVENT TRIGGER e IS 'x'", S::EventTrigger),
            ("SECURITY LABEL FOR x ON TABLE s.t IS 'EVENT TRIGGER'", S::Other),
            ("CREATE TRIGGER event BEFORE INSERT ON s.t EXECUTE FUNCTION s.f()", S::Late),
            ("ALTER TABLE s.t OWNER TO joe", S::Other),
            ("COMMENT ON INDEX s.i IS 'CREATE INDEX'", S::Late),
            ("REFRESH MATERIALIZED VIEW s.t", S::Refresh { view: t() }),
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
