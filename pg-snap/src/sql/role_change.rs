//! Statements that act for another role, in the form that its members may use, too.

use super::comments::length_of_comments;

const SESSION: &[u8] = b"SESSION AUTHORIZATION";

/// `SET ROLE` for `SET SESSION AUTHORIZATION`, which requires a superuser, with the comments above it as they
/// are; none for any other statement. pg_dump has a role grant something so, and the current role is the one
/// that grants.
pub fn with_role_change(sql: &[u8]) -> Option<Vec<u8>> {
    let (above, statement) = sql.split_at(length_of_comments(sql));
    let (verb, target) = match statement.strip_prefix(b"SET ") {
        Some(rest) => ("SET ROLE", rest.strip_prefix(SESSION)?),
        None => ("RESET ROLE", statement.strip_prefix(b"RESET ")?.strip_prefix(SESSION)?),
    };
    let (verb, target) = match target.trim_ascii_start().strip_prefix(b"DEFAULT") {
        Some(end) => ("RESET ROLE", end),
        None => (verb, target),
    };
    Some([above, verb.as_bytes(), target].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_another_role_becomes_a_change_of_role() {
        let above = "--\n-- Name: SET SESSION AUTHORIZATION x\n--\n\n";
        for (sql, expected) in [
            ("SET SESSION AUTHORIZATION a;\n", Some("SET ROLE a;\n")),
            (
                "SET SESSION AUTHORIZATION \"SESSION AUTHORIZATION\"",
                Some("SET ROLE \"SESSION AUTHORIZATION\""),
            ),
            ("SET SESSION AUTHORIZATION 'a';", Some("SET ROLE 'a';")),
            ("SET SESSION AUTHORIZATION DEFAULT;", Some("RESET ROLE;")),
            ("RESET SESSION AUTHORIZATION;", Some("RESET ROLE;")),
            ("SET session_replication_role = replica;", None),
            ("RESET ROLE;", None),
            ("COMMENT ON TABLE t IS 'SET SESSION AUTHORIZATION a';", None),
        ] {
            let changed = with_role_change(format!("{above}{sql}").as_bytes());
            let expected = expected.map(|expected| format!("{above}{expected}").into_bytes());
            assert_eq!(changed, expected, "{sql}");
        }
    }
}
