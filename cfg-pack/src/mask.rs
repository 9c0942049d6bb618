//! Settings as text that may be shown: secret values as `***`. In doubt it is a secret.

/// What stands for a secret.
pub const MASK: &str = "***";

/// A key or file name with one of these in it names a secret.
const WORDS: &[&str] = &[
    "AUTH",
    "BEARER",
    "CONN_STR",
    "CONNECTION_STRING",
    "COOKIE",
    "CREDENTIAL",
    "DSN",
    "ENCRYPT",
    "HASH",
    "JWT",
    "KEY",
    "PASS",
    "PRIVATE",
    "PWD",
    "SALT",
    "SECRET",
    "SEED",
    "SESSION",
    "SIGN",
    "TOKEN",
    "WEBHOOK",
];
/// A run of this many letters and digits in a value is no word.
const RANDOM_RUN: usize = 20;

/// A line that may be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// Whether something in it is hidden.
    pub masked: bool,
}

/// Whether a name says that what it names is a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// The lines of a text, without their newlines, as they may be shown.
pub fn mask(text: &str) -> Vec<Line> {
    let mut state = State::Plain;
    text.split_terminator('\n')
        .map(|line| {
            let (masked, next) = state.line(line);
            state = next;
            match masked {
                Some(text) => Line { text, masked: true },
                None => Line { text: line.to_owned(), masked: false },
            }
        })
        .collect()
}

/// What the lines so far have begun and not ended.
enum State {
    Plain,
    /// A value in quotes of this kind.
    Quoted(char),
    /// A value whose line ended in a backslash.
    Continued,
    /// A PEM block.
    Pem,
    /// A value on lines that are indented deeper than this.
    Block(usize),
}

impl State {
    /// The line as it may be shown, if not as it is, and the state after it.
    fn line(&self, line: &str) -> (Option<String>, Self) {
        let hidden = || Some(MASK.to_owned());
        match self {
            Self::Plain => plain(line),
            Self::Quoted(quote) if closing(line, *quote).is_none() => {
                (hidden(), Self::Quoted(*quote))
            }
            Self::Continued if ends_in_backslash(line) => (hidden(), Self::Continued),
            Self::Pem if !line.contains("-----END") => (hidden(), Self::Pem),
            Self::Block(than) if line.trim().is_empty() || indent(line) > *than => {
                (hidden(), Self::Block(*than))
            }
            Self::Block(_) => plain(line),
            // The last line of it. Should the beginning have been none, this may be one.
            Self::Quoted(_) | Self::Continued | Self::Pem => (hidden(), plain(line).1),
        }
    }
}

/// A line that stands for itself.
fn plain(line: &str) -> (Option<String>, State) {
    if line.trim().is_empty() {
        return (None, State::Plain);
    }
    if let Some(assignment) = Assignment::parse(line) {
        return (assignment.masked(line), assignment.state(line));
    }
    let opens_pem = line.contains("-----BEGIN") && !line.contains("-----END");
    let next = if opens_pem { State::Pem } else { State::Plain };
    let comment = comment_start(line);
    if comment == 0 || line.contains("-----BEGIN") {
        return (Some(MASK.to_owned()), next);
    }
    let (mark, words) = line.split_at(comment);
    let masked = if is_secret_name(words) { Some(MASK.to_owned()) } else { mask_value(words) };
    (masked.map(|words| format!("{mark}{words}")), next)
}

/// A line that gives a key a value, commented out or not.
struct Assignment<'a> {
    key: &'a str,
    separator: char,
    /// Where in the line the value begins, in bytes.
    at: usize,
    value: &'a str,
}

