//! Invariants of this crate's parsers, for any bytes. Each function panics if one is broken.

use crate::blocks::Blocks;
use crate::database_state::DatabaseState;
use crate::extract::{SchemaFilter, WantedSchema};
use crate::gzip::{self, Deflater, Inflater, Level, MEMBER};
use crate::index::Index;
use crate::inspect::{InspectReport, definitions_of_pieces};
use crate::load::Relations;
use crate::sql::classify;
use crate::sql::scanner::{Observer, Scanner};
use std::io::{Cursor, Read};

const END: &[u8] = b"\n--\n-- PostgreSQL database dump complete\n--\n\n";
const MARKER: &[u8] = b"-- PostgreSQL database dump complete";
/// DEFLATE makes of a byte at most so many.
const RATIO: usize = 1032;

/// The events of a scan, and why it ended if it did not reach the end.
#[derive(Default, Debug, PartialEq)]
struct Recorder {
    text: Vec<u8>,
    statements: Vec<Vec<u8>>,
    rows: (u64, u64),
    version: Vec<String>,
    refused: Option<String>,
}

impl Observer for Recorder {
    fn text(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }
    fn statement(&mut self, sql: &[u8]) -> anyhow::Result<()> {
        self.statements.push(sql.to_vec());
        Ok(())
    }
    fn copy_rows(&mut self, rows: u64, bytes: u64) {
        self.rows.0 += rows;
        self.rows.1 += bytes;
    }
    fn server_version(&mut self, version: &str) {
        self.version.push(version.to_owned());
    }
}

/// It does not matter where a dump is cut into pieces; nothing that is cut before its end marker is
/// called whole; nothing is passed on that was not in it.
pub fn dump(body: &[u8]) {
    let dump = [body, END].concat();
    let (at_once, whole) = scan([dump.as_slice()]);
    let (by_lines, whole_by_lines) = scan(dump.split_inclusive(|byte| *byte == b'\n'));
    assert_eq!((&at_once, whole), (&by_lines, whole_by_lines));
    assert!(is_subsequence(&at_once.text, &dump));
    never_whole_before_a_marker(&dump);
    part(&dump);
    report(&dump);
    definitions(&dump);
    state(body);
    order(&at_once.statements);
    index(body);
}

/// Every statement has a place in the order of a load.
fn order(statements: &[Vec<u8>]) {
    let mut relations = Relations::default();
    for statement in statements {
        let statement = classify(statement);
        relations.record(&statement);
        relations.uses(&statement);
    }
}

/// An index that reads is written as comments and reads again the same.
fn index(text: &[u8]) {
    let Some(index) = Index::from_text(&String::from_utf8_lossy(text)) else { return };
    let text = index.to_text().unwrap_or_default();
    assert!(text.lines().all(|line| line.starts_with("--")), "{text:?}");
    assert_eq!(Index::from_text(&text), Some(index));
}

fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Recorder, bool) {
    let (mut scanner, mut seen) = (Scanner::default(), Recorder::default());
    for piece in pieces {
        if let Err(error) = scanner.scan(piece, &mut seen) {
            seen.refused = Some(error.to_string());
            // How much was passed on before depends on the pieces.
            seen.text.clear();
            return (seen, false);
        }
    }
    (seen, scanner.finish().is_ok())
}

/// A schema's part is the same however the dump is cut into pieces.
fn part(dump: &[u8]) {
    let at_once = part_of([dump]);
    let by_lines = part_of(dump.split_inclusive(|byte| *byte == b'\n'));
    assert_eq!(at_once, by_lines);
}

fn part_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Recorder, String> {
    let (mut scanner, mut seen) = (Scanner::default(), Recorder::default());
    let wanted = WantedSchema::of_utf8("tenant_0001");
    let mut filter = SchemaFilter::new(&wanted, &mut seen);
    for piece in pieces {
        scanner.scan(piece, &mut filter).map_err(|error| error.to_string())?;
    }
    filter.finish().map_err(|error| error.to_string())?;
    Ok(seen)
}

