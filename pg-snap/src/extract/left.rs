//! What is left out of a schema's part although it may have to do with the schema, counted.

use super::heading::Reading;
use super::subject::Subject;
use crate::sql::{Token, TokenCursor, tokens};
use std::collections::BTreeMap;

/// Kinds that belong to no schema, and what they are called, one and many.
const KINDS: [(&str, &str, &str); 9] = [
    ("PUBLICATION", "publication", "publications"),
    ("SUBSCRIPTION", "subscription", "subscriptions"),
    ("EVENT TRIGGER", "event trigger", "event triggers"),
    ("BLOB", LARGE_OBJECTS, LARGE_OBJECTS),
    ("BLOBS", LARGE_OBJECTS, LARGE_OBJECTS),
    ("BLOB METADATA", LARGE_OBJECTS, LARGE_OBJECTS),
    ("LARGE OBJECT", LARGE_OBJECTS, LARGE_OBJECTS),
    ("LARGE OBJECTS", LARGE_OBJECTS, LARGE_OBJECTS),
    ("LARGE OBJECT METADATA", LARGE_OBJECTS, LARGE_OBJECTS),
];
const LARGE_OBJECTS: &str = "large objects";
/// Kinds that pg_dump gives the schema of what they are about.
const OF_PUBLICATIONS: [&str; 2] = ["PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"];

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Numbers by what is counted, one and many.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    named: Vec<String>,
}

impl Left {
    /// Whether an entry of that kind is left out though it be of the schema.
    pub fn is_left(kind: &str) -> bool {
        OF_PUBLICATIONS.contains(&kind)
    }

    /// Notes an entry, by what its comment may say of it.
    pub fn heading(&mut self, readings: &[Reading], wanted: &str) {
        let Some(last) = readings.last() else { return };
        if Self::is_left(&last.kind) && last.schema == wanted {
            self.count("entry of a publication", "entries of publications");
        }
        for (_, one, many) in KINDS.iter().filter(|(kind, ..)| *kind == last.kind) {
            self.count(one, many);
        }
    }

    /// Notes a statement that is about the schema, though not in it.
    pub fn statement(&mut self, subject: &Subject, sql: &[u8], schema: &str) {
        match subject {
            Subject::Extension(name, place) if place == schema => {
                self.named.push(format!("extension {}", name.replace(char::is_control, "?")));
            }
            Subject::Unknown if is_cast_of(sql, schema) => self.count("cast", "casts"),
            _ => {}
        }
    }

    /// Notes large objects that were not even looked at.
    pub fn large_objects(&mut self) {
        self.count(LARGE_OBJECTS, LARGE_OBJECTS);
    }

    fn count(&mut self, one: &'static str, many: &'static str) {
        *self.counts.entry((one, many)).or_default() += 1;
    }

    /// In words; none where nothing was left out.
    pub fn told(&self) -> Option<String> {
        let counted = self.counts.iter().map(|((one, many), count)| match count {
            _ if one == many => (*many).to_owned(),
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        });
        let all: Vec<String> = counted.chain(self.named.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

fn is_cast_of(sql: &[u8], schema: &str) -> bool {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&sql[..sql.len().min(4096)]);
    let words = tokens(&text, MOST);
    TokenCursor(&words).skip("CREATE CAST")
        && words.windows(2).any(|two| {
            let [Token::Plain(name) | Token::Quoted(name), Token::Mark('.')] = two else {
                return false;
            };
            name == schema
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::heading::readings;
    use crate::extract::subject::subject;

    #[test]
    fn what_is_left_out_is_told() {
        let mut left = Left::default();
        assert_eq!(left.told(), None);
        for heading in [
            "-- Name: p; Type: PUBLICATION; Schema: -; Owner: o",
            "-- Name: p t; Type: PUBLICATION TABLE; Schema: s; Owner: o",
            "-- Name: p u; Type: PUBLICATION TABLE; Schema: s; Owner: o",
            "-- Name: p u; Type: PUBLICATION TABLE; Schema: other; Owner: o",
            "-- Name: 1; Type: BLOB; Schema: -; Owner: o",
            "-- Name: BLOBS; Type: BLOBS; Schema: -; Owner: o",
            "-- Name: t; Type: TABLE; Schema: s; Owner: o",
        ] {
            left.heading(&readings(heading), "s");
        }
        for sql in [
            "CREATE EXTENSION citext WITH SCHEMA s",
            "CREATE EXTENSION other WITH SCHEMA t",
            "CREATE CAST (s.a AS text) WITH INOUT",
            "CREATE CAST (t.a AS text) WITH INOUT",
        ] {
            left.statement(&subject(sql.as_bytes()), sql.as_bytes(), "s");
        }
        let told =
            "1 cast, 2 entries of publications, large objects, 1 publication, extension citext";
        assert_eq!(left.told().as_deref(), Some(told));
    }
}
