//! Answers to single questions about a statement of pg_dump: pure decisions by its first tokens.

use super::statement::{StatementKind, added_constraint, classify};
use super::tokens::{Name, Token, TokenCursor, tokens};
use super::{ident, literal};

/// How many tokens are read where more than the statement's first words count.
const TOKENS: usize = 64;
/// No phrase that a statement is recognised by has more words.
const PHRASE: usize = 4;

/// Whether the statement begins with one of these phrases.
fn begins_with(sql: &[u8], phrases: &[&str]) -> bool {
    is_any(&tokens(&String::from_utf8_lossy(sql), PHRASE), phrases)
}

fn is_any(tokens: &[Token], phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| TokenCursor(tokens).skip(phrase))
}

/// Whether it runs code that may set what later statements depend on, as pg_dump writes none.
pub fn may_set_anything(sql: &[u8]) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), PHRASE);
    // pg_dump 18 writes `SELECT * FROM` before the functions that restore statistics.
    let called = match tokens.as_slice() {
        [select, Token::Mark('*'), from, called @ ..] if select.is("SELECT") && from.is("FROM") => {
            called
        }
        [select, called @ ..] if select.is("SELECT") => called,
        _ => return is_any(&tokens, &["DO", "CALL", "EXECUTE", "DISCARD"]),
    };
    !is_any(called, &["PG_CATALOG"])
}

/// Whether it sets or resets a parameter of the session.
pub fn is_setting(sql: &[u8]) -> bool {
    begins_with(sql, &["SET", "RESET"])
}

/// Whether it begins, ends or prepares a transaction or a part of one.
pub fn is_of_transaction(sql: &[u8]) -> bool {
    let phrases = [
        "ABORT",
        "BEGIN",
        "COMMIT",
        "END",
        "PREPARE TRANSACTION",
        "RELEASE",
        "ROLLBACK",
        "SAVEPOINT",
        "START TRANSACTION",
    ];
    begins_with(sql, &phrases)
}

/// Whether it creates a schema.
pub fn creates_schema(sql: &[u8]) -> bool {
    begins_with(sql, &["CREATE SCHEMA"])
}

/// Whether it makes a role the owner of what only a superuser may own at that moment.
pub fn gives_to_superuser(sql: &[u8]) -> bool {
    let phrases = ["ALTER EVENT TRIGGER", "ALTER FOREIGN DATA WRAPPER", "ALTER SUBSCRIPTION"];
    begins_with(sql, &phrases)
}

/// Whether it drops something.
pub fn drops(sql: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sql);
    tokens(&text, TOKENS).iter().any(|token| token.is("DROP"))
}

/// Whether it may hold a password.
pub fn may_hold_password(sql: &[u8]) -> bool {
    const KINDS: [&str; 8] = [
        "SUBSCRIPTION",
        "USER MAPPING",
        "SERVER",
        "FOREIGN DATA WRAPPER",
        "FOREIGN TABLE",
        "ROLE",
        "USER",
        "GROUP",
    ];
    KINDS
        .iter()
        .any(|kind| begins_with(sql, &[&format!("CREATE {kind}"), &format!("ALTER {kind}")]))
}

/// Whether a database without the object still has all rows.
pub fn may_be_omitted(sql: &[u8]) -> bool {
    let verbs = ["CREATE", "ALTER", "GRANT", "REVOKE", "COMMENT", "REFRESH", "SECURITY LABEL"];
    let holds_rows = [
        "CREATE TABLE",
        "CREATE UNLOGGED TABLE",
        "CREATE SCHEMA",
        "CREATE SEQUENCE",
        "CREATE TYPE",
        "CREATE DOMAIN",
    ];
    begins_with(sql, &verbs) && !begins_with(sql, &holds_rows)
}

/// Whether PostgreSQL 17 and later run it under a search path of their own.
pub fn has_own_search_path(sql: &[u8]) -> bool {
    let phrases = ["CREATE INDEX", "CREATE UNIQUE INDEX", "REFRESH MATERIALIZED VIEW"];
    begins_with(sql, &phrases) || adds_constraint(sql, &["PRIMARY KEY", "UNIQUE", "EXCLUDE"])
}

/// Whether it holds an operator whose schema its text has no place for: in `NULLIF`, `CASE a WHEN`, `IS DISTINCT FROM`,
/// `JOIN … USING`, or of a column of a row but the first. Some of these it may hold in another meaning.
pub fn may_hide_operators(sql: &[u8]) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), usize::MAX);
    is_any(&tokens, &["CREATE", "ALTER"])
        && (0..tokens.len()).any(|at| match &tokens[at..] {
            [word, Token::Mark('('), ..]
                if ["NULLIF", "USING", "ROW"].iter().any(|hiding| word.is(hiding)) =>
            {
                true
            }
            [Token::Mark(')'), rest @ ..] => compares_with_select(rest),
            [word, next, ..] => {
                word.is("CASE") && !next.is("WHEN") || word.is("DISTINCT") && next.is("FROM")
            }
            _ => false,
        })
}

