//! The marks beside bundles that hold far less than those before them, which are made and removed by `bundle-manifest`.

use bundle_format::BundleName;
use bundle_format::domain::differ;
use bundle_format::layout::MANIFEST;
use bundle_format::manifest::Parsed;
use bundle_format::name::Beside;
use serde::Deserialize;
use std::path::Path;

/// What is needed of a mark.
#[derive(Deserialize)]
struct Mark {
    domain: Option<String>,
}

/// Whether the alarm is on for a bundle in this root: it, or an older one of the deployment with this domain, has the
/// mark. A bundle that holds as little as the one before it has none of its own. What cannot be read counts.
pub fn is_alarm_on(root: &Path, bundle: &BundleName, domain: Option<&str>) -> bool {
    let is_marked = |name: &BundleName| {
        let mark = root.join(name.beside(Beside::Shrunk));
        mark.symlink_metadata().is_ok()
            && (name == bundle || !differ(domain_of(root, name).as_deref(), domain))
    };
    let Ok(entries) = std::fs::read_dir(root) else { return true };
    let mut names = entries.map(|entry| entry.map(|entry| BundleName::parse(&entry.file_name())));
    names.any(|name| match name {
        Ok(name) => name.is_some_and(|name| name.taken() <= bundle.taken() && is_marked(&name)),
        Err(_) => true,
    })
}

/// The deployment of a marked bundle, by the mark, else by the bundle's manifest.
fn domain_of(root: &Path, name: &BundleName) -> Option<String> {
    let path = root.join(name.beside(Beside::Shrunk));
    // Reading a named pipe in its place would block.
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    let mark = if is_file { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
    let of_manifest = || {
        let manifest = std::fs::read(root.join(name.as_str()).join(MANIFEST)).unwrap_or_default();
        Parsed::read(&String::from_utf8_lossy(&manifest)).domain
    };
    serde_json::from_slice(&mark).map_or_else(|_| of_manifest(), |mark: Mark| mark.domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn the_alarm_is_on_from_the_bundle_with_the_mark_on_and_for_its_deployment_alone() {
        let root = tempfile::tempdir().unwrap();
        let names = [20, 21, 22].map(|day| {
            let name =
                BundleName::parse(OsStr::new(&format!("piprio_202604{day}T020000Z"))).unwrap();
            std::fs::create_dir(root.path().join(name.as_str())).unwrap();
            name
        });
        let on = |domain| names.each_ref().map(|name| is_alarm_on(root.path(), name, domain));
        assert_eq!(on(Some("a.org")), [false; 3]);
        let mark = root.path().join(names[1].beside(Beside::Shrunk));
        std::fs::write(&mark, r#"{"before":"b","domain":"a.org","summary":"s","lost":[]}"#)
            .unwrap();
        assert_eq!(on(Some("A.org")), [false, true, true]);
        assert_eq!(on(None), [false, true, true]);
        assert_eq!(on(Some("b.org")), [false, true, false]);
        // By the manifest; without one, it may be of any deployment.
        std::fs::write(&mark, "{").unwrap();
        assert_eq!(on(Some("b.org")), [false, true, true]);
        let manifest = root.path().join(names[1].as_str()).join(MANIFEST);
        std::fs::write(manifest, "Domain: a.org\n").unwrap();
        assert_eq!(on(Some("b.org")), [false, true, false]);
        assert_eq!(on(Some("a.org")), [false, true, true]);
        assert!(is_alarm_on(&root.path().join("none"), &names[0], None));
    }
}
