//! The tables of the page.

use super::facts;
use super::markup::{Element, element};
use super::numbers::{difference, duration, grouped, minute};
use bundle_format::report::{DrillReport, DrillResult, DrillStep, DrillVerdict};
use pipe_kit::text;
use std::cmp::Reverse;

/// Schemas that are listed; a product may have one for each tenant.
const MOST_SCHEMAS: usize = 50;

/// A column: its heading, and the class of its cells.
type Column = (&'static str, &'static str);

const NUMBER: &str = "number";
const NAME: &str = "name";
const TEXT: &str = "long";
const WIDE: &str = "wide";
const CODE: &str = "code";
const SHORT: &str = "";

/// A table that scrolls sideways where the page is narrow.
fn table(id: &'static str, caption: String, columns: &[Column], rows: Vec<Element>) -> Element {
    let heading = |(label, class): &Column| cell("th", class).with("scope", "col").text(label);
    let head = element("thead").child(element("tr").children(columns.iter().map(heading)));
    let table = element("table")
        .child(element("caption").with("id", id).text(caption))
        .child(head)
        .child(element("tbody").children(rows));
    element("div")
        .class("scroll")
        .with("role", "group")
        .with("aria-labelledby", id)
        .with("tabindex", 0)
        .child(table)
}

fn cell(name: &'static str, class: &str) -> Element {
    let cell = element(name);
    if class.is_empty() { cell } else { cell.class(class) }
}

fn row_head(class: &str, value: &str) -> Element {
    cell("th", class).with("scope", "row").text(value)
}

/// A mark that is known by its shape, for one of pass, note, finding, failed and skipped.
pub fn icon(kind: &str) -> Element {
    let path = match kind {
        "pass" => "M2.5 8.5 6.5 12.5 13.5 4",
        "note" => "M8 1.5a6.5 6.5 0 1 0 .01 0M8 7.5v4M8 4.5v.6",
        "finding" => "M8 1.5 15 14H1zM8 6v4M8 11.6v.6",
        "failed" => "M3 3 13 13M13 3 3 13",
        _ => "M3 8h10",
    };
    element("svg")
        .class(format!("icon {kind}"))
        .with("aria-hidden", "true")
        .with("viewBox", "0 0 16 16")
        .child(element("path").with("d", path))
}

/// The verdict that a result amounts to.
pub fn verdict_of(result: DrillResult) -> DrillVerdict {
    match result {
        DrillResult::Passed => DrillVerdict::Pass,
        DrillResult::Finding => DrillVerdict::Finding,
        DrillResult::Failed | DrillResult::Damaged => DrillVerdict::Failed,
        DrillResult::Refused | DrillResult::Interrupted => DrillVerdict::Skipped,
    }
}

fn verdict(kind: DrillVerdict, word: &str) -> Element {
    let content = element("span").class("word").child(icon(kind.word())).text(word);
    cell("td", &format!("verdict {}", kind.word())).child(content)
}

/// The steps, in order.
pub fn steps(report: &DrillReport) -> Element {
    let row = |step: &DrillStep| {
        element("tr")
            .class(step.verdict.word())
            .child(row_head(NAME, &step.step))
            .child(verdict(step.verdict, step.verdict.word()))
            .child(cell("td", NUMBER).text(duration(step.begins)))
            .child(cell("td", NUMBER).text(duration(step.seconds)))
            .child(cell("td", TEXT).text(step.detail.as_deref().unwrap_or_default()))
    };
    let columns = [
        ("Step", NAME),
        ("Result", SHORT),
        ("Begins", NUMBER),
        ("Takes", NUMBER),
        ("Detail", TEXT),
    ];
    table("steps", "Steps, in order".to_owned(), &columns, report.steps.iter().map(row).collect())
}

/// The checks, findings first.
pub fn checks(report: &DrillReport) -> Element {
    let rows = facts::checks(report).into_iter().map(|check| {
        element("tr")
            .class(check.verdict.word())
            .child(verdict(check.verdict, check.verdict.word()))
            .child(row_head(WIDE, &check.check))
            .child(cell("td", TEXT).text(&check.expected))
            .child(cell("td", TEXT).text(&check.found))
            .child(cell("td", NAME).text(&check.step))
    });
    let columns =
        [("Result", SHORT), ("Check", WIDE), ("Expected", TEXT), ("Found", TEXT), ("Step", NAME)];
    table(
        "checks",
        "Checks, with those first that found something".to_owned(),
        &columns,
        rows.collect(),
    )
}

