//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

mod sandbox;

use crate::access;
use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::archive::{self, Archive};
use crate::entry::Kind;
use crate::extra;
use crate::mask;
use crate::plan::{self, Action};
use crate::rel_path::RelPath;
use crate::select::Selection;
use crate::unified::unified;

/// What no diff may show.
const SECRET: &str = "hunter2canary";

/// If an archive is read, every path, link and content is inside, and the plan of extracting it over
/// a deployment with links in it writes nowhere else.
pub fn archive(bytes: &[u8]) {
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
    nobody_gets_more(&archive);
}

/// Where a list cannot be set, the mode in its place lets nobody do more; and in another group's hands
/// nobody has more than before.
fn nobody_gets_more(archive: &Archive) {
    let accounts = Accounts::of_lines("root:x:0:\n", "root:x:0:\n");
    for entry in archive.entries.values() {
        let decided = access::of_new(entry, &accounts, entry.gid.wrapping_add(1), None).acl;
        assert!(decided.group_rights() & !decided.least() == 0, "{decided:?}");
        let closest = Acl::of_mode(decided.closest_mode());
        assert!(
            closest.group & !decided.group_rights() == 0 && closest.other & !decided.other == 0
        );
        assert!(entry.extra.attributes.keys().all(|name| extra::is_kept(name)));
    }
}

fn nothing_outside_is_written(archive: &Archive) {
    let Ok(selection) = Selection::new(&[], &[]) else { return };
    let accounts = Accounts::of_lines("root:x:0:\nweb:x:33:\n", "root:x:0:\nweb:x:33:\n");
    sandbox::with(|sandbox| {
        let mut disk = sandbox.disk();
        let chosen = selection.choose(&archive.entries);
        let Ok(steps) = plan::plan(archive, chosen, &mut disk, &accounts) else { return };
        for step in steps.iter().filter(|step| step.action != Action::Leave) {
            assert!(sandbox.allows(&disk, &step.chosen.path), "{} is outside", step.chosen.path);
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
