//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

mod ground;

use crate::archive::{self, Archive, Kind};
use crate::mask;
use crate::plan::{self, Action};
use crate::rel_path::RelPath;
use crate::select::Selection;
use crate::unified::unified;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// What no diff may show.
const SECRET: &str = "hunter2canary";
const BLOCK: usize = 512;

/// A tar, its headers' checksums made right so that it is not always refused for those: if it is
/// read, every path, link and content is inside, and the plan of extracting it over a deployment
/// with links in it writes nowhere else.
pub fn tar(bytes: &[u8]) {
    let mut tar = bytes.to_vec();
    tar.resize(bytes.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    make_checksums_right(&mut tar);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    if gzip.write_all(&tar).is_err() {
        return;
    }
    zipped(&gzip.finish().unwrap_or_default());
}

/// The same for a compressed archive.
pub fn zipped(bytes: &[u8]) {
    let Ok(archive) = archive::read(bytes) else { return };
    for (path, entry) in &archive.entries {
        assert_eq!(RelPath::parse(path.bytes()).as_ref(), Ok(path));
        match &entry.kind {
            Kind::Dir => {}
            Kind::File { offset, size } => {
                let mut content = archive.content(*offset, *size);
                assert_eq!(std::io::copy(&mut content, &mut std::io::sink()).ok(), Some(*size));
            }
            Kind::Link(target) => assert!(stays(path, target), "{path} -> {target:?}"),
        }
        for above in path.ancestors() {
            let kind = archive.entries.get(&above).map(|entry| &entry.kind);
            assert!(matches!(kind, None | Some(Kind::Dir)), "{path} lies in {kind:?}");
        }
    }
    nothing_outside_is_written(&archive);
}

fn nothing_outside_is_written(archive: &Archive) {
    let Ok(selection) = Selection::new(&[], &[]) else { return };
    ground::with(|ground| {
        let mut disk = ground.disk();
        let chosen = selection.choose(&archive.entries);
        let Ok(steps) = plan::plan(archive, chosen, &mut disk) else { return };
        for step in steps.iter().filter(|step| step.action != Action::Leave) {
            assert!(ground.allows(&disk, &step.chosen.path), "{} is outside", step.chosen.path);
        }
    });
}

/// Whether a link's text, taken step by step from where it lies, never climbs above the root.
fn stays(path: &RelPath, target: &[u8]) -> bool {
    let mut depth = path.depth() - 1;
    !target.starts_with(b"/")
        && target.split(|byte| *byte == b'/').all(|part| match part {
            b"" | b"." => true,
            b".." => match depth.checked_sub(1) {
                Some(above) => {
                    depth = above;
                    true
                }
                None => false,
            },
            _ => {
                depth += 1;
                true
            }
        })
}

/// Goes from header to header as far as their sizes lead.
fn make_checksums_right(tar: &mut [u8]) {
    let mut at = 0_usize;
    while let Some(block) = tar.get_mut(at..at.saturating_add(BLOCK)) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        if block.iter().any(|byte| *byte != 0) {
            block.copy_from_slice(header.as_bytes());
        }
        let size = usize::try_from(header.entry_size().unwrap_or(0)).unwrap_or(usize::MAX);
        let content = size.checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX);
        at = at.saturating_add(BLOCK).saturating_add(content);
    }
}

/// Whatever lines come before it, and whatever begins and never ends, a secret is not shown; nor in
/// a diff.
pub fn redacted(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_terminator('\n').count();
    assert_eq!(mask::mask(&text).len(), lines);
    let inside = text.replace(['"', '\\'], "");
    let texts = [
        format!("{text}\nDB_PASSWORD={SECRET}\n{text}"),
        format!("{text}\nexport API_TOKEN: '{SECRET}'\n{text}"),
        format!("A_SECRET=\"{inside}\n{SECRET}\n{inside}\""),
        format!("A_KEY=\"{inside}{SECRET}"),
        format!("-----BEGIN X-----\n{}\n{SECRET}", text.replace("-----END", "")),
    ];
    let Ok(path) = RelPath::parse(b".env") else { return };
    for secret in &texts {
        let shown = mask::mask(secret);
        assert!(shown.iter().all(|line| !line.text.contains(SECRET)), "{secret:?}");
    }
    let [here, bundle, ..] = &texts;
    for (here, bundle) in [(here, bundle), (bundle, here)] {
        assert!(!unified(&path, here, bundle, false).contains(SECRET), "{here:?} {bundle:?}");
    }
}
