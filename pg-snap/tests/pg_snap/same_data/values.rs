//! Random values of every type that a column can have, as the text that the type reads.

use super::texts::{json, text, xml};
use super::times::{date, interval, offset, plain_timestamp, time, timestamp};
use fastrand::Rng;
use std::fmt::Write;

/// A type, the major that brought it, and how a value is made.
pub struct Type {
    pub name: &'static str,
    pub since: u32,
    pub value: fn(&mut Rng, u32) -> String,
    /// That it has no binary form, or that its arrays hold the oid of a type that each database numbers
    /// for itself.
    pub by_text: ByText,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ByText {
    Never,
    Arrays,
    Always,
}

const fn of(name: &'static str, value: fn(&mut Rng, u32) -> String) -> Type {
    Type { name, since: 0, value, by_text: ByText::Never }
}

const fn since(since: u32, name: &'static str, value: fn(&mut Rng, u32) -> String) -> Type {
    Type { name, since, value, by_text: ByText::Never }
}

const fn own(name: &'static str, value: fn(&mut Rng, u32) -> String) -> Type {
    Type { name, since: 0, value, by_text: ByText::Arrays }
}

/// Types whose input is refused, or that only statistics and indexes hold.
pub const WITHOUT_INPUT: [&str; 7] = [
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "gtsvector",
];

/// Makes the types of the database's own.
pub const OWN_TYPES: &str = r#"
    create schema own;
    create type own.mood as enum ('sad', E'it''s "odd"', 'a,b', '{}', 'NULL', E'\\', '');
    create domain own.short as varchar(20) check (length(value) < 20);
    create domain own.cash as money;
    create type own.pair as (x float8, "y y" text, at timestamptz, m money, i interval);
    create type own.span as range (subtype = float8)"#;

pub const TYPES: &[Type] = &[
    of("bool", |r, _| r.bool().to_string()),
    of("int2", |r, _| pick_or(r, &["-32768", "32767", "0"], |r| r.i16(..).to_string())),
    of("int4", |r, _| pick_or(r, &["-2147483648", "2147483647"], |r| r.i32(..).to_string())),
    of("int8", |r, _| big(r)),
    of("oid", |r, _| pick_or(r, &["0", "4294967295"], |r| r.u32(..).to_string())),
    of("float4", |r, _| pick_or(r, FLOATS, |r| float(f64::from(f32::from_bits(r.u32(..)))))),
    of("float8", |r, _| float8(r)),
    of("numeric", numeric),
    of("numeric(20,5)", |r, _| format!("{}.{:05}", r.i32(..), r.u32(..100_000))),
    of("money", |r, _| money(r)),
    of("date", |r, _| date(r)),
    of("time", |r, _| time(r)),
    of("timetz", |r, _| format!("{}{}", time(r), offset(r))),
    of("timestamp", |r, _| timestamp(r, "")),
    of("timestamptz", |r, _| {
        let offset = offset(r);
        timestamp(r, &offset)
    }),
    of("interval", interval),
    of("interval year to month", |r, _| format!("{} years {} mons", r.i16(..), r.i8(..))),
    of("bytea", |r, _| {
        (0..r.usize(..40)).fold("\\x".into(), |t, _| format!("{t}{:02x}", r.u8(..)))
    }),
    of("text", |r, _| text(r, 60)),
    of("varchar", |r, _| text(r, 60)),
    of("varchar(15)", |r, _| text(r, 15)),
    of("bpchar", |r, _| format!("{}   ", text(r, 10))),
    of("char(12)", |r, _| text(r, 12)),
    of("name", |r, _| text(r, 15)),
    of("\"char\"", |r, major| match r.u8(..) {
        c @ 1..128 => char::from(c).to_string(),
        c if major >= 16 => format!("\\{:03o}", c.max(128)),
        _ => String::new(),
    }),
    of("bit(13)", |r, _| bits(r, 13)),
    of("varbit", |r, _| {
        let length = r.usize(..70);
        bits(r, length)
    }),
    of("json", |r, _| json(r, 3, true)),
    of("jsonb", |r, _| json(r, 3, false)),
    of("jsonpath", |r, _| {
        pick(r, &["$", "strict $.\"a b\"[*] ? (@ > 1.5e3)", "$.**{2 to last}.size()"])
    }),
    of("xml", |r, _| xml(r)),
    of("inet", |r, _| inet(r)),
    of("cidr", |r, _| {
        pick(r, &["10.1.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "1.2.3.4/32"])
    }),
    of("macaddr", |r, _| mac(r, 6)),
    of("macaddr8", |r, _| mac(r, 8)),
    of("point", |r, _| point(r)),
    of("lseg", |r, _| format!("[{},{}]", point(r), point(r))),
    of("box", |r, _| format!("{},{}", point(r), point(r))),
    of("path", |r, _| {
        let (open, close) = if r.bool() { ("(", ")") } else { ("[", "]") };
        format!("{open}{}{close}", points(r))
    }),
    of("polygon", |r, _| format!("({})", points(r))),
    of("line", |r, _| format!("{{{},1,{}}}", finite(r), finite(r))),
    of("circle", |r, _| format!("<{},{}>", point(r), r.u16(..))),
    of("int4range", |r, _| range(r, |r| r.i16(..).to_string())),
    of("int8range", |r, _| range(r, |r| r.i64(-(1 << 60)..1 << 60).to_string())),
    of("numrange", |r, _| range(r, |r| format!("{}.{}", r.i32(..), r.u16(..)))),
    of("daterange", |r, _| {
        range(r, |r| format!("{:04}-{:02}-{:02}", r.u16(1..9999), r.u8(1..13), r.u8(1..29)))
    }),
    of("tsrange", |r, _| range(r, plain_timestamp)),
    of("tstzrange", |r, _| range(r, |r| format!("{}{}", plain_timestamp(r), offset(r)))),
    since(14, "int4multirange", |r, _| multirange(r, |r| r.i16(..).to_string())),
    since(14, "int8multirange", |r, _| multirange(r, |r| r.i32(..).to_string())),
    since(14, "nummultirange", |r, _| multirange(r, |r| format!("{}.{}", r.i16(..), r.u16(..)))),
    since(14, "datemultirange", |r, _| {
        multirange(r, |r| format!("{:04}-01-{:02}", r.u16(1..9999), r.u8(1..29)))
    }),
    since(14, "tsmultirange", |r, _| multirange(r, plain_timestamp)),
    since(14, "tstzmultirange", |r, _| {
        multirange(r, |r| format!("{}{}", plain_timestamp(r), offset(r)))
    }),
    of("tsvector", |r, _| {
        pick(r, &["", "'it''s':1A,3 b:2B,16383", "a b c 'x\\\\y'", "'ä ö':5C '\\\\'''"])
    }),
    of("tsquery", |r, _| {
        pick(r, &["", "a & !b | c:*A", "'it''s' <-> x <5> 'y z'", "!!(a | 'ö':B)"])
    }),
    of("uuid", |r, _| format!("{:032x}", r.u128(..))),
    of("pg_lsn", |r, _| format!("{:X}/{:X}", r.u32(..), r.u32(..))),
    of("txid_snapshot", |r, _| snapshot(r)),
    of("pg_snapshot", |r, _| snapshot(r)),
    of("xid", |r, _| r.u32(..).to_string()),
    of("xid8", |r, _| r.u64(..).to_string()),
    of("cid", |r, _| r.u32(..).to_string()),
    of("tid", |r, _| format!("({},{})", r.u32(..), r.u16(..))),
    of("int2vector", |r, _| format!("{} {}", r.i16(..), r.i16(..))),
    of("oidvector", |r, _| format!("{} {} 0", r.u32(..), r.u32(..))),
    of("refcursor", |r, _| text(r, 20)),
    Type {
        name: "aclitem",
        since: 0,
        value: |r, _| pick(r, &["piprio=r*w/piprio", "=X/piprio"]),
        by_text: ByText::Always,
    },
    of("regclass", |r, _| pick(r, &["pg_class", "information_schema.tables", "-", "4000000000"])),
    of("regproc", |r, _| pick(r, &["now", "pg_catalog.pg_sleep", "-", "4000000000"])),
    of("regprocedure", |r, _| pick(r, &["sum(integer)", "lower(text)", "-", "4000000000"])),
    of("regoper", |r, _| pick(r, &["0", "||/", "4000000000"])),
    of("regoperator", |r, _| {
        pick(r, &["+(integer,integer)", "!!(none,tsquery)", "0", "4000000000"])
    }),
    of("regtype", |r, _| {
        pick(r, &["int4", "timestamp with time zone", "\"char\"", "text[]", "-", "4000000000"])
    }),
    of("regrole", |r, _| pick(r, &["piprio", "pg_monitor", "-", "4000000000"])),
    of("regnamespace", |r, _| pick(r, &["pg_catalog", "information_schema", "-", "4000000000"])),
    of("regconfig", |r, _| pick(r, &["english", "simple", "-", "4000000000"])),
    of("regdictionary", |r, _| pick(r, &["simple", "english_stem", "-", "4000000000"])),
    of("regcollation", |r, _| pick(r, &["\"C\"", "\"POSIX\"", "-", "4000000000"])),
    own("own.mood", |r, _| pick(r, &["sad", "it's \"odd\"", "a,b", "{}", "NULL", "\\", ""])),
    own("own.short", |r, _| text(r, 15)),
    own("own.cash", |r, _| money(r)),
    own("own.pair", |r, major| {
        let quoted =
            |text: String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""));
        let (x, y, at) = (finite(r), text(r, 9), timestamp(r, "+05:30"));
        let (m, i) = (money(r), interval(r, major));
        format!("({x},{},{},{},{})", quoted(y), quoted(at), quoted(m), quoted(i))
    }),
    own("own.span", |r, _| range(r, finite)),
];

const FLOATS: &[&str] =
    &["NaN", "Infinity", "-Infinity", "-0", "1e-37", "3.4028235e38", "0.1", "1e15"];

pub fn pick(r: &mut Rng, from: &[&str]) -> String {
    from[r.usize(..from.len())].to_owned()
}

fn pick_or(r: &mut Rng, from: &[&str], or: fn(&mut Rng) -> String) -> String {
    if r.u8(..3) == 0 { pick(r, from) } else { or(r) }
}

fn big(r: &mut Rng) -> String {
    pick_or(r, &["-9223372036854775808", "9223372036854775807"], |r| r.i64(..).to_string())
}

fn float(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        value => format!("{value:e}"),
    }
}

