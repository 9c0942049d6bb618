//! Options of a column that a server sets for itself and no other server knows.

use super::comments::length_of_comments;
use super::tokens::{Token, TokenCursor, tokens};
use memchr::memmem;

/// The version that a server keeps of a column. Minor releases of November 2026 and later set it, and
/// their pg_dump omits it. An earlier pg_dump writes it for every column, and an earlier server refuses it.
const INTERNAL: &[&[u8]] = &[b"pg_attver"];
const SET: &[u8] = b" SET (";

/// `ALTER TABLE … ALTER COLUMN … SET (…)` without these options, with the comments above it as they are;
/// none where there is nothing to remove. Nothing of the statement stays if it sets no other option.
pub fn without_internal_options(sql: &[u8]) -> Option<Vec<u8>> {
    if !INTERNAL.iter().any(|name| memmem::find(sql, name).is_some()) {
        return None;
    }
    let above = length_of_comments(sql);
    let statement = &sql[above..];
    // Values are numbers, so the last one is no part of a name.
    let open = memmem::rfind(statement, SET)? + SET.len();
    let close = open + memchr::memrchr(b')', &statement[open..])?;
    if !sets_options_of_column(&statement[..open]) {
        return None;
    }
    let internal = |option: &&[u8]| {
        let name = option.trim_ascii_start().split(|byte| *byte == b'=').next();
        name.is_some_and(|name| INTERNAL.contains(&name))
    };
    let options = || statement[open..close].split(|byte| *byte == b',');
    if !options().any(|option| internal(&option)) {
        return None;
    }
    let kept: Vec<&[u8]> =
        options().filter(|option| !internal(option)).map(<[u8]>::trim_ascii_start).collect();
    let mut text = sql[..above].to_vec();
    if !kept.is_empty() {
        text.extend_from_slice(&statement[..open]);
        text.extend(kept.join(&b", "[..]));
        text.extend_from_slice(&statement[close..]);
    }
    Some(text)
}

fn sets_options_of_column(begin: &[u8]) -> bool {
    let begin = String::from_utf8_lossy(begin);
    let tokens = tokens(&begin, usize::MAX);
    let mut rest = TokenCursor(&tokens);
    let table = rest.skip("ALTER TABLE") || rest.skip("ALTER FOREIGN TABLE");
    rest.skip("ONLY");
    let column = table && rest.name().is_some() && rest.skip("ALTER COLUMN");
    column && rest.identifier().is_some() && rest.skip("SET") && rest.0 == [Token::Mark('(')]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(sql: &str) -> Option<String> {
        without_internal_options(sql.as_bytes()).map(|sql| String::from_utf8(sql).unwrap())
    }

    #[test]
    fn internal_options_of_a_column_are_removed_and_nothing_else_is() {
        for (sql, expected) in [
            ("ALTER TABLE ONLY s.t ALTER COLUMN a SET (pg_attver=22163424);", Some("")),
            (
                "\n\n--\n-- x\n--\n\nALTER FOREIGN TABLE ONLY s.t ALTER COLUMN a SET (pg_attver=1);",
                Some("\n\n--\n-- x\n--\n\n"),
            ),
            (
                "ALTER TABLE ONLY s.\" SET (pg_attver=1\" ALTER COLUMN \"x y\" SET (n_distinct=5, pg_attver=2, n_distinct_inherited=-1);",
                Some(
                    "ALTER TABLE ONLY s.\" SET (pg_attver=1\" ALTER COLUMN \"x y\" SET (n_distinct=5, n_distinct_inherited=-1);",
                ),
            ),
            (
                "\nALTER TABLE s.t ALTER COLUMN a SET (pg_attver=2, n_distinct=5);",
                Some("\nALTER TABLE s.t ALTER COLUMN a SET (n_distinct=5);"),
            ),
            ("ALTER TABLE ONLY s.t ALTER COLUMN pg_attver SET (n_distinct=5);", None),
            ("ALTER TABLE ONLY s.t ALTER COLUMN pg_attver SET STATISTICS 5;", None),
            ("ALTER TABLE s.t SET (pg_attver=2);", None),
            (
                "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\nALTER TABLE ONLY s.t ALTER COLUMN a SET (pg_attver=2);\n$$;",
                None,
            ),
            ("COMMENT ON TABLE s.t IS 'ALTER TABLE s.t ALTER COLUMN a SET (pg_attver=2)';", None),
            ("INSERT INTO s.t VALUES ('pg_attver');", None),
        ] {
            assert_eq!(without(sql).as_deref(), expected, "{sql}");
        }
    }
}
