//! What holds for every page.

use super::*;
use crate::report::numbers::visible;
use crate::report::parsed::{Node, parse};
use crate::report::samples::{HOSTILE, check, passed, samples};
use bundle_format::report::{DrillStep, DrillVerdict, PreviousDrill};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Elements and attributes that a page may have: none of them loads or runs anything.
const ELEMENTS: &str = "html head meta title style body header main section div span h1 h2 h3 p code dl dt dd \
    table caption thead tbody tr th td svg desc path rect line text g";
const ATTRIBUTES: &str = "lang charset name content http-equiv class id scope tabindex role aria-labelledby \
    aria-hidden viewBox width height x y x1 x2 y1 y2 rx d text-anchor paint-order";

fn pages() -> Vec<(&'static str, String)> {
    samples().iter().map(|s| (s.name, render(&s.report, &s.before))).collect()
}

fn parsed(page: &str) -> Vec<Node> {
    parse(page).unwrap_or_else(|e| panic!("{e}"))
}

fn named<'a>(nodes: &'a [Node], name: &str) -> Vec<&'a Node> {
    nodes.iter().filter(|node| node.name == name).collect()
}

/// With `PIPRIO_TEST_PAGES=DIR` every page is also written there, to be looked at in a browser.
#[test]
fn every_page_is_well_formed_and_loads_and_runs_nothing() {
    for (name, page) in pages() {
        if let Some(dir) = std::env::var_os("PIPRIO_TEST_PAGES") {
            std::fs::write(std::path::Path::new(&dir).join(format!("{name}.html")), &page).unwrap();
        }
        for node in parsed(&page) {
            assert!(ELEMENTS.split_whitespace().any(|e| e == node.name), "{name}: {node:?}");
            for (key, value) in &node.attributes {
                assert!(ATTRIBUTES.split_whitespace().any(|a| a == key), "{name}: {key}={value}");
                assert!(!value.contains("//"), "{name}: {key}={value}");
            }
            let is_loading = |text: &str| text.contains("url(") || text.contains("@import");
            assert!(node.name != "style" || !is_loading(&node.text), "{name}");
        }
    }
}

#[test]
fn every_page_has_a_title_headings_in_order_and_labelled_tables_and_images() {
    for (name, page) in pages() {
        let nodes = parsed(&page);
        assert_eq!(nodes[0].attribute("lang"), Some("en"));
        assert!(!named(&nodes, "title")[0].text.is_empty());
        let ids: Vec<&str> = nodes.iter().filter_map(|node| node.attribute("id")).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{name}: {ids:?}");
        for node in &nodes {
            for id in node.attribute("aria-labelledby").unwrap_or_default().split_whitespace() {
                assert!(ids.contains(&id), "{name}: {id}");
            }
            let is_hidden = node.attribute("aria-hidden") == Some("true");
            let is_image = node.attribute("role") == Some("img")
                && node.attribute("aria-labelledby").is_some();
            assert!(node.name != "svg" || is_hidden || is_image, "{name}: {node:?}");
            assert!(node.name != "th" || node.attribute("scope").is_some(), "{name}: {node:?}");
            let is_scrolled = node.attribute("class") == Some("scroll");
            assert!(!is_scrolled || node.attribute("tabindex") == Some("0"), "{name}");
        }
        let levels = nodes.iter().filter_map(|n| n.name.strip_prefix('h')?.parse::<u8>().ok());
        let levels: Vec<u8> = levels.collect();
        assert!(levels[0] == 1 && !levels[1..].contains(&1), "{name}: {levels:?}");
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
        let scrolled = nodes.iter().filter(|n| n.attribute("class") == Some("scroll")).count();
        let parts = [named(&nodes, "table").len(), named(&nodes, "caption").len(), scrolled];
        assert!(parts[0] == parts[1] && parts[1] == parts[2], "{name}: {parts:?}");
    }
}

#[test]
fn a_page_shows_the_result_the_goals_and_the_chain() {
    let nodes = parsed(&render(&passed(), &[]));
    assert_eq!(named(&nodes, "h1")[0].text, "Restore drill Passed");
    let body = &named(&nodes, "body")[0].text;
    for shown in [
        "4 min 22 s",
        "goal 30 min: met",
        "goal 24 h: met",
        "piprio_20260421T020000Z",
        "20.0 GiB in 48,211 objects",
        "c1a9d27e6b3f4805d2e7f1a8b96c3d40e5f7a1b2c3d4e5f60718293a4b5c6d7e",
        "5f0c3b1d9a7e42c88a6f0de9c41b7a35e2d96c07b8f14a3d6e5c9b20a1f7d843",
    ] {
        assert!(body.contains(shown), "{shown}");
    }
}

#[test]
fn the_charts_show_the_last_24_drills_and_the_timeline_each_step() {
    let sample = samples().into_iter().find(|s| s.name == "passed").unwrap();
    assert!(sample.before.len() > MOST);
    let nodes = parsed(&render(&sample.report, &sample.before));
    let images: Vec<&Node> =
        named(&nodes, "svg").into_iter().filter(|n| n.attribute("role").is_some()).collect();
    let labels: Vec<_> = images.iter().map(|n| n.attribute("aria-labelledby").unwrap()).collect();
    let ids =
        ["timeline", "rto", "dump", "objects"].map(|id| format!("{id}-title {id}-description"));
    assert_eq!(labels, ids);
    let of_class =
        |class: &str| nodes.iter().filter(|n| n.attribute("class") == Some(class)).count();
    let is_column = |n: &&Node| n.attribute("class").is_some_and(|c| c.starts_with("column"));
    let columns = nodes.iter().filter(is_column).filter(|n| n.name == "rect").count();
    // The recovery time of the damaged one was not measured.
    assert_eq!((columns, of_class("missing")), (3 * MOST - 1, 1));
    assert_eq!(of_class("track"), sample.report.steps.len());
    let history = named(&nodes, "tbody").into_iter().last().unwrap();
    assert!(history.text.starts_with("2026-04-21 03:30 this drill"), "{}", history.text);
    assert!(history.text.contains("2025-11-04") && !history.text.contains("2025-10-28"));
    let first = parsed(&render(&sample.report, &[]));
    assert_eq!(named(&first, "svg").iter().filter(|n| n.attribute("role").is_some()).count(), 1);
}

