//! Which deployment a bundle belongs to, by the domain in its manifest.

/// What a manifest and a listing hold where a value is not known.
pub const UNKNOWN: &str = "unknown";

/// The domain, where it names a deployment.
#[must_use]
pub fn known(domain: Option<&str>) -> Option<&str> {
    domain.filter(|domain| !domain.is_empty() && *domain != UNKNOWN)
}

/// Whether two domains name two deployments. An unknown domain differs from none.
#[must_use]
pub fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    match (known(one), known(other)) {
        (Some(one), Some(other)) => !one.eq_ignore_ascii_case(other),
        _ => false,
    }
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
