//! The comment that pg_dump writes above each entry of a dump, and the ways to read it.
//!
//! Only line breaks in names are replaced, so a name can look like the rest of the comment. All ways to
//! read it are kept; the statement below decides between them.

/// A way to read a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Such as `TABLE DATA`.
    pub kind: String,
    /// As written there: `-` for none, blanks for line breaks.
    pub schema: String,
}

/// The ways to read a comment as a heading, the likeliest last; empty if it is not a heading.
pub fn readings(comment: &str) -> Vec<Reading> {
    let Some(text) = text_of(comment) else { return Vec::new() };
    let mut readings = Vec::new();
    for rest in after_each(text, "; Type: ") {
        let Some((kind, rest)) = rest.split_once("; Schema: ") else { continue };
        if !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_uppercase() || b == b' ') {
            readings.extend(
                rest.match_indices("; Owner:").map(|(end, _)| Reading {
                    kind: kind.to_owned(),
                    schema: rest[..end].to_owned(),
                }),
            );
        }
    }
    readings
}

/// The likeliest way to read a comment as a heading, and the entry's name by it.
pub fn likeliest(comment: &str) -> Option<(Reading, String)> {
    let text = text_of(comment)?;
    let reading = readings(comment).pop()?;
    let end = format!("; Type: {}; Schema: {}; Owner:", reading.kind, reading.schema);
    let at = text.rfind(&end)?;
    Some((reading, text[..at].to_owned()))
}

/// A heading from its name on.
fn text_of(comment: &str) -> Option<&str> {
    let text = comment.strip_prefix("-- ")?;
    let text = ["Data for ", "Statistics for "]
        .iter()
        .find_map(|of| text.strip_prefix(of))
        .unwrap_or(text);
    text.strip_prefix("Name: ")
}

fn after_each<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).map(move |(at, _)| &text[at + mark.len()..])
}

/// A schema's name as headings write it.
pub fn shown(schema: &str) -> String {
    schema.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_has_as_many_readings_as_its_names_allow() {
        for (comment, expected) in [
            ("-- Name: t; Type: TABLE; Schema: s; Owner: o", "TABLE in s"),
            ("-- Name: t; Type: TABLE; Schema: s; Owner: o; Tablespace: fast", "TABLE in s"),
            ("-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: o", "TABLE DATA in s"),
            (
                "-- Statistics for Name: t; Type: STATISTICS DATA; Schema: s; Owner: -",
                "STATISTICS DATA in s",
            ),
            ("-- Name: EXTENSION x; Type: COMMENT; Schema: -; Owner:", "COMMENT in -"),
            (
                "-- Name: x; Type: TABLE; Schema: a; Owner: y; Type: TABLE; Schema: b; Owner: o",
                "TABLE in a, TABLE in a; Owner: y; Type: TABLE; Schema: b, TABLE in b",
            ),
            (
                "-- Name: t; Type: TABLE; Schema: a; Owner: b; Owner: o",
                "TABLE in a, TABLE in a; Owner: b",
            ),
            ("-- Name: t; Type: TABLE; Schema: x; Schema: s; Owner: o", "TABLE in x; Schema: s"),
            ("-- Name: t; Type: tables; Schema: s; Owner: o", ""),
            ("-- Dumped by pg_dump version 15.1", ""),
            ("--", ""),
        ] {
            let all: Vec<String> =
                readings(comment).iter().map(|r| format!("{} in {}", r.kind, r.schema)).collect();
            assert_eq!(all.join(", "), expected, "{comment}");
        }
    }

    #[test]
    fn the_likeliest_reading_has_the_entrys_name() {
        let named = |comment: &str| likeliest(comment).map(|(reading, name)| (reading.kind, name));
        let pair = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
        for (comment, expected) in [
            ("-- Name: t k; Type: CONSTRAINT; Schema: s; Owner: o", pair("CONSTRAINT", "t k")),
            ("-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: o", pair("TABLE DATA", "t")),
            (
                "-- Name: x; Type: TABLE; Schema: a; Owner: y; Type: VIEW; Schema: b; Owner: o",
                pair("VIEW", "x; Type: TABLE; Schema: a; Owner: y"),
            ),
            ("-- a comment", None),
        ] {
            assert_eq!(named(comment), expected, "{comment}");
        }
    }
}
