//! The end of a log, in bounded memory.

use std::collections::VecDeque;

/// More than is ever sent, so that masking does not meet the half of a secret in what is.
const CAPACITY: usize = 256 * 1024;

/// The last bytes of a log.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Tail {
    /// Adds to it.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        if let Some(surplus) = self.bytes.len().checked_sub(CAPACITY)
            && surplus > 0
        {
            self.bytes.drain(..surplus);
            self.is_cut = true;
        }
    }

    /// The text, from the beginning of a line. Of a line that was drawn repeatedly, the last drawing.
    pub fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let whole = match text.split_once('\n') {
            Some((_, rest)) if self.is_cut => rest,
            None if self.is_cut => "",
            _ => &text,
        };
        let last = |line: &str| {
            let line = line.trim_end_matches('\r');
            line.rsplit('\r').next().unwrap_or(line).to_owned()
        };
        whole.lines().map(|line| last(line) + "\n").collect()
    }
}

/// The end of a text, from the beginning of a line, in at most so many bytes.
pub fn end_of(text: &str, most: usize) -> &str {
    let Some(surplus) = text.len().checked_sub(most).filter(|surplus| *surplus > 0) else {
        return text;
    };
    let start = text.bytes().skip(surplus - 1).position(|byte| byte == b'\n');
    start.map_or("", |at| &text[surplus + at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_kept_as_it_is_and_a_long_one_from_the_beginning_of_a_line() {
        let mut tail = Tail::default();
        tail.push(b"one\n\xFFtwo");
        assert_eq!(tail.text(), "one\n\u{FFFD}two\n");
        tail.push(b"\n10 %\r20 %\r\n");
        assert_eq!(tail.text(), "one\n\u{FFFD}two\n20 %\n");
        for number in 0..CAPACITY / 4 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.len() <= CAPACITY && text.len() > CAPACITY - 100);
        assert!(text.starts_with("line ") && text.ends_with(&format!("{}\n", CAPACITY / 4 - 1)));
        let mut long = Tail::default();
        long.push(&vec![b'x'; CAPACITY + 1]);
        assert_eq!(long.text(), "");
    }

    #[test]
    fn the_end_of_a_text_begins_with_a_line() {
        let text = "one\ntwo\nthree\n";
        for (most, end) in [
            (99, text),
            (14, text),
            (13, "two\nthree\n"),
            (10, "two\nthree\n"),
            (9, "three\n"),
            (5, ""),
        ] {
            assert_eq!(end_of(text, most), end, "{most}");
        }
        assert_eq!(end_of("äöü\nß\n", 4), "ß\n");
    }
}
