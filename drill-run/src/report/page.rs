//! `report.html`: one file without scripts and without references to others.

use super::chart::{Chart, Point};
use super::facts::{self, Fact, GoalState};
use super::markup::{Element, element};
use super::numbers::{day, duration, grouped, time};
use super::scale::Unit;
use super::tables;
use super::timeline::timeline;
use bundle_format::report::{DrillReport, DrillResult};
use pipe_kit::text;

/// Drills that the history shows, this one among them.
const MOST: usize = 24;
/// Nothing is loaded and nothing runs, even if a text got past the escaping.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The report as HTML. `before` has the earlier reports, oldest first.
pub fn render(report: &DrillReport, before: &[DrillReport]) -> String {
    let html = element("html").with("lang", "en").child(head(report)).child(body(report, before));
    format!("<!DOCTYPE html>\n{html}")
}

fn head(report: &DrillReport) -> Element {
    let meta = |name, content| element("meta").with("name", name).with("content", content);
    element("head")
        .child(element("meta").with("charset", "utf-8"))
        .child(element("title").text(format!("{}: {}", report.drill, facts::headline(report))))
        .child(meta("viewport", "width=device-width, initial-scale=1"))
        .child(meta("color-scheme", "light dark"))
        .child(
            element("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY),
        )
        .child(element("style").verbatim(include_str!("style.css")))
}

fn body(report: &DrillReport, before: &[DrillReport]) -> Element {
    let main = element("main")
        .child(checks(report))
        .child(steps(report))
        .child(
            element("div")
                .class("columns")
                .child(section("Bundle").child(list(facts::bundle(report), "None was chosen.")))
                .child(server(report)),
        )
        .children(rows(report, before))
        .child(history(report, before))
        .child(chain(report));
    element("body").child(header(report)).child(main)
}

fn section(heading: &'static str) -> Element {
    element("section").class("part").child(element("h2").text(heading))
}

fn header(report: &DrillReport) -> Element {
    let kind = tables::verdict_of(report.result).word();
    let heading =
        element("h1").child(element("span").class("kicker").text("Restore drill ")).child(
            element("span").class("result").child(tables::icon(kind)).text(facts::headline(report)),
        );
    let reason = |(step, reason): (&str, &str)| {
        element("p").class("reason").child(element("code").text(step)).text(": ").text(reason)
    };
    let when = format!("Drilled {}, level {}", time(report.started), report.level.word());
    let about = element("p").class("about").text(when);
    let about = if report.bundle.name.is_empty() {
        about
    } else {
        about
            .text(": ")
            .child(element("code").text(&report.bundle.name))
            .text(format!(" of {}", report.bundle.domain))
    };
    element("header")
        .child(
            element("div")
                .class(format!("banner {kind}"))
                .child(heading)
                .child(element("p").class("summary").text(facts::summary(report)))
                .children(facts::reasons(report).into_iter().map(reason))
                .child(about),
        )
        .child(cards(report))
}

/// The numbers that matter most.
fn cards(report: &DrillReport) -> Element {
    let card = |kind: &str, label: &str, value: &str, note: Element| {
        element("div")
            .class(format!("card {kind}"))
            .child(element("dt").text(label))
            .child(element("dd").class("value").text(value))
            .child(note)
    };
    let note = || element("dd").class("note");
    let goals = facts::goals(&report.goals).into_iter().map(|goal| {
        let kind = match goal.state {
            GoalState::Met => "pass",
            GoalState::Missed => "finding",
            GoalState::NotSet | GoalState::NotMeasured => "skipped",
        };
        let label = format!("{} ({})", goal.label, goal.short);
        card(kind, &label, &goal.measured, note().child(tables::icon(kind)).text(goal.note()))
    });
    let checks = grouped(report.checks.len() as u64);
    element("dl")
        .class("cards")
        .children(goals)
        .child(card("", "Checks", &checks, note().text(facts::tally(report))))
        .child(card("", "The whole drill", &duration(report.seconds), note().text(&report.host)))
}

fn list(facts: Vec<Fact>, none: &'static str) -> Element {
    if facts.is_empty() {
        return element("p").text(none);
    }
    let item = |fact: Fact| {
        let value = if fact.is_code {
            element("dd").child(element("code").text(fact.value))
        } else {
            element("dd").text(fact.value)
        };
        element("div").child(element("dt").text(fact.label)).child(value)
    };
    element("dl").class("facts").children(facts.into_iter().map(item))
}

fn checks(report: &DrillReport) -> Element {
    let section = section("Checks");
    if report.checks.is_empty() {
        return section.child(element("p").text("Nothing was checked."));
    }
    section.child(tables::checks(report))
}

fn steps(report: &DrillReport) -> Element {
    let section = section("Steps");
    if report.steps.is_empty() {
        return section.child(element("p").text("No step was taken."));
    }
    section.child(timeline(report)).child(tables::steps(report))
}

fn server(report: &DrillReport) -> Element {
    let server = list(facts::server(report), "None was started.");
    element("div")
        .child(section("Server").child(server))
        .child(section("Drill").child(list(facts::drill(report), "")))
}

fn rows(report: &DrillReport, before: &[DrillReport]) -> Option<Element> {
    let before = before.iter().rev().find(|before| !before.rows.is_empty());
    let all = report.rows.values().fold(0, |all: u64, rows| all.saturating_add(*rows));
    let schemas = text::count(report.rows.len(), "schema");
    let total = format!("{} rows in {schemas}.", grouped(all));
    let table = tables::rows(report, before)?;
    Some(section("Rows").child(element("p").text(total)).child(table))
}

fn history(report: &DrillReport, before: &[DrillReport]) -> Element {
    let start = before.len().saturating_sub(MOST - 1);
    let drills: Vec<&DrillReport> = before[start..].iter().chain([report]).collect();
    let section = section("History");
    if drills.len() == 1 {
        let first = "This is the first drill with a report. Charts follow with the next one.";
        return section.child(element("p").text(first));
    }
    let chart =
        |chart: &Chart| element("div").child(element("h3").text(chart.title)).child(chart.draw());
    let legend = "Filled bar: the drill passed. Hollow bar: it did not. ×: not measured. The last bar is \
        this drill.";
    let above = report.goals.rto_goal_seconds.map(|goal| {
        format!(
            " Dashed line: the goal of {}; left out where it is far above all bars.",
            Unit::Seconds.mark(goal)
        )
    });
    section
        .child(element("div").class("charts").children(charts(report, &drills).iter().map(chart)))
        .child(element("p").class("legend").text(legend).text(above.unwrap_or_default()))
        .child(tables::history(&drills))
}

fn charts(report: &DrillReport, drills: &[&DrillReport]) -> [Chart; 3] {
    let points = |value: &dyn Fn(&DrillReport) -> Option<f64>| {
        let point = |drill: &&DrillReport| Point {
            value: value(drill),
            is_passed: drill.result == DrillResult::Passed,
            day: day(drill.started),
        };
        drills.iter().map(point).collect()
    };
    #[allow(clippy::cast_precision_loss, reason = "a bar is some pixels high")]
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    let chart = |id, title, unit, points| Chart { id, title, unit, points, goal: None };
    [
        Chart {
            goal: report.goals.rto_goal_seconds,
            ..chart("rto", "Recovery time (RTO)", Unit::Seconds, points(&|d| d.goals.rto_seconds))
        },
        chart("dump", "Database dump", Unit::Bytes, points(&|d| bytes(d.bundle.database_bytes))),
        chart("objects", "Objects", Unit::Bytes, points(&|d| bytes(d.bundle.objects_bytes))),
    ]
}

fn chain(report: &DrillReport) -> Element {
    let seal = facts::seal(report, "Seal of the bundle (SHA-256)");
    let facts = [seal].into_iter().chain(facts::previous(report)).collect();
    let how = element("p")
        .text("The next report names the SHA-256 of this report.json, which names that of this page. ")
        .child(element("code").text("drill.sh --verify-reports"))
        .text(" finds a report that is missing or was changed.");
    section("Chain of reports").child(list(facts, "")).child(how)
}

#[cfg(test)]
mod contrast;
#[cfg(test)]
mod tests;
