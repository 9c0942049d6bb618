//! Which deployment a bundle is of, by the `Domain` of its manifest.

use crate::manifest::{self, Parsed};
use std::path::Path;

/// The domain that a bundle's manifest names, as far as it can be read.
#[must_use]
pub fn of(bundle: &Path) -> Option<String> {
    let path = bundle.join(manifest::FILE);
    // A pipe in its place would be waited for.
    let is_file = path.symlink_metadata().ok()?.is_file();
    let text = if is_file { std::fs::read(&path).ok()? } else { return None };
    Parsed::read(&String::from_utf8_lossy(&text)).domain.filter(|domain| is_known(domain))
}

/// Whether a bundle of the one domain is another deployment's than one of the other; what is of no
/// known domain may be anybody's.
#[must_use]
pub fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    let known = |domain: Option<&str>| domain.filter(|domain| is_known(domain)).map(str::to_owned);
    match (known(one), known(other)) {
        (Some(one), Some(other)) => !one.eq_ignore_ascii_case(&other),
        _ => false,
    }
}

fn is_known(domain: &str) -> bool {
    !domain.is_empty() && domain != "unknown"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_differ_by_known_domains_alone() {
        let table = [
            (Some("a.org"), Some("a.org"), false),
            (Some("a.org"), Some("A.ORG"), false),
            (Some("a.org"), Some("b.org"), true),
            (Some("a.org"), Some("unknown"), false),
            (Some("a.org"), None, false),
            (None, None, false),
        ];
        for (one, other, expected) in table {
            assert_eq!(differ(one, other), expected, "{one:?} {other:?}");
        }
    }
}
