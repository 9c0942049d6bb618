//! What `contrib/` and the documentation make of the metrics: every name and label there is one that is written.

use super::text;
use crate::tally::Tallies;
use bundle_format::report::{
    BundleState, ComponentBytes, DestinationRecord, DrillRecord, DrillResult, ListedBundle,
    Listing, RunKind, RunRecord, StageRecord,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const RULES: &str = include_str!("../../../contrib/prometheus/piprio.rules.yml");
const DASHBOARD: &str = include_str!("../../../contrib/grafana/piprio-dashboard.json");
const PAGE: &str = include_str!("../../../docs/MONITORING.md");
/// Labels that Prometheus adds itself.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// Each metric with its labels.
type Written = BTreeMap<String, BTreeSet<String>>;

/// A run of which everything is known.
fn record(kind: RunKind) -> RunRecord {
    let at: DateTime<Utc> = "2026-04-21T02:00:00Z".parse().unwrap();
    let mut record = RunRecord::begin(at, "/b".into(), None);
    record.stages.push(StageRecord { stage: "s".into(), seconds: Some(1.0), status: Some(0) });
    record.bytes = ComponentBytes { database: Some(1), objects: Some(1), config: Some(1) };
    if kind == RunKind::Ship {
        record.destinations.push(DestinationRecord {
            destination: "d".into(),
            status: Some(0),
            seconds: Some(1.0),
            bytes: Some(1),
            last_success: Some(at),
        });
    }
    if kind == RunKind::Drill {
        let (result, rto_seconds) = (Some(DrillResult::Passed), Some(1.0));
        record.drill = Some(DrillRecord { result, rto_seconds, ..DrillRecord::default() });
    }
    record.end(at, 0);
    record
}

/// All that is ever written.
fn written() -> Written {
    let state = tempfile::tempdir().unwrap();
    let records = RunKind::ALL.map(|kind| Some(record(kind)));
    let bundle = ListedBundle { state: BundleState::Intact, ..ListedBundle::default() };
    let listing = Listing { bundles: vec![bundle], ..Listing::default() };
    let text = text(Some("d"), &records, &Tallies::read(state.path()), Some(&listing));
    let mut written = Written::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap();
        let labels = labels.split_once('}').unwrap().0.split(',');
        let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
        written.entry(name.to_owned()).or_default().extend(labels);
    }
    written
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The words after each of these marks.
fn words_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).map(|rest| rest.split(|c| !is_word(c)).next().unwrap_or_default())
}

/// Checks an expression, and texts that name labels of its result after one of these marks.
fn check(written: &Written, expression: &str, texts: &[String], mark: &str) {
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into();
    let mut names = 0;
    for (at, _) in expression.match_indices("piprio_") {
        let rest = &expression[at..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let known = written.get(name).unwrap_or_else(|| panic!("{name} is never written"));
        names += 1;
        labels.extend(known.iter().map(String::as_str));
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        for matcher in selector.iter().flat_map(|(matchers, _)| matchers.split("\",")) {
            let label = matcher.trim().split(|c| !is_word(c)).next().unwrap_or_default();
            assert!(known.contains(label), "{name} has no label {label}: {expression}");
        }
    }
    assert!(names > 0, "no metric in {expression}");
    let grouped = expression.split(" by (").nth(1).and_then(|rest| rest.split_once(')'));
    let grouped = grouped.iter().flat_map(|(labels, _)| labels.split(", "));
    let named = texts.iter().flat_map(|text| words_after(text, mark));
    for label in grouped.chain(named) {
        assert!(labels.contains(label), "no label {label:?} in the result of {expression}");
    }
}

#[test]
fn each_alert_is_about_metrics_and_labels_that_are_written() {
    let written = written();
    let mut alerts = 0;
    for alert in RULES.split("- alert: ").skip(1) {
        let expression = alert.lines().find_map(|line| line.trim().strip_prefix("expr: "));
        check(&written, expression.unwrap(), &[alert.to_owned()], "$labels.");
        alerts += 1;
    }
    assert!(alerts > 10);
}

#[test]
fn each_panel_shows_metrics_and_labels_that_are_written() {
    let written = written();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut names = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let legend = target["legendFormat"].as_str().unwrap().to_owned();
            check(&written, expression, &[legend], "{{");
            names.extend(written.keys().filter(|name| expression.contains(*name)));
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inner = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')'));
            let (name, label) = inner.unwrap().split_once(", ").unwrap();
            assert!(written[name].contains(label), "{query}");
        }
    }
}

#[test]
fn the_page_has_all_metrics_and_no_others() {
    let written = written();
    let kinds = || RunKind::ALL.map(RunKind::word).into_iter();
    let mut documented = BTreeSet::new();
    for name in words_after(PAGE, "`piprio_").map(|rest| format!("piprio_{rest}")) {
        match name.contains("KIND") {
            true => documented.extend(kinds().map(|kind| name.replace("KIND", kind))),
            false => drop(documented.insert(name)),
        }
    }
    let written: BTreeSet<String> = written.into_keys().collect();
    assert_eq!(documented, written);
}
