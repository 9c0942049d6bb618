//! What statements of pg_dump define, beside the object that they are named after: pure decisions.

use crate::sql::{Token, TokenCursor, tokens};

/// How many words of a statement are read to find its table.
const WORDS: usize = 4096;

/// Whether a statement only sets an owner.
pub fn sets_owner(sql: &str) -> bool {
    let words = tokens(sql, WORDS);
    let is_alter = words.first().is_some_and(|word| word.is("ALTER"));
    let owner = words.iter().rev().nth(2).zip(words.iter().rev().nth(1));
    is_alter && owner.is_some_and(|(first, second)| first.is("OWNER") && second.is("TO"))
}

/// The name of the table that a statement makes, changes, or is about.
pub fn table_of(sql: &str) -> Option<String> {
    let words = tokens(sql, WORDS);
    let mut rest = TokenCursor(&words);
    let skip = |rest: &mut TokenCursor<'_>, phrases: &[&str]| phrases.iter().any(|p| rest.skip(p));
    let named = skip(
        &mut rest,
        &[
            "ALTER TABLE",
            "ALTER FOREIGN TABLE",
            "CREATE TABLE",
            "CREATE UNLOGGED TABLE",
            "CREATE FOREIGN TABLE",
            "COMMENT ON TABLE",
            "COMMENT ON COLUMN",
        ],
    );
    let below = [
        "CREATE INDEX",
        "CREATE UNIQUE INDEX",
        "CREATE TRIGGER",
        "CREATE CONSTRAINT TRIGGER",
        "CREATE POLICY",
        "COMMENT ON CONSTRAINT",
        "COMMENT ON TRIGGER",
        "COMMENT ON POLICY",
        "GRANT",
        "REVOKE",
    ];
    let found = named || (skip(&mut rest, &below) && rest.find("ON"));
    if !found {
        let is_rule = rest.skip("CREATE RULE") && rest.find("TO");
        return is_rule.then(|| with_schema(&mut rest))?;
    }
    rest.skip("TABLE");
    rest.skip("ONLY");
    with_schema(&mut rest)
}

/// The name that comes next, if it has a schema: pg_dump writes every table's.
fn with_schema(rest: &mut TokenCursor<'_>) -> Option<String> {
    rest.name().filter(|(schema, _)| !schema.is_empty()).map(|(_, table)| table)
}

/// Each right that a GRANT or REVOKE is about, as a statement of its own.
pub fn rights(sql: &str) -> Vec<String> {
    let whole = || vec![one_blank(sql)];
    let Some(verb) = ["GRANT ", "REVOKE GRANT OPTION FOR ", "REVOKE "]
        .into_iter()
        .find(|verb| sql.starts_with(verb))
    else {
        return whole();
    };
    let (mut rights, mut begin, mut depth, mut in_quotes) = (Vec::new(), verb.len(), 0, false);
    for (at, c) in sql.char_indices().skip_while(|(at, _)| *at < verb.len()) {
        match c {
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                rights.push(&sql[begin..at]);
                begin = at + 1;
            }
            ' ' if depth == 0 && sql[at..].starts_with(" ON ") => {
                rights.push(&sql[begin..at]);
                let of = &sql[at..];
                return rights
                    .into_iter()
                    .map(|r| one_blank(&format!("{verb}{}{of}", r.trim())))
                    .collect();
            }
            _ => {}
        }
    }
    whole()
}

fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The names of the columns that `CREATE TABLE` lists.
pub fn columns(sql: &str) -> Vec<String> {
    let words = tokens(sql, usize::MAX);
    let is_table = words.iter().take(4).any(|word| word.is("TABLE"));
    let Some(begin) = words.iter().position(|word| *word == Token::Mark('(')).filter(|_| is_table)
    else {
        return Vec::new();
    };
    let (mut columns, mut depth, mut is_first) = (Vec::new(), 0, false);
    for word in &words[begin..] {
        match word {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            _ => {}
        }
        match word {
            _ if depth == 0 => break,
            Token::Plain(name) if is_first && !is_clause(name) => columns.push(name.clone()),
            Token::Quoted(name) if is_first => columns.push(name.clone()),
            _ => {}
        }
        is_first = depth == 1 && matches!(word, Token::Mark('(' | ','));
    }
    columns
}

