//! The lexical states of SQL, a byte at a time: quotes, dollar quotes, comments, parentheses.
//! The rules are those of psql's own scanner; a byte-wise machine needs no lookahead, so that it
//! does not matter where the input was cut into pieces.

use memchr::{memchr, memchr2};

/// What a byte belongs to.
#[derive(Debug, PartialEq, Eq)]
pub enum ByteKind {
    /// White space outside everything.
    Space,
    /// Part of a comment.
    Comment,
    /// Part of a comment, whose first byte is the one before, which was reported as code.
    CommentStart { bare: bool },
    /// The line feed that ends a `--` comment that began at a line's start; its text.
    LineComment(String),
    /// Part of a statement; `bare`: outside quotes and parentheses.
    Code { bare: bool },
    /// The semicolon that ends a statement.
    End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum LexerState {
    #[default]
    Bare,
    Dash,
    Slash,
    Single {
        escapes: bool,
        /// An odd number of backslashes comes before.
        escaped: bool,
    },
    /// After a closing quote: another at once, or after a line break, continues the string.
    SingleEnd {
        escapes: bool,
        line_break: bool,
        blank: bool,
    },
    Double,
    /// After a `$` that may begin a dollar quote.
    DollarTag(Vec<u8>),
    /// Inside `$tag$`; how much of the closing delimiter was seen.
    Dollar {
        tag: Vec<u8>,
        seen: usize,
    },
    LineComment,
    BlockComment {
        depth: u32,
        last: u8,
    },
}

/// The word before the current byte, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LastWord {
    #[default]
    None,
    /// Just `e` or `E`: a quote after it begins a string with backslash escapes.
    E,
    Other,
}

/// Reads SQL byte by byte.
#[derive(Debug)]
pub struct Lexer {
    state: LexerState,
    parens: u32,
    word: LastWord,
    line_start: bool,
    /// The text of a `--` comment that began at a line's start.
    comment: Option<Vec<u8>>,
    dash_at_line_start: bool,
    /// A plain string has ended after a backslash.
    doubtful: bool,
    body: Body,
}

/// `BEGIN ATOMIC … END`, in which a semicolon ends no statement; and `CASE … END` in it.
#[derive(Debug, Default)]
struct Body {
    /// The bare word before the current byte, in lower case, as far as it may be a keyword.
    word: Vec<u8>,
    /// The last word was BEGIN, followed only by white space and comments.
    begun: bool,
    /// How many ENDs are still missing.
    depth: u32,
}

/// Longer words are none of the keywords.
const LONGEST_KEYWORD: usize = 6;

impl Body {
    fn letter(&mut self, byte: u8) {
        if self.word.len() <= LONGEST_KEYWORD {
            self.word.push(byte.to_ascii_lowercase());
        }
    }

    fn end_of_word(&mut self) {
        match self.word.as_slice() {
            b"" => return,
            b"atomic" if self.begun && self.depth == 0 => self.depth = 1,
            b"case" if self.depth > 0 => self.depth += 1,
            b"end" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.begun = self.word == b"begin";
        self.word.clear();
    }
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            state: LexerState::Bare,
            parens: 0,
            word: LastWord::None,
            line_start: true,
            comment: None,
            dash_at_line_start: false,
            doubtful: false,
            body: Body::default(),
        }
    }
}

/// A comment may name a function with all the types of its arguments.
const COMMENT_KEEP: usize = 64 * 1024;

impl Lexer {
    /// Outside quotes and comments, where psql would read a backslash as a command.
    pub fn is_bare(&self) -> bool {
        matches!(
            self.state,
            LexerState::Bare
                | LexerState::Dash
                | LexerState::Slash
                | LexerState::SingleEnd { .. }
                | LexerState::DollarTag(_)
        )
    }

    /// Whether a plain string has ended after a backslash. In a session with
    /// `standard_conforming_strings` off, psql continues such a string.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Whether the state is plain code: outside quotes, comments, and what may begin one.
    pub fn is_in_code(&self) -> bool {
        self.state == LexerState::Bare
    }

