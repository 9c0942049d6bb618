//! Names of bundles: what is called `piprio_YYYYMMDDTHHMMSSZ` is a finished bundle.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use std::ffi::OsStr;

const PREFIX: &str = "piprio_";
const SHAPE: &str = "dddddddd_dddddd_";

/// The name of a finished bundle, which tells the moment it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleName {
    name: String,
    taken: DateTime<Utc>,
}

impl BundleName {
    /// Reads a finished bundle's name; `None` for anything else, a time that no calendar has included.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let stamp = name.strip_prefix(PREFIX)?;
        let digits = |(c, shape): (char, char)| c.is_ascii_digit() || shape == '_';
        if stamp.len() != SHAPE.len() || !stamp.chars().zip(SHAPE.chars()).all(digits) {
            return None;
        }
        let taken = NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").ok()?.and_utc();
        // A leap second, which chrono reads and no clock of ours writes, has its surplus there.
        (taken.timestamp_subsec_nanos() == 0).then(|| Self { name: name.to_owned(), taken })
    }

    /// Reads the name of a bundle still being made: `.NAME.partial`.
    #[must_use]
    pub fn parse_partial(name: &OsStr) -> Option<Self> {
        let inner = name.to_str()?.strip_prefix('.')?.strip_suffix(".partial")?;
        Self::parse(OsStr::new(inner))
    }

    /// The finished name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// When it was taken, UTC, to the second.
    #[must_use]
    pub fn taken(&self) -> DateTime<Utc> {
        self.taken
    }

    /// [`BundleName::taken`] as RFC 3339.
    #[must_use]
    pub fn timestamp(&self) -> String {
        self.taken.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(name: &str) -> Option<String> {
        BundleName::parse(OsStr::new(name)).map(|n| n.timestamp())
    }

    #[test]
    fn a_finished_name_tells_its_moment() {
        assert_eq!(parse("piprio_20260421T020000Z").as_deref(), Some("2026-04-21T02:00:00Z"));
        assert_eq!(parse("piprio_20240229T235959Z").as_deref(), Some("2024-02-29T23:59:59Z"));
    }

    #[test]
    fn nothing_else_is_a_finished_name() {
        for name in [
            "",
            "piprio_",
            "piprio_20260421T020000",
            "piprio_20260421t020000z",
            "piprio_20260421T020000Z/",
            "piprio_20260421T020000Z.partial",
            ".piprio_20260421T020000Z.partial",
            "xpiprio_20260421T020000Z",
            "piprio_20260421T020000Z\n",
            "piprio_20260229T020000Z",
            "piprio_20261301T020000Z",
            "piprio_20260421T240000Z",
            "piprio_20260421T006000Z",
            "piprio_20260421T000060Z",
            "piprio_+2260421T020000Z",
            "piprio_２0260421T020000Z",
            "piprio_20260421_020000_",
        ] {
            assert_eq!(parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_partial_is_told_by_its_dot_and_suffix() {
        let partial = |n: &str| BundleName::parse_partial(OsStr::new(n));
        let name = partial(".piprio_20260421T020000Z.partial").unwrap();
        assert_eq!(name.as_str(), "piprio_20260421T020000Z");
        assert_eq!(partial("piprio_20260421T020000Z.partial"), None);
        assert_eq!(partial(".piprio_20260421T020000Z"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_what_is_read_comes_back(name in "(piprio_)?[0-9TZ]{0,16}.{0,2}") {
            if let Some(read) = BundleName::parse(OsStr::new(&name)) {
                prop_assert_eq!(read.as_str(), name);
            }
        }
    }
}
