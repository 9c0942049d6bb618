//! Random text, JSON and XML, of what readers of text go wrong by.

use super::values::{digits, pick};
use fastrand::Rng;

const PIECES: &[&str] = &[
    "\\",
    "\\.",
    "\n\\.\n",
    "\\N",
    "NULL",
    "'",
    "''",
    "\"",
    "$$",
    "$1",
    ";",
    "--",
    "/*",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{1}",
    "\u{1b}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    " ",
    "{",
    "}",
    ",",
    "(",
    ")",
    "é",
    "e\u{301}",
    "ß",
    "İ",
    "漢",
    "\u{200b}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "😀",
    "\u{10ffff}",
    "a",
    "Z",
    "0",
    "%",
    "&lt;",
    ":x",
    "\\x41",
    "\\101",
];

/// Of at most so many characters.
pub fn text(r: &mut Rng, most: usize) -> String {
    let mut text = String::new();
    for _ in 0..r.usize(..=most) {
        text += PIECES[r.usize(..PIECES.len())];
    }
    text.chars().take(most).collect()
}

fn json_text(r: &mut Rng) -> String {
    serde_json::to_string(&text(r, 12)).unwrap_or_default()
}

/// Plain `json` keeps its spaces, its doubled keys and its escapes.
pub fn json(r: &mut Rng, depth: u8, plain: bool) -> String {
    let most = if depth == 0 { 5 } else { 8 };
    match r.u8(..most) {
        0 => pick(r, &["null", "true", "false", "-0", "1.50e3", "0.1000"]),
        1 => format!("{}.{}", r.i64(..), digits(r, 30)),
        2 if plain => "\"\\u0041 \\u00e9 \\ud83d\\ude00 \\/ \\u2028\"".into(),
        2..=4 => json_text(r),
        5 => {
            let items: Vec<String> = (0..r.u8(..4)).map(|_| json(r, depth - 1, plain)).collect();
            format!("[{}]", items.join(if plain { " , " } else { "," }))
        }
        _ => {
            let one = |r: &mut Rng| format!("{}: {}", json_text(r), json(r, depth - 1, plain));
            let items: Vec<String> = (0..r.u8(..4)).map(|_| one(r)).collect();
            format!("{{{}}}", items.join(","))
        }
    }
}

pub fn xml(r: &mut Rng) -> String {
    let escaped = |text: String| {
        let kept = text.chars().filter(|c| *c >= ' ' && !('\u{7f}'..='\u{9f}').contains(c));
        let kept: String = kept.filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
        kept.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    };
    let inner = escaped(text(r, 20));
    match r.u8(..5) {
        0 => format!("content only {inner}"),
        1 => format!("<a x=\"1\">{inner}</a><b/><!-- two roots -->"),
        2 => format!("<?xml version=\"1.0\"?><!DOCTYPE d><d>{inner}</d>"),
        3 => format!("<?pi data?><d>\n  {inner}\n</d>"),
        _ => format!("<d>{inner}<![CDATA[<&]]></d>"),
    }
}