    /// As [`Lexer::is_in_code`], or after a string that has ended.
    pub fn may_begin_word(&self) -> bool {
        matches!(self.state, LexerState::Bare | LexerState::SingleEnd { .. })
    }

    /// Whether the next byte is the first of its line.
    pub fn at_line_start(&self) -> bool {
        self.line_start
    }

    /// How many bytes are certainly inside the same quoted text, so that they can be skipped together.
    pub fn skip(&mut self, rest: &[u8]) -> usize {
        let stop = match &self.state {
            LexerState::Single { escapes: true, escaped: false } => memchr2(b'\'', b'\\', rest),
            LexerState::Single { escapes: false, .. } => memchr(b'\'', rest),
            LexerState::Double => memchr(b'"', rest),
            LexerState::Dollar { seen: 0, .. } => memchr(b'$', rest),
            _ => return 0,
        };
        // Lines are counted byte by byte, so a skip ends before the next line feed.
        let length = stop.unwrap_or(rest.len());
        let length = memchr(b'\n', &rest[..length]).unwrap_or(length);
        if length > 0 {
            self.line_start = false;
            self.count_backslashes(&rest[..length]);
        }
        length
    }

    /// Of a plain string, whose bytes are skipped.
    fn count_backslashes(&mut self, skipped: &[u8]) {
        if let LexerState::Single { escapes: false, escaped } = &mut self.state {
            let last = skipped.iter().rev().take_while(|byte| **byte == b'\\').count();
            let before = last == skipped.len() && *escaped;
            *escaped = (last % 2 == 1) != before;
        }
    }

    /// Reads a byte.
    pub fn push(&mut self, byte: u8) -> ByteKind {
        let line_start = std::mem::replace(&mut self.line_start, byte == b'\n');
        match std::mem::take(&mut self.state) {
            LexerState::Bare => self.bare(byte, line_start),
            LexerState::Dash if byte == b'-' => {
                self.state = LexerState::LineComment;
                self.comment = self.dash_at_line_start.then(|| b"--".to_vec());
                self.word = LastWord::None;
                ByteKind::CommentStart { bare: self.parens == 0 }
            }
            LexerState::Slash if byte == b'*' => {
                self.state = LexerState::BlockComment { depth: 1, last: 0 };
                self.word = LastWord::None;
                ByteKind::CommentStart { bare: self.parens == 0 }
            }
            LexerState::Dash | LexerState::Slash => self.bare(byte, line_start),
            LexerState::Single { escapes, escaped } => self.single(byte, escapes, escaped),
            LexerState::SingleEnd { escapes, line_break, blank } => {
                self.single_end(byte, line_start, escapes, line_break, blank)
            }
            LexerState::Double => {
                self.state = if byte == b'"' { LexerState::Bare } else { LexerState::Double };
                ByteKind::Code { bare: false }
            }
            LexerState::DollarTag(tag) => self.dollar_tag(byte, line_start, tag),
            LexerState::Dollar { tag, seen } => {
                self.state = dollar(tag, seen, byte);
                ByteKind::Code { bare: false }
            }
            LexerState::LineComment => self.line_comment(byte),
            LexerState::BlockComment { depth, last } => {
                self.state = block_comment(depth, last, byte);
                ByteKind::Comment
            }
        }
    }

    fn bare(&mut self, byte: u8, line_start: bool) -> ByteKind {
        let word = std::mem::replace(&mut self.word, LastWord::None);
        let code = ByteKind::Code { bare: self.parens == 0 };
        if is_of_word(byte) {
            self.body.letter(byte);
        } else {
            self.body.end_of_word();
            self.body.begun &= byte.is_ascii_whitespace() || matches!(byte, 0x0b | b'-' | b'/');
        }
        match byte {
            b'\'' => {
                self.state = LexerState::Single { escapes: word == LastWord::E, escaped: false };
                return ByteKind::Code { bare: false };
            }
            b'"' => {
                self.state = LexerState::Double;
                return ByteKind::Code { bare: false };
            }
            b'-' => {
                self.dash_at_line_start = line_start;
                self.state = LexerState::Dash;
            }
            b'/' => self.state = LexerState::Slash,
            b'$' if word == LastWord::None => self.state = LexerState::DollarTag(Vec::new()),
            b'(' => self.parens += 1,
            b')' => self.parens = self.parens.saturating_sub(1),
            b';' if self.parens == 0 && self.body.depth == 0 => {
                self.body = Body::default();
                return ByteKind::End;
            }
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => return ByteKind::Space,
            b'e' | b'E' if word == LastWord::None => self.word = LastWord::E,
            byte if is_of_word(byte) => self.word = LastWord::Other,
            _ => {}
        }
        code
    }

