//! XML documents of S3.

use crate::s3::fault::Answer;
use crate::s3::fault::StoreError;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Parses a document. `visit` receives each element as it ends: the path of names from the root to it, and
/// its text. A document that is cut short, or has anything beside its root, is a transient error.
pub fn read(text: &str, mut visit: impl FnMut(&[String], &str)) -> Answer<()> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut any = false;
    loop {
        match reader.read_event().map_err(|e| unreadable(&e.to_string()))? {
            Event::Start(_) | Event::Empty(_) if path.is_empty() && any => {
                return Err(unreadable("it has more than one root element"));
            }
            Event::Start(start) => {
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                content.clear();
                any = true;
            }
            Event::Empty(empty) => {
                path.push(String::from_utf8_lossy(empty.local_name().as_ref()).into_owned());
                visit(&path, "");
                path.pop();
                any = true;
            }
            Event::End(_) => {
                visit(&path, &content);
                path.pop();
                content.clear();
            }
            Event::Text(text) if path.is_empty() && is_blank(&text) => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) if path.is_empty() => {
                return Err(unreadable("it has text outside of its root element"));
            }
            Event::Text(text) => {
                content += &text.decode().map_err(|e| unreadable(&e.to_string()))?;
            }
            Event::CData(text) => {
                content += &text.decode().map_err(|e| unreadable(&e.to_string()))?;
            }
            Event::GeneralRef(reference) => content.push(referred(&reference)?),
            Event::Eof if path.is_empty() && any => return Ok(()),
            Event::Eof => return Err(unreadable("it is truncated")),
            _ => {}
        }
    }
}

/// The local name of a document's root element; none if it is not XML. What follows is not read.
pub fn root(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(root) | Event::Empty(root) => {
                return Some(String::from_utf8_lossy(root.local_name().as_ref()).into_owned());
            }
            Event::Text(text) if is_blank(&text) => {}
            Event::Decl(_) | Event::Comment(_) | Event::DocType(_) | Event::PI(_) => {}
            _ => return None,
        }
    }
}

fn is_blank(text: &[u8]) -> bool {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).iter().all(u8::is_ascii_whitespace)
}

fn referred(reference: &BytesRef<'_>) -> Answer<char> {
    if let Some(c) = reference.resolve_char_ref().map_err(|e| unreadable(&e.to_string()))? {
        return Ok(c);
    }
    match &**reference {
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"amp" => Ok('&'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        _ => Err(unreadable("it has an unknown entity")),
    }
}

pub fn unreadable(why: &str) -> StoreError {
    StoreError::transient(format!("unreadable response: {why}"))
}

/// Escapes text for an element. Control characters become references, because a bare carriage return
/// would be read as a line feed.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_control() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether XML can carry a text at all.
pub fn can_carry(text: &str) -> bool {
    text.chars().all(|c| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// The text of the last element of a name in the body of an error; none if it is not XML.
pub fn find(body: &[u8], name: &str) -> Option<String> {
    let mut found = None;
    read(std::str::from_utf8(body).ok()?, |path, text| {
        if path.last().is_some_and(|last| last == name) {
            found = Some(text.to_owned());
        }
    })
    .ok()?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_was_cut_is_not_read_as_a_shorter_one() {
        let whole = "<A><B>x</B><C>y</C></A>";
        assert_eq!(find(whole.as_bytes(), "B").as_deref(), Some("x"));
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut], |_, _| {}).is_err(), "{cut}");
        }
        assert!(read("<A>&unknown;</A>", |_, _| {}).is_err());
    }
}
