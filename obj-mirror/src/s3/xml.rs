//! XML documents of S3.

use crate::s3::fault::Answer;
use crate::s3::fault::StoreError;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

/// Parses a document. `visit` receives each element as it ends: the path of names from the root to it, and
/// its text. A document that is cut short is a transient error.
pub fn read(document: &[u8], mut visit: impl FnMut(&[String], &str)) -> Answer<()> {
    let text = std::str::from_utf8(document).map_err(|_| unreadable("it is not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut any = false;
    loop {
        match reader.read_event().map_err(|e| unreadable(&e.to_string()))? {
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

fn unreadable(why: &str) -> StoreError {
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

/// The text of the last element of a name; none if the document is not XML.
pub fn find(document: &[u8], name: &str) -> Option<String> {
    let mut found = None;
    read(document, |path, text| {
        if path.last().is_some_and(|last| last == name) {
            found = Some(text.to_owned());
        }
    })
    .ok()?;
    found
}

pub fn tags(document: &[u8]) -> Answer<Vec<(String, String)>> {
    let (mut tags, mut key, mut value) = (Vec::new(), String::new(), String::new());
    read(document, |path, text| match path {
        [.., above, own] if above == "Tag" && own == "Key" => text.clone_into(&mut key),
        [.., above, own] if above == "Tag" && own == "Value" => text.clone_into(&mut value),
        [.., own] if own == "Tag" => {
            tags.push((std::mem::take(&mut key), std::mem::take(&mut value)));
        }
        _ => {}
    })?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_were_written() {
        let tags_of = |text: &str| {
            let text = format!(
                "<?xml version=\"1.0\"?>\n<Tagging xmlns=\"x\">\n <TagSet>\n{text}</TagSet></Tagging>"
            );
            tags(text.as_bytes()).unwrap()
        };
        for (key, value) in [("a", " b "), ("<&>\"'", ""), ("ü", "x\r\ny"), ("k", "&amp;")] {
            let text =
                format!("<Tag><Key>{}</Key>\n<Value>{}</Value></Tag>", escape(key), escape(value));
            assert_eq!(tags_of(&text), [(key.to_owned(), value.to_owned())]);
        }
        assert_eq!(tags_of("<Tag><Key>k</Key><Value/></Tag>"), [("k".into(), String::new())]);
        assert!(tags_of("").is_empty());
    }

    #[test]
    fn a_document_that_was_cut_is_not_read_as_a_shorter_one() {
        let whole = b"<A><B>x</B><C>y</C></A>";
        assert_eq!(find(whole, "B").as_deref(), Some("x"));
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut], |_, _| {}).is_err(), "{cut}");
        }
        assert!(read(b"<A>&unknown;</A>", |_, _| {}).is_err());
    }
}
