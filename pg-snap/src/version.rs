//! Versions of PostgreSQL's servers and clients.

use std::fmt;

/// A release, such as 15.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// It decides about the compatibility of dumps.
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// From `server_version_num`, such as 150018.
    pub fn from_number(number: u32) -> Self {
        Self { major: number / 10_000, minor: number % 10_000 }
    }

    /// From what a client's `--version` prints: `psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    /// A beta (`18beta1`) counts as minor 0.
    pub fn from_banner(banner: &str) -> Option<Self> {
        let number = banner.split_once(") ")?.1.split_whitespace().next()?;
        let digits = |s: &str| s.chars().take_while(char::is_ascii_digit).collect::<String>();
        let major = digits(number).parse().ok()?;
        let minor = number.split_once('.').and_then(|(_, m)| digits(m).parse().ok()).unwrap_or(0);
        Some(Self { major, minor })
    }

    /// Whether psql of this version has `\restrict`, which shuts off every other meta-command.
    pub fn knows_restrict(self) -> bool {
        match self.major {
            13 => self.minor >= 22,
            14 => self.minor >= 19,
            15 => self.minor >= 14,
            16 => self.minor >= 10,
            17 => self.minor >= 6,
            major => major >= 18,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_what_clients_and_servers_print() {
        let v = |major, minor| Version { major, minor };
        for (banner, expected) in [
            ("psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(v(15, 18))),
            ("pg_dump (PostgreSQL) 16.2", Some(v(16, 2))),
            ("pg_dump (PostgreSQL) 18beta1", Some(v(18, 0))),
            ("something else", None),
        ] {
            assert_eq!(Version::from_banner(banner), expected, "{banner}");
        }
        assert_eq!(Version::from_number(150_018), v(15, 18));
        assert!(v(15, 14).knows_restrict() && v(18, 0).knows_restrict());
        assert!(!v(15, 13).knows_restrict() && !v(12, 99).knows_restrict());
    }
}
