//! Releases of PostgreSQL's server.

use std::cmp::Reverse;
use std::fmt;

/// A release, such as 15.20 or 19devel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// It decides which dumps the server can load.
    pub major: u32,
    minor: u32,
    is_release: bool,
    text: String,
}

impl Version {
    /// From what `postgres --version` prints: `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`. Vendors
    /// put other words before the number.
    pub fn from_banner(banner: &str) -> Option<Self> {
        let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let text = banner.split_whitespace().find(is_number)?;
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let major = digits(text);
        let rest = &text[major.len()..];
        let minor = rest.strip_prefix('.').map(digits).unwrap_or_default();
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().unwrap_or(0),
            is_release: !minor.is_empty(),
            text: pipe_kit::text::one_line(text),
        })
    }

    /// Orders those that can serve: the nearest major first, a release before what was not released, then the
    /// newest minor.
    pub fn distance(&self) -> impl Ord + use<> {
        (!self.is_release, self.major, Reverse(self.minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_whatever_words_are_around_it() {
        for (banner, major, text) in [
            ("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n", 15, "15.20"),
            ("postgres (EnterpriseDB) 16.4.1", 16, "16.4.1"),
            ("postgres (PostgreSQL) 18beta2", 18, "18beta2"),
            ("postgres (PostgreSQL) 19devel", 19, "19devel"),
            ("postgres (PostgreSQL) 9.6.24", 9, "9.6.24"),
        ] {
            let version = Version::from_banner(banner).unwrap();
            assert_eq!((version.major, version.to_string().as_str()), (major, text));
        }
        for banner in ["", "postgres", "postgres (PostgreSQL) x15.2", "99999999999.1"] {
            assert_eq!(Version::from_banner(banner), None, "{banner}");
        }
    }

    #[test]
    fn the_nearest_major_and_its_newest_minor_come_first_and_what_was_not_released_last() {
        let mut versions = ["18beta2", "17.1", "16.2", "16.11", "19devel", "18.0"]
            .map(|v| Version::from_banner(&format!("postgres (PostgreSQL) {v}")).unwrap());
        versions.sort_by_key(Version::distance);
        let sorted = versions.map(|v| v.to_string());
        assert_eq!(sorted, ["16.11", "16.2", "17.1", "18.0", "18beta2", "19devel"]);
    }
}
