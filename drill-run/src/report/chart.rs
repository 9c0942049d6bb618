//! Charts of what the last drills measured: a bar for each drill.

use super::markup::{Element, element};
use super::numbers::duration;
use super::scale::{Unit, marks, share};
use pipe_kit::text;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 356.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 160.0;
/// With fewer drills the bars do not become wider.
const LEAST_SLOTS: usize = 8;

/// A drill in a chart.
pub struct Point {
    /// What was measured, if it was.
    pub value: Option<f64>,
    /// Whether the drill passed.
    pub is_passed: bool,
    /// Its day.
    pub day: String,
}

/// A chart.
pub struct Chart {
    /// The prefix of its elements' identifiers.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What the bars measure.
    pub unit: Unit,
    /// Oldest first.
    pub points: Vec<Point>,
    /// What should not be exceeded.
    pub goal: Option<f64>,
}

impl Chart {
    /// The chart as an image.
    pub fn draw(&self) -> Element {
        let highest = self.values().fold(0.0, f64::max);
        let goal = self.goal.filter(|goal| is_near(*goal, highest));
        let marks = marks(highest.max(goal.unwrap_or_default()), self.unit);
        let top = marks[marks.len() - 1];
        let (title, description) =
            (format!("{}-title", self.id), format!("{}-description", self.id));
        element("svg")
            .class("chart")
            .with("role", "img")
            .with("aria-labelledby", format!("{title} {description}"))
            .with("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
            .child(element("title").with("id", title).text(self.title))
            .child(element("desc").with("id", description).text(self.description()))
            .children(marks.iter().flat_map(|mark| self.mark(*mark, top)))
            .children(self.points.iter().enumerate().map(|(at, point)| self.bar(at, point, top)))
            .children(goal.into_iter().flat_map(|goal| goal_line(goal, top)))
            .children(self.days())
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let measured = self.points.iter().filter_map(|point| point.value);
        measured.filter(|value| value.is_finite() && *value >= 0.0)
    }

    fn shown(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds => duration(value),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            Unit::Bytes => text::size(value as u64),
        }
    }

    fn description(&self) -> String {
        let all = text::count(self.points.len(), "drill");
        let Some(least) = self.values().reduce(f64::min) else {
            return format!("{all}, none of them measured.");
        };
        let most = self.values().fold(0.0, f64::max);
        let last = self.points.last().and_then(|point| point.value);
        let last = last.map_or_else(|| "not measured".to_owned(), |value| self.shown(value));
        let goal = self
            .goal
            .map_or_else(String::new, |goal| format!(" The goal is {}.", self.unit.mark(goal)));
        let (least, most) = (self.shown(least), self.shown(most));
        format!(
            "{all}, from {least} to {most}. This one: {last}.{goal} The table below has the numbers."
        )
    }

    fn mark(&self, mark: f64, top: f64) -> [Element; 2] {
        let y = height_of(mark, top);
        let text = element("text")
            .class("mark")
            .with("x", LEFT - 6.0)
            .with("y", number(y + 4.0))
            .with("text-anchor", "end")
            .text(self.unit.mark(mark));
        [horizontal("grid", y), text]
    }

    fn bar(&self, at: usize, point: &Point, top: f64) -> Element {
        #[allow(clippy::cast_precision_loss, reason = "a few drills")]
        let (at, slots) = (at as f64, self.points.len().max(LEAST_SLOTS) as f64);
        let slot = (RIGHT - LEFT) / slots;
        let left = LEFT + slot * at;
        let Some(value) = point.value else {
            return element("text")
                .class("missing")
                .with("x", number(left + slot / 2.0))
                .with("y", BOTTOM - 3.0)
                .with("text-anchor", "middle")
                .text("×");
        };
        let y = height_of(value, top);
        // Hollow, the outline lies inside.
        let inset = if point.is_passed { 0.0 } else { 0.75 };
        element("rect")
            .class(if point.is_passed { "column" } else { "column hollow" })
            .with("x", number(left + slot * 0.15 + inset))
            .with("width", number(slot * 0.7 - 2.0 * inset))
            .with("y", number(y + inset))
            .with("height", number((BOTTOM - y - inset).max(0.5)))
    }

    /// The days of the first and of the last drill.
    fn days(&self) -> Vec<Element> {
        let day = |x: f64, anchor, point: &Point| {
            element("text")
                .class("mark")
                .with("x", x)
                .with("y", BOTTOM + 18.0)
                .with("text-anchor", anchor)
                .text(&point.day)
        };
        let last = self.points.last().filter(|_| self.points.len() >= LEAST_SLOTS);
        let first = self.points.first().map(|point| day(LEFT, "start", point));
        first.into_iter().chain(last.map(|point| day(RIGHT, "end", point))).collect()
    }
}

/// Whether a goal is drawn: one that is far above all bars would make them too small to compare.
fn is_near(goal: f64, highest: f64) -> bool {
    goal.is_finite() && goal <= highest * 3.0
}

fn goal_line(goal: f64, top: f64) -> [Element; 2] {
    let y = height_of(goal, top);
    let text = element("text")
        .class("goal")
        // The outline has the colour of the ground, so that bars behind the text do not hide it.
        .with("paint-order", "stroke")
        .with("x", LEFT + 2.0)
        .with("y", number(y - 4.0))
        .with("text-anchor", "start")
        .text(format!("goal {}", Unit::Seconds.mark(goal)));
    [horizontal("goal", y), text]
}

fn horizontal(class: &str, y: f64) -> Element {
    element("line")
        .class(class)
        .with("x1", LEFT)
        .with("x2", RIGHT)
        .with("y1", number(y))
        .with("y2", number(y))
}

fn height_of(value: f64, top: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * share(value, top)
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}
