//! Names and values as SQL text, and names derived from others.

/// The longest name PostgreSQL keeps, in bytes (NAMEDATALEN - 1); it cuts longer ones silently.
pub const MAX_NAME_BYTES: usize = 63;

/// A name in double quotes.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal that does not depend on `standard_conforming_strings`.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The statement that renames a schema.
pub fn rename_schema(from: &str, to: &str) -> String {
    format!("ALTER SCHEMA {} RENAME TO {};\n", ident(from), ident(to))
}

/// A query from a `.sql` file, with a string literal for each `:'name'` in it.
pub fn with_values(query: &str, values: &[(&str, &str)]) -> String {
    // A literal has no such name in it: its quotes are doubled.
    values.iter().fold(query.to_owned(), |query, (name, value)| {
        query.replace(&format!(":'{name}'"), &literal(value))
    })
}

/// `name` and `suffix`, shortened where that would be too long for PostgreSQL, with a hash that keeps two
/// long names apart.
pub fn with_suffix(name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() <= MAX_NAME_BYTES {
        return format!("{name}{suffix}");
    }
    // FNV-1a: must stay the same from one run to the next, which std's hasher does not promise.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    let mut cut = MAX_NAME_BYTES - suffix.len() - 9;
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{hash:08x}{suffix}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_names_and_values() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn values_stay_values_in_a_query() {
        let values = [("a", "it's :'b'"), ("b", ":'a'")];
        assert_eq!(with_values("x :'a' y :'b'", &values), "x 'it''s :''b''' y ':''a'''");
    }

    #[test]
    fn a_name_beside_a_long_one_fits_and_stays_distinct() {
        assert_eq!(with_suffix("piprio", "_previous"), "piprio_previous");
        let (a, b) = ("é".repeat(31), "é".repeat(30) + "x");
        let (pa, pb) = (with_suffix(&a, "_previous"), with_suffix(&b, "_previous"));
        assert!(pa.len() <= 63 && pb.len() <= 63 && pa != pb, "{pa} {pb}");
        assert_ne!(with_suffix(&a, "_previous"), with_suffix(&a, "_incoming"));
    }
}
