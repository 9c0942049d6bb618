//! What one dump defines and another does not: a pure decision.

use crate::results::Judged;
use bundle_format::report::DrillVerdict::{Finding, Note};
use bundle_format::report::DumpDefinition;
use std::collections::{BTreeMap, BTreeSet};

/// What is compared with what came before.
#[derive(Clone, Debug, Default)]
pub struct Expected<'a> {
    /// Whether the product's version and the server's major are the same: then nothing may be lacking.
    pub same_version: bool,
    /// Schemas that came or went: they count as a whole, elsewhere.
    pub schemas: BTreeSet<&'a str>,
    /// Tables that are gone: schema and name. They count as a whole, too.
    pub tables: BTreeSet<(&'a str, &'a str)>,
}

type Key<'a> = (&'a str, &'a str, &'a str);

/// Compares two lists of definitions.
pub fn judge(
    before: &[DumpDefinition],
    now: &[DumpDefinition],
    expected: &Expected<'_>,
) -> Vec<Judged> {
    let of_interest = |definition: &&DumpDefinition| expected.covers(definition);
    let now: BTreeMap<Key<'_>, &str> = now.iter().filter(of_interest).map(entry).collect();
    let before: BTreeMap<Key<'_>, &str> = before.iter().filter(of_interest).map(entry).collect();
    let lacking = if expected.same_version { Finding } else { Note };
    let mut judged = Vec::new();
    for (key, hash) in &before {
        match now.get(key) {
            None => judged.push(Judged::new(lacking, shown(key), "there", "missing")),
            Some(other) if other != hash => {
                judged.push(Judged::new(Note, shown(key), "as before", "defined differently"));
            }
            Some(_) => {}
        }
    }
    let added = now.keys().filter(|key| !before.contains_key(*key));
    judged.extend(added.map(|key| Judged::new(Note, shown(key), "none", "added")));
    judged
}

impl Expected<'_> {
    fn covers(&self, definition: &DumpDefinition) -> bool {
        let schema = definition.schema.as_str();
        let table = definition.table.as_deref().map(|table| (schema, table));
        let is_table =
            definition.kind == "TABLE" && self.tables.contains(&(schema, &*definition.name));
        !self.schemas.contains(schema)
            && !is_table
            && !table.is_some_and(|table| self.tables.contains(&table))
    }
}

fn entry(definition: &DumpDefinition) -> (Key<'_>, &str) {
    let DumpDefinition { kind, schema, name, sha256, .. } = definition;
    ((kind, schema, name), sha256)
}

/// `fk constraint a.documents documents_owner_fkey`; of a right, its statement.
fn shown((kind, schema, name): &Key<'_>) -> String {
    if matches!(*kind, "ACL" | "DEFAULT ACL") || (*kind == "DATABASE" && name.contains(' ')) {
        return (*name).to_owned();
    }
    let schema = match *kind {
        "SCHEMA" => String::new(),
        _ if schema.is_empty() => String::new(),
        _ => format!("{schema}."),
    };
    format!("{} {schema}{name}", kind.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: &str, schema: &str, table: &str, name: &str, hash: &str) -> DumpDefinition {
        DumpDefinition {
            kind: kind.into(),
            schema: schema.into(),
            table: (!table.is_empty()).then(|| table.to_owned()),
            name: name.into(),
            sha256: hash.into(),
        }
    }

    fn lines(
        before: &[DumpDefinition],
        now: &[DumpDefinition],
        expected: &Expected<'_>,
    ) -> Vec<String> {
        let line = |j: Judged| format!("{} {}: {}", j.verdict.word(), j.check, j.found);
        judge(before, now, expected).into_iter().map(line).collect()
    }

    #[test]
    fn what_is_lacking_is_a_finding_under_the_same_version_and_a_note_under_another() {
        let before = [
            definition("FK CONSTRAINT", "a", "t", "t t_fkey", "1"),
            definition("INDEX", "a", "t", "i", "1"),
            definition("ACL", "a", "t", "GRANT SELECT ON TABLE a.t TO r", "1"),
            definition("FUNCTION", "a", "", "f()", "1"),
        ];
        let now = [
            definition("INDEX", "a", "t", "i", "1"),
            definition("FUNCTION", "a", "", "f()", "2"),
            definition("VIEW", "a", "", "v", "1"),
        ];
        let same = Expected { same_version: true, ..Expected::default() };
        assert_eq!(
            lines(&before, &now, &same),
            [
                "finding GRANT SELECT ON TABLE a.t TO r: missing",
                "finding fk constraint a.t t_fkey: missing",
                "note function a.f(): defined differently",
                "note view a.v: added",
            ]
        );
        let other = lines(&before, &now, &Expected::default());
        assert!(other.iter().all(|line| line.starts_with("note ")), "{other:?}");
        assert!(lines(&before, &before, &same).is_empty());
    }

    #[test]
    fn schemas_that_came_or_went_and_tables_that_went_count_once() {
        let before = [
            definition("SCHEMA", "gone", "", "gone", "1"),
            definition("TABLE", "gone", "t", "t", "1"),
            definition("ACL", "gone", "", "GRANT USAGE ON SCHEMA gone TO r", "1"),
            definition("TABLE", "a", "lost", "lost", "1"),
            definition("COLUMN", "a", "lost", "lost id", "1"),
            definition("INDEX", "a", "lost", "lost_idx", "1"),
        ];
        let now = [definition("TABLE", "new", "t", "t", "1")];
        let expected = Expected {
            same_version: true,
            schemas: ["gone", "new"].into(),
            tables: [("a", "lost")].into(),
        };
        assert_eq!(lines(&before, &now, &expected), [""; 0]);
    }
}