#[test]
fn bars_end_where_their_values_are() {
    let mut report = passed();
    report.seconds = 100.0;
    report.steps = vec![DrillStep {
        begins: 25.0,
        seconds: 50.0,
        verdict: DrillVerdict::Pass,
        ..DrillStep::default()
    }];
    let mut before = passed();
    before.goals.rto_seconds = Some(30.0);
    report.goals.rto_seconds = Some(60.0);
    report.goals.rto_goal_seconds = None;
    let nodes = parsed(&render(&report, &[before]));
    let bar = nodes.iter().find(|n| n.attribute("class") == Some("bar pass")).unwrap();
    assert_eq!((bar.attribute("x"), bar.attribute("width")), (Some("25.00%"), Some("50.00%")));
    let columns = nodes.iter().filter(|n| n.attribute("class") == Some("column"));
    let heights: Vec<f64> =
        columns.take(2).map(|n| n.attribute("height").unwrap().parse().unwrap()).collect();
    assert_eq!(heights, [70.0, 140.0]);
}

#[test]
fn findings_come_first_and_have_a_word_and_a_shape() {
    let sample = samples().into_iter().find(|s| s.name == "findings").unwrap();
    let nodes = parsed(&render(&sample.report, &sample.before));
    assert!(sample.report.checks.len() >= 200);
    let rows: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.name == "td" && n.attribute("class") == Some("verdict finding"))
        .collect();
    assert!(rows[0].text.contains("finding"));
    assert!(
        nodes
            .iter()
            .any(|n| n.attribute("class") == Some("icon finding")
                && n.path.contains(&"td".to_owned()))
    );
    let words: Vec<&str> = nodes
        .iter()
        .filter(|n| n.attribute("class").is_some_and(|c| c.starts_with("verdict ")))
        .map(|n| n.text.as_str())
        .take(sample.report.checks.len())
        .collect();
    let order = ["finding", "failed", "note", "skipped", "pass"];
    let place = |word: &&str| order.iter().position(|o| o == word).unwrap();
    assert!(words.iter().map(place).is_sorted(), "{words:?}");
    for text in HOSTILE {
        let shown = visible(text);
        assert_eq!(
            nodes.iter().filter(|n| n.name == "td" && n.text == shown).count(),
            2,
            "{shown}"
        );
    }
}

#[test]
fn of_many_schemas_those_are_shown_that_changed_most() {
    let sample = samples().into_iter().find(|s| s.name == "tenants").unwrap();
    let nodes = parsed(&render(&sample.report, &sample.before));
    let caption =
        named(&nodes, "caption").into_iter().find(|n| n.attribute("id") == Some("rows")).unwrap();
    assert_eq!(caption.text, "The 50 schemas that changed most, of 490; report.json has all");
}

/// A report with the same text wherever there is any.
fn report_of(text: &str) -> DrillReport {
    let mut report = passed();
    let t = || text.to_owned();
    (report.drill, report.toolkit, report.host) = (t(), t(), t());
    (report.bundle.name, report.bundle.path, report.bundle.domain) = (t(), t(), t());
    (report.bundle.version, report.bundle.seal) = (t(), Some(t()));
    if let Some(server) = &mut report.server {
        (server.version, server.source) = (t(), t());
    }
    for step in &mut report.steps {
        (step.step, step.detail) = (t(), Some(t()));
    }
    report.steps[2].verdict = DrillVerdict::Failed;
    report.checks = vec![check(text, text, DrillVerdict::Finding, text, text)];
    report.rows = [(t(), 7)].into();
    report.previous = Some(PreviousDrill { drill: t(), sha256: t() });
    report
}

fn skeleton(text: &str) -> Vec<Node> {
    let report = report_of(text);
    let mut nodes = parsed(&render(&report, std::slice::from_ref(&report)));
    nodes.iter_mut().for_each(|node| node.text.clear());
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_changes_the_elements_of_a_page(text in any::<String>(), markup in "[<>&'\"/=!a-z -]{0,40}") {
        let plain = skeleton("x");
        for text in [text, markup].iter().filter(|text| !text.is_empty()) {
            prop_assert!(skeleton(text) == plain, "{text:?}");
        }
    }

    #[test]
    fn no_number_breaks_a_page(numbers in prop::collection::vec(any::<f64>(), 6), bytes in any::<u64>()) {
        let mut report = passed();
        report.seconds = numbers[0];
        (report.steps[1].begins, report.steps[1].seconds) = (numbers[1], numbers[2]);
        report.goals.rto_seconds = Some(numbers[3]);
        report.goals.rto_goal_seconds = Some(numbers[4]);
        report.goals.rpo_seconds = Some(numbers[5]);
        report.bundle.database_bytes = Some(bytes);
        report.rows = [("a".to_owned(), bytes), ("b".to_owned(), bytes)].into();
        let page = render(&report, &[passed(), report.clone()]);
        for node in parsed(&page) {
            for (key, value) in &node.attributes {
                prop_assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
                prop_assert!(key != "width" && key != "height" || !value.starts_with('-'), "{key}={value}");
            }
        }
    }
}
