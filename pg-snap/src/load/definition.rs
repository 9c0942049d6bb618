//! A statement of the dump with its object and settings: for an error, and to repeat it.

use super::settings::SessionSettings;
use crate::sql::properties;
use std::fmt;
use std::sync::Arc;

/// How much of a statement an error shows, in bytes.
const SHOWN: usize = 160;

/// The object that pg_dump's comment above a statement names: `-- Name: t i; Type: INDEX; Schema: s; Owner: o`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    kind: String,
    name: String,
    /// Empty if it is in none.
    pub schema: String,
}

impl ObjectName {
    pub fn new(kind: &str, name: &str, schema: &str) -> Self {
        Self { kind: kind.into(), name: name.into(), schema: schema.into() }
    }

    /// From the text of a comment line; none if it names no object.
    pub fn of_comment(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("-- ")?;
        let rest = rest.strip_prefix("Data for ").unwrap_or(rest).strip_prefix("Name: ")?;
        // A name may contain anything but a line break, so the fixed words are searched from the end.
        let (rest, _owner) = rest.rsplit_once("; Owner: ")?;
        let (rest, schema) = rest.rsplit_once("; Schema: ")?;
        let (name, kind) = rest.rsplit_once("; Type: ")?;
        let schema = if schema == "-" { "" } else { schema };
        Some(Self { kind: kind.to_lowercase(), name: name.into(), schema: schema.into() })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, schema } = self;
        let dot = if schema.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", kind, plain(schema), plain(name))
    }
}

fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// A statement that can be repeated.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its place in the dump.
    pub number: u64,
    pub object: Option<Arc<ObjectName>>,
    /// The statement with its semicolon and line feed.
    pub text: Vec<u8>,
    /// The settings that the dump has made before it.
    pub settings: Arc<SessionSettings>,
    /// Whether it evaluates functions that are not the server's own.
    pub calls: bool,
}

impl Definition {
    #[cfg(test)]
    pub fn of_text(text: &str) -> Self {
        let settings = Arc::default();
        Self { number: 1, object: None, text: text.into(), settings, calls: false }
    }

    /// The object that it creates or changes, for people.
    pub fn what(&self) -> String {
        self.object.as_ref().map_or_else(|| "a statement".into(), |object| object.to_string())
    }

    /// The schema of the object.
    pub fn schema(&self) -> Option<&str> {
        self.object
            .as_ref()
            .map(|object| object.schema.as_str())
            .filter(|schema| !schema.is_empty())
    }

    /// The beginning of its text, on one line.
    pub fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        let text = text.trim_start();
        let text = if properties::may_hold_password(&self.text) {
            text.split('\'').next().unwrap_or_default()
        } else {
            text
        };
        let mut line = String::new();
        for word in text.split_whitespace() {
            if line.len() + word.len() > SHOWN {
                line += " …";
                break;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        plain(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_of_pg_dump_names_the_object() {
        let object = |text| ObjectName::of_comment(text).map(|o| o.to_string());
        for (text, expected) in [
            (
                "-- Name: invoice invoice_customer_fkey; Type: FK CONSTRAINT; Schema: public; Owner: me",
                Some("fk constraint public.invoice invoice_customer_fkey"),
            ),
            ("-- Name: tenant_a; Type: SCHEMA; Schema: -; Owner: me", Some("schema tenant_a")),
            ("-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: me", Some("table data s.t")),
            ("-- Name: a; Type: b; Type: VIEW; Schema: s; Owner: ", Some("view s.a; Type: b")),
            ("-- Dumped by pg_dump", None),
        ] {
            assert_eq!(object(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_may_hold_a_password_is_cut_at_the_first_string() {
        let of = |text| Definition::of_text(text).first_line();
        assert_eq!(
            of("CREATE SUBSCRIPTION s CONNECTION 'password=secret' PUBLICATION p;\n"),
            "CREATE SUBSCRIPTION s CONNECTION"
        );
        assert_eq!(
            of("\nCREATE USER MAPPING FOR a SERVER b OPTIONS (\n    password 'secret'\n);\n"),
            "CREATE USER MAPPING FOR a SERVER b OPTIONS ( password"
        );
        assert_eq!(
            of("ALTER TABLE s.t\n    ADD CHECK (a <> 'x');\n"),
            "ALTER TABLE s.t ADD CHECK (a <> 'x');"
        );
    }
}
