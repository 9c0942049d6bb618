//! `list`: what an archive holds.

use crate::archive;
use crate::cli;
use crate::entry::{Entry, Kind};
use crate::extra::Recorded;
use crate::rel_path::{RelPath, shown};
use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use pipe_kit::{Exit, text};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Runs `list`.
pub fn run(args: &cli::List) -> Result<Exit> {
    let archive = archive::read(pipe_kit::input::open(&args.file)?)?;
    let text = if args.json { json(&archive.entries)? } else { table(&archive.entries) };
    pipe_kit::output::print(&text)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Line {
    path: String,
    /// Its bytes in hexadecimal digits, where it is shown otherwise: it has control characters, or is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_path: Option<String>,
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_acl: Option<String>,
    /// Names of extended attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
    size: u64,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

fn line(path: &RelPath, entry: &Entry) -> Line {
    let (kind, size, target) = match &entry.kind {
        Kind::Dir => ("directory", 0, None),
        Kind::File { size, .. } => ("file", *size, None),
        Kind::Link(target) => ("link", 0, Some(shown(target))),
    };
    let modified =
        DateTime::<Utc>::from_timestamp(entry.mtime.cast_signed(), 0).unwrap_or_default();
    let shown_path = path.to_string();
    let raw_path = (shown_path.as_bytes() != path.bytes()).then(|| text::hex(path.bytes()));
    Line {
        path: shown_path,
        raw_path,
        kind,
        mode: format!("{:04o}", entry.mode),
        uid: entry.uid,
        gid: entry.gid,
        owner: entry.extra.owner.clone(),
        group: entry.extra.group.clone(),
        acl: acl(&entry.extra.acl),
        default_acl: acl(&entry.extra.default_acl),
        attributes: entry.extra.attributes.keys().map(|name| shown(name)).collect(),
        size,
        modified: modified.to_rfc3339_opts(SecondsFormat::Secs, true),
        target,
    }
}

fn acl(recorded: &Recorded) -> Option<String> {
    match recorded {
        Recorded::None => None,
        Recorded::Acl(listed) => Some(listed.text()),
        Recorded::Unreadable => Some("unreadable".to_owned()),
    }
}

fn json(entries: &BTreeMap<RelPath, Entry>) -> Result<String> {
    let lines: Vec<Line> = entries.iter().map(|(path, entry)| line(path, entry)).collect();
    Ok(serde_json::to_string_pretty(&lines).context("writing JSON")? + "\n")
}

fn table(entries: &BTreeMap<RelPath, Entry>) -> String {
    let mut text = String::new();
    for (path, entry) in entries {
        let l = line(path, entry);
        let kind = &l.kind[..1].replace('f', "-");
        let slash = if entry.kind == Kind::Dir { "/" } else { "" };
        let owner = format!(
            "{}:{}",
            l.owner.clone().unwrap_or_else(|| l.uid.to_string()),
            l.group.clone().unwrap_or_else(|| l.gid.to_string())
        );
        // As ls has it: there is a list beside the mode.
        let more = if l.acl.is_some() || l.default_acl.is_some() { "+" } else { " " };
        let _ = write!(
            text,
            "{kind} {}{more}{owner:>11} {:>10} {} {}{slash}",
            l.mode, l.size, l.modified, l.path
        );
        if let Some(target) = &l.target {
            let _ = write!(text, " -> {target}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extra::Extra;

    #[test]
    fn a_line_has_kind_mode_owner_size_time_and_target() {
        let extra = Extra::default();
        let entry = |kind| Entry {
            kind,
            mode: 0o640,
            uid: 1,
            gid: 2,
            mtime: 1_776_736_800,
            extra: extra.clone(),
        };
        let mut named = entry(Kind::Dir);
        named.extra.owner = Some("root".into());
        named.extra.take(b"SCHILY.acl.default", b"user::rwx,group::---,other::---");
        let path = |text: &str| RelPath::parse(text.as_bytes()).unwrap();
        let entries = BTreeMap::from([
            (path(".env"), entry(Kind::File { offset: 0, size: 7 })),
            (path("certs"), entry(Kind::Dir)),
            (path("certs/d"), named),
            (path("certs/l"), entry(Kind::Link(b"x\x1b".to_vec()))),
        ]);
        assert_eq!(
            table(&entries),
            "- 0640         1:2          7 2026-04-21T02:00:00Z .env\n\
             d 0640         1:2          0 2026-04-21T02:00:00Z certs/\n\
             d 0640+     root:2          0 2026-04-21T02:00:00Z certs/d/\n\
             l 0640         1:2          0 2026-04-21T02:00:00Z certs/l -> x\\u{1b}\n"
        );
    }
}
