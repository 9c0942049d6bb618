//! Operators with a schema, `OPERATOR(s.=)`. PostgreSQL writes the operator of a row's first column for all columns of
//! the row, so that what it has written may not be what it can read.

use super::tokens::{Token, TokenCursor, tokens};

const BEGIN: &str = "OPERATOR(";
const CATALOG: &str = "pg_catalog";

/// The statement with its operators without their schemas, and these; none if it names none.
pub fn without_schemas(sql: &str) -> Option<(String, Vec<String>)> {
    let (mut text, mut schemas) = (String::new(), Vec::<String>::new());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some((schema, operator, length)) = operator(rest) {
            text += &operator;
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
            rest = &rest[length..];
            continue;
        }
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            // The body of a function is not read when it is created.
            '$' => return None,
            _ => first.len_utf8(),
        };
        text += &rest[..length];
        rest = &rest[length..];
    }
    (!schemas.is_empty()).then_some((text, schemas))
}

/// An operator at the beginning, with the length of its text.
fn operator(text: &str) -> Option<(String, String, usize)> {
    let inner = text.strip_prefix(BEGIN)?;
    let tokens = tokens(inner, 3);
    let mut rest = TokenCursor(&tokens);
    let schema = rest.identifier().filter(|schema| schema != CATALOG)?;
    let [Token::Mark('.'), Token::Mark(_)] = rest.0 else { return None };
    let end = inner.find(')')?;
    let (_, operator) = inner[..end].rsplit_once('.')?;
    Some((schema, operator.to_owned(), BEGIN.len() + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_lose_their_schemas_and_nothing_else_changes() {
        let of = |sql: &str| without_schemas(sql).map(|(text, schemas)| (text, schemas.join(",")));
        let found = |text: &str, schemas: &str| Some((text.to_owned(), schemas.to_owned()));
        assert_eq!(
            of(
                "CHECK (((a, b) OPERATOR(public.=) ANY (SELECT 'OPERATOR(s.=)', \"OPERATOR(s.=)\")))"
            ),
            found("CHECK (((a, b) = ANY (SELECT 'OPERATOR(s.=)', \"OPERATOR(s.=)\")))", "public")
        );
        assert_eq!(
            of("a OPERATOR(\"My S\".<=>) b OPERATOR(u.~~) 'it''s'"),
            found("a <=> b ~~ 'it''s'", "My S,u")
        );
        for none in
            ["a = b", "a OPERATOR(pg_catalog.=) b", "AS $$ a OPERATOR(s.=) b $$", "OPERATOR("]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
