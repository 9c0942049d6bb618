//! The promises of this crate's readers of outside bytes, for any bytes. Each function panics where
//! one is broken.

use crate::dotenv::{self, ParseError, Parsed};
use std::collections::BTreeMap;

/// A file reads the same with CRLF for line ends, its names hold no `=` or white space, and any
/// value, written in single quotes, reads back as it is.
pub fn env_file(bytes: &[u8]) {
    let read = parse(bytes);
    if !bytes.contains(&b'\r') {
        let crlf: Vec<u8> = bytes.iter().flat_map(ends_of_line).copied().collect();
        same_but_for_ends_of_line(parse(&crlf), read.clone());
    }
    let Ok(read) = read else { return };
    for (name, value) in &read.values {
        assert!(!name.is_empty() && !name.contains(['=', ':']), "{name:?}");
        assert!(!name.contains(char::is_whitespace) && !value.contains('\0'), "{name:?}");
    }
    let plain = |value: &&String| !value.contains(['\'', '\\']);
    for (name, value) in read.values.iter().filter(|(_, value)| plain(value)) {
        let again = parse(format!("{name}='{value}'\n").as_bytes());
        assert_eq!(again.map(|read| read.values.get(name).cloned()), Ok(Some(value.clone())));
    }
}

fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let environment = [("OUT", "outside"), ("EMPTY", ""), ("BOTH", "outside")];
    let environment: BTreeMap<_, _> =
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    dotenv::parse(bytes, &environment)
}

fn ends_of_line(byte: &u8) -> &[u8] {
    if *byte == b'\n' { b"\r\n" } else { std::slice::from_ref(byte) }
}

/// Lines inside quotes keep their ends, which count towards the longest value, and an escape writes
/// a carriage return too.
fn same_but_for_ends_of_line(a: Result<Parsed, ParseError>, b: Result<Parsed, ParseError>) {
    let lines = |read: Parsed| {
        let values = read.values.into_iter();
        let values: BTreeMap<_, _> =
            values.map(|(name, value)| (name, value.replace('\r', ""))).collect();
        (values, read.unset)
    };
    match (a, b) {
        (Err(error), _) | (_, Err(error)) if error.what.ends_with("too long") => {}
        (a, b) => assert_eq!(
            a.map(lines).map_err(|error| error.line),
            b.map(lines).map_err(|error| error.line)
        ),
    }
}