/// Whether it begins with `IN (SELECT`, `= ANY (SELECT` or the like. An operator with a schema ends with a parenthesis.
fn compares_with_select(tokens: &[Token]) -> bool {
    let is_operator = |token: &&Token| match token {
        Token::Mark(mark) => !"(),.;:[]".contains(*mark),
        word => ["IN", "ANY", "ALL"].iter().any(|keyword| word.is(keyword)),
    };
    let length = tokens.iter().take_while(is_operator).count();
    let [Token::Mark('('), select, ..] = &tokens[length..] else { return false };
    select.is("SELECT")
}

/// Whether it adds a foreign key or a check, which may be added without a look at the rows.
pub fn adds_checked_constraint(sql: &[u8]) -> bool {
    adds_constraint(sql, &["FOREIGN KEY", "CHECK"])
}

fn adds_constraint(sql: &[u8], kinds: &[&str]) -> bool {
    let text = String::from_utf8_lossy(sql);
    let tokens = tokens(&text, TOKENS);
    added_constraint(&tokens)
        .is_some_and(|added| kinds.iter().any(|kind| added.definition.clone().skip(kind)))
}

/// Of a statement that adds a constraint, the one that validates it.
pub fn validation(sql: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(sql);
    let tokens = tokens(&text, TOKENS);
    let added = added_constraint(&tokens)?;
    let (schema, owner) = &added.owner;
    let schema = if schema.is_empty() { String::new() } else { format!("{}.", ident(schema)) };
    let (kind, owner, name) = (added.kind, ident(owner), ident(&added.name));
    Some(format!("ALTER {kind} {schema}{owner} VALIDATE CONSTRAINT {name};"))
}

/// The domain that it changes.
pub fn altered_domain(sql: &[u8]) -> Option<Name> {
    let tokens = tokens(&String::from_utf8_lossy(sql), TOKENS);
    let mut rest = TokenCursor(&tokens);
    rest.skip("ALTER DOMAIN").then(|| rest.name())?
}

/// Whether it adds a constraint that calls functions or operators that are not the server's own.
pub fn adds_calling_constraint(sql: &[u8]) -> bool {
    // Most statements begin otherwise, and need no tokens.
    sql.trim_ascii_start().starts_with(b"ALTER") && {
        let tokens = tokens(&String::from_utf8_lossy(sql), usize::MAX);
        added_constraint(&tokens).is_some_and(|added| added.definition.calls_functions())
    }
}

/// Whether it names the schema of all that it names, whatever the search path is.
pub fn names_all_schemas(sql: &[u8]) -> bool {
    begins_with(sql, &["REFRESH MATERIALIZED VIEW", "INSERT INTO", "REINDEX INDEX"])
}

/// The statement that builds again the index that it has built; none if it builds none, or one without rows.
pub fn reindex(sql: &[u8]) -> Option<String> {
    // The name is sent back: it must not have changed by the way.
    let tokens = tokens(std::str::from_utf8(sql).ok()?, TOKENS);
    let is_only = |tokens: &[Token]| {
        let mut head = tokens.iter().take_while(|token| !matches!(token, Token::Mark('(')));
        head.any(|token| token.is("ONLY"))
    };
    let (schema, index) = match classify(sql) {
        StatementKind::Index { index, .. } if !is_only(&tokens) => index,
        _ => {
            let added = added_constraint(&tokens)?;
            added.definition.clone().skip("EXCLUDE").then_some((added.owner.0, added.name))?
        }
    };
    Some(format!("REINDEX INDEX {}.{};\n", ident(&schema), ident(&index)))
}

/// The materialized view that it fills.
pub fn refreshed_view(sql: &str) -> Option<Name> {
    let tokens = tokens(sql, TOKENS);
    let mut rest = TokenCursor(&tokens);
    rest.skip("REFRESH MATERIALIZED VIEW").then(|| rest.name())?
}

