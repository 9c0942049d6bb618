//! Names that psql takes for keywords.

use super::{Lexer, State, is_of_word};

/// The statement with every bare `begin` in quotes that begins no body: psql takes it for one more block
/// that is opened, in the definition of a function, and never sees the statement's end. None where
/// there is nothing to quote.
pub fn with_quoted_begin(sql: &[u8]) -> Option<Vec<u8>> {
    let mentions = |word: &str| memchr::memmem::find(sql, word.as_bytes()).is_some();
    if !["begin", "BEGIN", "Begin"].into_iter().any(mentions) {
        return None;
    }
    let mut lexer = Lexer::default();
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut start = None;
    for (at, byte) in sql.iter().enumerate() {
        let was_bare = matches!(lexer.state, State::Bare | State::SingleEnd { .. });
        lexer.push(*byte);
        let of_word = was_bare && lexer.state == State::Bare && is_of_word(*byte);
        match (start, of_word) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    let is = |word: Option<&(usize, usize)>, keyword: &str| {
        word.is_some_and(|(from, to)| sql[*from..*to].eq_ignore_ascii_case(keyword.as_bytes()))
    };
    let defines = is(words.first(), "create")
        && words.iter().take(4).any(|w| is(Some(w), "function") || is(Some(w), "procedure"));
    if !defines {
        return None;
    }
    let mut quoted = Vec::new();
    let mut done = 0;
    for (at, (from, to)) in words.iter().enumerate() {
        let opens_body = is(words.get(at + 1), "atomic")
            && words.get(at + 1).is_some_and(|(next, _)| sql[*to..*next].trim_ascii().is_empty());
        if is(words.get(at), "begin") && !opens_body {
            quoted.extend_from_slice(&sql[done..*from]);
            quoted.extend_from_slice(b"\"begin\"");
            done = *to;
        }
    }
    if done == 0 {
        return None;
    }
    quoted.extend_from_slice(&sql[done..]);
    Some(quoted)
}
