//! Names of files that this toolkit makes in a deployment.

use pipe_kit::atomic::PREFIX;

/// Whether a name is that of a copy that `extract` kept: `NAME.before-YYYYMMDDTHHMMSSZ`.
pub fn is_kept_copy(name: &[u8]) -> bool {
    const MARK: &[u8] = b".before-";
    const STAMP: &[u8] = b"ddddddddTddddddZ";
    let Some(at) = name.len().checked_sub(MARK.len() + STAMP.len()) else { return false };
    let (mark, stamp) = name[at..].split_at(MARK.len());
    at > 0
        && mark == MARK
        && stamp
            .iter()
            .zip(STAMP)
            .all(|(c, p)| if *p == b'd' { c.is_ascii_digit() } else { c == p })
}

/// Whether a name is that of a file being written, left behind by a killed process.
pub fn is_leftover(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pattern_is_a_kept_copy() {
        for name in [".env.before-20260421T020000Z", "x.before-00000000T000000Z"] {
            assert!(is_kept_copy(name.as_bytes()), "{name}");
        }
        for name in [
            ".before-20260421T020000Z",
            ".env.before-20260421T020000Z.bak",
            ".env.before-2026-04-21",
            ".env.before-20260421t020000z",
            ".env.before-2026042aT020000Z",
            ".env.before",
            "xbefore-20260421T020000Z",
        ] {
            assert!(!is_kept_copy(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_leftover_is_known_by_its_prefix() {
        assert!(is_leftover(b".pipe-kit-Ab12"));
        assert!(!is_leftover(b"pipe-kit"));
    }
}
