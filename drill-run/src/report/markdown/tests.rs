//! The report as a Markdown reader sees it.

use super::*;
use crate::report::samples::{HOSTILE, check, passed, samples};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The cells of all tables, row by row. Fails on anything but headings, paragraphs and tables of plain text.
fn cells(markdown: &str) -> Result<Vec<Vec<String>>, String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_cell = false;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => {
                rows.last_mut().unwrap().push(String::new());
                is_cell = true;
            }
            Event::End(TagEnd::TableCell) => is_cell = false,
            Event::Text(text) if is_cell => *rows.last_mut().unwrap().last_mut().unwrap() += &text,
            Event::Text(_) | Event::End(_) => {}
            Event::Start(Tag::Heading { .. } | Tag::Paragraph | Tag::Table(_)) => {}
            other => return Err(format!("{other:?} in {markdown}")),
        }
    }
    Ok(rows)
}

#[test]
fn a_report_has_every_part_that_an_audit_asks_for() {
    let text = render(&passed());
    assert!(text.starts_with(
        "# Restore drill: Passed\n\nWhat was restored from the bundle is as expected.\n"
    ));
    let rows = cells(&text).unwrap();
    let has = |row: &[&str]| assert!(rows.iter().any(|r| r == row), "{row:?} in {text}");
    has(&["Recovery time (RTO)", "4 min 22 s", "30 min", "met"]);
    has(&["Age of the data (RPO)", "90 min 12 s", "24 h", "met"]);
    has(&["load", "pass", "34.1 s", "4 min 22 s", ""]);
    has(&["pass", "compare", "rows of tenant_0001.documents", "15000", "15000"]);
    has(&["Name", "piprio_20260421T020000Z"]);
    has(&["Age at the drill", "90 min"]);
    has(&["Version", "2026.4.1"]);
    has(&["PostgreSQL", "17.4"]);
    has(&["Seal (SHA-256)", "c1a9d27e6b3f4805d2e7f1a8b96c3d40e5f7a1b2c3d4e5f60718293a4b5c6d7e"]);
    has(&["Report before this one", "drill_20260414T033007Z"]);
    has(&[
        "SHA-256 of its report.json",
        "5f0c3b1d9a7e42c88a6f0de9c41b7a35e2d96c07b8f14a3d6e5c9b20a1f7d843",
    ]);
}

/// With `PIPRIO_TEST_PAGES=DIR` every report is also written there.
#[test]
fn hostile_names_are_shown_as_they_are_and_findings_come_first() {
    for sample in samples() {
        let text = render(&sample.report);
        if let Some(dir) = std::env::var_os("PIPRIO_TEST_PAGES") {
            std::fs::write(std::path::Path::new(&dir).join(format!("{}.md", sample.name)), &text)
                .unwrap();
        }
        assert!(!text.contains("\n\n\n"), "{text}");
        let rows = cells(&text).unwrap();
        let checks: Vec<_> = rows.iter().filter(|r| r.len() == 5).skip(1).collect();
        if sample.name == "findings" {
            assert_eq!(checks[0][0], "FINDING");
            for text in HOSTILE {
                let shown = visible(text);
                let is_shown = |row: &&Vec<String>| row[2..].iter().all(|cell| *cell == shown);
                assert_eq!(checks.iter().copied().filter(is_shown).count(), 1, "{shown}");
            }
        }
        assert_eq!(text.contains("None was started."), sample.report.server.is_none());
    }
}

#[test]
fn names_are_easy_to_read_and_addresses_are_no_links() {
    for (plain, written) in [
        ("tenant_0001.documents", "tenant_0001.documents"),
        ("__a__ _b", "\\_\\_a\\_\\_ \\_b"),
        (
            "https://example.com www.example.com WWW.x",
            "https\\://example.com www\\.example.com WWW\\.x",
        ),
        ("a|b <i> &amp; \\|", "a\\|b &lt;i&gt; &amp;amp; \\\\\\|"),
        ("a\nb", "a\\\\nb"),
    ] {
        assert_eq!(escaped(plain), written);
    }
}

proptest! {
    #[test]
    fn no_text_becomes_markup(text in any::<String>(), marks in "[-\\[\\]()`*_~|#<>&;:!$\\\\/a1 .+=\"']{0,30}") {
        for text in [text, marks] {
            let mut report = passed();
            report.checks = vec![check(&text, &text, DrillVerdict::Finding, &text, &text)];
            report.steps[0].detail = Some(text.clone());
            report.bundle.path = text.clone();
            let rows = cells(&render(&report)).map_err(TestCaseError::fail)?;
            let shown = visible(&text).trim_matches(' ').to_owned();
            let finding = rows.iter().find(|row| row[0] == "FINDING").unwrap();
            prop_assert_eq!(&finding[1..], vec![shown.clone(); 4]);
            let path = rows.iter().find(|row| row[0] == "Path").unwrap();
            prop_assert_eq!(&path[1], if text.is_empty() { "unknown" } else { &shown });
        }
    }
}