fn is_subsequence(passed: &[u8], dump: &[u8]) -> bool {
    let mut rest = dump.iter();
    passed.iter().all(|byte| rest.any(|other| other == byte))
}

fn never_whole_before_a_marker(dump: &[u8]) {
    let (mut scanner, mut seen) = (Scanner::default(), Recorder::default());
    let mut at = 0;
    for line in dump.split_inclusive(|byte| *byte == b'\n') {
        if scanner.scan(line, &mut seen).is_err() {
            return;
        }
        at += line.len();
        let has_marker = memchr::memmem::find(&dump[..at], MARKER).is_some();
        assert!(has_marker || scanner.finish().is_err(), "whole after {at} bytes");
    }
}

/// A report counts every row once, and is text and data whatever the names in it.
fn report(dump: &[u8]) {
    let (mut scanner, mut report) = (Scanner::default(), InspectReport::default());
    let _ = scanner.scan(dump, &mut report);
    assert!(!report.to_text().is_empty());
    assert!(serde_json::to_string(&report).is_ok());
}

/// What a dump defines is the same however the dump is cut into pieces, and each definition is a line.
fn definitions(dump: &[u8]) {
    let at_once = definitions_of_pieces([dump]);
    let by_lines = definitions_of_pieces(dump.split_inclusive(|byte| *byte == b'\n'));
    assert_eq!(at_once, by_lines);
    for definition in at_once.into_iter().flatten() {
        let line = serde_json::to_string(&definition).unwrap_or_default();
        assert!(!line.is_empty() && line.lines().count() == 1, "{line:?}");
    }
}

/// A database's state that reads is written as one comment and reads again the same.
fn state(head: &[u8]) {
    let Ok(Some(state)) = DatabaseState::from_head(head) else { return };
    let comment = state.to_comment().unwrap_or_default();
    assert!(comment.starts_with("--") && comment.lines().count() == 1, "{comment:?}");
    assert_eq!(DatabaseState::from_head(comment.as_bytes()).ok(), Some(Some(state)));
}

/// A gzip stream ends, gives no more than its bytes can hold, and comes out in blocks that are no
/// longer than they may be.
pub fn zipped(bytes: &[u8]) {
    let Ok(mut text) = gzip::text_of(Box::new(Cursor::new(bytes.to_vec()))) else { return };
    let mut blocks = Blocks::new((&mut text).take(1 << 26));
    let (mut scanner, mut seen) = (Scanner::default(), InspectReport::default());
    let mut total = 0;
    while let Ok(Some(block)) = blocks.next() {
        total += block.len();
        assert!(total <= RATIO * bytes.len() + RATIO, "{total} bytes of {}", bytes.len());
        if scanner.scan(block, &mut seen).is_err() {
            return;
        }
    }
}

/// Whatever the text, what a dump compresses of it is what a load reads.
pub fn deflated(recipe: &[u8]) {
    let text = cooked(recipe);
    for level in [Level::Fast, Level::Default] {
        let member = Deflater::new(level).member(&text).unwrap_or_default();
        assert!(Inflater::new().text(&member).is_ok_and(|read| read == text));
        let mut others = Vec::new();
        let read = flate2::read::GzDecoder::new(&member[..]).read_to_end(&mut others);
        assert!(read.is_ok() && others == text, "zlib reads another text: {read:?}");
    }
}

/// A text as long as a member's may be, from few bytes: each four are some bytes, as they are, or noise,
/// or what stood before.
fn cooked(recipe: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for step in recipe.chunks_exact(4) {
        let [kind, long, a, b] = *step else { continue };
        let length = usize::from(long) << (kind >> 4 & 7);
        let mut state = u32::from_le_bytes([a, b, a, b]);
        let distance = usize::from(u16::from_le_bytes([a, b])) + 1;
        for at in 0..length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(match kind % 4 {
                0 => [a, b][at % 2],
                1 => (state >> 24) as u8,
                2 => a.wrapping_add((state >> 28) as u8),
                _ => text.len().checked_sub(distance).map_or(b, |at| text[at]),
            });
        }
        if text.len() >= MEMBER {
            break;
        }
    }
    text.truncate(MEMBER);
    text
}