fn float8(r: &mut Rng) -> String {
    let odd =
        ["NaN", "Infinity", "-0", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308"];
    pick_or(r, &odd, |r| float(f64::from_bits(r.u64(..))))
}

fn finite(r: &mut Rng) -> String {
    let value = f64::from_bits(r.u64(..) & !(1 << 62));
    float(if value.is_finite() { value } else { 0.5 })
}

pub fn digits(r: &mut Rng, most: usize) -> String {
    (0..r.usize(1..most)).map(|_| r.digit(10)).collect()
}

fn numeric(r: &mut Rng, major: u32) -> String {
    match r.u8(..8) {
        0 => "NaN".into(),
        1 if major >= 14 => "Infinity".into(),
        2 if major >= 14 => "-Infinity".into(),
        3 => format!("-0.{}1", "0".repeat(r.usize(..300))),
        4 => format!("{}.{}", digits(r, 400), digits(r, 300)),
        5 => format!("-{}e{}", digits(r, 9), r.i16(-200..200)),
        _ => format!("{}.{}", r.i64(..), digits(r, 20)),
    }
}

/// As the locale C writes it.
fn money(r: &mut Rng) -> String {
    match r.u8(..5) {
        0 => pick(r, &["-92233720368547758.08", "92233720368547758.07", "0.00", "-0.01", "0.10"]),
        1 => format!("{}.{:02}", r.i16(..), r.u8(..100)),
        _ => {
            let value = r.i64(..) / 100;
            format!("{value}.{:02}", r.u8(..8))
        }
    }
}

fn bits(r: &mut Rng, length: usize) -> String {
    (0..length).map(|_| if r.bool() { '1' } else { '0' }).collect()
}

fn inet(r: &mut Rng) -> String {
    match r.bool() {
        true => format!("{}.{}.{}.{}/{}", r.u8(..), r.u8(..), r.u8(..), r.u8(..), r.u8(..33)),
        false => format!("{:x}::{:x}/{}", r.u16(..), r.u16(..), r.u8(..129)),
    }
}

fn mac(r: &mut Rng, bytes: usize) -> String {
    let bytes: Vec<String> = (0..bytes).map(|_| format!("{:02x}", r.u8(..))).collect();
    bytes.join(":")
}

fn point(r: &mut Rng) -> String {
    format!("({},{})", float8(r), float8(r))
}

fn points(r: &mut Rng) -> String {
    let points: Vec<String> = (0..r.u8(1..5)).map(|_| point(r)).collect();
    points.join(",")
}

/// The lower bound is not above the upper one: it is the same, or there is but one.
fn range(r: &mut Rng, bound: fn(&mut Rng) -> String) -> String {
    let value = bound(r);
    match r.u8(..6) {
        0 => "empty".into(),
        1 => format!("[\"{value}\",)"),
        2 => format!("(,\"{value}\"]"),
        3 => format!("(\"{value}\",)"),
        4 => "(,)".into(),
        _ => format!("[\"{value}\",\"{value}\"]"),
    }
}

fn multirange(r: &mut Rng, bound: fn(&mut Rng) -> String) -> String {
    let mut text = String::from("{");
    for n in 0..r.u8(..4) {
        let _ = write!(text, "{}{}", if n > 0 { "," } else { "" }, range(r, bound));
    }
    text + "}"
}

fn snapshot(r: &mut Rng) -> String {
    let (low, high) = (r.u32(1..1 << 30), r.u32((1 << 30)..u32::MAX));
    format!("{low}:{high}:{}", low + 7)
}
