//! Why psql has ended, with the server's SQLSTATE: messages are in the language of the server, the code
//! is the same in all.

use pipe_kit::child::Finished;
use std::fmt;

/// `NOWAIT`, or a lock timeout.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A database, or another object, that sessions use.
pub const OBJECT_IN_USE: &str = "55006";
/// A setting, or another object, that does not exist.
pub const UNDEFINED_OBJECT: &str = "42704";
/// A right is missing.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// A value that a setting does not accept.
pub const INVALID_PARAMETER_VALUE: &str = "22023";

/// Class of SQLSTATE: an operator, or the server itself, ended it.
const INTERVENTION: &str = "57";
/// Classes of SQLSTATE that are no errors: success, warning, no data.
const NO_ERROR: [&str; 3] = ["00", "01", "02"];

/// A statement in a transaction that an error before it has aborted: never the cause.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// The longest text of an error in full, in bytes.
const LONGEST: usize = 1200;
/// psql's labels of lines that only repeat the statement or the message.
const REPEATED: [&str; 7] = [
    "LINE ",
    "QUERY",
    "SCHEMA NAME",
    "TABLE NAME",
    "COLUMN NAME",
    "DATATYPE NAME",
    "CONSTRAINT NAME",
];

#[derive(Clone, Debug)]
pub struct ServerError {
    line: String,
    sqlstate: Option<String>,
    /// Whether the session was lost, so that the outcome of its last statement is not known.
    lost: bool,
}

/// psql's exit status when its session is lost.
const LOST: i32 = 2;

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for ServerError {}

/// The server's code of an error. None if psql got no session, or the error is not the server's.
pub fn sqlstate_of(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref::<ServerError>()?.sqlstate.as_deref())
}

impl ServerError {
    /// From a psql that ran with `VERBOSITY` verbose.
    pub fn of(finished: &Finished) -> Self {
        let found = ParsedError::parse(&finished.stderr);
        let line = finished.describe(found.line.as_deref());
        Self { line, sqlstate: found.sqlstate, lost: finished.status.code() == Some(LOST) }
    }

    /// The same, with the DETAIL line of the server.
    pub fn detailed(finished: &Finished) -> Self {
        let found = ParsedError::parse(&finished.stderr);
        let mut line = finished.describe(found.line.as_deref());
        if let Some(detail) = &found.detail {
            line += &format!(" ({detail})");
        }
        Self { line, sqlstate: found.sqlstate, lost: finished.status.code() == Some(LOST) }
    }
}

impl ServerError {
    /// The code and the server's whole explanation on one line, without psql's exit status.
    pub fn in_full(finished: &Finished) -> Self {
        let found = ParsedError::parse(&finished.stderr);
        let line = match (&found.sqlstate, &found.full) {
            (Some(state), Some(full)) => format!("ERROR {state}: {full}"),
            _ => finished.describe(found.line.as_deref()),
        };
        Self { line, sqlstate: found.sqlstate, lost: finished.status.code() == Some(LOST) }
    }

    /// Whether a statement failed, rather than its session or the server.
    pub fn is_of_a_statement(&self) -> bool {
        !self.lost && self.sqlstate().is_some_and(|state| !state.starts_with(INTERVENTION))
    }

    /// An error that no psql has reported.
    pub fn other(line: impl Into<String>) -> Self {
        Self { line: line.into(), sqlstate: None, lost: false }
    }

    /// The code, where the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }

    /// Whether the code is one of these.
    pub fn is(&self, states: &[&str]) -> bool {
        self.sqlstate().is_some_and(|state| states.contains(&state))
    }

    /// An error of which only the code is known.
    pub fn of_state(state: &str) -> Self {
        let line = format!("ERROR {state}");
        Self { line, sqlstate: Some(state.to_owned()), lost: false }
    }

    /// With what the operator can do about it.
    pub fn with_remedy(self, remedy: &str) -> Self {
        Self { line: format!("{}; {remedy}", self.line), ..self }
    }

    /// Without the explanation, which may quote the statement.
    pub fn brief(self) -> Self {
        let line = self.line.split("; ").next().unwrap_or_default().to_owned();
        Self { line, ..self }
    }

