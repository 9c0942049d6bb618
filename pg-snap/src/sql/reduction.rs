//! A table or domain without optional clauses, for a definition that PostgreSQL cannot read back although
//! it wrote it itself: the table is created for its rows, and the clauses are added afterwards.

use super::tokens::{TokenCursor, tokens};

/// A definition without some of its clauses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReducedDefinition {
    pub text: String,
    /// For each clause, the statement that adds it afterwards.
    pub parts: Vec<String>,
}

/// The reduced definitions of a table or domain, from fewest to most clauses cut; empty where there is
/// nothing to cut.
pub fn reductions(text: &str) -> Vec<ReducedDefinition> {
    let tokens = tokens(text, 8);
    let mut rest = TokenCursor(&tokens);
    if rest.skip("CREATE DOMAIN") {
        return domain(text).into_iter().collect();
    }
    if !(rest.skip("CREATE TABLE") || rest.skip("CREATE UNLOGGED TABLE")) {
        return Vec::new();
    }
    let mut found: Vec<ReducedDefinition> = Vec::new();
    for generated in [false, true] {
        let reduced = table(text, generated).filter(|reduced| !reduced.parts.is_empty());
        found.extend(reduced.filter(|reduced| found.last() != Some(reduced)));
    }
    found
}

fn table(text: &str, generated: bool) -> Option<ReducedDefinition> {
    let open = positions(text, |depth, rest| depth == 0 && rest.starts_with('(')).next()?;
    let head = &text[..open];
    let name = head.trim_start().split_once("TABLE ")?.1;
    // A typed table's own name ends before its type's.
    let name = name.split_once(" OF ").map_or(name, |(name, _)| name).trim();
    let end = open + matching(&text[open..])?;
    let mut kept = Vec::new();
    let mut parts = Vec::new();
    for element in split(&text[open + 1..end]) {
        match cut(name, element, generated) {
            Cut::Whole(part) => parts.push(part),
            Cut::Some(element, part) => {
                kept.push(element);
                parts.push(part);
            }
            Cut::None => kept.push(element.to_owned()),
        }
    }
    let text = format!("{head}({}{}", kept.join(","), &text[end..]);
    Some(ReducedDefinition { text, parts })
}

enum Cut {
    None,
    /// All of the element.
    Whole(String),
    /// The rest of the element, and the statement that adds what was cut.
    Some(String, String),
}

fn cut(table: &str, element: &str, generated: bool) -> Cut {
    let tokens = tokens(element, 4);
    let mut rest = TokenCursor(&tokens);
    if rest.skip("CONSTRAINT") {
        let _ = rest.identifier();
        if rest.skip("CHECK") {
            return Cut::Whole(format!("ALTER TABLE {table} ADD {};\n", element.trim()));
        }
        return Cut::None;
    }
    let Some(column) = column_of(element) else { return Cut::None };
    if let Some(at) = keyword(element, "DEFAULT", 0) {
        let end = keyword(element, "CONSTRAINT", at)
            .or_else(|| keyword(element, "NOT NULL", at))
            .unwrap_or(element.trim_end().len());
        let rest = format!("{}{}", &element[..at], &element[end..]);
        let default = element[at..end].trim();
        return Cut::Some(
            rest,
            format!("ALTER TABLE {table} ALTER COLUMN {column} SET {default};\n"),
        );
    }
    if let Some(at) = keyword(element, "GENERATED ALWAYS AS (", 0).filter(|_| generated) {
        let Some(open) = element[at..].find('(') else { return Cut::None };
        let Some(close) = matching(&element[at + open..]) else { return Cut::None };
        let mut end = at + open + close + 1;
        for kind in [" STORED", " VIRTUAL"] {
            end += if element[end..].starts_with(kind) { kind.len() } else { 0 };
        }
        // Its rows have no values of the column.
        let after = element[end..].replacen(" NOT NULL", "", 1);
        let rest = format!("{}{after}", &element[..at]);
        let part =
            format!("ALTER TABLE {table} DROP COLUMN {column}, ADD COLUMN {};\n", element.trim());
        return Cut::Some(rest, part);
    }
    Cut::None
}

/// The column's name as it is written.
fn column_of(element: &str) -> Option<&str> {
    let element = element.trim_start();
    let length = match element.strip_prefix('"') {
        Some(quoted) => quoted.replace("\"\"", "xx").find('"')? + 2,
        None => element.find(char::is_whitespace)?,
    };
    element.get(..length)
}

