//! What a bundle lacks of the one before it. The alarm decides by this.

use crate::bundle::contents::{CERTIFICATES, Contents, SECRETS};
use pipe_kit::text::{count, one_line};
use serde::{Deserialize, Serialize};

/// How many names a line lists.
const NAMES: usize = 10;
/// A part of a bundle with fewer rows or objects than this is not watched by itself.
const PART: u64 = 100;

/// Something that the bundle before had, and of which the new one has nothing or far less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Loss {
    /// A schema that is gone.
    Schema {
        /// Its name.
        schema: String,
    },
    /// A table that is empty, or gone.
    Table {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
        /// Rows before.
        rows: u64,
    },
    /// Far fewer rows in all tables together.
    Rows {
        /// Rows before.
        rows: u64,
    },
    /// Far fewer rows in the tables of one schema.
    SchemaRows {
        /// Its name.
        schema: String,
        /// Rows before.
        rows: u64,
    },
    /// Far fewer objects.
    Objects {
        /// Objects before.
        objects: u64,
    },
    /// Far fewer objects under one prefix.
    Prefix {
        /// The keys' first part.
        prefix: String,
        /// Objects before.
        objects: u64,
    },
    /// A secret that is empty, or gone. Its value may exist nowhere else.
    Secret {
        /// Its file, relative to the deployment.
        file: String,
    },
    /// Certificates of which none is left. They are renewed under other names, so a single one is not watched.
    Certificates {
        /// Files before.
        files: usize,
    },
}

impl Loss {
    /// Whether it is lost in a bundle: gone, empty, or less than `percent` of what was there before.
    pub fn is_in(&self, after: &Contents, percent: u32) -> bool {
        let dump = &after.dump;
        let under = |now: u64, before: u64| {
            u128::from(now) * 100 < u128::from(before) * u128::from(percent)
        };
        match self {
            Self::Schema { schema } => !dump.schemas.contains(schema),
            Self::Table { schema, table, .. } => {
                let table = dump.tables.get(&(schema.clone(), table.clone()));
                table.is_none_or(|amount| amount.rows == 0)
            }
            Self::Rows { rows } => under(dump.rows(), *rows),
            Self::SchemaRows { schema, rows } => under(dump.rows_of(schema), *rows),
            Self::Objects { objects } => under(after.object_count(), *objects),
            Self::Prefix { prefix, objects } => {
                under(after.objects.get(prefix).copied().unwrap_or_default(), *objects)
            }
            Self::Secret { file } => !after.files.contains(file),
            Self::Certificates { .. } => after.files_below(CERTIFICATES) == 0,
        }
    }
}

/// Everything that a bundle could lose.
fn all_of(before: &Contents) -> Vec<Loss> {
    let dump = &before.dump;
    let mut all =
        vec![Loss::Rows { rows: dump.rows() }, Loss::Objects { objects: before.object_count() }];
    for schema in &dump.schemas {
        all.push(Loss::Schema { schema: schema.clone() });
        let rows = dump.rows_of(schema);
        if rows >= PART {
            all.push(Loss::SchemaRows { schema: schema.clone(), rows });
        }
    }
    for ((schema, table), amount) in dump.tables.iter().filter(|(_, amount)| amount.rows > 0) {
        let (schema, table) = (schema.clone(), table.clone());
        all.push(Loss::Table { schema, table, rows: amount.rows });
    }
    for (prefix, objects) in before.objects.iter().filter(|(_, objects)| **objects >= PART) {
        all.push(Loss::Prefix { prefix: prefix.clone(), objects: *objects });
    }
    let secrets = before.files.iter().filter(|name| name.starts_with(SECRETS));
    all.extend(secrets.map(|file| Loss::Secret { file: file.clone() }));
    let files = before.files_below(CERTIFICATES);
    all.extend((files > 0).then_some(Loss::Certificates { files }));
    all
}

/// What `after` has lost of `before`. Less than `percent` of the rows or objects counts as lost.
pub fn losses(before: &Contents, after: &Contents, percent: u32) -> Vec<Loss> {
    all_of(before).into_iter().filter(|loss| loss.is_in(after, percent)).collect()
}

