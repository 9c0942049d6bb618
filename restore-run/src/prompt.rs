//! Questions on stderr, answered by lines of standard input.

use anyhow::{Context, Result};
use std::io::{BufRead, Write};

/// The answers. One reader for all of them, since it reads ahead.
pub struct Answers<R> {
    lines: R,
    /// Answers that no terminal shows are printed, so that a log reads as a session does.
    echo: bool,
}

impl<R: BufRead> Answers<R> {
    /// From lines of text. `is_typed`: a terminal shows them already.
    pub fn new(lines: R, is_typed: bool) -> Self {
        Self { lines, echo: !is_typed }
    }

    /// Asks, and returns the line without its end; none at the end of input.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>> {
        // Not locked while waiting for the answer: a signal that arrives meanwhile is logged there.
        let mut stderr = std::io::stderr();
        // Without stderr no question is seen, but a prepared answer still counts.
        let _ = write!(stderr, "{question} ");
        let _ = stderr.flush();
        let mut line = Vec::new();
        let n = self.lines.read_until(b'\n', &mut line).context("reading the answer")?;
        // Input that is no text is no answer, and not a failure.
        let line = String::from_utf8_lossy(&line);
        let answer = line.trim_end_matches(['\n', '\r']);
        if self.echo {
            let _ = writeln!(stderr, "{}", answer.escape_debug());
        } else if !line.ends_with('\n') {
            let _ = writeln!(stderr);
        }
        Ok((n > 0).then(|| answer.to_owned()))
    }

    /// The answer of the command line, else the answer to the question.
    pub fn given_or_asked(
        &mut self,
        given: Option<&str>,
        question: &str,
    ) -> Result<Option<String>> {
        match given {
            Some(answer) => Ok(Some(answer.to_owned())),
            None => self.ask(question),
        }
    }

    /// `y` or `yes` means yes; everything else, and the end of input, means no.
    pub fn yes(&mut self, question: &str) -> Result<bool> {
        let answer = self.ask(question)?.unwrap_or_default();
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// Whether the typed line is exactly the domain, except for spaces around it.
pub fn confirms(typed: Option<&str>, domain: &str) -> bool {
    !domain.is_empty() && typed.is_some_and(|t| t.trim() == domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_domain_itself_confirms() {
        assert!(confirms(Some("piprio.example"), "piprio.example"));
        assert!(confirms(Some(" piprio.example\r"), "piprio.example"));
        for no in [None, Some(""), Some("y"), Some("yes"), Some("Piprio.example"), Some("piprio")] {
            assert!(!confirms(no, "piprio.example"), "{no:?}");
        }
        assert!(!confirms(Some(""), ""));
    }

    #[test]
    fn end_of_input_is_a_no() {
        let mut answers = Answers::new(&b"y\n\xff\nno\n"[..], false);
        assert!(answers.yes("?").unwrap());
        assert!(!answers.yes("?").unwrap());
        assert!(!answers.yes("?").unwrap());
        assert!(!answers.yes("?").unwrap());
        assert_eq!(answers.ask("?").unwrap(), None);
    }
}
