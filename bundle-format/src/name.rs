//! Names of bundles: a directory named `piprio_YYYYMMDDTHHMMSSZ` is a finished bundle, and what belongs to it
//! lies beside it as `.NAME.KIND`.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use std::ffi::OsStr;

/// How the names of bundles begin.
pub const PREFIX: &str = "piprio_";
const SHAPE: &str = "dddddddd_dddddd_";

/// The moment that the name of a drill's report holds: `drill_YYYYMMDDTHHMMSSZ`. `None` for anything else.
#[must_use]
pub fn drill_time(name: &OsStr) -> Option<DateTime<Utc>> {
    let stamp = name.to_str()?.strip_prefix("drill_")?;
    BundleName::parse(OsStr::new(&format!("{PREFIX}{stamp}"))).map(|name| name.taken())
}

/// What lies beside a finished bundle, or in its place, as `.NAME.KIND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The directory of a bundle that is being made.
    Partial,
    /// The directory of a bundle that is being removed.
    Removing,
    /// The mark of a bundle that a full check found damaged.
    Damaged,
    /// The mark of a bundle that holds far less than the one before it.
    Shrunk,
}

impl Beside {
    fn suffix(self) -> &'static str {
        match self {
            Self::Partial => ".partial",
            Self::Removing => ".removing",
            Self::Damaged => ".damaged",
            Self::Shrunk => ".shrunk",
        }
    }
}

/// The name of a finished bundle, which holds the moment at which the bundle was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleName {
    name: String,
    taken: DateTime<Utc>,
}

impl BundleName {
    /// Reads a finished bundle's name; `None` for anything else, including a time that is in no calendar.
    #[must_use]
    pub fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let stamp = name.strip_prefix(PREFIX)?;
        let digits = |(c, shape): (char, char)| c.is_ascii_digit() || shape == '_';
        if stamp.len() != SHAPE.len() || !stamp.chars().zip(SHAPE.chars()).all(digits) {
            return None;
        }
        let taken = NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").ok()?.and_utc();
        // chrono reads a leap second, which no clock of ours writes, and keeps it in the nanoseconds.
        (taken.timestamp_subsec_nanos() == 0).then(|| Self { name: name.to_owned(), taken })
    }

    /// Reads the name of what lies beside a finished bundle: `.NAME.KIND`.
    #[must_use]
    pub fn parse_beside(name: &OsStr, kind: Beside) -> Option<Self> {
        let inner = name.to_str()?.strip_prefix('.')?.strip_suffix(kind.suffix())?;
        Self::parse(OsStr::new(inner))
    }

    /// Reads the name of a bundle that is still being made: `.NAME.partial`.
    #[must_use]
    pub fn parse_partial(name: &OsStr) -> Option<Self> {
        Self::parse_beside(name, Beside::Partial)
    }

    /// The name of what lies beside the bundle: `.NAME.KIND`.
    #[must_use]
    pub fn beside(&self, kind: Beside) -> String {
        format!(".{}{}", self.name, kind.suffix())
    }

    /// The finished name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The moment at which the bundle was taken, UTC, to the second.
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
    fn a_finished_name_holds_its_moment() {
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
    fn a_drills_report_is_known_by_its_name() {
        let time = |name: &str| drill_time(OsStr::new(name)).map(|time| time.to_rfc3339());
        assert_eq!(time("drill_20260421T020000Z").as_deref(), Some("2026-04-21T02:00:00+00:00"));
        for name in [
            "drill_20260421T020000Z.new",
            "drill_",
            ".drill_20260421T020000Z",
            "piprio_20260421T020000Z",
        ] {
            assert_eq!(time(name), None, "{name}");
        }
    }

    #[test]
    fn a_partial_is_known_by_its_dot_and_suffix() {
        let partial = |n: &str| BundleName::parse_partial(OsStr::new(n));
        let name = partial(".piprio_20260421T020000Z.partial").unwrap();
        assert_eq!(name.as_str(), "piprio_20260421T020000Z");
        assert_eq!(partial("piprio_20260421T020000Z.partial"), None);
        assert_eq!(partial(".piprio_20260421T020000Z"), None);
    }

    #[test]
    fn what_lies_beside_a_bundle_is_known_by_its_kind() {
        use Beside::{Damaged, Partial, Removing, Shrunk};
        let name = BundleName::parse(OsStr::new("piprio_20260421T020000Z")).unwrap();
        assert_eq!(name.beside(Shrunk), ".piprio_20260421T020000Z.shrunk");
        for kind in [Partial, Removing, Damaged, Shrunk] {
            let beside = name.beside(kind);
            for other in [Partial, Removing, Damaged, Shrunk] {
                let read = BundleName::parse_beside(OsStr::new(&beside), other);
                assert_eq!(read.is_some(), kind == other, "{beside} {other:?}");
            }
        }
        for other in [
            "piprio_20260421T020000Z.removing",
            ".piprio_20260230T020000Z.removing",
            ".piprio_20240229T235960Z.removing",
            ".other.removing",
            "..removing",
        ] {
            assert_eq!(BundleName::parse_beside(OsStr::new(other), Removing), None, "{other}");
        }
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