/// Whether a line of a table's definition is no column. These words are reserved: a column of that name is quoted.
fn is_clause(word: &str) -> bool {
    ["CONSTRAINT", "CHECK", "LIKE", "PRIMARY", "UNIQUE", "FOREIGN"]
        .iter()
        .any(|clause| word.eq_ignore_ascii_case(clause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_sets_an_owner_is_known_and_no_other() {
        for sql in ["ALTER TABLE s.t OWNER TO o", "ALTER FUNCTION s.f(a x) OWNER TO \"O o\""] {
            assert!(sets_owner(sql), "{sql}");
        }
        for sql in ["ALTER TABLE s.t ENABLE ROW LEVEL SECURITY", "CREATE TABLE s.t (owner to x)"] {
            assert!(!sets_owner(sql), "{sql}");
        }
    }

    #[test]
    fn the_table_of_a_statement_is_found() {
        for sql in [
            "CREATE TABLE s.t (a integer)",
            "CREATE UNLOGGED TABLE s.t ()",
            "ALTER TABLE ONLY s.t ADD CONSTRAINT k CHECK ((a > 0))",
            "CREATE UNIQUE INDEX i ON ONLY s.t USING btree (a)",
            "CREATE TRIGGER x BEFORE INSERT OR UPDATE OF a, b ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()",
            "CREATE POLICY p ON s.t USING (true)",
            "CREATE RULE r AS ON UPDATE TO s.t DO INSTEAD NOTHING",
            "GRANT SELECT(a),INSERT ON TABLE s.t TO r",
            "COMMENT ON COLUMN s.t.a IS 'x'",
        ] {
            assert_eq!(table_of(sql).as_deref(), Some("t"), "{sql}");
        }
        for sql in [
            "CREATE VIEW s.v AS SELECT 1",
            "GRANT USAGE ON SCHEMA s TO r",
            "CREATE TYPE s.x AS ENUM ()",
        ] {
            assert_eq!(table_of(sql), None, "{sql}");
        }
    }

    #[test]
    fn each_right_is_a_statement_of_its_own() {
        for (sql, expected) in [
            ("GRANT SELECT ON TABLE s.t TO r", vec!["GRANT SELECT ON TABLE s.t TO r"]),
            (
                "GRANT SELECT(\"a,) ON \",b),INSERT ON TABLE s.t TO r WITH GRANT OPTION",
                vec![
                    "GRANT SELECT(\"a,) ON \",b) ON TABLE s.t TO r WITH GRANT OPTION",
                    "GRANT INSERT ON TABLE s.t TO r WITH GRANT OPTION",
                ],
            ),
            (
                "REVOKE GRANT OPTION FOR SELECT,INSERT ON TABLE s.t FROM r",
                vec![
                    "REVOKE GRANT OPTION FOR SELECT ON TABLE s.t FROM r",
                    "REVOKE GRANT OPTION FOR INSERT ON TABLE s.t FROM r",
                ],
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES TO r",
                vec!["ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES TO r"],
            ),
        ] {
            assert_eq!(rights(sql), expected, "{sql}");
        }
    }

    #[test]
    fn columns_are_listed_and_constraints_are_not() {
        let sql = "CREATE TABLE s.t (\n    id integer NOT NULL,\n    \"select\" numeric(14,4) DEFAULT s.f(1, 2),\n    \
                   CONSTRAINT k CHECK ((id > 0)),\n    exclude text\n)\nPARTITION BY RANGE (id)";
        assert_eq!(columns(sql), ["id", "select", "exclude"]);
        assert_eq!(columns("CREATE TABLE s.t (\n)"), [""; 0]);
        assert_eq!(columns("CREATE VIEW s.v AS SELECT f(a, b)"), [""; 0]);
    }
}
