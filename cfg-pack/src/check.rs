//! What an archive may hold. A pure function of its headers.

use crate::entry::{Entry, Kind, MAX_BYTES};
use crate::headers::Raw;
use crate::links;
use crate::rel_path::{RelPath, shown};
use std::collections::BTreeMap;
use tar::EntryType;

/// How much of a name an error repeats, in bytes.
const LONGEST_SHOWN: usize = 300;

/// The entries by path.
///
/// # Errors
/// What is wrong with the archive, in words.
pub fn check(raw: Vec<Raw>) -> Result<BTreeMap<RelPath, Entry>, String> {
    let mut entries = BTreeMap::new();
    let mut total = 0_u64;
    for raw in raw {
        // The directory that everything lies in, as `tar c .` writes it.
        if raw.kind == EntryType::Directory && matches!(raw.path.as_slice(), b"." | b"./") {
            continue;
        }
        let name = shown(&raw.path[..raw.path.len().min(LONGEST_SHOWN)]);
        let path = RelPath::parse(&raw.path).map_err(|why| format!("the path {name:?} {why}"))?;
        let kind = kind(&raw, &path, &entries).map_err(|why| format!("{name} {why}"))?;
        if let Kind::File { size, .. } = kind {
            total = total.saturating_add(size);
        }
        let entry = Entry {
            kind,
            mode: raw.mode & 0o7777,
            uid: u32::try_from(raw.uid).map_err(|_| format!("{name} has an invalid owner"))?,
            gid: u32::try_from(raw.gid).map_err(|_| format!("{name} has an invalid group"))?,
            // Beyond this, filesystems disagree.
            mtime: raw.mtime.min(u32::MAX.into()),
            extra: raw.extra,
        };
        if entries.insert(path, entry).is_some() {
            return Err(format!("{name} appears twice"));
        }
    }
    if entries.is_empty() {
        return Err("it has no entries".into());
    }
    if total > MAX_BYTES {
        return Err(format!("its files hold more than {} MiB", MAX_BYTES >> 20));
    }
    parents_are_directories(&entries)?;
    Ok(entries)
}

fn kind(raw: &Raw, path: &RelPath, before: &BTreeMap<RelPath, Entry>) -> Result<Kind, String> {
    if raw.sparse {
        return Err("is a sparse file".into());
    }
    if raw.kind != EntryType::Regular && raw.size != 0 {
        return Err("has content but is not a file".into());
    }
    if raw.kind != EntryType::Directory && raw.path.ends_with(b"/") {
        return Err("is named like a directory but is not one".into());
    }
    let target = raw.target.as_deref().unwrap_or_default();
    match raw.kind {
        EntryType::Regular => Ok(Kind::File { offset: raw.offset, size: raw.size }),
        EntryType::Directory => Ok(Kind::Dir),
        EntryType::Symlink if links::resolve(path, target).is_some() => {
            Ok(Kind::Link(target.to_vec()))
        }
        EntryType::Symlink => Err(format!("is a link to {}, outside", shown(target))),
        EntryType::Link => same_file(target, before).ok_or_else(|| {
            format!("is a hard link to {}, which is not an earlier file", shown(target))
        }),
        EntryType::Char | EntryType::Block => Err("is a device".into()),
        EntryType::Fifo => Err("is a fifo".into()),
        other => Err(format!("is of the unknown kind {:?}", char::from(other.as_byte()))),
    }
}

/// A second name for a file of the archive is a second file with that content.
fn same_file(target: &[u8], before: &BTreeMap<RelPath, Entry>) -> Option<Kind> {
    let kind = &before.get(&RelPath::parse(target).ok()?)?.kind;
    matches!(kind, Kind::File { .. }).then(|| kind.clone())
}

