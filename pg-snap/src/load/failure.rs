//! Why a psql session of the load ended: the SQLSTATE of the error and its text.

use pipe_kit::child::Finished;
use std::fmt;

/// The longest text that is reported, in bytes.
const LONGEST: usize = 1200;
/// What only repeats the statement or the message.
const REPEATED: [&str; 7] = [
    "LINE ",
    "QUERY",
    "SCHEMA NAME",
    "TABLE NAME",
    "COLUMN NAME",
    "DATATYPE NAME",
    "CONSTRAINT NAME",
];

/// An error of the server, or psql's own. With `VERBOSITY=verbose` psql prints the severity in the
/// language of the server, two spaces, and the SQLSTATE: only the place and the form of the code count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Five characters; none where the server reported no error.
    pub sqlstate: Option<String>,
    text: String,
}

impl Failure {
    /// From what psql wrote to standard error, and how it ended.
    pub fn of(finished: Finished) -> Self {
        let lines = &finished.stderr;
        let found = lines.iter().enumerate().find_map(|(at, line)| {
            let (state, message) = coded(line)?;
            is_error(state).then(|| (at, state.to_owned(), message.to_owned()))
        });
        match found {
            Some((at, state, message)) => {
                let text = text(&state, &message, &lines[at + 1..]);
                Self { sqlstate: Some(state), text }
            }
            None => Self { sqlstate: None, text: format!("{:#}", finished.into_error()) },
        }
    }

    /// Of psql itself, where no process can be asked.
    pub fn other(text: impl Into<String>) -> Self {
        Self { sqlstate: None, text: text.into() }
    }

    /// With what the operator can do about it.
    pub fn with_remedy(self, remedy: &str) -> Self {
        Self { text: format!("{}; {remedy}", self.text), ..self }
    }

    /// Without what may quote the statement.
    pub fn brief(self) -> Self {
        let text = self.text.split("; ").next().unwrap_or_default().to_owned();
        Self { text, ..self }
    }

    /// Whether the SQLSTATE is one of these.
    pub fn is(&self, states: &[&str]) -> bool {
        self.sqlstate.as_deref().is_some_and(|state| states.contains(&state))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// `SEVERITY:  CODE: message`, behind psql's own prefix where there is one.
fn coded(line: &str) -> Option<(&str, &str)> {
    line.match_indices(":  ").find_map(|(at, _)| {
        let rest = &line[at + 3..];
        let (state, message) = rest.split_at_checked(5)?;
        let plain = state.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        (plain && message.starts_with(": ")).then(|| (state, message[2..].trim()))
    })
}

/// Not a success, a warning or "no data".
fn is_error(state: &str) -> bool {
    !["00", "01", "02"].iter().any(|class| state.starts_with(class))
}

/// The message and what explains it, on one line. The last line names the server's source file.
fn text(state: &str, message: &str, more: &[String]) -> String {
    let explained = more.split_last().map_or(&[][..], |(_, explained)| explained);
    let mut text = format!("ERROR {state}: {message}");
    for line in
        explained.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && *line != "^")
    {
        if coded(line).is_some() || text.len() > LONGEST {
            break;
        }
        if REPEATED.iter().any(|label| line.starts_with(label)) {
            continue;
        }
        text += "; ";
        text += line;
    }
    if text.len() > LONGEST {
        let mut cut = LONGEST;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text += "…";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Failure {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let (at, state, message) = lines
            .iter()
            .enumerate()
            .find_map(|(at, line)| {
                coded(line).filter(|(s, _)| is_error(s)).map(|(s, m)| (at, s, m))
            })
            .unwrap();
        Failure { sqlstate: Some(state.into()), text: text(state, message, &lines[at + 1..]) }
    }

    #[test]
    fn the_code_is_read_by_its_place_in_any_language() {
        let failure = of(&[
            "WARNUNG:  01000: nur eine Warnung",
            "LOCATION:  f, x.c:1",
            "FEHLER:  23503: Einfügen in Tabelle »invoice« verletzt »fk«",
            "DETAIL:  Schlüssel (customer)=(424242) ist nicht vorhanden",
            "LOCATION:  ri_ReportViolation, ri_triggers.c:2599",
        ]);
        assert!(failure.is(&["23503"]));
        assert_eq!(
            failure.to_string(),
            "ERROR 23503: Einfügen in Tabelle »invoice« verletzt »fk«; \
             DETAIL:  Schlüssel (customer)=(424242) ist nicht vorhanden"
        );
    }

    #[test]
    fn text_that_only_looks_like_a_code_is_none() {
        for line in
            ["ERROR:  2350: x", "ERROR: 23503: x", "psql: error: connection failed", "a:  b"]
        {
            assert_eq!(coded(line), None, "{line}");
        }
        assert_eq!(coded("psql:<stdin>:3: ERROR:  42P01: x"), Some(("42P01", "x")));
    }
}
