//! Names that psql mistakes for keywords.

use super::lexer::{Lexer, is_of_word};

/// The definition of a function with every bare `begin` in quotes that begins no body; none where there is
/// nothing to quote. psql would count such a name as the beginning of a block, and never find the
/// statement's end.
pub fn with_quoted_begin(sql: &[u8]) -> Option<Vec<u8>> {
    let mentions = |word: &str| memchr::memmem::find(sql, word.as_bytes()).is_some();
    if !["begin", "BEGIN", "Begin"].into_iter().any(mentions) {
        return None;
    }
    let mut lexer = Lexer::default();
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut start = None;
    for (at, byte) in sql.iter().enumerate() {
        let was_bare = lexer.may_begin_word();
        lexer.push(*byte);
        let of_word = was_bare && lexer.is_in_code() && is_of_word(*byte);
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