impl<'a> Assignment<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = &line[comment_start(line)..];
        rest = rest.trim_start();
        for lead in ["- ", "export ", "set ", "ENV "] {
            rest = rest.strip_prefix(lead).map_or(rest, str::trim_start);
        }
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        rest = quote.map_or(rest, |_| &rest[1..]);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c))?;
        let (key, mut rest) = rest.split_at(end);
        if let Some(quote) = quote {
            rest = rest.strip_prefix(quote)?;
        }
        rest = rest.trim_start();
        let separator = rest.chars().next().filter(|c| matches!(c, '=' | ':'))?;
        let value = rest[1..].trim_start();
        let at = line.len() - value.len();
        (is_key(key) && !value.starts_with("//")).then_some(Self { key, separator, at, value })
    }

    fn masked(&self, line: &str) -> Option<String> {
        let value = self.value.trim_end();
        if value.is_empty() {
            return None;
        }
        let hide = is_secret_name(self.key) || self.opens().is_some() || self.begins_block();
        let value = if hide { Some(MASK.to_owned()) } else { mask_value(value) };
        value.map(|value| format!("{}{value}", &line[..self.at]))
    }

    /// What it begins and does not end.
    fn state(&self, line: &str) -> State {
        if let Some(quote) = self.opens() {
            State::Quoted(quote)
        } else if self.value.contains("-----BEGIN") && !self.value.contains("-----END") {
            State::Pem
        } else if ends_in_backslash(line) {
            State::Continued
        } else if self.begins_block() || (self.separator == ':' && self.is_empty_secret()) {
            State::Block(indent(line))
        } else {
            State::Plain
        }
    }

    /// The quote that is open at the end of the line.
    fn opens(&self) -> Option<char> {
        let quote = self.value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
        closing(&self.value[1..], quote).is_none().then_some(quote)
    }

    /// YAML's `key: |` and `key: >`.
    fn begins_block(&self) -> bool {
        self.separator == ':' && self.value.starts_with(['|', '>', '{', '['])
    }

    fn is_empty_secret(&self) -> bool {
        self.value.trim().is_empty() && is_secret_name(self.key)
    }
}

/// Whether it can be a key at all, and is not a line of base64 that ends in `=`.
fn is_key(key: &str) -> bool {
    let has = |what: fn(&char) -> bool| key.chars().any(|c| what(&c));
    let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && key.len() <= 64 && !(mixed && key.len() >= 16) && !looks_random(key)
}

/// How long the mark of a comment at the start of a line is, in bytes; 0 where there is none.
fn comment_start(line: &str) -> usize {
    let text = line.trim_start();
    let words = text.trim_start_matches(['#', ';']).trim_start();
    if text.starts_with(['#', ';']) { line.len() - words.len() } else { 0 }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn ends_in_backslash(line: &str) -> bool {
    line.trim_end().ends_with('\\')
}

/// Where a quote closes. A backslash hides one, in single quotes too: some readers hold it so.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut hidden = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == quote && !hidden;
        hidden = c == '\\' && !hidden;
        closes.then_some(at)
    })
}

/// The value of a key that is no secret's name, if something in it must be hidden: the password in
/// a URL, or all of it.
fn mask_value(value: &str) -> Option<String> {
    let without = mask_userinfo(value);
    let text = without.as_deref().unwrap_or(value);
    if names_a_secret(text) || looks_random(text) || text.contains("eyJ") {
        return Some(MASK.to_owned());
    }
    without
}

/// `scheme://user:password@host` with the password hidden. Passwords hold what URLs may not, so
/// all up to the last `@` is taken for one.
fn mask_userinfo(value: &str) -> Option<String> {
    let at = value.rfind('@')?;
    let (before, host) = value.split_at(at);
    if let Some(scheme) = before.find("://") {
        let (scheme, userinfo) = before.split_at(scheme + 3);
        let user = match userinfo.split_once(':') {
            Some((user, password)) if is_user(user) && !password.is_empty() => format!("{user}:"),
            _ => String::new(),
        };
        return Some(format!("{scheme}{user}{MASK}{host}"));
    }
    before.contains([':', '/']).then(|| format!("{MASK}{host}"))
}

/// Whether it is a user's name rather than a token in its place.
fn is_user(user: &str) -> bool {
    user.len() <= 16 && user.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Whether a value holds the name of a secret with something after it: `password=x`, `"token": "x"`,
/// `--secret x`, `Bearer x`. A host of that name in a URL is none.
fn names_a_secret(value: &str) -> bool {
    let text = value.to_ascii_uppercase();
    WORDS.iter().chain(&["BASIC"]).any(|word| {
        text.match_indices(word).any(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
            let after = end.map_or("", |end| rest[end..].trim_start_matches(['"', '\'', '\\']));
            let is_host = text[..at].ends_with("://");
            !is_host && after.starts_with(['=', ':', ' ', '\t', '%'])
        })
    })
}

/// Whether it holds a long run of letters and digits, as words and names do not.
fn looks_random(value: &str) -> bool {
    let breaks = |c: char| !c.is_ascii_alphanumeric() && !"+=".contains(c);
    value.split(breaks).any(|run| {
        run.len() >= RANDOM_RUN
            && run.contains(|c: char| c.is_ascii_digit())
            && run.contains(|c: char| c.is_ascii_alphabetic())
    })
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
