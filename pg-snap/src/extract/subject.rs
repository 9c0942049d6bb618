//! The schema that a statement of pg_dump is about: a pure decision from the statement alone.

use super::wanted_schema::WantedSchema;
use crate::sql::{StatementKind, Token, TokenCursor, classify, tokens};

/// How much of a statement is read, in bytes and in words.
const BYTES: usize = 64 * 1024;
const WORDS: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementSubject {
    /// The session: the name of the setting.
    Setting(String),
    Schema(String),
    /// Something in that schema.
    In(String),
    /// An extension, and the schema that it is put into.
    Extension(String, String),
    /// The statement does not name it.
    Unknown,
}

/// Kinds of objects whose own name has a schema, where a statement names them.
const NAMED: [&str; 22] = [
    "TABLE",
    "FOREIGN TABLE",
    "COLUMN",
    "VIEW",
    "MATERIALIZED VIEW",
    "SEQUENCE",
    "TYPE",
    "DOMAIN",
    "FUNCTION",
    "PROCEDURE",
    "ROUTINE",
    "AGGREGATE",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "OPERATOR",
    "COLLATION",
    "CONVERSION",
    "STATISTICS",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
];

/// Of a statement of the dump that a schema is wanted of.
pub fn subject_of(sql: &[u8], wanted: &WantedSchema) -> StatementSubject {
    let text = wanted.decode(&sql[..sql.len().min(BYTES)]);
    let words = tokens(&text, WORDS);
    let mut rest = TokenCursor(&words);
    if rest.skip("RESET SESSION AUTHORIZATION") {
        return StatementSubject::Setting("session authorization".into());
    }
    if let Some(Token::Plain(first)) = words.first()
        && ["SET", "SELECT"].iter().any(|word| first.eq_ignore_ascii_case(word))
    {
        return match classify(sql) {
            StatementKind::Setting(name) => StatementSubject::Setting(name),
            StatementKind::Free => {
                set_value(&text).map_or(StatementSubject::Unknown, StatementSubject::In)
            }
            _ => StatementSubject::Unknown,
        };
    }
    read_statement(&mut rest).unwrap_or(StatementSubject::Unknown)
}

fn read_statement(rest: &mut TokenCursor<'_>) -> Option<StatementSubject> {
    let data = ["COPY", "INSERT INTO", "REFRESH MATERIALIZED VIEW"];
    if data.iter().any(|words| rest.skip(words)) {
        return schema_of_name(rest);
    }
    if rest.skip("ALTER DEFAULT PRIVILEGES") {
        return (rest.find("IN") && rest.skip("SCHEMA"))
            .then(|| rest.identifier().map(StatementSubject::In))?;
    }
    if rest.skip("GRANT") || rest.skip("REVOKE") || rest.skip("SECURITY LABEL") {
        return rest.find("ON").then(|| read_object(rest))?;
    }
    if rest.skip("COMMENT ON") || rest.skip("DROP") {
        return read_object(rest);
    }
    if rest.skip("CREATE EXTENSION") {
        rest.skip("IF NOT EXISTS");
        let name = rest.identifier()?;
        return rest
            .find("SCHEMA")
            .then(|| rest.identifier().map(|s| StatementSubject::Extension(name, s)))?;
    }
    let altered = rest.skip("ALTER");
    (altered || rest.skip("CREATE")).then(|| read_definition(rest, altered))?
}

fn read_definition(rest: &mut TokenCursor<'_>, altered: bool) -> Option<StatementSubject> {
    for words in ["OR REPLACE", "UNLOGGED", "DEFAULT", "UNIQUE"] {
        rest.skip(words);
    }
    if rest.skip("INDEX") {
        if !altered {
            return rest.find("ON").then(|| schema_of_name(rest))?;
        }
        return read_attachment(rest);
    }
    if altered && rest.skip("TABLE") {
        return read_attachment(rest);
    }
    if rest.skip("CONSTRAINT TRIGGER") {
        return rest.find("ON").then(|| schema_of_name(rest))?;
    }
    if rest.skip("RULE") {
        return rest.find("TO").then(|| schema_of_name(rest))?;
    }
    read_object(rest)
}

/// An attached partition is the subject, rather than its parent.
fn read_attachment(rest: &mut TokenCursor<'_>) -> Option<StatementSubject> {
    rest.skip("ONLY");
    let whole = rest.name()?;
    if rest.skip("ATTACH PARTITION") {
        return schema_of_name(rest);
    }
    (!whole.0.is_empty()).then_some(StatementSubject::In(whole.0))
}

/// An object named after its kind.
fn read_object(rest: &mut TokenCursor<'_>) -> Option<StatementSubject> {
    if rest.skip("SCHEMA") {
        return rest.identifier().map(StatementSubject::Schema);
    }
    if ["TRIGGER", "POLICY", "RULE", "CONSTRAINT"].iter().any(|words| rest.skip(words)) {
        if !rest.find("ON") {
            return None;
        }
        rest.skip("DOMAIN");
        return schema_of_name(rest);
    }
    let named = rest.skip("INDEX") || NAMED.iter().any(|words| rest.skip(words));
    named.then(|| schema_of_name(rest))?
}

/// The schema of the name that comes next, if it has one.
fn schema_of_name(rest: &mut TokenCursor<'_>) -> Option<StatementSubject> {
    rest.skip("IF NOT EXISTS");
    rest.skip("ONLY");
    let schema = rest.identifier()?;
    matches!(rest.0.first(), Some(Token::Mark('.'))).then_some(StatementSubject::In(schema))
}

