//! A strict reader of the pages, for tests: everything that is opened is closed, every attribute is quoted, every
//! `<` and `&` in text is escaped.

use std::collections::BTreeMap;

const VOID: [&str; 2] = ["meta", "br"];

/// An element of a page, in the order of start tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    /// All text in it, and in the elements inside.
    pub text: String,
    /// The names of the elements that it is in, outermost first.
    pub path: Vec<String>,
}

impl Node {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// Reads a page.
pub fn parse(page: &str) -> Result<Vec<Node>, String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").ok_or("no doctype")?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    loop {
        let is_raw = open.last().is_some_and(|at| nodes[*at].name == "style");
        let end = if is_raw { rest.find("</style") } else { rest.find('<') };
        let Some(end) = end else { break };
        let text = if is_raw { rest[..end].to_owned() } else { unescaped(&rest[..end])? };
        for at in &open {
            nodes[*at].text += &text;
        }
        let tag_end = rest[end..].find('>').ok_or("a tag without end")? + end;
        let tag = &rest[end + 1..tag_end];
        rest = &rest[tag_end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let at = open.pop().ok_or_else(|| format!("</{name}> closes nothing"))?;
            if nodes[at].name != name {
                return Err(format!("</{name}> closes <{}>", nodes[at].name));
            }
            continue;
        }
        let path = open.iter().map(|at| nodes[*at].name.clone()).collect();
        let node = start_tag(tag, path)?;
        if !VOID.contains(&node.name.as_str()) {
            open.push(nodes.len());
        }
        nodes.push(node);
    }
    if !open.is_empty() || !rest.trim().is_empty() {
        return Err(format!("{} elements are open, then {rest:?}", open.len()));
    }
    Ok(nodes)
}

fn start_tag(tag: &str, path: Vec<String>) -> Result<Node, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("<{tag}> has no name"));
    }
    let mut attributes = BTreeMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"").ok_or_else(|| format!("not quoted: {tag}"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("not closed: {tag}"))?;
        if !key
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_' || c.is_ascii_digit())
        {
            return Err(format!("not a name: {key}"));
        }
        if attributes.insert(key.to_owned(), unescaped(value)?).is_some() {
            return Err(format!("{key} is there twice: {tag}"));
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Ok(Node { name: name.to_owned(), attributes, text: String::new(), path })
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) =
            after.split_once(';').ok_or_else(|| format!("a bare & in {text:?}"))?;
        plain += before;
        plain += match entity {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "#39" => "'",
            other => return Err(format!("an unknown entity: {other}")),
        };
        rest = after;
    }
    plain += rest;
    if text.contains(['<', '>', '"']) {
        return Err(format!("not escaped: {text:?}"));
    }
    Ok(plain)
}

#[test]
fn what_is_not_well_formed_is_no_page() {
    let parse = |inner: &str| parse(&format!("<!DOCTYPE html>{inner}"));
    assert!(parse("<p class=\"a\">a &lt; b<br></p>\n").is_ok());
    for wrong in [
        "<p>",
        "</p>",
        "<p></b>",
        "<p a=b></p>",
        "<p>&</p>",
        "<p>&x;</p>",
        "<p>></p>",
        "<p a=\"1\" a=\"2\"></p>",
        "<p></p>x",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