/// Losses as a phrase, the greatest first, with up to ten names of each kind.
pub fn phrase(losses: &[Loss], after: &Contents) -> String {
    let gone: Vec<&str> = losses
        .iter()
        .filter_map(|l| if let Loss::Schema { schema } = l { Some(schema.as_str()) } else { None })
        .collect();
    let is_gone = |schema: &str| gone.contains(&schema);
    let (mut parts, mut secrets) = (Vec::new(), Vec::new());
    let (mut tables, mut fewer) = (Vec::new(), Vec::new());
    for loss in losses {
        match loss {
            Loss::Rows { rows } => parts.push(less(*rows, after.dump.rows(), "rows")),
            Loss::Objects { objects } => {
                parts.push(less(*objects, after.object_count(), "objects"));
            }
            Loss::Table { schema, table, rows } if !is_gone(schema) => {
                tables.push((*rows, format!("{schema}.{table}")));
            }
            Loss::SchemaRows { schema, rows } if !is_gone(schema) => {
                let words = less(*rows, after.dump.rows_of(schema), "rows");
                fewer.push((*rows, format!("{schema}: {words}")));
            }
            Loss::Prefix { prefix, objects } => {
                let now = after.objects.get(prefix).copied().unwrap_or_default();
                fewer.push((*objects, format!("{prefix}/: {}", less(*objects, now, "objects"))));
            }
            Loss::Secret { file } => secrets.push(file.clone()),
            Loss::Certificates { files } => {
                parts.push(format!("no files below {CERTIFICATES} ({files} before)"));
            }
            _ => {}
        }
    }
    if !secrets.is_empty() {
        parts.push(format!("{} gone ({})", count(secrets.len(), "secret"), listed(secrets)));
    }
    if !gone.is_empty() {
        let names = gone.iter().map(|name| (*name).to_owned()).collect();
        parts.push(format!("{} gone ({})", count(gone.len(), "schema"), listed(names)));
    }
    if !tables.is_empty() {
        let number = count(tables.len(), "table");
        parts.push(format!("{number} empty ({})", listed(by_size(tables))));
    }
    if !fewer.is_empty() {
        parts.push(listed(by_size(fewer)));
    }
    one_line(&parts.join("; "))
}

fn less(before: u64, now: u64, what: &str) -> String {
    let kept = u128::from(now) * 100 / u128::from(before.max(1));
    format!("{} % fewer {what} ({before} before, {now} now)", 100 - kept.min(100))
}

fn by_size(mut named: Vec<(u64, String)>) -> Vec<String> {
    named.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    named.into_iter().map(|(_, name)| name).collect()
}

