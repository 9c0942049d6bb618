//! What of the difference between two bundles is a finding: a pure decision.

use crate::results::Judged;
use bundle_format::report::DrillVerdict::{Finding, Note};
use pipe_kit::text::count;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A table or schema with fewer rows than this, or a prefix with fewer objects, is not watched by itself: such
/// numbers change by chance.
const PART: u64 = 100;

/// `bundle-manifest diff --json`, as far as a drill judges it.
#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    pub database: Tables,
    pub objects: Objects,
    pub config: Config,
}

/// A number before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Change {
    pub before: u64,
    pub after: u64,
}

/// What changed in the database.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tables {
    pub rows: Change,
    pub schemas_added: Vec<String>,
    pub schemas_removed: Vec<String>,
    pub tables: Vec<Table>,
}

/// A table that changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub change: TableChange,
    pub rows: Change,
}

/// How it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableChange {
    Added,
    Removed,
    Changed,
}

/// What changed in the objects.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Objects {
    pub mirror_before: bool,
    pub mirror_after: bool,
    pub all: Prefix,
    pub prefixes: Vec<Prefix>,
}

/// What changed in the objects under one prefix.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Prefix {
    pub prefix: String,
    pub objects: Change,
}

/// What changed in the configuration: names alone.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Config {
    pub files: Names,
    pub settings: Names,
}

/// Names that were added, removed, and whose content changed.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Names {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

impl Change {
    /// Whether less than `percent` of what was there is left.
    fn is_shrunk(self, percent: u64) -> bool {
        u128::from(self.after) * 100 < u128::from(self.before) * u128::from(percent)
    }
}

impl Difference {
    /// The tables that are gone: schema and name.
    pub fn tables_gone(&self) -> Vec<(String, String)> {
        let gone = self.database.tables.iter().filter(|t| t.change == TableChange::Removed);
        gone.map(|table| (table.schema.clone(), table.name.clone())).collect()
    }
}

/// Judges all of it. Less than `percent` of the rows or objects before is a finding. `rows` has those of each schema
/// now.
pub fn judge(difference: &Difference, rows: &BTreeMap<String, u64>, percent: u64) -> Vec<Judged> {
    let mut judged = schemas(&difference.database, rows, percent);
    judged.extend(tables(&difference.database, percent));
    judged.extend(objects(&difference.objects, percent));
    judged.extend(config(&difference.config));
    judged
}

fn schemas(database: &Tables, rows: &BTreeMap<String, u64>, percent: u64) -> Vec<Judged> {
    let mut judged = Vec::new();
    let gone = database.schemas_removed.iter();
    judged.extend(gone.map(|s| Judged::new(Finding, format!("schema {s}"), "there", "gone")));
    let added = database.schemas_added.iter();
    judged.extend(added.map(|s| Judged::new(Note, format!("schema {s}"), "none", "added")));
    let all = database.rows;
    if all.is_shrunk(percent) {
        judged.push(fewer(Finding, "rows of all tables", all));
    }
    for (schema, after) in rows {
        let own = database.tables.iter().filter(|table| table.schema == *schema);
        // Tables that are as before are not listed.
        let (was, is) =
            own.fold((0, 0), |(was, is), table| (was + table.rows.before, is + table.rows.after));
        let sum = Change { before: (after + was).saturating_sub(is), after: *after };
        if sum.before >= PART && sum.is_shrunk(percent) {
            judged.push(fewer(Finding, &format!("rows of the schema {schema}"), sum));
        }
    }
    judged
}

fn tables(database: &Tables, percent: u64) -> Vec<Judged> {
    let is_gone = |table: &&Table| !database.schemas_removed.contains(&table.schema);
    let of_present = database.tables.iter().filter(is_gone);
    of_present.filter_map(|table| table_judged(table, &database.schemas_added, percent)).collect()
}

fn table_judged(table: &Table, added: &[String], percent: u64) -> Option<Judged> {
    let name = format!("table {}.{}", table.schema, table.name);
    let rows = table.rows;
    match table.change {
        TableChange::Removed => {
            let before = format!("there, with {} rows", rows.before);
            Some(Judged::new(Finding, name, before, "gone"))
        }
        TableChange::Added if added.contains(&table.schema) => None,
        TableChange::Added => Some(Judged::new(Note, name, "none", "added")),
        // Only its bytes changed.
        TableChange::Changed if rows.before == rows.after => None,
        TableChange::Changed => {
            let is_empty = rows.after == 0 && percent > 0;
            let is_less = rows.before >= PART && rows.is_shrunk(percent);
            let verdict = if is_empty || is_less { Finding } else { Note };
            Some(fewer(verdict, &format!("rows of {}.{}", table.schema, table.name), rows))
        }
    }
}

fn objects(objects: &Objects, percent: u64) -> Vec<Judged> {
    if objects.mirror_before && !objects.mirror_after {
        let before =
            count(usize::try_from(objects.all.objects.before).unwrap_or(usize::MAX), "object");
        return vec![Judged::new(Finding, "mirror", before, "the bundle has no mirror")];
    }
    let mut judged = Vec::new();
    let all = objects.all.objects;
    if all.is_shrunk(percent) {
        judged.push(fewer(Finding, "objects", all));
    } else if all.before != all.after {
        judged.push(fewer(Note, "objects", all));
    }
    let parts = objects.prefixes.iter().filter(|part| part.objects.before >= PART);
    let shrunk = parts.filter(|part| part.objects.is_shrunk(percent));
    judged
        .extend(shrunk.map(|p| fewer(Finding, &format!("objects under {}/", p.prefix), p.objects)));
    judged
}

