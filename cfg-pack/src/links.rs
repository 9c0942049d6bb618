//! Where a link leads, from its text alone.

use crate::rel_path::RelPath;

/// Where a link that stays inside leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Inside {
    /// The root itself.
    Root,
    /// A path below the root.
    At(RelPath),
}

/// Where the link `path` with the text `target` leads, if it stays below the root. `..` is taken
/// only at the start of the target, where the directories that it leaves are real ones: after a
/// name that may itself be a link, `..` may lead anywhere. None for anything else.
pub fn resolve(path: &RelPath, target: &[u8]) -> Option<Inside> {
    if target.is_empty() || target[0] == b'/' || target.contains(&0) || target.len() > 4095 {
        return None;
    }
    let steps = climbs(target);
    let mut above: Vec<&[u8]> = path.parts().collect();
    let kept = (above.len() - 1).checked_sub(steps)?;
    above.truncate(kept);
    let down = parts(target).skip(steps);
    above.extend(down);
    if above.is_empty() {
        return Some(Inside::Root);
    }
    // A `..` that is left stands after a name, and fails here.
    RelPath::parse(&above.join(&b'/')).ok().map(Inside::At)
}

/// Whether a link that stays below the root leads out of the first directory of its own path: where
/// that directory is a link to another disk, `..` leads to that disk's directory.
pub fn leaves_its_top(path: &RelPath, target: &[u8]) -> bool {
    climbs(target) + 1 >= path.depth() && climbs(target) > 0
}

fn parts(target: &[u8]) -> impl Iterator<Item = &[u8]> {
    target.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

fn climbs(target: &[u8]) -> usize {
    parts(target).take_while(|part| *part == b"..").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_link_inside_leads_to_a_path() {
        for (link, target, to) in [
            ("certs/live/x.pem", "../archive/x1.pem", "certs/archive/x1.pem"),
            ("certs/a", "b", "certs/b"),
            ("certs/a", "./b//c/", "certs/b/c"),
            ("certs/a", "../.env", ".env"),
            ("a", "b", "b"),
        ] {
            let inside = resolve(&path(link), target.as_bytes());
            assert_eq!(inside, Some(Inside::At(path(to))), "{link} -> {target}");
        }
        assert_eq!(resolve(&path("secrets/up"), b".."), Some(Inside::Root));
        assert_eq!(resolve(&path("secrets"), b"."), Some(Inside::Root));
    }

    #[test]
    fn a_link_that_leaves_or_could_leave_leads_nowhere() {
        for (link, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../x"),
            ("certs/a", "../../x"),
            ("certs/a", "d/../../x"),
            ("certs/a", "b/.."),
            ("certs/a", "../x/../y"),
            ("certs/a", ""),
            ("certs/a", "b\0"),
        ] {
            assert_eq!(resolve(&path(link), target.as_bytes()), None, "{link} -> {target}");
        }
    }

    #[test]
    fn knows_a_link_that_leaves_its_first_directory() {
        assert!(leaves_its_top(&path("certs/a"), b"../.env"));
        assert!(leaves_its_top(&path("certs/live/a"), b"../../x"));
        assert!(!leaves_its_top(&path("certs/live/a"), b"../x"));
        assert!(!leaves_its_top(&path("certs/a"), b"b"));
        assert!(!leaves_its_top(&path("a"), b"b"));
    }
}
