//! Counts what is omitted from the dump of a schema although it may concern the schema.

use super::heading::Reading;
use super::subject::StatementSubject;
use super::wanted_schema::WantedSchema;
use crate::sql::{Token, TokenCursor, tokens};
use std::collections::BTreeMap;

/// Kinds that belong to no schema, with their names in singular and plural.
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
/// Kinds to which pg_dump gives the schema of the table that they name.
const OF_PUBLICATIONS: [&str; 2] = ["PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"];

#[derive(Debug, Default, PartialEq, Eq)]
pub struct OutsideSchema {
    /// Counts by name in singular and plural.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    named: Vec<String>,
}

impl OutsideSchema {
    /// Whether an entry of that kind is omitted although pg_dump names the schema in it.
    pub fn is_outside(kind: &str) -> bool {
        OF_PUBLICATIONS.contains(&kind)
    }

    /// Counts an entry by its comment.
    pub fn note_heading(&mut self, readings: &[Reading], wanted: &WantedSchema) {
        let Some(last) = readings.last() else { return };
        if Self::is_outside(&last.kind) && last.schema == wanted.in_heading() {
            self.count("entry of a publication", "entries of publications");
        }
        for (_, one, many) in KINDS.iter().filter(|(kind, ..)| *kind == last.kind) {
            self.count(one, many);
        }
    }

    /// Counts a statement that is about the schema, though not in it.
    pub fn note_statement(
        &mut self,
        subject: &StatementSubject,
        sql: &[u8],
        wanted: &WantedSchema,
    ) {
        match subject {
            StatementSubject::Extension(name, place) if wanted.is(place) => {
                self.named.push(format!("extension {}", wanted.readable(name)));
            }
            StatementSubject::Unknown if is_cast_of(sql, wanted) => self.count("cast", "casts"),
            _ => {}
        }
    }

    /// Counts large objects that were not read.
    pub fn note_large_objects(&mut self) {
        self.count(LARGE_OBJECTS, LARGE_OBJECTS);
    }

    fn count(&mut self, one: &'static str, many: &'static str) {
        *self.counts.entry((one, many)).or_default() += 1;
    }

    /// A list for the log; none if nothing was omitted.
    pub fn summary(&self) -> Option<String> {
        let counted = self.counts.iter().map(|((one, many), count)| match count {
            _ if one == many => (*many).to_owned(),
            1 => format!("1 {one}"),
            n => format!("{n} {many}"),
        });
        let all: Vec<String> = counted.chain(self.named.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

fn is_cast_of(sql: &[u8], wanted: &WantedSchema) -> bool {
    const MOST: usize = 200;
    let text = wanted.decode(&sql[..sql.len().min(4096)]);
    let words = tokens(&text, MOST);
    TokenCursor(&words).skip("CREATE CAST")
        && words.windows(2).any(|two| {
            let [Token::Plain(name) | Token::Quoted(name), Token::Mark('.')] = two else {
                return false;
            };
            wanted.is(name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::heading::readings;
    use crate::extract::subject::subject_of;

    #[test]
    fn what_is_outside_the_schema_is_listed() {
        let mut outside = OutsideSchema::default();
        let wanted = WantedSchema::of_utf8("s");
        assert_eq!(outside.summary(), None);
        for heading in [
            "-- Name: p; Type: PUBLICATION; Schema: -; Owner: o",
            "-- Name: p t; Type: PUBLICATION TABLE; Schema: s; Owner: o",
            "-- Name: p u; Type: PUBLICATION TABLE; Schema: s; Owner: o",
            "-- Name: p u; Type: PUBLICATION TABLE; Schema: other; Owner: o",
            "-- Name: 1; Type: BLOB; Schema: -; Owner: o",
            "-- Name: BLOBS; Type: BLOBS; Schema: -; Owner: o",
            "-- Name: t; Type: TABLE; Schema: s; Owner: o",
        ] {
            outside.note_heading(&readings(heading), &wanted);
        }
        for sql in [
            "CREATE EXTENSION citext WITH SCHEMA s",
            "CREATE EXTENSION other WITH SCHEMA t",
            "CREATE CAST (s.a AS text) WITH INOUT",
            "CREATE CAST (t.a AS text) WITH INOUT",
        ] {
            let subject = subject_of(sql.as_bytes(), &wanted);
            outside.note_statement(&subject, sql.as_bytes(), &wanted);
        }
        let expected =
            "1 cast, 2 entries of publications, large objects, 1 publication, extension citext";
        assert_eq!(outside.summary().as_deref(), Some(expected));
    }
}