/// The rows of each schema, and what the drill before found there; nothing if none were counted.
pub fn rows(report: &DrillReport, before: Option<&DrillReport>) -> Option<Element> {
    let schemas = report.rows.keys().chain(before.into_iter().flat_map(|b| b.rows.keys()));
    let mut schemas: Vec<&String> = schemas.collect();
    schemas.sort();
    schemas.dedup();
    let count = |report: Option<&DrillReport>, schema: &String| {
        report.and_then(|r| r.rows.get(schema)).copied()
    };
    let counts = |schema: &String| (count(Some(report), schema), count(before, schema));
    if report.rows.is_empty() {
        return None;
    }
    let all = schemas.len();
    if all > MOST_SCHEMAS {
        let change = |schema: &&String| match counts(schema) {
            (Some(now), Some(then)) => now.abs_diff(then),
            (now, then) => now.or(then).unwrap_or_default(),
        };
        schemas.sort_by_key(|schema| Reverse(change(schema)));
        schemas.truncate(MOST_SCHEMAS);
    }
    let shown = |rows: Option<u64>| rows.map_or_else(|| "none".to_owned(), grouped);
    let row = |schema: &String| {
        let (now, then) = counts(schema);
        let change = match (now, then) {
            (Some(now), Some(then)) => difference(now, then),
            (Some(_), None) => "new".to_owned(),
            _ => "gone".to_owned(),
        };
        let row =
            element("tr").child(row_head(CODE, schema)).child(cell("td", NUMBER).text(shown(now)));
        if before.is_none() {
            return row;
        }
        row.child(cell("td", NUMBER).text(shown(then))).child(cell("td", NUMBER).text(change))
    };
    let columns =
        [("Schema", CODE), ("Rows", NUMBER), ("Drill before", NUMBER), ("Change", NUMBER)];
    let columns = if before.is_some() { &columns[..] } else { &columns[..2] };
    let caption = if all > MOST_SCHEMAS {
        format!("The {MOST_SCHEMAS} schemas that changed most, of {all}; report.json has all")
    } else {
        "Rows of each schema".to_owned()
    };
    Some(table("rows", caption, columns, schemas.into_iter().map(row).collect()))
}

/// Drills, newest first; `drills` is oldest first, and its last is this one.
pub fn history(drills: &[&DrillReport]) -> Element {
    let time_of = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), duration);
    let size_of = |bytes: Option<u64>| bytes.map_or_else(|| "–".to_owned(), text::size);
    let row = |(at, drill): (usize, &&DrillReport)| {
        let began = row_head(NAME, &minute(drill.started));
        let this = (at == 0).then(|| element("span").class("this").text(" this drill"));
        element("tr")
            .class(verdict_of(drill.result).word())
            .child(began.children(this))
            .child(verdict(verdict_of(drill.result), drill.result.word()))
            .child(cell("td", NAME).text(drill.level.word()))
            .child(cell("td", CODE).text(&drill.bundle.name))
            .child(cell("td", NUMBER).text(time_of(drill.goals.rto_seconds)))
            .child(cell("td", NUMBER).text(time_of(drill.goals.rpo_seconds)))
            .child(cell("td", NUMBER).text(size_of(drill.bundle.database_bytes)))
            .child(cell("td", NUMBER).text(size_of(drill.bundle.objects_bytes)))
    };
    let columns = [
        ("Began (UTC)", NAME),
        ("Result", SHORT),
        ("Level", NAME),
        ("Bundle", CODE),
        ("RTO", NUMBER),
        ("RPO", NUMBER),
        ("Dump", NUMBER),
        ("Objects", NUMBER),
    ];
    let caption = format!("The last {}, newest first", text::count(drills.len(), "drill"));
    table("history", caption, &columns, drills.iter().rev().enumerate().map(row).collect())
}
