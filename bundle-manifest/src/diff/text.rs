//! The difference as text for people.

use super::change::{Change, Names};
use super::difference::Difference;
use super::tables::TableChange;
use pipe_kit::text::{count, one_line, size};
use std::fmt::Write;

pub fn of(diff: &Difference) -> String {
    let mut text =
        format!("{} -> {}\n", one_line(&diff.before.bundle), one_line(&diff.after.bundle));
    for (what, before, after) in [
        ("domain", &diff.before.domain, &diff.after.domain),
        ("version", &diff.before.version, &diff.after.version),
    ] {
        let word = |value: &Option<String>| one_line(value.as_deref().unwrap_or("unknown"));
        if before != after {
            let _ = writeln!(text, "{what}: {} -> {}", word(before), word(after));
        }
    }
    database(&mut text, diff);
    objects(&mut text, diff);
    let _ = writeln!(text, "\nconfig");
    let unchanged = diff.config.files == Names::default();
    if unchanged {
        text.push_str("  as before\n");
    }
    names(&mut text, "setting", &diff.config.settings);
    names(&mut text, "file", &diff.config.files);
    text
}

fn database(text: &mut String, diff: &Difference) {
    let found = &diff.database;
    let _ = writeln!(text, "\ndatabase: {}, {}", rows(found.rows), bytes(found.bytes));
    listed(text, "schema", "removed", &found.schemas_removed);
    listed(text, "schema", "added", &found.schemas_added);
    let mut lines =
        vec![["rows before", "rows after", "change", "bytes", "table"].map(str::to_owned)];
    lines.extend(found.tables.iter().map(|table| {
        let word = match table.change {
            TableChange::Added => " (added)",
            TableChange::Removed => " (removed)",
            TableChange::Changed => "",
        };
        [
            table.rows.before.to_string(),
            table.rows.after.to_string(),
            signed(table.rows),
            signed(table.bytes),
            format!("{}.{}{word}", one_line(&table.schema), one_line(&table.name)),
        ]
    }));
    match found.tables.is_empty() {
        true => text.push_str("  every table has as many rows and bytes as before\n"),
        false => columns(text, &lines),
    }
}

fn objects(text: &mut String, diff: &Difference) {
    let found = &diff.objects;
    let mirror = match (found.mirror_before, found.mirror_after) {
        (false, false) => {
            text.push_str("\nobjects: no mirror in either\n");
            return;
        }
        (true, false) => ", and there is no mirror any more",
        (false, true) => ", and there was no mirror before",
        (true, true) => "",
    };
    let numbers = change(found.all.objects, "object");
    let _ = writeln!(text, "\nobjects: {numbers}, {}{mirror}", bytes(found.all.bytes));
    let mut lines = vec![["added", "removed", "changed", "bytes", "prefix"].map(str::to_owned)];
    lines.extend(found.prefixes.iter().map(|part| {
        let name = if part.prefix.is_empty() { "(no prefix)" } else { &part.prefix };
        [
            part.added.to_string(),
            part.removed.to_string(),
            part.changed.to_string(),
            signed(part.bytes),
            one_line(name),
        ]
    }));
    match found.prefixes.is_empty() {
        true => text.push_str("  as before\n"),
        false => columns(text, &lines),
    }
}

fn rows(rows: Change) -> String {
    change(rows, "row")
}

fn change(numbers: Change, what: &str) -> String {
    let after = count(usize::try_from(numbers.after).unwrap_or(usize::MAX), what);
    format!("{} -> {after}", numbers.before)
}

fn bytes(bytes: Change) -> String {
    format!("{} -> {}", size(bytes.before), size(bytes.after))
}

fn signed(change: Change) -> String {
    let sign = match change.after.cmp(&change.before) {
        std::cmp::Ordering::Less => "-",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "+",
    };
    format!("{sign}{}", change.size())
}

/// Numbers to the right, the last column as it is.
fn columns(text: &mut String, lines: &[[String; 5]]) {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    for [numbers @ .., name] in lines {
        let cells = numbers.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
        let _ = writeln!(text, "  {}  {name}", cells.collect::<Vec<_>>().join("  "));
    }
}

fn names(text: &mut String, what: &str, names: &Names) {
    for (verb, names) in
        [("removed", &names.removed), ("added", &names.added), ("changed", &names.changed)]
    {
        listed(text, what, verb, names);
    }
}

fn listed(text: &mut String, what: &str, verb: &str, names: &[String]) {
    if !names.is_empty() {
        let all = names.iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {} {verb}: {all}", count(names.len(), what));
    }
}
