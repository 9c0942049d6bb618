//! The questions: on stderr, answered by lines of standard input.

use anyhow::{Context, Result};
use std::io::{BufRead, Write};

/// Whoever answers. One reader for all answers, since it reads ahead.
pub struct Answers<R> {
    lines: R,
    /// Answers that nobody typed here are shown, so that a log reads as a session does.
    echo: bool,
}

impl<R: BufRead> Answers<R> {
    /// From lines of text; `typed` where a terminal shows them already.
    pub fn new(lines: R, typed: bool) -> Self {
        Self { lines, echo: !typed }
    }

    /// Asks, and gives the line without its end; none at the end of input.
    ///
    /// # Errors
    /// If standard input cannot be read.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>> {
        // Never locked while the answer is waited for: a signal that comes meanwhile is told there.
        let mut stderr = std::io::stderr();
        // Without a stderr nobody can be asked, but a prepared answer still counts.
        let _ = write!(stderr, "{question} ");
        let _ = stderr.flush();
        let mut line = Vec::new();
        let n = self.lines.read_until(b'\n', &mut line).context("reading the answer")?;
        // What is no text is no answer either, and must not look like a failure.
        let line = String::from_utf8_lossy(&line);
        let answer = line.trim_end_matches(['\n', '\r']);
        if self.echo {
            let _ = writeln!(stderr, "{}", answer.escape_debug());
        } else if !line.ends_with('\n') {
            let _ = writeln!(stderr);
        }
        Ok((n > 0).then(|| answer.to_owned()))
    }

    /// The answer that was given already, or else the one to the question.
    ///
    /// # Errors
    /// If standard input cannot be read.
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

    /// A yes is `y` or `yes`; everything else, the end of input too, is a no.
    ///
    /// # Errors
    /// If standard input cannot be read.
    pub fn yes(&mut self, question: &str) -> Result<bool> {
        let answer = self.ask(question)?.unwrap_or_default();
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

/// Whether the typed line is the domain: to the letter, but for spaces around it.
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
