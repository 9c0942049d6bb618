//! What only an older server has, so that a load leaves it out: a pure decision by the statement and the SQLSTATE.

use crate::removed_extensions::is_removed;
use crate::server_error::{INSUFFICIENT_PRIVILEGE, ServerError};
use crate::sql::{TokenCursor, tokens};

/// An extension whose files are not there, by the major; one that was not created.
const NO_EXTENSION: [&str; 3] = ["0A000", "58P01", "42704"];
/// An undefined function, table or column. An undefined object (42704) may be the role, which a load must not pass over.
const UNDEFINED: [&str; 3] = ["42883", "42P01", "42703"];
/// How many tokens are read: an object may be a function with many arguments.
const TOKENS: usize = 512;

/// Since this major, the schema public belongs to the owner of the database.
const PUBLIC_IS_OWNED: u32 = 15;

/// Whether a statement that has failed gives the schema public an owner or a comment, which an ordinary role may not.
pub fn is_of_public(sql: &[u8], failure: &ServerError, server_major: u32) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), TOKENS);
    let mut rest = TokenCursor(&tokens);
    let comments = rest.skip("COMMENT ON SCHEMA");
    server_major < PUBLIC_IS_OWNED
        && failure.is(&[INSUFFICIENT_PRIVILEGE])
        && (comments || rest.skip("ALTER SCHEMA"))
        && rest.identifier().is_some_and(|name| name == "public")
        && (comments || rest.skip("OWNER TO"))
}

/// Whether a statement that has failed is about what only an older server has: an extension that PostgreSQL has removed, or
/// a privilege on an object of the server's own, which no dump creates.
pub fn is_about_older_server(sql: &[u8], failure: &ServerError, server_major: u32) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), TOKENS);
    let rest = TokenCursor(&tokens);
    match named_extension(rest) {
        Some(name) => is_removed(&name, server_major) && failure.is(&NO_EXTENSION),
        None => failure.is(&UNDEFINED) && is_privilege_on_catalog(rest),
    }
}

fn named_extension(mut rest: TokenCursor<'_>) -> Option<String> {
    let creates = rest.skip("CREATE EXTENSION");
    if !creates && !rest.skip("COMMENT ON EXTENSION") {
        return None;
    }
    rest.skip("IF NOT EXISTS");
    rest.identifier()
}

/// Whether it grants or revokes on an object of pg_catalog: `GRANT ALL ON FUNCTION pg_catalog.f(a integer) TO r`.
fn is_privilege_on_catalog(mut rest: TokenCursor<'_>) -> bool {
    (rest.skip("GRANT") || rest.skip("REVOKE"))
        && rest.find("ON")
        && rest.identifier().is_some()
        && rest.name().is_some_and(|(schema, _)| schema == "pg_catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_that_are_gone_and_privileges_on_what_is_the_servers_own() {
        for (sql, state, major, expected) in [
            ("CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog;", "0A000", 17, true),
            ("COMMENT ON EXTENSION adminpack IS 'x';", "42704", 18, true),
            (
                "CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog;",
                "0A000",
                16,
                false,
            ),
            (
                "CREATE EXTENSION IF NOT EXISTS adminpack WITH SCHEMA pg_catalog;",
                "42501",
                17,
                false,
            ),
            ("CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;", "0A000", 17, false),
            ("GRANT ALL ON FUNCTION pg_catalog.f(\"on\" text, b int) TO r;", "42883", 15, true),
            ("REVOKE ALL ON FUNCTION pg_catalog.f() FROM PUBLIC;", "42883", 15, true),
            ("GRANT SELECT(a),UPDATE(b) ON TABLE pg_catalog.t TO r;", "42703", 15, true),
            ("GRANT ALL ON FUNCTION pg_catalog.f() TO r;", "42501", 15, false),
            ("GRANT ALL ON FUNCTION pg_catalog.f() TO r;", "42704", 15, false),
            ("GRANT ALL ON FUNCTION s.pg_catalog() TO r;", "42883", 15, false),
            ("GRANT ALL ON SCHEMA pg_catalog TO r;", "42704", 15, false),
            ("CREATE VIEW s.v AS SELECT pg_catalog.f() ON pg_catalog.g;", "42883", 15, false),
        ] {
            let failure = ServerError::of_state(state);
            let found = is_about_older_server(sql.as_bytes(), &failure, major);
            assert_eq!(found, expected, "{major} {state} {sql}");
        }
    }

    #[test]
    fn only_the_owner_of_public_that_an_older_server_refuses_is_passed_over() {
        let owner = "ALTER SCHEMA public OWNER TO app;\n";
        for (sql, state, major, expected) in [
            (owner, "42501", 14, true),
            ("COMMENT ON SCHEMA public IS 'ours';\n", "42501", 14, true),
            ("COMMENT ON SCHEMA own IS 'ours';\n", "42501", 14, false),
            (owner, "42501", 15, false),
            (owner, "42704", 14, false),
            ("ALTER SCHEMA own OWNER TO app;\n", "42501", 14, false),
            ("ALTER SCHEMA public RENAME TO own;\n", "42501", 14, false),
        ] {
            let failure = ServerError::of_state(state);
            assert_eq!(is_of_public(sql.as_bytes(), &failure, major), expected, "{sql}");
        }
    }
}
