//! Reads a plain SQL dump as psql does: where statements end, where COPY data begins and ends, what is a
//! comment, and what psql would execute as its own command.
//!
//! A dump is code, and psql can run shell commands. Outside COPY data, only `\restrict` and `\unrestrict`
//! are accepted, and removed: the loader sets its own.

use super::lexer::{ByteKind, Lexer};
use memchr::memchr;
use pipe_kit::Stop;

/// What pg_dump writes when it has written everything.
const END_MARKER: &str = "-- PostgreSQL database dump complete";
const SERVER_VERSION: &str = "-- Dumped from database version ";

/// Receives the parts of a dump. Every method has an empty default; an error stops the scan.
pub trait Observer {
    /// SQL or COPY data as it is in the dump, without its `\restrict` lines.
    fn text(&mut self, _bytes: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }
    /// A statement has ended, after its text was passed on. At most its first megabyte, without comments.
    fn statement(&mut self, _sql: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }
    /// The text from here on is the data of the last COPY statement.
    fn copy_begins(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    /// The data was passed on, with the line that ends it.
    fn copy_ends(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    /// Rows of the table that the last COPY statement named, and the bytes of those lines.
    fn copy_rows(&mut self, _rows: u64, _bytes: u64) {}
    /// The version of the server that was dumped, from pg_dump's comment.
    fn server_version(&mut self, _version: &str) {}
    /// A `--` comment that begins its line, between statements, after its text was passed on.
    fn comment(&mut self, _text: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Scans a dump piece by piece. Pieces are whole lines, or parts of very long ones.
#[derive(Default)]
pub struct Scanner {
    /// Whether psql would execute its own commands.
    psql_is_open: bool,
    lexer: Lexer,
    in_copy: bool,
    /// A COPY … FROM stdin statement has ended; its data begins with the next line.
    copy_next: bool,
    /// Inside COPY data: the last piece ended in the middle of a line.
    mid_row: bool,
    complete: bool,
    anything: bool,
    line: u64,
    statement: PendingStatement,
}

/// The statement being read.
#[derive(Default)]
struct PendingStatement {
    sql: Vec<u8>,
    /// Without quoted text and parentheses, in upper case: enough to recognise a COPY.
    skeleton: String,
}

const KEEP: usize = 1 << 20;
const SKELETON: usize = 4096;

impl PendingStatement {
    fn push(&mut self, byte: u8, bare: bool) {
        if self.sql.len() < KEEP {
            self.sql.push(byte);
        }
        if bare && self.skeleton.len() < SKELETON {
            let c = char::from(byte.to_ascii_uppercase());
            let c = if c.is_whitespace() { ' ' } else { c };
            if c != ' ' || !self.skeleton.ends_with(' ') {
                self.skeleton.push(c);
            }
        }
    }

    /// Removes a byte that turned out to begin a comment.
    fn pop(&mut self, bare: bool) {
        self.sql.pop();
        if bare {
            self.skeleton.pop();
        }
    }

    fn is_blank(&self) -> bool {
        self.sql.iter().all(u8::is_ascii_whitespace)
    }

    fn is_copy_in(&self) -> bool {
        let text = self.skeleton.trim();
        text.starts_with("COPY ")
            && text.split_once(" FROM ").is_some_and(|(_, source)| {
                source.trim_start().split([' ', ';', '(']).next() == Some("STDIN")
            })
    }

    fn clear(&mut self) {
        self.sql.clear();
        self.skeleton.clear();
    }
}

impl Scanner {
    /// For a psql without `\restrict`, which executes every command that this scanner does not find.
    pub fn for_open_psql() -> Self {
        Self { psql_is_open: true, ..Self::default() }
    }

    /// Scans a piece.
    ///
    /// # Errors
    /// [`Stop::damaged`] at a psql command; what the observer returns.
    pub fn scan(&mut self, mut piece: &[u8], observer: &mut impl Observer) -> anyhow::Result<()> {
        self.anything |= !piece.is_empty();
        while !piece.is_empty() {
            let used = if self.in_copy {
                let used = self.scan_copy(piece, observer);
                observer.text(&piece[..used])?;
                if !self.in_copy {
                    observer.copy_ends()?;
                }
                used
            } else {
                self.scan_sql(piece, observer)?
            };
            piece = &piece[used..];
        }
        Ok(())
    }

    /// Scans rows up to the end of the data or of the piece; returns how many bytes.
    fn scan_copy(&mut self, piece: &[u8], observer: &mut impl Observer) -> usize {
        let (mut at, mut rows, mut bytes) = (0, 0, 0);
        while at < piece.len() {
            let rest = &piece[at..];
            let end = memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            let length = end.map_or(rest.len(), |e| e + 1);
            at += length;
            self.line += u64::from(end.is_some());
            if !self.mid_row && matches!(line, b"\\." | b"\\.\r") && end.is_some() {
                self.in_copy = false;
                break;
            }
            rows += u64::from(end.is_some());
            bytes += length as u64;
            self.mid_row = end.is_none();
        }
        observer.copy_rows(rows, bytes);
        at
    }

    /// Scans SQL up to the start of COPY data or the end of the piece; returns how many bytes.
    fn scan_sql(&mut self, piece: &[u8], observer: &mut impl Observer) -> anyhow::Result<usize> {
        let mut passed = 0;
        let mut at = 0;
        while at < piece.len() {
            let byte = piece[at];
            let at_line_start = self.lexer.at_line_start();
            if byte == b'\\' && self.lexer.is_bare() {
                let line = memchr(b'\n', &piece[at..]).map_or(piece.len(), |e| at + e + 1);
                if !(at_line_start && self.statement.is_blank() && is_restrict(&piece[at..line])) {
                    return Err(self.meta_command(&piece[at..line]).into());
                }
                observer.text(&piece[passed..at])?;
                self.line += 1;
                at = line;
                passed = line;
                continue;
            }
            let skipped = self.lexer.skip(&piece[at..]);
            if skipped > 0 {
                self.take_quoted(&piece[at..at + skipped]);
                at += skipped;
                continue;
            }
            at += 1;
            self.line += u64::from(byte == b'\n');
            let kind = self.lexer.push(byte);
            if self.psql_is_open && self.lexer.is_doubtful() {
                return Err(self.doubtful_string().into());
            }
            let is_comment = matches!(kind, ByteKind::LineComment(_)) && self.statement.is_blank();
            if kind == ByteKind::End || is_comment {
                observer.text(&piece[passed..at])?;
                passed = at;
            }
            self.take_byte(kind, byte, observer)?;
            if byte == b'\n' && self.copy_next {
                observer.text(&piece[passed..at])?;
                observer.copy_begins()?;
                self.copy_next = false;
                self.in_copy = true;
                self.mid_row = false;
                return Ok(at);
            }
        }
        observer.text(&piece[passed..at])?;
        Ok(at)
    }

    fn take_quoted(&mut self, bytes: &[u8]) {
        let room = KEEP.saturating_sub(self.statement.sql.len()).min(bytes.len());
        self.statement.sql.extend_from_slice(&bytes[..room]);
        self.complete = false;
    }

    fn take_byte(
        &mut self,
        kind: ByteKind,
        byte: u8,
        observer: &mut impl Observer,
    ) -> anyhow::Result<()> {
        match kind {
            ByteKind::Space => {
                if !self.statement.sql.is_empty() {
                    self.statement.push(byte, true);
                }
            }
            ByteKind::Comment => {}
            ByteKind::CommentStart { bare } => self.statement.pop(bare),
            ByteKind::LineComment(text) => self.comment(&text, observer)?,
            ByteKind::Code { bare } => {
                if self.copy_next {
                    return Err(Stop::damaged(format!(
                        "line {}: text after a COPY … FROM stdin statement on its line",
                        self.line + 1
                    ))
                    .into());
                }
                self.statement.push(byte, bare);
                // A dash or slash may begin a comment, after which the dump is still complete.
                self.complete &= matches!(byte, b'-' | b'/') && self.statement.sql.len() == 1;
            }
            ByteKind::End => {
                self.complete = false;
                self.copy_next = self.statement.is_copy_in();
                observer.statement(&self.statement.sql)?;
                self.statement.clear();
            }
        }
        Ok(())
    }

    fn comment(&mut self, text: &str, observer: &mut impl Observer) -> anyhow::Result<()> {
        if !self.statement.is_blank() {
            return Ok(());
        }
        if text == END_MARKER {
            self.complete = true;
        } else if let Some(version) = text.strip_prefix(SERVER_VERSION) {
            observer.server_version(version.trim());
        }
        observer.comment(text)
    }

    fn doubtful_string(&self) -> Stop {
        Stop::damaged(format!(
            "line {} of the dump: a string ends after a backslash, which could make a psql without \\restrict \
             run a command; install a newer psql (a minor release of August 2025 or later)",
            self.line + 1
        ))
    }

    fn meta_command(&self, line: &[u8]) -> Stop {
        let word: Vec<u8> =
            line.iter().copied().take_while(|b| !b.is_ascii_whitespace()).take(20).collect();
        Stop::damaged(format!(
            "line {}: the dump holds the psql command '{}', which is not run: a plain dump has none",
            self.line + 1,
            String::from_utf8_lossy(&word).replace(char::is_control, "?")
        ))
    }

    /// Whether the text so far ends between two statements.
    pub fn is_between_statements(&self) -> bool {
        !self.in_copy && !self.copy_next && self.lexer.is_bare() && self.statement.is_blank()
    }

    /// Checks at the end of the input that the dump is whole.
    ///
    /// # Errors
    /// [`Stop::damaged`], with the place where it is cut.
    pub fn finish(&self) -> Result<(), Stop> {
        let cut = if !self.anything {
            "it is empty".to_owned()
        } else if self.in_copy || self.copy_next {
            format!("it is truncated inside the data of a table (line {})", self.line + 1)
        } else if !self.lexer.is_bare() || !self.statement.is_blank() {
            format!("it is truncated inside a statement (line {})", self.line + 1)
        } else if !self.complete {
            format!("its end marker '{}' is missing", &END_MARKER[3..])
        } else {
            return Ok(());
        };
        Err(Stop::damaged(format!("the dump is incomplete: {cut}")))
    }
}

/// Whether a line is `\restrict TOKEN` or `\unrestrict TOKEN`, and nothing else.
fn is_restrict(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut words = line.trim_end().split(' ');
    matches!(words.next(), Some("\\restrict" | "\\unrestrict"))
        && words
            .next()
            .is_some_and(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric()))
        && words.next().is_none()
}

#[cfg(test)]
mod tests;
