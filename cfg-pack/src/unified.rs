//! A unified diff whose secret values are hidden, but not that they differ.

use crate::mask::{self, Line};
use crate::rel_path::{RelPath, escape};
use similar::udiff::UnifiedHunkHeader;
use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How many equal lines surround a change.
const CONTEXT: usize = 3;

/// The diff from `here` to `bundle`, two versions of the file `path`. Lines are compared as they
/// are and shown as they may be.
pub fn unified(path: &RelPath, here: &str, bundle: &str, reveal: bool) -> String {
    let (old_raw, new_raw) = (split(here), split(bundle));
    let (old, new) = (shown(here, reveal), shown(bundle, reveal));
    let diff = TextDiff::from_slices(&old_raw, &new_raw);
    let groups = diff.grouped_ops(CONTEXT);
    let differs = masked_on_both_sides(&groups, &old, &new);
    let mut text = format!("--- {path} (now)\n+++ {path} (bundle)\n");
    for group in &groups {
        let _ = writeln!(text, "{}", UnifiedHunkHeader::new(group));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, line, raw) = match (change.tag(), change.old_index(), change.new_index()) {
                (ChangeTag::Insert, _, Some(at)) => ('+', &new[at], new_raw[at]),
                (ChangeTag::Delete, Some(at), _) => ('-', &old[at], old_raw[at]),
                (_, Some(at), _) => (' ', &old[at], old_raw[at]),
                _ => continue,
            };
            let known = sign != ' ' && differs.contains(line.text.as_str());
            let note = if known { " (differs)" } else { "" };
            let _ = writeln!(text, "{sign}{}{note}", escape(&line.text));
            if !raw.ends_with('\n') {
                text.push_str("\\ No newline at end of file\n");
            }
        }
    }
    text
}

/// Lines that look the same removed and added, because what differs is hidden.
fn masked_on_both_sides<'a>(
    groups: &[Vec<DiffOp>],
    old: &'a [Line],
    new: &'a [Line],
) -> BTreeSet<&'a str> {
    let changed = || groups.iter().flatten().filter(|op| op.tag() != DiffTag::Equal);
    let masked = |line: &&Line| line.masked;
    let gone = changed().flat_map(|op| &old[op.old_range()]).filter(masked);
    let gone: BTreeSet<&str> = gone.map(|line| line.text.as_str()).collect();
    let come = changed().flat_map(|op| &new[op.new_range()]).filter(masked);
    come.map(|line| line.text.as_str()).filter(|text| gone.contains(text)).collect()
}

fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The lines as they may be shown.
fn shown(text: &str, reveal: bool) -> Vec<Line> {
    if !reveal {
        return mask::mask(text);
    }
    let plain = |line: &str| Line { text: line.to_owned(), masked: false };
    text.split_terminator('\n').map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(here: &str, bundle: &str, reveal: bool) -> String {
        unified(&RelPath::parse(b".env").unwrap(), here, bundle, reveal)
    }

    #[test]
    fn shows_what_changes_and_only_that_secrets_do() {
        let here = "A_HOST=1\nPOSTGRES_PASSWORD=old\nB_PORT=2\n";
        let bundle = "A_HOST=1\nPOSTGRES_PASSWORD=new\nB_PORT=3\nAPI_TOKEN=x\n";
        assert_eq!(
            diff(here, bundle, false),
            "--- .env (now)\n+++ .env (bundle)\n@@ -1,3 +1,4 @@\n A_HOST=1\n\
             -POSTGRES_PASSWORD=*** (differs)\n-B_PORT=2\n\
             +POSTGRES_PASSWORD=*** (differs)\n+B_PORT=3\n+API_TOKEN=***\n"
        );
        assert!(diff(here, bundle, true).contains("-POSTGRES_PASSWORD=old\n"));
    }

    #[test]
    fn a_secret_that_is_the_same_is_not_shown_as_different() {
        let text = diff("TOKEN=a\nPORT=1\n", "TOKEN=a\nPORT=2\n", false);
        assert!(text.contains(" TOKEN=***\n"), "{text}");
    }

    #[test]
    fn a_missing_newline_and_control_characters_are_visible() {
        let text = diff("A_DIR=1", "A_DIR=\x1b[2J\r\nB_DIR=\r2\n", false);
        assert!(text.contains("-A_DIR=1\n\\ No newline at end of file\n"), "{text}");
        assert!(text.contains("+A_DIR=\\u{1b}[2J\\r\n+B_DIR=\\r2\n"), "{text}");
    }
}
