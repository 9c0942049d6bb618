//! The roles that a statement of pg_dump names: a pure decision.

use super::tokens::{Token, TokenCursor, tokens};

const BYTES: usize = 64 * 1024;
const TOKENS: usize = 4096;

/// A role that a statement names.
#[derive(Debug)]
pub struct NamedRole {
    pub name: String,
    /// Whether it becomes the owner of something.
    pub owns: bool,
}

impl NamedRole {
    /// Whether the name was read as the dump means it, in text of that encoding. What is not ASCII counts as UTF-8.
    pub fn is_read_right(&self, encoding: Option<&str>) -> bool {
        let is_utf8 = encoding.is_none_or(|encoding| ["UTF8", "SQL_ASCII"].contains(&encoding));
        self.name.is_ascii() || is_utf8 && !self.name.contains(char::REPLACEMENT_CHARACTER)
    }
}

/// The roles that a statement names, in its order.
pub fn named_roles(sql: &[u8]) -> Vec<NamedRole> {
    let text = String::from_utf8_lossy(&sql[..sql.len().min(BYTES)]);
    let tokens = tokens(&text, TOKENS);
    let mut rest = TokenCursor(&tokens);
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
    if !rest.skip("ALTER") {
        return Vec::new();
    }
    // An object may be named OWNER, too.
    while rest.find("OWNER") {
        if rest.skip("TO") {
            return list(rest, true);
        }
    }
    Vec::new()
}

/// A list of names. A keyword that stands for no particular role is left out.
fn list(mut rest: TokenCursor<'_>, owns: bool) -> Vec<NamedRole> {
    let keywords = ["PUBLIC", "DEFAULT", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"];
    let mut roles = Vec::new();
    loop {
        let is_keyword = rest.0.first().is_some_and(|token| keywords.iter().any(|k| token.is(k)));
        let Some(name) = rest.identifier() else { break };
        if !is_keyword && !name.starts_with("pg_") {
            roles.push(NamedRole { name, owns });
        }
        match rest.0 {
            [Token::Mark(','), after @ ..] => rest = TokenCursor(after),
            _ => break,
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_another_encoding_is_not_taken_for_utf8() {
        for (name, encoding, expected) in [
            (&b"plain"[..], Some("LATIN1"), true),
            ("rôle".as_bytes(), Some("UTF8"), true),
            ("rôle".as_bytes(), None, true),
            ("rôle".as_bytes(), Some("LATIN1"), false),
            (b"r\xf4le", Some("SQL_ASCII"), false),
        ] {
            let sql = [b"ALTER TABLE s.t OWNER TO \"", name, b"\";"].concat();
            assert_eq!(named_roles(&sql)[0].is_read_right(encoding), expected, "{name:?}");
        }
    }

    #[test]
    fn statements_of_pg_dump_name_their_roles() {
        for (sql, expected) in [
            ("ALTER TABLE s.t OWNER TO \"Odd \"\" one\"", "Odd \" one+"),
            ("ALTER FUNCTION s.f(a text, b integer) OWNER TO o", "o+"),
            ("ALTER SCHEMA owner OWNER TO o", "o+"),
            ("ALTER TABLE owner.t OWNER TO o", "o+"),
            ("ALTER TABLE public.owner OWNER TO o", "o+"),
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
            let named: Vec<String> = named_roles(sql.as_bytes())
                .iter()
                .map(|r| format!("{}{}", r.name, if r.owns { '+' } else { '-' }))
                .collect();
            assert_eq!(named.join(" "), expected, "{sql}");
        }
    }
}