/// The schema of the sequence in `setval('s.q', …)`.
fn set_value(sql: &str) -> Option<String> {
    let (_, after) = sql.split_once('\'')?;
    let end = after.replace("''", "\u{1}\u{1}").find('\'')?;
    let words = tokens(&after[..end].replace("''", "'"), WORDS);
    match schema_of_name(&mut TokenCursor(&words))? {
        StatementSubject::In(schema) => Some(schema),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_pg_dump_name_their_schema() {
        for sql in [
            "COPY s.t (a) FROM stdin",
            "INSERT INTO s.t VALUES (1)",
            "CREATE TABLE s.t (a other.x)",
            "CREATE UNLOGGED TABLE s.\"t; Schema: other\" ()",
            "CREATE FOREIGN TABLE s.t (a integer) SERVER x",
            "ALTER TABLE ONLY s.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES other.t(a)",
            "ALTER TABLE ONLY other.p ATTACH PARTITION s.c FOR VALUES IN (1)",
            "ALTER INDEX other.i ATTACH PARTITION s.j",
            "ALTER TABLE s.t OWNER TO other",
            "CREATE UNIQUE INDEX i ON ONLY s.t USING btree (other.f(a))",
            "CREATE TRIGGER other BEFORE INSERT OR UPDATE OF a, b ON s.t FOR EACH ROW EXECUTE FUNCTION other.f()",
            "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON s.t FROM other.t EXECUTE FUNCTION other.f()",
            "CREATE RULE r AS ON UPDATE TO s.v DO INSTEAD UPDATE other.t SET a = 1",
            "CREATE POLICY p ON s.t TO other USING (true)",
            "CREATE STATISTICS s.st ON a, b FROM other.t",
            "CREATE FUNCTION s.f(a other.x) RETURNS other.x LANGUAGE sql AS $$select other.t$$",
            "CREATE OR REPLACE VIEW s.v AS SELECT other.a FROM other.t",
            "CREATE MATERIALIZED VIEW s.v AS SELECT 1 WITH NO DATA",
            "REFRESH MATERIALIZED VIEW s.v",
            "CREATE SEQUENCE s.q START WITH 1",
            "ALTER SEQUENCE s.q OWNED BY other.t.a",
            "SELECT pg_catalog.setval('s.q', 1, true)",
            "SELECT pg_catalog.setval('s.\"it''s\"', 1, true)",
            "CREATE OPERATOR s.+ (FUNCTION = other.f)",
            "CREATE OPERATOR CLASS s.c FOR TYPE other.x USING btree AS OPERATOR 1 other.<",
            "ALTER OPERATOR FAMILY s.f USING btree ADD OPERATOR 1 other.<(integer,integer)",
            "CREATE DEFAULT CONVERSION s.c FOR 'A' TO 'B' FROM other.f",
            "CREATE TEXT SEARCH CONFIGURATION s.c (PARSER = other.p)",
            "GRANT SELECT(a),INSERT(b) ON TABLE s.t TO other",
            "REVOKE ALL ON FUNCTION s.f(other.x) FROM PUBLIC",
            "COMMENT ON COLUMN s.t.a IS 'TABLE other.t'",
            "COMMENT ON CONSTRAINT k ON DOMAIN s.d IS ''",
            "COMMENT ON TRIGGER x ON s.t IS ''",
            "COMMENT ON INDEX s.i IS ''",
            "SECURITY LABEL FOR p ON TABLE s.t IS ''",
            "ALTER DEFAULT PRIVILEGES FOR ROLE other IN SCHEMA s GRANT SELECT ON TABLES TO other",
        ] {
            assert_eq!(
                subject_of(sql.as_bytes(), &WantedSchema::of_utf8("s")),
                StatementSubject::In("s".into()),
                "{sql}"
            );
        }
    }

    #[test]
    fn other_statements_are_of_schemas_settings_or_unknown() {
        let schema = || StatementSubject::Schema("s".into());
        let setting = |name: &str| StatementSubject::Setting(name.into());
        for (sql, expected) in [
            ("CREATE SCHEMA s", schema()),
            ("ALTER SCHEMA s OWNER TO o", schema()),
            ("COMMENT ON SCHEMA s IS 'x'", schema()),
            ("GRANT USAGE ON SCHEMA s TO o", schema()),
            ("SET default_tablespace = ''", setting(".default_tablespace")),
            ("SET SESSION AUTHORIZATION o", setting("session authorization")),
            ("RESET SESSION AUTHORIZATION", setting("session authorization")),
            ("SELECT pg_catalog.set_config('search_path', '', false)", setting(".search_path")),
            (
                "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA s",
                StatementSubject::Extension("citext".into(), "s".into()),
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT ON TABLES TO p",
                StatementSubject::Unknown,
            ),
            ("CREATE CAST (s.a AS s.b) WITH FUNCTION s.f(s.a)", StatementSubject::Unknown),
            ("CREATE TABLE t ()", StatementSubject::Unknown),
            ("COMMENT ON EXTENSION s IS ''", StatementSubject::Unknown),
            ("SELECT s.f()", StatementSubject::Unknown),
            ("COMMIT", StatementSubject::Unknown),
        ] {
            assert_eq!(subject_of(sql.as_bytes(), &WantedSchema::of_utf8("s")), expected, "{sql}");
        }
    }
}
