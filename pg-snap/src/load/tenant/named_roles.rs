//! The roles that a statement of pg_dump names: a pure decision.

use crate::database_state::Role;
use crate::words::{Rest, Word, words};

const BYTES: usize = 64 * 1024;
const WORDS: usize = 4096;

/// Each of them, and whether something is to be its own.
pub fn named_roles(sql: &[u8]) -> Vec<Role> {
    let text = String::from_utf8_lossy(&sql[..sql.len().min(BYTES)]);
    let words = words(&text, WORDS);
    let mut rest = Rest(&words);
    if rest.skip("SET SESSION AUTHORIZATION") {
        return list(rest, true);
    }
    if rest.skip("GRANT") {
        return if rest.find("TO") { list(rest, false) } else { Vec::new() };
    }
    if rest.skip("REVOKE") {
        return if rest.find("FROM") { list(rest, false) } else { Vec::new() };
    }
    if rest.skip("CREATE POLICY") {
        return if rest.find("TO") { list(rest, false) } else { Vec::new() };
    }
    if rest.skip("ALTER DEFAULT PRIVILEGES FOR ROLE") {
        let mut roles = list(rest, true);
        if rest.find("TO") || rest.find("FROM") {
            roles.extend(list(rest, false));
        }
        return roles;
    }
    let owner = rest.skip("ALTER") && rest.find("OWNER") && rest.skip("TO");
    if owner { list(rest, true) } else { Vec::new() }
}

/// Names with commas between them. What stands for no role of its own is none.
fn list(mut rest: Rest<'_>, owns: bool) -> Vec<Role> {
    let nobody = ["PUBLIC", "DEFAULT", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"];
    let mut roles = Vec::new();
    loop {
        let stands_for_none = rest.0.first().is_some_and(|word| nobody.iter().any(|n| word.is(n)));
        let Some(name) = rest.one() else { break };
        if !stands_for_none && !name.starts_with("pg_") {
            roles.push(Role { name, login: false, owns: Some(owns) });
        }
        match rest.0 {
            [Word::Mark(','), after @ ..] => rest = Rest(after),
            _ => break,
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_pg_dump_name_their_roles() {
        for (sql, expected) in [
            ("ALTER TABLE s.t OWNER TO \"Odd \"\" one\"", "Odd \" one+"),
            ("ALTER FUNCTION s.f(a text, b integer) OWNER TO o", "o+"),
            ("GRANT SELECT(a) ON TABLE s.t TO r WITH GRANT OPTION", "r-"),
            ("GRANT ALL ON SCHEMA s TO PUBLIC", ""),
            ("REVOKE ALL ON TABLE s.t FROM r", "r-"),
            ("CREATE POLICY p ON s.t TO a, b USING ((c = 1))", "a- b-"),
            ("CREATE POLICY p ON s.t USING ((c = 1))", ""),
            ("SET SESSION AUTHORIZATION o", "o+"),
            ("SET SESSION AUTHORIZATION DEFAULT", ""),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES TO r",
                "o+ r-",
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s REVOKE ALL ON TABLES FROM o",
                "o+ o-",
            ),
            ("GRANT SELECT ON TABLE s.t TO pg_monitor", ""),
            ("CREATE TABLE s.t (a text)", ""),
        ] {
            let told: Vec<String> = named_roles(sql.as_bytes())
                .iter()
                .map(|r| format!("{}{}", r.name, if r.owns == Some(true) { '+' } else { '-' }))
                .collect();
            assert_eq!(told.join(" "), expected, "{sql}");
        }
    }
}
