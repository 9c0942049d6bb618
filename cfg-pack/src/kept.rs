//! The names under which what is replaced is kept.

use chrono::{DateTime, TimeDelta, Utc};

/// How many bytes such a name is longer than the name it keeps.
pub const LONGER_BY: usize = ".before-YYYYMMDDTHHMMSSZ".len();
/// How many names are tried before giving up.
const TRIES: i64 = 1000;

/// Names to keep `name` under, the best first: that of this second, then of the next ones, for a
/// run that follows another within the same second.
pub fn candidates(name: &[u8], now: DateTime<Utc>) -> impl Iterator<Item = Vec<u8>> {
    let name = name.to_vec();
    (0..TRIES).map(move |more| {
        let stamp = (now + TimeDelta::seconds(more)).format("%Y%m%dT%H%M%SZ").to_string();
        [&name, b".before-".as_slice(), stamp.as_bytes()].concat()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::is_kept_copy;

    #[test]
    fn every_candidate_is_another_name_that_is_never_archived() {
        let now = DateTime::from_timestamp(1_776_736_799, 0).unwrap();
        let names: Vec<_> = candidates(b".env", now).take(2).collect();
        assert_eq!(names[0], b".env.before-20260421T015959Z");
        assert_eq!(names[1], b".env.before-20260421T020000Z");
        assert!(names.iter().all(|name| is_kept_copy(name)));
        assert_eq!(names[0].len(), b".env".len() + LONGER_BY);
    }
}
