//! Random dates, times and intervals.

use super::values::pick;
use fastrand::Rng;

pub fn date(r: &mut Rng) -> String {
    match r.u8(..6) {
        0 => pick(r, &["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "0001-01-01"]),
        1 => format!("{:04}-{:02}-{:02} BC", r.u16(1..4700), r.u8(1..13), r.u8(1..29)),
        _ => format!("{:04}-{:02}-{:02}", r.u16(1..9999), r.u8(1..13), r.u8(1..29)),
    }
}

pub fn time(r: &mut Rng) -> String {
    match r.u8(..5) {
        0 => pick(r, &["24:00:00", "00:00:00", "23:59:59.999999", "00:00:00.000001"]),
        _ => format!(
            "{:02}:{:02}:{:02}.{:06}",
            r.u8(..24),
            r.u8(..60),
            r.u8(..60),
            r.u32(..1_000_000)
        ),
    }
}

pub fn offset(r: &mut Rng) -> String {
    match r.u8(..4) {
        0 => pick(r, &["+00", "-15:59:59", "+15:59:59", "+05:41:16", "-00:01"]),
        _ => format!("{}{:02}:{:02}", if r.bool() { '+' } else { '-' }, r.u8(..15), r.u8(..60)),
    }
}

pub fn plain_timestamp(r: &mut Rng) -> String {
    format!("{:04}-{:02}-{:02} {}", r.u16(2..9990), r.u8(1..13), r.u8(1..29), time(r))
}

pub fn timestamp(r: &mut Rng, offset: &str) -> String {
    match r.u8(..8) {
        0 => pick(r, &["infinity", "-infinity"]),
        1 => format!("4713-01-02 00:00:00{offset} BC"),
        2 => format!("294276-12-30 23:59:59.999999{offset}"),
        3 => format!(
            "{:04}-{:02}-{:02} {}{offset} BC",
            r.u16(1..4700),
            r.u8(1..13),
            r.u8(1..29),
            time(r)
        ),
        // When clocks went by the sun.
        4 => format!(
            "{:04}-{:02}-{:02} {}{offset}",
            r.u16(1800..1920),
            r.u8(1..13),
            r.u8(1..29),
            time(r)
        ),
        _ => format!("{}{offset}", plain_timestamp(r)),
    }
}

pub fn interval(r: &mut Rng, major: u32) -> String {
    match r.u8(..6) {
        0 if major >= 17 => pick(r, &["infinity", "-infinity"]),
        1 => pick(
            r,
            &["-178000000 years", "178000000 years", "0", "-1 mons +1 days -00:00:00.000001"],
        ),
        2 => format!("{} hours", r.i32(..)),
        _ => format!(
            "{} years {} mons {} days {}.{:06} secs",
            r.i16(..),
            r.i8(..),
            r.i16(..),
            r.i32(..),
            r.u32(..1_000_000)
        ),
    }
}
