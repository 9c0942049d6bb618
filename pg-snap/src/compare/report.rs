//! The report of a comparison, as data and as text.

use bundle_format::report::CompareReport;
pub use bundle_format::report::{
    CompareDifference as Difference, CompareFinding as Finding, ComparedKind as ObjectKind,
    Comparison,
};
use std::fmt::Write;

/// A line for each finding, then a summary.
pub fn to_text(report: &CompareReport) -> String {
    let mut text = String::new();
    for finding in &report.comparison.findings {
        let _ = writeln!(text, "{}", line(finding));
    }
    let c = &report.comparison;
    let verdict = match c.findings.len() {
        0 => "Same".to_owned(),
        1 => "Differs: 1 finding".to_owned(),
        n => format!("Differs: {n} findings"),
    };
    let _ = write!(
        text,
        "{verdict}; compared {} schemas, {} tables with {} rows, {} sequences, {} constraints, {} indexes, \
         {} materialized views, {} large objects",
        c.schemas,
        c.tables,
        c.rows,
        c.sequences,
        c.constraints,
        c.indexes,
        c.materialized_views,
        c.large_objects
    );
    if !c.not_compared.is_empty() {
        let _ = write!(text, "; the dump has no rows of {} tables", c.not_compared.len());
    }
    text.push('\n');
    text
}

fn line(finding: &Finding) -> String {
    let subject = finding.subject();
    match finding.difference {
        Difference::Missing => format!("{subject}: missing"),
        Difference::Extra => format!("{subject}: not in the dump"),
        Difference::Rows { expected, found } if finding.object == ObjectKind::LargeObjects => {
            format!("{subject}: {found}, {expected} in the dump")
        }
        Difference::Rows { expected, found } => {
            format!("{subject}: {found} rows, {expected} in the dump")
        }
        Difference::Behind { expected, found } => {
            format!("{subject}: behind, its next value is {found}, {expected} in the dump")
        }
        Difference::NotValid => format!("{subject}: not valid"),
        Difference::NotEnforced => format!("{subject}: not enforced"),
        Difference::NotReady => format!("{subject}: not ready, its build did not finish"),
        Difference::NotFilled => format!("{subject}: not populated (REFRESH MATERIALIZED VIEW)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(object: ObjectKind, table: Option<&str>, difference: Difference) -> Finding {
        let table = table.map(str::to_owned);
        Finding { object, schema: "s".into(), name: "x\ny".into(), table, difference }
    }

    #[test]
    fn a_finding_is_a_line_and_a_json_object() {
        let rows = Difference::Rows { expected: 2, found: 1 };
        for (finding, text, json) in [
            (
                finding(ObjectKind::Table, None, rows),
                "table s.x\\ny: 1 rows, 2 in the dump",
                r#"{"object":"table","schema":"s","name":"x\ny","finding":"rows","expected":2,"found":1}"#,
            ),
            (
                finding(ObjectKind::Constraint, Some("t"), Difference::NotValid),
                "constraint x\\ny of s.t: not valid",
                r#"{"object":"constraint","schema":"s","name":"x\ny","table":"t","finding":"not-valid"}"#,
            ),
            (
                finding(ObjectKind::Index, Some("t"), Difference::Missing),
                "index s.x\\ny: missing",
                r#"{"object":"index","schema":"s","name":"x\ny","table":"t","finding":"missing"}"#,
            ),
            (
                finding(ObjectKind::Sequence, None, Difference::Behind { expected: -3, found: -2 }),
                "sequence s.x\\ny: behind, its next value is -2, -3 in the dump",
                r#"{"object":"sequence","schema":"s","name":"x\ny","finding":"behind","expected":-3,"found":-2}"#,
            ),
            (
                finding(ObjectKind::Schema, None, Difference::Extra),
                "schema s: not in the dump",
                r#"{"object":"schema","schema":"s","name":"x\ny","finding":"extra"}"#,
            ),
        ] {
            assert_eq!(line(&finding), text);
            assert_eq!(serde_json::to_string(&finding).unwrap(), json);
        }
    }

    #[test]
    fn the_last_line_is_the_verdict() {
        let mut report = CompareReport {
            same: true,
            database: "d".into(),
            server_version: "16.2".into(),
            dump_version: None,
            comparison: Comparison { tables: 3, rows: 9, ..Comparison::default() },
        };
        assert!(to_text(&report).starts_with("Same; compared 0 schemas, 3 tables with 9 rows, "));
        report.comparison.findings.push(finding(ObjectKind::View, None, Difference::Missing));
        report.comparison.not_compared.push(("s".into(), "t".into()));
        let text = to_text(&report);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("Differs: 1 finding; ") && last.ends_with("no rows of 1 tables"));
    }
}
