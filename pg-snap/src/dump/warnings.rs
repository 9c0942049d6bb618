//! What can cause trouble when the dump is loaded: found in the catalog while it can still be repaired,
//! and written to the head of the dump for those who load it.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Each returns lines for [`Warnings::add_line`]: ten of a kind, with the number of that kind.
const QUERIES: [&str; 3] = [
    include_str!("warnings/catalog.sql"),
    include_str!("warnings/left_out.sql"),
    include_str!("warnings/search_path.sql"),
];

/// The prefix of the SQLSTATE with which a query ended.
const STATE: &str = "state ";
const NO_ERROR: &str = "00000";

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    lines: BTreeMap<String, WarningGroup>,
    failed: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct WarningGroup {
    lines: Vec<String>,
    /// The number of warnings, including those without a line.
    all: usize,
}

/// The script. No answer of the server makes it fail.
pub fn script() -> String {
    QUERIES.map(isolated).concat()
}

/// Runs the query in a transaction of its own, of bounded time, which changes nothing and leaves no setting.
/// Planning takes longer than running: compiling the plans would take longer still. A query may create others (\gexec):
/// one that fails ends none of them.
pub fn isolated(sql: &str) -> String {
    format!(
        "\\set ON_ERROR_STOP 0\n\\set LAST_ERROR_SQLSTATE {NO_ERROR}\nBEGIN READ ONLY;\nSET LOCAL search_path = pg_catalog, pg_temp;\n\
         SET LOCAL standard_conforming_strings = on;\nSET LOCAL quote_all_identifiers = off;\n\
         SET LOCAL jit = off;\nSET LOCAL lock_timeout = '1s';\nSET LOCAL statement_timeout = '10s';\n\
         \\set ON_ERROR_ROLLBACK on\n{sql}\\echo {STATE}:LAST_ERROR_SQLSTATE\nROLLBACK;\n\\set ON_ERROR_ROLLBACK off\n\\set ON_ERROR_STOP 1\n"
    )
}

impl Warnings {
    /// Adds a line of the answer.
    pub fn add_line(&mut self, line: &str) -> Result<()> {
        if let Some(state) = line.strip_prefix(STATE) {
            self.failed.extend((state != NO_ERROR).then(|| state.to_owned()));
            return Ok(());
        }
        let (kind, text, all): (String, String, usize) = serde_json::from_str(line)
            .with_context(|| format!("unexpected line in the list of warnings: {line}"))?;
        let kind = self.lines.entry(kind).or_default();
        kind.lines.push(text.replace(char::is_control, " "));
        kind.all = all;
        Ok(())
    }

    /// A line each.
    pub fn into_lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, kind) in self.lines {
            let more = kind.all.saturating_sub(kind.lines.len());
            lines.extend(kind.lines);
            if more > 0 {
                lines.push(format!("{name}: and {more} more"));
            }
        }
        lines.extend(self.failed.into_iter().map(|state| {
            format!(
                "the check of the catalog for what may cause trouble in a load is incomplete (SQLSTATE {state})"
            )
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_by_kind_and_what_is_not_listed_is_counted() {
        let mut warnings = Warnings::default();
        for line in [
            r#"["unlogged tables", "table b", 12]"#,
            r#"["invalid indexes", "index a", 1]"#,
            r#"["unlogged tables", "table c", 12]"#,
            "state 00000",
            "state 57014",
        ] {
            warnings.add_line(line).unwrap();
        }
        assert!(warnings.add_line("ERROR").is_err());
        let lines = warnings.into_lines();
        assert_eq!(
            lines[..4],
            ["index a", "table b", "table c", "unlogged tables: and 10 more"].map(str::to_owned)
        );
        assert!(lines[4].ends_with("(SQLSTATE 57014)") && lines.len() == 5);
    }
}