    /// Without any of the server's words, which may quote a value.
    pub fn only_code(self) -> Self {
        match self.sqlstate() {
            Some(state) => Self { lost: self.lost, ..Self::of_state(state) },
            None => Self { line: "psql failed".into(), ..self },
        }
    }
}

/// What counts of a psql's last words.
#[derive(Debug, Default, PartialEq, Eq)]
struct ParsedError {
    line: Option<String>,
    sqlstate: Option<String>,
    detail: Option<String>,
    full: Option<String>,
}

/// One message of the server: `SEVERITY:  CODE: text`, then what belongs to it, then where in the
/// server's own source it was raised. Of the words of severity and labels nothing is known.
struct ServerMessage<'a> {
    severity: &'a str,
    code: &'a str,
    text: &'a str,
    rest: Vec<&'a str>,
}

impl ParsedError {
    fn parse(stderr: &[String]) -> Self {
        let (messages, psqls) = parse_messages(stderr);
        let is_error = |message: &&ServerMessage<'_>| {
            !NO_ERROR.contains(&&message.code[..2]) && message.code != IN_FAILED_TRANSACTION
        };
        let last = messages.iter().rfind(is_error);
        // psql prints an error of its own where it gets no session or loses it: then a lock that was tried in
        // vain before, and again, is not what it ended for.
        let cause = last.filter(|m| psqls.is_empty() || m.code != LOCK_NOT_AVAILABLE);
        match cause {
            Some(ServerMessage { severity, code, text, rest }) => Self {
                line: Some(format!("{severity}:  {text}")),
                sqlstate: Some((*code).to_owned()),
                detail: rest.iter().find(|line| is_labelled(line)).map(|line| (*line).to_owned()),
                full: Some(explained(text, rest)),
            },
            None => {
                let own = psqls.iter().find(|line| line.starts_with("psql: "));
                let line = own.or(psqls.first()).map(|line| (*line).to_owned());
                Self { line, ..Self::default() }
            }
        }
    }
}

/// The message and what explains it, on one line.
fn explained(text: &str, rest: &[&str]) -> String {
    let mut full = text.to_owned();
    let lines = rest.iter().map(|line| line.trim()).filter(|line| !matches!(*line, "" | "^"));
    for line in lines.filter(|line| !REPEATED.iter().any(|label| line.starts_with(label))) {
        if full.len() + line.len() > LONGEST {
            full += "; …";
            break;
        }
        full += "; ";
        full += line;
    }
    full
}

/// The server's messages, and the lines that psql has written of its own.
fn parse_messages(stderr: &[String]) -> (Vec<ServerMessage<'_>>, Vec<&str>) {
    let (mut messages, mut psqls) = (Vec::new(), Vec::new());
    let mut within = false;
    for line in stderr.iter().map(String::as_str) {
        match (within, messages.last_mut()) {
            (true, Some(ServerMessage { rest, .. })) => {
                within = !is_location(line);
                if within {
                    rest.push(line);
                }
            }
            _ => match parse_first_line(line) {
                Some(message) => {
                    messages.push(message);
                    within = true;
                }
                None if line.is_empty() => {}
                None => psqls.push(line),
            },
        }
    }
    (messages, psqls)
}

fn parse_first_line(line: &str) -> Option<ServerMessage<'_>> {
    let (severity, rest) = line.split_once(":  ")?;
    let (code, text) = rest.split_at_checked(5)?;
    let is_code = code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let text = text.strip_prefix(':')?.trim_start();
    (is_code && !severity.contains(':')).then(|| ServerMessage {
        severity,
        code,
        text,
        rest: Vec::new(),
    })
}

/// `LOCATION:  function, file.c:123`.
fn is_location(line: &str) -> bool {
    let Some((file, number)) = line.rsplit_once(':') else { return false };
    let suffix = file.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let is_suffix =
        (1..=3).contains(&suffix.len()) && suffix.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_suffix && is_number && is_labelled(line)
}

