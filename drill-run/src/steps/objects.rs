//! `objects`: the mirror against its index, the rows that name objects, and the bundle before.

use crate::baseline::Baseline;
use crate::bundle::Bundle;
use crate::drill::Drill;
use crate::mirror::{LostProperty, Objects, lost_properties};
use crate::results::{Judged, NAMED};
use crate::sql;
use crate::steps::compare::{baseline, of_another};
use anyhow::{Context, Result};
use bundle_format::report::DrillVerdict;
use pipe_kit::text::count;
use std::collections::HashMap;
use std::path::Path;

/// The operator's SQL that prints the key of every object that a row names.
pub const KEYS: &str = "objects.sql";

/// Checks the objects.
///
/// # Errors
/// If something could not be checked.
pub fn run(drill: &Drill) -> Result<()> {
    let Some(index) = drill.bundle.mirror_index() else {
        let why = match drill.bundle.manifest.objects {
            Some(None) => "the bundle has no mirror: external object storage",
            _ => "the mirror has no index: another tool made it",
        };
        drill.results.skipped("objects", "as their index has them", why);
        return Ok(());
    };
    // `validate` has hashed every object.
    let found = drill.bundle.manifest.objects.flatten().map_or(0, |extent| extent.objects);
    let found = count(usize::try_from(found).unwrap_or(usize::MAX), "object");
    drill.results.pass("objects against their index", "the same", format!("the same: {found}"));
    let named = named_by_rows(drill, &index);
    match baseline(drill) {
        Some(base) => against_baseline(drill, &base, &index).map_err(of_another).and(named),
        None => named,
    }
}

/// An object of the mirror, as the rows are compared with it.
struct Known {
    content_type: Option<String>,
    is_named: bool,
}

fn named_by_rows(drill: &Drill, index: &Path) -> Result<()> {
    let file = drill.settings.checks_dir().join(KEYS);
    let check = "objects that rows name";
    let expected = format!("all in the mirror, by {}", file.display());
    if !file.is_file() {
        drill.results.skipped(check, expected, "there is no such file");
        return Ok(());
    }
    if drill.loaded().is_none() {
        drill.results.skipped(check, expected, "the database was not loaded");
        return Ok(());
    }
    let sql =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut known = HashMap::new();
    for object in Objects::open(index)? {
        let object = object?;
        let content_type = object.content_type().map(str::to_owned);
        known.insert(object.key, Known { content_type, is_named: false });
    }
    let mut rows =
        RowCheck { known, named: 0, missing: Vec::new(), lost: 0, other_types: Vec::new() };
    let ran = sql::each_row(drill, "objects", &sql, |row| {
        rows.take(row);
        Ok(())
    });
    if let Err(error) = ran {
        drill.results.failed(check, expected, format!("{KEYS}: {error:#}"));
        return Ok(());
    }
    rows.report(drill, check, &expected);
    Ok(())
}

struct RowCheck {
    known: HashMap<String, Known>,
    named: usize,
    /// Keys that are not in the mirror, the first of them.
    missing: Vec<String>,
    /// How many are not.
    lost: usize,
    other_types: Vec<Judged>,
}

impl RowCheck {
    /// A row: a key, and after a tab the content type, if the SQL prints one.
    fn take(&mut self, row: &str) {
        let (key, content_type) = match row.split_once('\t') {
            Some((key, content_type)) => (key, Some(content_type).filter(|text| !text.is_empty())),
            None => (row, None),
        };
        // A row without a key names no object.
        if key.is_empty() {
            return;
        }
        self.named += 1;
        let Some(known) = self.known.get_mut(key) else {
            self.lost += 1;
            if self.missing.len() < NAMED {
                self.missing.push(key.to_owned());
            }
            return;
        };
        known.is_named = true;
        if content_type.is_some() && content_type != known.content_type.as_deref() {
            let found = known.content_type.clone().unwrap_or_else(|| "none".to_owned());
            let check = format!("content type of {key}");
            let expected = content_type.unwrap_or_default();
            self.other_types.push(Judged::new(DrillVerdict::Finding, check, expected, found));
        }
    }

    fn report(self, drill: &Drill, check: &str, expected: &str) {
        let results = &drill.results;
        let named = count(self.named, "row");
        if self.named == 0 && !self.known.is_empty() {
            let objects = count(self.known.len(), "object");
            results.finding(check, expected, format!("no row names any of {objects}"));
        } else if self.lost == 0 {
            results.pass(check, expected, format!("all: {named}"));
        } else {
            let objects = count(self.lost, "object");
            results.finding(check, expected, format!("{objects} of {named} missing"));
            for key in &self.missing {
                results.finding(
                    format!("object {key}"),
                    "in the mirror, since a row names it",
                    "missing",
                );
            }
        }
        results.add_all("content types", self.other_types);
        let unnamed = self.known.values().filter(|known| !known.is_named).count();
        if unnamed > 0 {
            let found = format!("{unnamed} of {}", count(self.known.len(), "object"));
            results.note("objects that no row names", "none", found);
        }
    }
}

/// What objects of the same content have lost since the bundle before.
fn against_baseline(drill: &Drill, base: &Baseline, index: &Path) -> Result<()> {
    let before = Bundle::open(&base.path)?;
    let Some(old) = before.mirror_index() else { return Ok(()) };
    let mut lost = Vec::new();
    lost_properties(Objects::open(&old)?, Objects::open(index)?, |one| lost.push(judged(one)))?;
    let check = format!("content types and metadata against {}", base.name);
    if lost.is_empty() {
        drill.results.pass(check, "none lost", "none lost");
    } else {
        drill.results.add_all(&check, lost);
    }
    Ok(())
}

fn judged(lost: LostProperty) -> Judged {
    let LostProperty { key, property, before, now } = lost;
    let check = format!("{property} of {key}");
    let found = now.unwrap_or_else(|| "none".to_owned());
    Judged::new(DrillVerdict::Finding, check, before, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_names_an_object_and_may_give_its_type() {
        let known = |content_type: Option<&str>| Known {
            content_type: content_type.map(str::to_owned),
            is_named: false,
        };
        let mut rows = RowCheck {
            known: [("a b", Some("text/plain")), ("c", None), ("d", Some("x/y"))]
                .map(|(key, kind)| (key.to_owned(), known(kind)))
                .into(),
            named: 0,
            missing: Vec::new(),
            lost: 0,
            other_types: Vec::new(),
        };
        for row in ["a b\ttext/plain", "", "c\timage/png", "c", "gone", "\tx/y", "c\t"] {
            rows.take(row);
        }
        assert_eq!((rows.named, rows.lost, rows.missing), (5, 1, vec!["gone".to_owned()]));
        let types: Vec<_> =
            rows.other_types.iter().map(|j| (j.check.as_str(), j.found.as_str())).collect();
        assert_eq!(types, [("content type of c", "none")]);
        assert_eq!(rows.known.values().filter(|known| !known.is_named).count(), 1);
    }
}
