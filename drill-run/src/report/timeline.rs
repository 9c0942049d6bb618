//! The timeline of the steps.

use super::markup::{Element, element};
use super::numbers::{duration, shortened};
use super::scale::{Unit, marks, share};
use bundle_format::report::{DrillReport, DrillStep, DrillVerdict};

/// Pixels. Widths are percentages, so that text keeps its size whatever the width of the page.
const ROW: usize = 40;
const BAR_TOP: usize = 22;
const BAR: usize = 10;
const AXIS: usize = 26;

/// A chart with a bar for each step.
pub fn timeline(report: &DrillReport) -> Element {
    let end = report.steps.iter().map(|step| step.begins + step.seconds);
    let whole = end.fold(report.seconds, f64::max);
    let height = report.steps.len() * ROW;
    let rows = report.steps.iter().enumerate().map(|(at, step)| row(at * ROW, step, whole));
    element("svg")
        .class("timeline")
        .with("role", "img")
        .with("aria-labelledby", "timeline-title timeline-description")
        .with("width", "100%")
        .with("height", height + AXIS)
        .child(element("title").with("id", "timeline-title").text("Timeline of the steps"))
        .child(element("desc").with("id", "timeline-description").text(description(report, whole)))
        .child(axis(height, whole))
        .children(rows)
}

fn description(report: &DrillReport, whole: f64) -> String {
    let longest = report.steps.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let longest = longest.map_or_else(String::new, |step| {
        format!(" The longest step is {} with {}.", step.step, duration(step.seconds))
    });
    format!("The drill took {}.{longest} The table below has the numbers.", duration(whole))
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn axis(height: usize, whole: f64) -> Element {
    let shown = marks(whole, Unit::Seconds).into_iter().filter(|mark| *mark <= whole);
    let mark = |mark: f64| {
        let at = share(mark, whole);
        let anchor = match at {
            ..0.04 => "start",
            0.04..0.96 => "middle",
            _ => "end",
        };
        let line = element("line")
            .class("grid")
            .with("x1", percent(at))
            .with("x2", percent(at))
            .with("y1", 0)
            .with("y2", height + 4);
        let text = element("text")
            .class("mark")
            .with("x", percent(at))
            .with("y", height + 20)
            .with("text-anchor", anchor)
            .text(Unit::Seconds.mark(mark));
        [line, text]
    };
    element("g").children(shown.flat_map(mark))
}

fn row(top: usize, step: &DrillStep, whole: f64) -> Element {
    let word = step.verdict.word();
    let time = match step.verdict {
        DrillVerdict::Skipped => word.to_owned(),
        DrillVerdict::Pass => duration(step.seconds),
        _ => format!("{}, {word}", duration(step.seconds)),
    };
    let name = element("text")
        .class("name")
        .with("x", 0)
        .with("y", top + BAR_TOP - 7)
        .text(shortened(&step.step, 20));
    let time = element("text")
        .class("time")
        .with("x", "100%")
        .with("y", top + BAR_TOP - 7)
        .with("text-anchor", "end")
        .text(time);
    let bar = |class: &str, from: f64, width: f64| {
        element("rect")
            .class(class)
            .with("x", percent(from))
            .with("width", percent(width))
            .with("y", top + BAR_TOP)
            .with("height", BAR)
            .with("rx", 2)
    };
    let row = element("g").child(bar("track", 0.0, 1.0)).child(name).child(time);
    if step.verdict == DrillVerdict::Skipped {
        return row;
    }
    let from = share(step.begins, whole);
    let width = share(step.seconds, whole).min(1.0 - from);
    row.child(bar(&format!("bar {word}"), from, width))
}