    fn single(&mut self, byte: u8, escapes: bool, escaped: bool) -> ByteKind {
        self.state = match byte {
            b'\\' => LexerState::Single { escapes, escaped: !escaped },
            b'\'' if !(escapes && escaped) => {
                self.doubtful |= escaped;
                LexerState::SingleEnd { escapes, line_break: false, blank: false }
            }
            _ => LexerState::Single { escapes, escaped: false },
        };
        ByteKind::Code { bare: false }
    }

    fn single_end(
        &mut self,
        byte: u8,
        line_start: bool,
        escapes: bool,
        line_break: bool,
        blank: bool,
    ) -> ByteKind {
        match byte {
            b'\'' if line_break || !blank => {
                self.state = LexerState::Single { escapes, escaped: false };
                ByteKind::Code { bare: false }
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c | b'\n' => {
                let line_break = line_break || matches!(byte, b'\n' | b'\r');
                self.state = LexerState::SingleEnd { escapes, line_break, blank: true };
                ByteKind::Space
            }
            _ => self.bare(byte, line_start),
        }
    }

    fn dollar_tag(&mut self, byte: u8, line_start: bool, mut tag: Vec<u8>) -> ByteKind {
        match byte {
            b'$' => {
                self.state = LexerState::Dollar { tag, seen: 0 };
                ByteKind::Code { bare: false }
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                tag.push(byte);
                self.state = LexerState::DollarTag(tag);
                ByteKind::Code { bare: self.parens == 0 }
            }
            b'0'..=b'9' if !tag.is_empty() => {
                tag.push(byte);
                self.state = LexerState::DollarTag(tag);
                ByteKind::Code { bare: self.parens == 0 }
            }
            // `$1` is a parameter; `$` alone has no meaning, and psql treats it as part of a word.
            _ => {
                self.word = if tag.is_empty() { LastWord::None } else { LastWord::Other };
                self.bare(byte, line_start)
            }
        }
    }

    fn line_comment(&mut self, byte: u8) -> ByteKind {
        if byte == b'\n' {
            self.state = LexerState::Bare;
            return match self.comment.take() {
                Some(text) => {
                    ByteKind::LineComment(String::from_utf8_lossy(&text).trim_end().to_owned())
                }
                None => ByteKind::Comment,
            };
        }
        self.state = LexerState::LineComment;
        if let Some(text) = self.comment.as_mut().filter(|t| t.len() < COMMENT_KEEP) {
            text.push(byte);
        }
        ByteKind::Comment
    }
}

pub fn is_of_word(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
}

/// The state inside a dollar quote after a byte; `seen` counts the bytes of `$tag$` seen so far.
fn dollar(tag: Vec<u8>, seen: usize, byte: u8) -> LexerState {
    let expected = match seen {
        0 => b'$',
        n if n <= tag.len() => tag[n - 1],
        _ => b'$',
    };
    if byte == expected {
        if seen == tag.len() + 1 {
            return LexerState::Bare;
        }
        return LexerState::Dollar { tag, seen: seen + 1 };
    }
    // A `$` in the wrong place may be the first of the right one.
    LexerState::Dollar { tag, seen: usize::from(byte == b'$') }
}

/// The state inside a block comment, which nests, after a byte.
fn block_comment(depth: u32, last: u8, byte: u8) -> LexerState {
    match (last, byte) {
        (b'*', b'/') if depth == 1 => LexerState::Bare,
        (b'*', b'/') => LexerState::BlockComment { depth: depth - 1, last: 0 },
        (b'/', b'*') => LexerState::BlockComment { depth: depth + 1, last: 0 },
        _ => LexerState::BlockComment { depth, last: byte },
    }
}
