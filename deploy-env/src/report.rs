//! The settings as a report, without secrets.

use crate::layers::Source;
use crate::resolve::{Resolved, Row};
use crate::settings::mask_urls;
use anyhow::Result;
use bundle_format::report::ShownSetting;

fn shown(row: &Row) -> Option<String> {
    row.value.as_deref().map(|v| if row.secret { "***".to_owned() } else { mask_urls(v) })
}

fn line(row: &Row) -> ShownSetting<Source> {
    ShownSetting {
        setting: row.key.to_owned(),
        value: shown(row),
        source: row.source,
        reason: row.reason.clone(),
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Environment => "environment",
        Source::File => ".env",
        Source::Default => "default",
        Source::Detected => "detected",
        Source::Unset => "not set",
    }
}

/// A table for people, a line each.
pub fn text(resolved: &Resolved) -> String {
    let cells: Vec<(&Row, String)> =
        resolved.rows.iter().map(|row| (row, shown(row).unwrap_or_else(|| "-".into()))).collect();
    let width = |of: &dyn Fn(&(&Row, String)) -> usize| cells.iter().map(of).max().unwrap_or(0);
    let (keys, values) = (width(&|c| c.0.key.len()), width(&|c| c.1.chars().count().min(48)));
    let mut text = String::new();
    for (row, value) in &cells {
        let reason = row.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
        let value = value.replace('\n', "\\n");
        text += &format!("{:keys$}  {value:values$}  {}{reason}\n", row.key, source(row.source));
    }
    text
}

/// JSON: a list of objects with `setting`, `value`, `source` and `reason`.
pub fn json(resolved: &Resolved) -> Result<String> {
    let lines: Vec<ShownSetting<Source>> = resolved.rows.iter().map(line).collect();
    Ok(serde_json::to_string_pretty(&lines)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_passwords_in_urls_are_masked_in_both_forms() {
        let row = |key, value: &str, secret| Row {
            key,
            value: Some(value.into()),
            secret,
            source: Source::File,
            reason: None,
        };
        let resolved = Resolved {
            rows: vec![
                row("POSTGRES_PASSWORD", "hunter2", true),
                row("REDIS_URL", "redis://:hunter2@h", false),
            ],
            exports: vec![("PGPASSWORD", "hunter2".into())],
            given: Vec::new(),
        };
        for report in [text(&resolved), json(&resolved).unwrap()] {
            assert!(!report.contains("hunter2"), "{report}");
            assert!(report.contains(".env") && report.contains("***"));
        }
    }
}
