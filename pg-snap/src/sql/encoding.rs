//! The encoding that a dump sets for its text.

/// The name in `SET client_encoding = 'LATIN1'`, as the server writes it.
pub fn client_encoding(sql: &[u8]) -> Option<String> {
    let text = sql.trim_ascii_start().strip_prefix(b"SET client_encoding = '")?;
    let end = text.iter().position(|byte| *byte == b'\'')?;
    let name = std::str::from_utf8(&text[..end]).ok()?;
    Some(name.to_uppercase().replace("UTF-8", "UTF8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_sets_the_encoding_of_its_text() {
        for (sql, expected) in [
            ("\n\nSET client_encoding = 'UTF8';", Some("UTF8")),
            ("SET client_encoding = 'utf-8'", Some("UTF8")),
            ("SET client_encoding = 'LATIN1", None),
            ("SET standard_conforming_strings = on", None),
        ] {
            assert_eq!(client_encoding(sql.as_bytes()).as_deref(), expected, "{sql}");
        }
    }
}