fn config(config: &Config) -> Vec<Judged> {
    let is_secret = |name: &&String| name.starts_with("secrets/");
    let secrets = config.files.removed.iter().filter(is_secret);
    let mut judged: Vec<_> = secrets.map(|s| Judged::new(Finding, s, "there", "gone")).collect();
    let of = |what: &str, names: &Names| -> Vec<Judged> {
        let groups =
            [("removed", &names.removed), ("added", &names.added), ("changed", &names.changed)];
        let listed = groups.into_iter().filter(|(_, names)| !names.is_empty());
        listed
            .map(|(how, names)| {
                let check = format!("{what} {how}");
                Judged::new(Note, check, "none", names.join(", "))
            })
            .collect()
    };
    let [files, settings] = [("config files", &config.files), ("settings", &config.settings)]
        .map(|(what, names)| of(what, names));
    judged.extend([files, settings].concat());
    judged
}

fn fewer(verdict: bundle_format::report::DrillVerdict, check: &str, change: Change) -> Judged {
    Judged::new(verdict, check, format!("{} before", change.before), change.after.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::DrillVerdict;

    /// As `bundle-manifest diff --json` prints it.
    fn difference(tables: &str, objects: (u64, u64)) -> Difference {
        let text = format!(
            r#"{{"before":{{"bundle":"a","domain":null,"version":null}},"after":{{"bundle":"b","domain":null,"version":null}},
            "database":{{"rows":{{"before":1000,"after":900}},"bytes":{{"before":1,"after":1}},"schemas_added":["new"],"schemas_removed":["gone"],"tables":[{tables}]}},
            "objects":{{"mirror_before":true,"mirror_after":true,"all":{{"prefix":"","added":0,"removed":0,"changed":0,"objects":{{"before":{},"after":{}}},"bytes":{{"before":1,"after":1}}}},"prefixes":[{{"prefix":"tmp","added":0,"removed":0,"changed":0,"objects":{{"before":100,"after":49}},"bytes":{{"before":1,"after":1}}}}]}},
            "config":{{"files":{{"added":[],"removed":["secrets/x"],"changed":[]}},"settings":{{"added":[],"removed":[],"changed":["A","B"]}}}}}}"#,
            objects.0, objects.1
        );
        serde_json::from_str(&text).unwrap()
    }

    fn table(schema: &str, name: &str, change: &str, before: u64, after: u64) -> String {
        format!(
            r#"{{"schema":"{schema}","name":"{name}","change":"{change}","rows":{{"before":{before},"after":{after}}},"bytes":{{"before":0,"after":0}}}}"#
        )
    }

    fn lines(difference: &Difference, percent: u64) -> Vec<String> {
        let rows = [("a".to_owned(), 985), ("b".to_owned(), 3)].into();
        let line =
            |j: Judged| format!("{} {}: {} -> {}", j.verdict.word(), j.check, j.expected, j.found);
        judge(difference, &rows, percent).into_iter().map(line).collect()
    }

    #[test]
    fn what_is_gone_empty_or_far_less_is_a_finding_and_the_rest_are_notes() {
        let tables = [
            table("gone", "t", "removed", 9, 0),
            table("new", "t", "added", 0, 9),
            table("a", "lost", "removed", 5, 0),
            table("a", "emptied", "changed", 3, 0),
            table("a", "shrunk", "changed", 200, 99),
            table("a", "small", "changed", 99, 1),
            table("a", "fewer", "changed", 900, 800),
            table("a", "same", "changed", 5, 5),
        ];
        let difference = difference(&tables.join(","), (10, 9));
        assert_eq!(
            lines(&difference, 50),
            [
                "finding schema gone: there -> gone",
                "note schema new: none -> added",
                "finding table a.lost: there, with 5 rows -> gone",
                "finding rows of a.emptied: 3 before -> 0",
                "finding rows of a.shrunk: 200 before -> 99",
                "note rows of a.small: 99 before -> 1",
                "note rows of a.fewer: 900 before -> 800",
                "note objects: 10 before -> 9",
                "finding objects under tmp/: 100 before -> 49",
                "finding secrets/x: there -> gone",
                "note config files removed: none -> secrets/x",
                "note settings changed: none -> A, B",
            ]
        );
        assert_eq!(difference.tables_gone().len(), 2);
    }

    #[test]
    fn all_rows_or_objects_far_less_is_a_finding_and_no_percentage_asks_for_none() {
        let mut less = difference(&table("a", "t", "changed", 500, 100), (10, 4));
        less.database.rows = Change { before: 1000, after: 100 };
        let found = lines(&less, 50);
        // 985 rows are left of the schema's 1385: the table alone has far less.
        assert!(!found.iter().any(|line| line.contains("the schema a")), "{found:?}");
        assert!(
            lines(&less, 72)
                .contains(&"finding rows of the schema a: 1385 before -> 985".to_owned())
        );
        for expected in [
            "finding rows of all tables: 1000 before -> 100",
            "finding rows of a.t: 500 before -> 100",
            "finding objects: 10 before -> 4",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected}: {found:?}");
        }
        let left: Vec<DrillVerdict> =
            judge(&less, &BTreeMap::new(), 0).into_iter().map(|j| j.verdict).collect();
        let findings = left.iter().filter(|v| **v == DrillVerdict::Finding).count();
        assert_eq!(findings, 2, "the schema and the secret");
        less.objects.mirror_after = false;
        assert!(
            lines(&less, 0)
                .contains(&"finding mirror: 10 objects -> the bundle has no mirror".to_owned())
        );
    }
}