fn listed(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let mut text = names.into_iter().take(NAMES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(", and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::contents::{Amount, Dump};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn contents(tables: &[(&str, u64)], objects: &[(&str, u64)]) -> Contents {
        let mut dump = Dump::default();
        for (name, rows) in tables {
            let (schema, table) = name.split_once('.').unwrap();
            dump.schemas.insert(schema.to_owned());
            let amount = Amount { rows: *rows, bytes: rows * 9 };
            dump.tables.insert((schema.to_owned(), table.to_owned()), amount);
        }
        let objects = objects.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
        Contents { dump, objects, files: BTreeSet::new() }
    }

    fn configured(files: &[&str]) -> Contents {
        let files = files.iter().map(|name| (*name).to_owned()).collect();
        Contents { files, ..Contents::default() }
    }

    fn words(before: &Contents, after: &Contents) -> String {
        phrase(&losses(before, after, 50), after)
    }

    #[test]
    fn what_is_gone_empty_or_far_fewer_is_lost_and_nothing_else() {
        let before =
            contents(&[("a.t", 200), ("a.u", 3), ("b.t", 300), ("b.none", 0)], &[("a", 40)]);
        let table = [
            (contents(&[("a.t", 200), ("a.u", 3), ("b.t", 300)], &[("a", 40)]), ""),
            (contents(&[("a.t", 102), ("a.u", 1), ("b.t", 152)], &[("a", 20), ("x", 9)]), ""),
            (
                contents(&[("a.t", 200), ("a.u", 0), ("b.t", 300)], &[("a", 40)]),
                "1 table empty (a.u)",
            ),
            (contents(&[("a.t", 200), ("b.t", 300)], &[("a", 40)]), "1 table empty (a.u)"),
            (contents(&[("a.t", 900), ("a.u", 3)], &[("a", 40)]), "1 schema gone (b)"),
            (
                contents(&[("a.t", 200), ("a.u", 3), ("b.t", 100)], &[("a", 40)]),
                "b: 67 % fewer rows (300 before, 100 now)",
            ),
            (
                contents(&[("a.t", 200), ("a.u", 3), ("b.t", 300)], &[]),
                "100 % fewer objects (40 before, 0 now)",
            ),
            (
                contents(&[("a.t", 0), ("a.u", 0), ("b.t", 0)], &[("a", 1)]),
                "100 % fewer rows (503 before, 0 now); 98 % fewer objects (40 before, 1 now); 3 tables empty (b.t, a.t, a.u); b: 100 % fewer rows (300 before, 0 now), a: 100 % fewer rows (203 before, 0 now)",
            ),
        ];
        for (after, expected) in table {
            assert_eq!(words(&before, &after), expected);
        }
        assert!(losses(&contents(&[], &[]), &before, 50).is_empty());
    }

    #[test]
    fn ten_names_are_listed_and_the_others_counted() {
        let names: Vec<_> = (0..13).map(|n| format!("s.t{n:02}")).collect();
        let tables: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let empty: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let text = words(&contents(&tables, &[]), &contents(&empty, &[]));
        assert!(
            text.contains("13 tables empty (s.t00, s.t01, ")
                && text.ends_with("s.t09, and 3 more)"),
            "{text}"
        );
    }

    #[test]
    fn a_prefix_of_some_size_is_watched_alone() {
        let before = contents(&[], &[("a", 100), ("b", 900), ("tmp", 99)]);
        let after = contents(&[], &[("b", 900)]);
        assert_eq!(words(&before, &after), "a/: 100 % fewer objects (100 before, 0 now)");
    }

    #[test]
    fn each_secret_is_watched_and_of_the_certificates_whether_any_is_left() {
        let before = configured(&["secrets/a", "secrets/b/c", "certs/old.pem", "certs/old.key"]);
        let table = [
            (&["secrets/a", "secrets/b/c", "secrets/new", "certs/new.pem"][..], ""),
            (&["secrets/a", "certs/new.pem"], "1 secret gone (secrets/b/c)"),
            (&["secrets/a", "secrets/b/c"], "no files below certs/ (2 before)"),
            (&[], "no files below certs/ (2 before); 2 secrets gone (secrets/a, secrets/b/c)"),
        ];
        for (after, expected) in table {
            assert_eq!(words(&before, &configured(after)), expected);
        }
        assert!(losses(&configured(&[]), &before, 50).is_empty());
    }

    fn any() -> impl Strategy<Value = Contents> {
        let tables = prop::collection::btree_map("[ab]\\.[tuv]", 0u64..400, 0..6);
        let objects = prop::collection::btree_map("[abc]", 0u64..400, 0..3);
        let files = prop::collection::btree_set("(secrets|certs)/[ab]", 0..4);
        (tables, objects, files).prop_map(|(tables, objects, files)| {
            let tables: Vec<_> = tables.iter().map(|(name, n)| (name.as_str(), *n)).collect();
            let objects: Vec<_> = objects.iter().map(|(name, n)| (name.as_str(), *n)).collect();
            Contents { files, ..contents(&tables, &objects) }
        })
    }

    proptest! {
        #[test]
        fn a_bundle_lacks_nothing_of_itself_and_more_never_lacks_more(
            before in any(), after in any(), percent in 1u32..=100,
        ) {
            prop_assert!(losses(&before, &before, percent).is_empty());
            let mut more = after.clone();
            more.dump.schemas.extend(before.dump.schemas.iter().cloned());
            for (name, amount) in &before.dump.tables {
                let own = more.dump.tables.entry(name.clone()).or_default();
                own.rows = own.rows.max(amount.rows);
            }
            for (prefix, n) in &before.objects {
                let own = more.objects.entry(prefix.clone()).or_default();
                *own = (*own).max(*n);
            }
            more.files.extend(before.files.iter().cloned());
            prop_assert!(losses(&before, &more, percent).is_empty());
            let lost = losses(&before, &after, percent);
            let text = phrase(&lost, &after);
            prop_assert_eq!(lost.is_empty(), text.is_empty());
        }
    }
}
