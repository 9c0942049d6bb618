//! Colons that psql takes for the beginning of one of its variables.

use super::lexer::Lexer;
use memchr::memmem;

/// The statement with a blank after every colon that a quote follows, as in the slice `a[1:"PORT"]`; none where there
/// is no such colon. psql would put the value of its variable there: some of these no psql can be without.
pub fn with_separated_colon(sql: &[u8]) -> Option<Vec<u8>> {
    if [b":\"", b":'"].into_iter().all(|quoted| memmem::find(sql, quoted).is_none()) {
        return None;
    }
    let mut lexer = Lexer::default();
    let mut separated = Vec::new();
    let mut done = 0;
    let mut after_colon = false;
    for (at, byte) in sql.iter().enumerate() {
        if after_colon && matches!(byte, b'"' | b'\'') {
            separated.extend_from_slice(&sql[done..at]);
            separated.push(b' ');
            done = at;
        }
        lexer.push(*byte);
        // Two of them are a cast.
        after_colon = *byte == b':' && lexer.is_in_code() && !after_colon;
    }
    if done == 0 {
        return None;
    }
    separated.extend_from_slice(&sql[done..]);
    Some(separated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_follows_no_single_colon() {
        for (sql, expected) in [
            ("SELECT a[1:\"PORT\"];", Some("SELECT a[1: \"PORT\"];")),
            (
                "-- Name: :\"x\"\nSELECT a[b:\"U\"], c[$1:'USER'::s.e:\"HOST\"];",
                Some("-- Name: :\"x\"\nSELECT a[b: \"U\"], c[$1: 'USER'::s.e: \"HOST\"];"),
            ),
            ("SELECT a::\"char\"::\"PORT\";", None),
            ("SELECT ':\"PORT\"', \":'PORT'\", 'a:'\n'b' /* :'PORT' */ -- :\"PORT\"\n;", None),
            ("CREATE FUNCTION f() AS $$ :\"PORT\" $$;", None),
            ("SELECT a[1:port];", None),
        ] {
            let separated = with_separated_colon(sql.as_bytes());
            let separated = separated.map(|sql| String::from_utf8(sql).unwrap());
            assert_eq!(separated.as_deref(), expected, "{sql}");
        }
    }
}