fn domain(text: &str) -> Option<ReducedDefinition> {
    let name = text.trim_start().strip_prefix("CREATE DOMAIN ")?.split_once(" AS ")?.0;
    let mut reduced = ReducedDefinition { text: text.to_owned(), parts: Vec::new() };
    while let Some(at) = keyword(&reduced.text, "CONSTRAINT", 0) {
        let open = at + reduced.text[at..].find('(')?;
        let end = open + matching(&reduced.text[open..])? + 1;
        let constraint = reduced.text[at..end].to_owned();
        // In PostgreSQL 18 a domain's NOT NULL may have a name, too.
        if !constraint.contains(" CHECK ") {
            return None;
        }
        reduced.parts.push(format!("ALTER DOMAIN {name} ADD {constraint};\n"));
        reduced.text.replace_range(at..end, "");
    }
    (!reduced.parts.is_empty()).then_some(reduced)
}

/// Where a keyword follows white space outside quotes and parentheses, after a position.
fn keyword(text: &str, keyword: &str, from: usize) -> Option<usize> {
    positions(text, |depth, rest| depth == 0 && rest.starts_with(keyword))
        .find(|at| *at > from && text[..*at].ends_with(char::is_whitespace))
}

/// The pieces between commas outside quotes and parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for comma in positions(text, |depth, rest| depth == 0 && rest.starts_with(',')) {
        pieces.push(&text[begin..comma]);
        begin = comma + 1;
    }
    pieces.push(&text[begin..]);
    pieces
}

/// Where the parenthesis closes that the text begins with.
fn matching(text: &str) -> Option<usize> {
    positions(text, |depth, rest| depth == 1 && rest.starts_with(')')).next()
}

/// Positions outside quotes that fit; `depth` counts the parentheses open before the position.
fn positions<'a>(
    text: &'a str,
    fits: impl Fn(usize, &str) -> bool + 'a,
) -> impl Iterator<Item = usize> + 'a {
    let (mut depth, mut quote, mut escaped, mut escapes) = (0usize, None, false, false);
    let mut before = ' ';
    text.char_indices().filter_map(move |(at, c)| {
        if let Some(open) = quote {
            let ends = c == open && !escaped;
            escaped = escapes && c == '\\' && !escaped;
            quote = if ends { None } else { Some(open) };
            return None;
        }
        let found = fits(depth, &text[at..]).then_some(at);
        match c {
            '\'' | '"' => {
                quote = Some(c);
                escapes = c == '\'' && matches!(before, 'e' | 'E');
                escaped = false;
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_defaults_of_a_table_go_first_then_how_columns_are_generated() {
        let sql = "CREATE TABLE s.t (\n    a integer DEFAULT s.f('x, y'::text, 1) NOT NULL,\n    \
                   \"B, c\" text GENERATED ALWAYS AS (s.g((a)::text)) STORED,\n    d numeric(10,2),\n    \
                   CONSTRAINT c CHECK ((a IS DISTINCT FROM 1))\n)\nPARTITION BY RANGE (a);\n";
        let found = reductions(sql);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].text,
            "CREATE TABLE s.t (\n    a integer NOT NULL,\n    \"B, c\" text GENERATED ALWAYS AS (s.g((a)::text)) STORED,\n    \
             d numeric(10,2))\nPARTITION BY RANGE (a);\n"
        );
        assert_eq!(
            found[0].parts,
            [
                "ALTER TABLE s.t ALTER COLUMN a SET DEFAULT s.f('x, y'::text, 1);\n",
                "ALTER TABLE s.t ADD CONSTRAINT c CHECK ((a IS DISTINCT FROM 1));\n",
            ]
        );
        assert!(found[1].text.contains("\"B, c\" text ,"), "{}", found[1].text);
        assert!(found[1].parts[1].starts_with(
            "ALTER TABLE s.t DROP COLUMN \"B, c\", ADD COLUMN \"B, c\" text GENERATED"
        ));
    }

    #[test]
    fn checks_of_a_domain_are_cut() {
        let sql = "CREATE DOMAIN s.d AS integer\n\tCONSTRAINT a CHECK ((VALUE > 0))\n\tCONSTRAINT b CHECK (s.f(VALUE));\n";
        let found = reductions(sql);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text.split_whitespace().collect::<Vec<_>>().join(" "),
            "CREATE DOMAIN s.d AS integer ;"
        );
        assert_eq!(found[0].parts[1], "ALTER DOMAIN s.d ADD CONSTRAINT b CHECK (s.f(VALUE));\n");
    }

    #[test]
    fn nothing_else_is_cut() {
        for sql in [
            "CREATE TABLE s.t (\n    a integer\n);\n",
            "CREATE VIEW v AS SELECT 1;\n",
            "CREATE TABLE s.t (",
            "",
        ] {
            assert_eq!(reductions(sql), []);
        }
    }
}