fn is_labelled(line: &str) -> bool {
    line.split_once(":  ").is_some_and(|(label, _)| !label.is_empty() && !label.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(stderr: &str) -> (String, String, String) {
        let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        let ParsedError { line, sqlstate, detail, .. } = ParsedError::parse(&lines);
        (line.unwrap_or_default(), sqlstate.unwrap_or_default(), detail.unwrap_or_default())
    }

    #[test]
    fn the_code_is_read_by_its_place_in_any_language() {
        for (stderr, line, code, detail) in [
            (
                "ERROR:  42P01: relation \"x\" does not exist\nLINE 1: select * from x\n            ^\n\
                 LOCATION:  parserOpenTable, parse_relation.c:1384\n",
                "ERROR:  relation \"x\" does not exist",
                "42P01",
                "",
            ),
            (
                "FEHLER:  55006: Datenbank »a« wird von anderen Benutzern verwendet\n\
                 DETAIL:  1 andere Sitzung verwendet die Datenbank.\nORT:  RenameDatabase, dbcommands.c:1862",
                "FEHLER:  Datenbank »a« wird von anderen Benutzern verwendet",
                "55006",
                "DETAIL:  1 andere Sitzung verwendet die Datenbank.",
            ),
            (
                "错误:  42704: 未认可的配置参数 \"x\"\n位置:  f, guc.c:1",
                "错误:  未认可的配置参数 \"x\"",
                "42704",
                "",
            ),
            (
                "ÖLÜMCÜL (FATAL):  57P01: bitti\nYER:  ProcessInterrupts, postgres.c:3",
                "ÖLÜMCÜL (FATAL):  bitti",
                "57P01",
                "",
            ),
        ] {
            assert_eq!(words(stderr), (line.into(), code.into(), detail.into()), "{stderr}");
        }
    }

    #[test]
    fn an_error_in_full_explains_itself_without_the_statement() {
        let lines = [
            "ERROR:  23503: no such parent",
            "LINE 1: alter table",
            "        ^",
            "DETAIL:  Key (a)=(1) is not present.",
            "CONTEXT:  somewhere",
            "TABLE NAME:  t",
            "LOCATION:  f, ri.c:1",
        ];
        let words = ParsedError::parse(&lines.map(str::to_owned));
        let expected = "no such parent; DETAIL:  Key (a)=(1) is not present.; CONTEXT:  somewhere";
        assert_eq!(words.full.as_deref(), Some(expected));
    }

    #[test]
    fn what_is_in_a_message_is_no_message_and_a_notice_is_no_error() {
        let notice =
            "HINWEIS:  00000: los\nORT:  a, pl_exec.c:1\nWARNUNG:  01000: oh\nORT:  a, b.c:2\n";
        assert_eq!(words(notice).1, "");
        let error = "FEHLER:  23514: Zeile\nDETAIL:  Zeile enthält (a\nERROR:  42P01: b\n).\nORT:  a, b.c:3\n";
        assert_eq!(words(&format!("{notice}{error}")).1, "23514");
        let aborted = "ERROR:  25P02: current transaction is aborted\nLOCATION:  a, b.c:4\n";
        assert_eq!(words(&format!("{error}{aborted}{aborted}")).1, "23514");
        assert_eq!(
            words("ERROR:  42P01: one\nLOCATION:  a, b.c:3\nERROR:  42P02: two\n").1,
            "42P02"
        );
    }

    #[test]
    fn where_psql_speaks_for_itself_a_lock_tried_before_is_not_the_reason() {
        let tried = "ERROR:  55P03: could not obtain lock\nLOCATION:  a, b.c:3\n";
        assert_eq!(words(tried).1, "55P03");
        let lost = "server closed the connection unexpectedly\n\tThis probably means\n";
        let found = words(&format!("{tried}{lost}"));
        assert_eq!(
            (found.0.as_str(), found.1.as_str()),
            ("server closed the connection unexpectedly", "")
        );
        let ended = "FATAL:  57P01: ended\nLOCATION:  a, b.c:3\n";
        assert_eq!(words(&format!("{tried}{ended}{lost}")).1, "57P01");
        let refused = "psql: error: connection to server failed: FATAL:  nobody\n";
        assert_eq!(words(refused).0, refused.trim());
        assert_eq!(words(""), Default::default());
    }
}
