//! Counts the rows of an INSERT statement: a pure decision.

/// The rows of a statement, of which `sql` is the beginning if it was `cut`; none if they cannot
/// be counted.
pub fn rows(sql: &str, cut: bool, backslashes: bool) -> Option<u64> {
    let (mut depth, mut rows, mut values) = (0u32, 0, false);
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        match c {
            '\'' | '"' => {
                used += quoted(&rest[1..], c, c == '\'' && backslashes)?;
            }
            'E' | 'e' if rest[1..].starts_with('\'') => {
                used += 1 + quoted(&rest[2..], '\'', true)?;
            }
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                rows += u64::from(values && depth == 0);
            }
            c if c.is_alphanumeric() || c == '_' => {
                used = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..used];
                if depth == 0 && word.eq_ignore_ascii_case("DEFAULT") && !values {
                    return Some(1);
                }
                if values && depth == 0 && word.eq_ignore_ascii_case("ON") {
                    // Conflicting rows are not inserted, so the count is only an upper limit.
                    return None;
                }
                values |= depth == 0 && word.eq_ignore_ascii_case("VALUES");
            }
            _ => {}
        }
        rest = &rest[used..];
    }
    (!cut && depth == 0 && values).then_some(rows)
}

/// The length of quoted text, with the closing quote.
fn quoted(text: &str, quote: char, backslashes: bool) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    loop {
        match chars.next()? {
            (_, '\\') if backslashes => {
                chars.next()?;
            }
            (at, c) if c == quote => match chars.next_if(|(_, next)| *next == quote) {
                Some(_) => {}
                None => return Some(at + 1),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_are_counted_outside_quotes_and_not_where_the_statement_is_cut() {
        for (sql, backslashes, expected) in [
            ("INSERT INTO s.t VALUES (1, 'a)(', NULL)", false, Some(1)),
            (
                "INSERT INTO s.t (a, \"b)\") VALUES\n\t(1, '''),('),\n\t((2)::int, E'\\'),(')",
                false,
                Some(2),
            ),
            ("INSERT INTO s.t VALUES ('\\'),(')", true, Some(1)),
            ("INSERT INTO s.t OVERRIDING SYSTEM VALUE VALUES (1), (2), (3)", false, Some(3)),
            ("INSERT INTO s.t DEFAULT VALUES", false, Some(1)),
            ("INSERT INTO s.t VALUES (1) ON CONFLICT DO NOTHING", false, None),
            ("INSERT INTO s.t VALUES ('unended", false, None),
            ("INSERT INTO s.t SELECT 1", false, None),
        ] {
            assert_eq!(rows(sql, false, backslashes), expected, "{sql}");
        }
        assert_eq!(rows("INSERT INTO s.t VALUES (1)", true, false), None);
    }
}
