//! The `.env` file, read as data by Compose's rules; nothing in it is ever executed.
//!
//! Interpolation looks at the process environment first, then at earlier lines. Two readings are
//! stricter than Compose's own, both where Compose would take a slip for a value: text after a
//! closing quote is an error, and `KEY= # words` is an empty value with a comment.

mod interpolate;
pub mod quote;
mod unquote;

use std::collections::BTreeMap;
use std::fmt;

/// The longest value that is accepted, in bytes, so that lines that double each other end somewhere.
const LONGEST_VALUE: usize = 1 << 20;

/// What is wrong, and where. It never holds a value: a malformed line may be half a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The contents of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its variables; of several lines for one name the last counts.
    pub values: BTreeMap<String, String>,
    /// Lines that refer to a variable that is set nowhere, taken as empty: line, key, that variable.
    pub unset: Vec<(usize, String, String)>,
}

/// Parses a file's bytes.
pub fn parse(
    bytes: &[u8],
    environment: &BTreeMap<String, String>,
) -> std::result::Result<Parsed, ParseError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut parser =
        Parser { rest: readable(bytes)?, line: 1, environment, out: Parsed::default() };
    while parser.statement()? {}
    Ok(parser.out)
}

fn readable(bytes: &[u8]) -> std::result::Result<&str, ParseError> {
    let line_of = |at: usize| 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(ParseError { line: line_of(at), what: "a NUL byte".into() });
    }
    std::str::from_utf8(bytes).map_err(|e| ParseError {
        line: line_of(e.valid_up_to()),
        what: "bytes that are not UTF-8".into(),
    })
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    environment: &'a BTreeMap<String, String>,
    out: Parsed,
}

enum Key<'a> {
    Assigned(&'a str),
    Inherited(&'a str),
}

/// A space that does not end a line.
fn is_blank(c: char) -> bool {
    c != '\n' && c.is_whitespace()
}

impl<'a> Parser<'a> {
    fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError { line: self.line, what: what.into() }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn skip_while(&mut self, skip: impl Fn(char) -> bool) {
        let end = self.rest.find(|c| !skip(c)).unwrap_or(self.rest.len());
        self.take(end);
    }

    /// Reads one statement; false at the end of the file.
    fn statement(&mut self) -> std::result::Result<bool, ParseError> {
        self.skip_while(char::is_whitespace);
        if self.rest.is_empty() {
            return Ok(false);
        }
        if self.rest.starts_with('#') {
            self.skip_while(|c| c != '\n');
            return Ok(true);
        }
        let line = self.line;
        let (key, value) = match self.key()? {
            Key::Assigned(key) => (key, Some(self.value(key)?)),
            Key::Inherited(key) => (key, self.environment.get(key).cloned()),
        };
        if let Some(value) = value {
            if value.len() > LONGEST_VALUE {
                return Err(ParseError { line, what: format!("{key}: the value is too long") });
            }
            self.out.values.insert(key.to_owned(), value);
        }
        Ok(true)
    }

    fn key(&mut self) -> std::result::Result<Key<'a>, ParseError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(is_blank)
            // Alone on its line it is a name.
            && !matches!(after.trim_start_matches(is_blank).chars().next(), None | Some('\n'))
        {
            self.take("export".len());
            self.skip_while(is_blank);
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let key = self.rest[..end].trim();
        let named = |c: char| c.is_alphanumeric() || "_.-[]".contains(c);
        if key.is_empty() || !key.chars().all(named) {
            return Err(self.error("not of the form KEY=value"));
        }
        self.take(end);
        if self.rest.starts_with(['=', ':']) {
            self.take(1);
            return Ok(Key::Assigned(key));
        }
        Ok(Key::Inherited(key))
    }

    fn value(&mut self, key: &str) -> std::result::Result<String, ParseError> {
        let line = self.line;
        let before = self.rest.len();
        self.skip_while(is_blank);
        let spaced = before != self.rest.len();
        let template = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let (length, text) = unquote::quoted(self.rest, quote)
                    .ok_or_else(|| self.error(format!("{key}: the quote is never closed")))?;
                self.take(length);
                self.end_of_line(key)?;
                if quote == '\'' {
                    return Ok(text);
                }
                unquote::escapes(&text)
                    .ok_or_else(|| ParseError { line, what: format!("{key}: an escaped NUL") })?
            }
            _ => self.unquoted(spaced).to_owned(),
        };
        let look = |name: &str| {
            self.environment.get(name).or_else(|| self.out.values.get(name)).map(String::as_str)
        };
        let mut unset = Vec::new();
        let value = interpolate::interpolate(&template, &look, &mut unset, LONGEST_VALUE)
            .map_err(|what| ParseError { line, what: format!("{key}: {what}") })?;
        self.out.unset.extend(unset.into_iter().map(|name| (line, key.to_owned(), name)));
        Ok(value)
    }

    /// The rest of the line, without a comment.
    fn unquoted(&mut self, spaced: bool) -> &'a str {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let text = self.take(end);
        if spaced && text.starts_with('#') {
            return "";
        }
        text.split_once(" #").map_or(text, |(value, _)| value).trim_end()
    }

    fn end_of_line(&mut self, key: &str) -> std::result::Result<(), ParseError> {
        self.skip_while(is_blank);
        if self.rest.starts_with('#') {
            self.skip_while(|c| c != '\n');
        }
        if self.rest.is_empty() || self.rest.starts_with('\n') {
            return Ok(());
        }
        Err(self.error(format!("{key}: text after the closing quote")))
    }
}

#[cfg(test)]
mod tests;
