//! The schema that is wanted, in the forms in which a dump has its name.

use super::heading;
use anyhow::Result;
use pipe_kit::Stop;

const UTF8: &str = "UTF8";
const LATIN1: &str = "LATIN1";
/// Text in these is bytes of any encoding. An index has a character for each byte.
const BYTEWISE: [&str; 2] = ["SQL_ASCII", "MULE_INTERNAL"];

/// A schema's name. In a dump that is not in UTF-8, a name that is read from a statement has a character for
/// each byte, so that no two names look the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSchema {
    name: String,
    in_heading: String,
    in_index: String,
    /// Of the dump's text.
    encoding: String,
}

impl WantedSchema {
    /// In a dump in UTF-8.
    pub fn of_utf8(name: &str) -> Self {
        let encoding = UTF8.to_owned();
        let (in_heading, in_index) = (heading::shown(name), name.to_owned());
        Self { name: name.to_owned(), in_heading, in_index, encoding }
    }

    /// In a dump whose text is in this encoding; `convert` converts the name to any other one than LATIN1.
    pub fn new(
        name: &str,
        encoding: Option<&str>,
        convert: impl FnOnce(&str) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let Some(encoding) = encoding.filter(|encoding| *encoding != UTF8) else {
            return Ok(Self::of_utf8(name));
        };
        let is_bytewise = BYTEWISE.contains(&encoding);
        let latin1: Option<Vec<u8>> = name.chars().map(|c| u8::try_from(c).ok()).collect();
        let bytes = match latin1.filter(|_| encoding == LATIN1) {
            Some(bytes) => bytes,
            None if is_bytewise || name.is_ascii() => name.as_bytes().to_vec(),
            None => convert(encoding)?,
        };
        let exact: String = bytes.iter().copied().map(char::from).collect();
        Ok(Self {
            in_heading: heading::shown(&String::from_utf8_lossy(&bytes)),
            in_index: if is_bytewise { exact.clone() } else { name.to_owned() },
            name: exact,
            encoding: encoding.to_owned(),
        })
    }

    /// Text of the dump whose names can be compared with this one.
    pub fn decode(&self, text: &[u8]) -> String {
        match self.encoding.as_str() {
            UTF8 => String::from_utf8_lossy(text).into_owned(),
            _ => text.iter().copied().map(char::from).collect(),
        }
    }

    /// As statements have it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a name in a statement is this one.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub fn in_heading(&self) -> &str {
        &self.in_heading
    }

    pub fn in_index(&self) -> &str {
        &self.in_index
    }

    /// A name in a statement as headings have it.
    pub fn shown(&self, name: &str) -> String {
        match self.encoding.as_str() {
            UTF8 => heading::shown(name),
            _ => heading::shown(&String::from_utf8_lossy(&bytes(name))),
        }
    }

    /// A name in a statement, for people.
    pub fn readable(&self, name: &str) -> String {
        let text = match self.encoding.as_str() {
            UTF8 | LATIN1 => name.to_owned(),
            _ => String::from_utf8_lossy(&bytes(name)).into_owned(),
        };
        text.replace(char::is_control, "?")
    }
}

/// The bytes of a name that has a character for each.
fn bytes(name: &str) -> Vec<u8> {
    name.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// That no server is at hand to convert the name.
pub fn not_convertible(schema: &str, encoding: &str) -> Stop {
    Stop::refused(format!(
        "the dump is in {encoding}, to which only a server can convert the name {}; pg-snap load --schema does, \
         also under another name (--into)",
        schema.replace(char::is_control, "?")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, encoding: &str) -> WantedSchema {
        let convert = |_: &str| Ok(vec![0xec, 0xe8]);
        WantedSchema::new(name, Some(encoding), convert).unwrap()
    }

    #[test]
    fn a_name_is_compared_in_the_encoding_of_the_dump() {
        for (name, encoding, text, in_heading, in_index) in [
            ("müller", "UTF8", "müller".as_bytes(), "müller", "müller"),
            ("müller", "LATIN1", b"m\xfcller", "m\u{fffd}ller", "müller"),
            ("müller", "SQL_ASCII", "müller".as_bytes(), "müller", "mÃ¼ller"),
            ("ми", "WIN1251", b"\xec\xe8", "\u{fffd}\u{fffd}", "ми"),
            ("a\nb", "WIN1251", b"a\nb", "a b", "a\nb"),
        ] {
            let wanted = wanted(name, encoding);
            assert!(wanted.is(&wanted.decode(text)), "{encoding}");
            assert_eq!((wanted.in_heading(), wanted.in_index()), (in_heading, in_index));
            assert_eq!(wanted.shown(&wanted.decode(text)), in_heading);
        }
        let wanted = wanted("müller", "LATIN1");
        let other = wanted.decode(b"m\xf6ller");
        assert!(!wanted.is(&other));
        assert_eq!(wanted.shown(&other), wanted.in_heading());
        assert_eq!(wanted.readable(&other), "möller");
    }
}