/// The names with a schema before a parenthesis, as a list of SQL: functions that it may call.
pub fn called_functions(sql: &str) -> String {
    let tokens = tokens(sql, usize::MAX);
    let called = (0..tokens.len()).filter_map(|at| {
        let mut rest = TokenCursor(&tokens[at..]);
        let (schema, name) = rest.name()?;
        let is_called = !schema.is_empty() && matches!(rest.0, [Token::Mark('('), ..]);
        is_called.then(|| format!("({}, {})", literal(&schema), literal(&name)))
    });
    called.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rows_need_is_never_left_out() {
        for (sql, may) in [
            ("CREATE INDEX i ON s.t (a)", true),
            ("ALTER TABLE ONLY s.t ADD CONSTRAINT k UNIQUE (a)", true),
            ("GRANT SELECT ON TABLE s.t TO \"16999\"", true),
            ("CREATE FOREIGN TABLE s.t (a int)", true),
            ("SET default_tablespace = gone", false),
            ("CREATE TABLE s.t (a int)", false),
            ("CREATE DOMAIN s.d AS int", false),
            ("CREATE SCHEMA s", false),
            ("COPY s.t FROM stdin", false),
            ("SELECT pg_catalog.setval('s.q', 1)", false),
            ("INSERT INTO s.t VALUES (1)", false),
        ] {
            assert_eq!(may_be_omitted(sql.as_bytes()), may, "{sql}");
        }
    }

    #[test]
    fn a_constraint_is_validated_by_its_own_name() {
        for (sql, expected) in [
            (
                "ALTER TABLE ONLY s.t\n    ADD CONSTRAINT \"K\" FOREIGN KEY (a) REFERENCES s.u(a);",
                Some("ALTER TABLE \"s\".\"t\" VALIDATE CONSTRAINT \"K\";"),
            ),
            (
                "ALTER DOMAIN d ADD CONSTRAINT c CHECK ((VALUE > 0));",
                Some("ALTER DOMAIN \"d\" VALIDATE CONSTRAINT \"c\";"),
            ),
            ("ALTER TABLE s.t ENABLE ROW LEVEL SECURITY", None),
        ] {
            assert_eq!(validation(sql.as_bytes()).as_deref(), expected, "{sql}");
        }
        let altered = altered_domain(b"ALTER DOMAIN s.\"D\" VALIDATE CONSTRAINT c;");
        assert_eq!(altered, Some(("s".into(), "D".into())));
        assert_eq!(altered_domain(b"ALTER TABLE s.t VALIDATE CONSTRAINT c;"), None);
    }

    #[test]
    fn an_operator_is_hidden_where_its_schema_has_no_place() {
        for (sql, hides) in [
            ("CREATE VIEW s.v AS SELECT NULLIF(a, b) FROM s.t;", true),
            ("CREATE VIEW s.v AS SELECT CASE a WHEN b THEN 1 END AS c FROM s.t;", true),
            ("CREATE VIEW s.v AS SELECT * FROM (s.t JOIN s.u USING (a));", true),
            ("CREATE TABLE s.t (a int, CONSTRAINT c CHECK ((a IS NOT DISTINCT FROM b)))", true),
            ("CREATE TABLE s.t (CONSTRAINT c CHECK ((ROW(a, b) >= ROW(1, 'x'::x.citext))))", true),
            ("CREATE VIEW s.v AS SELECT ((a, b) IN ( SELECT c, d FROM s.t));", true),
            ("CREATE POLICY p ON s.t USING (((a, b) < ANY ( SELECT c, d FROM s.t)));", true),
            ("CREATE VIEW s.v AS SELECT ((a, b) = ( SELECT c, d FROM s.t));", true),
            (
                "CREATE VIEW s.v AS SELECT a IN ( SELECT c FROM s.t) AND (b = ANY (ARRAY[1]));",
                false,
            ),
            ("CREATE VIEW s.v AS SELECT x.a FROM (s.t x CROSS JOIN LATERAL ( SELECT 1) y);", false),
            ("CREATE VIEW s.v AS SELECT CASE WHEN a THEN b END AS c FROM s.t;", false),
            ("CREATE INDEX i ON s.t USING btree (a)", false),
            ("INSERT INTO s.t VALUES (NULLIF(1, 2))", false),
        ] {
            assert_eq!(may_hide_operators(sql.as_bytes()), hides, "{sql}");
        }
    }

    #[test]
    fn code_may_set_anything_and_functions_of_the_server_do_not() {
        for (sql, may) in [
            ("DO $$ BEGIN END $$", true),
            ("CALL s.p()", true),
            ("SELECT s.f()", true),
            ("SELECT * FROM s.f()", true),
            (
                "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer)",
                false,
            ),
            ("SELECT pg_catalog.setval('s.q', 1)", false),
            ("CREATE TABLE s.t ()", false),
        ] {
            assert_eq!(may_set_anything(sql.as_bytes()), may, "{sql}");
        }
    }
}