fn parents_are_directories(entries: &BTreeMap<RelPath, Entry>) -> Result<(), String> {
    for path in entries.keys() {
        for above in path.ancestors() {
            match entries.get(&above).map(|entry| &entry.kind) {
                None | Some(Kind::Dir) => {}
                Some(Kind::File { .. }) => return Err(format!("{path} is below the file {above}")),
                Some(Kind::Link(_)) => return Err(format!("{path} is below the link {above}")),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extra::Extra;

    fn raw(path: &str, kind: EntryType) -> Raw {
        Raw {
            path: path.as_bytes().to_vec(),
            kind,
            sparse: false,
            resized: false,
            target: None,
            offset: 512,
            size: 0,
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: 1,
            extra: Extra::default(),
        }
    }

    fn link(path: &str, kind: EntryType, target: &str) -> Raw {
        Raw { target: Some(target.as_bytes().to_vec()), ..raw(path, kind) }
    }

    fn why(entries: Vec<Raw>) -> String {
        check(entries).unwrap_err()
    }

    #[test]
    fn what_create_writes_passes() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let entries = check(vec![
            raw("./", Directory),
            raw("./.env", Regular),
            raw("certs/", Directory),
            raw("certs/archive/x1.pem", Regular),
            link("certs/live/x.pem", Symlink, "../archive/x1.pem"),
            link("certs/same.pem", Link, "certs/archive/x1.pem"),
        ])
        .unwrap();
        let names: Vec<String> = entries.keys().map(ToString::to_string).collect();
        let all = [".env", "certs", "certs/archive/x1.pem", "certs/live/x.pem", "certs/same.pem"];
        assert_eq!(names, all);
    }

    #[test]
    fn what_could_reach_outside_or_surprise_is_refused() {
        use EntryType::{
            Block, Char, Continuous, Directory, Fifo, Link, Regular, Symlink, XGlobalHeader,
        };
        let file = || raw("a", Regular);
        let cases: Vec<(Vec<Raw>, &str)> = vec![
            (vec![raw("/etc/passwd", Regular)], "is absolute"),
            (vec![raw("a/../../b", Regular)], "climbs"),
            (vec![raw("", Regular)], "is empty"),
            (vec![raw(".", Regular)], "is empty"),
            (vec![file(), file()], "twice"),
            (vec![file(), raw("./a", Regular)], "twice"),
            (vec![raw("d/", Directory), raw("d", Directory)], "twice"),
            (vec![raw("a/", Regular)], "named like a directory"),
            (vec![file(), raw("a/b", Regular)], "is below the file a"),
            (vec![raw("a/b", Regular), file()], "is below the file a"),
            (vec![link("l", Symlink, "d"), raw("l/x", Regular)], "is below the link l"),
            (vec![raw("l/x", Regular), link("l", Symlink, "d")], "is below the link l"),
            (vec![link("l", Symlink, "/etc")], "link to /etc, outside"),
            (vec![link("d/l", Symlink, "../../etc")], "outside"),
            (vec![link("d/l", Symlink, "x/../../../etc")], "outside"),
            (vec![raw("l", Symlink)], "outside"),
            (vec![link("h", Link, "/etc/passwd")], "hard link"),
            (vec![link("h", Link, "../x")], "hard link"),
            (vec![link("h", Link, "later"), raw("later", Regular)], "hard link"),
            (vec![link("l", Symlink, "a"), link("h", Link, "l")], "hard link"),
            (vec![raw("c", Char)], "device"),
            (vec![raw("b", Block)], "device"),
            (vec![raw("f", Fifo)], "fifo"),
            (vec![raw("f", Continuous)], "unknown kind"),
            (vec![raw("g", XGlobalHeader)], "unknown kind"),
            (vec![Raw { size: 1, ..raw("d", Directory) }], "has content"),
            (vec![Raw { sparse: true, ..file() }], "sparse"),
            (vec![Raw { size: MAX_BYTES + 1, ..file() }], "more than"),
            (vec![Raw { uid: 1 << 40, ..file() }], "owner"),
            (vec![], "no entries"),
        ];
        for (entries, expected) in cases {
            let names: Vec<String> = entries.iter().map(|e| shown(&e.path)).collect();
            let error = why(entries);
            assert!(error.contains(expected), "{names:?}: {error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn second_names_cannot_multiply_a_file_without_bound() {
        let big = Raw { size: MAX_BYTES / 2, ..raw("big", EntryType::Regular) };
        let more = (0..3).map(|n| link(&format!("h{n}"), EntryType::Link, "big"));
        assert!(why(std::iter::once(big).chain(more).collect()).contains("more than"));
    }
}
