//! The lines of an `.env` as they may be shown: a value only where its key is known to be harmless.
//! Everything else is `***`: a key that nobody has thought of may well name a secret.

/// What stands for a value that is not shown.
pub const MASK: &str = "***";

/// The settings of `docs/CONFIG.md` that are not secret and whose last word is not in
/// [`HARMLESS_WORDS`].
const HARMLESS_KEYS: &[&str] = &[
    "AWS_CA_BUNDLE",
    "BACKUP_LINK",
    "OBJECT_STORAGE",
    "POSTGRES_CHANNEL_BINDING",
    "POSTGRES_GSSDELEGATION",
    "POSTGRES_GSSENCMODE",
    "POSTGRES_GSSLIB",
    "POSTGRES_KRBSRVNAME",
    "POSTGRES_PASSFILE",
    "POSTGRES_PGSERVICE",
    "POSTGRES_PGSERVICEFILE",
    "POSTGRES_REQUIREPEER",
    "POSTGRES_REQUIRESSL",
    "POSTGRES_REQUIRE_AUTH",
    "POSTGRES_SSLCERT",
    "POSTGRES_SSLCERTMODE",
    "POSTGRES_SSLCRL",
    "POSTGRES_SSLCRLDIR",
    "POSTGRES_SSLKEY",
    "POSTGRES_SSLMODE",
    "POSTGRES_SSLNEGOTIATION",
    "POSTGRES_SSLROOTCERT",
    "POSTGRES_SSLSNI",
    "POSTGRES_TARGET_SESSION_ATTRS",
    "POSTGRES_USER",
    "POSTGRES_VIA",
    "READINESS_URLS",
    "REDIS_URL",
    "S3_ENDPOINT",
    "S3_FORCE_PATH_STYLE",
    "SYSTEMD_UNITS",
];

/// A key that ends in one of these words, after `_` or alone, names nothing secret.
const HARMLESS_WORDS: &[&str] = &[
    "BUCKET",
    "COUNT",
    "DATABASE",
    "DAYS",
    "DB",
    "DEBUG",
    "DIR",
    "DOMAIN",
    "DRIVER",
    "ENABLED",
    "ENVIRONMENT",
    "FILE",
    "FLAGS",
    "HOST",
    "HOSTNAME",
    "HOSTS",
    "HOURS",
    "INTERVAL",
    "LANG",
    "LEVEL",
    "LIMIT",
    "LOCALE",
    "MAX",
    "MIB",
    "MIN",
    "MINUTES",
    "MODE",
    "MS",
    "NAME",
    "PERCENT",
    "PORT",
    "PORTS",
    "REGION",
    "ROOT",
    "SCHEMA",
    "SECONDS",
    "SERVICE",
    "SERVICES",
    "SIZE",
    "TIMEOUT",
    "TIMEZONE",
    "TZ",
    "VERSION",
    "WORKERS",
];

/// A key that begins so is public by its name.
const PUBLIC: &str = "PUBLIC_";

/// Values that are no secret whatever the key.
const SWITCHES: &[&str] = &["", "yes", "no", "true", "false", "on", "off"];

/// A line that may be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// Whether something in it is hidden.
    pub masked: bool,
}

/// What a line has begun and not ended.
enum Open {
    Nothing,
    /// A value in quotes of this kind.
    Quote(char),
    /// A value whose line ended in a backslash.
    Continued,
}

/// The lines of a text, without their newlines, as they may be shown.
pub fn mask(text: &str) -> Vec<Line> {
    let mut open = Open::Nothing;
    let mut mask_line = |line: &str| {
        let is_inside = !matches!(open, Open::Nothing);
        open = match open {
            Open::Quote(quote) if closing(line, quote).is_none() => Open::Quote(quote),
            Open::Continued if ends_in_backslash(line) => Open::Continued,
            // Also for the last line of a value: if the value's beginning was a mistake, as in a
            // comment, this line may begin one.
            _ => opened_by(line),
        };
        let text = if is_inside { MASK.to_owned() } else { shown(line) };
        Line { masked: text != line, text }
    };
    text.split_terminator('\n').map(&mut mask_line).collect()
}

fn shown(line: &str) -> String {
    if line.trim().is_empty() {
        return line.to_owned();
    }
    match Assignment::parse(line) {
        Some(assignment) => format!("{}{}", assignment.before, assignment.shown_value()),
        None => format!("{}{MASK}", &line[..comment_start(line)]),
    }
}

fn opened_by(line: &str) -> Open {
    match Assignment::parse(line) {
        Some(Assignment { value, .. }) if value.starts_with(['"', '\'']) => {
            match literal_end(value) {
                Some(_) => Open::Nothing,
                None => Open::Quote(if value.starts_with('"') { '"' } else { '\'' }),
            }
        }
        Some(_) if ends_in_backslash(line) => Open::Continued,
        _ => Open::Nothing,
    }
}

/// A line that gives a key a value, commented out or not.
struct Assignment<'a> {
    /// The line up to the value.
    before: &'a str,
    key: &'a str,
    value: &'a str,
}

impl<'a> Assignment<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let rest = line[comment_start(line)..].trim_start();
        let rest = rest.strip_prefix("export ").unwrap_or(rest).trim_start();
        let (key, rest) = rest.split_at(rest.find(|c| !is_key_char(c))?);
        let value = rest.trim_start().strip_prefix(['=', ':'])?.trim_start();
        let before = &line[..line.len() - value.len()];
        is_key(key).then_some(Self { before, key, value })
    }

    fn shown_value(&self) -> String {
        let Some(end) = literal_end(self.value) else { return MASK.to_owned() };
        let (literal, after) = self.value.split_at(end);
        let space = &after[..after.len() - after.trim_start().len()];
        let after = match after.trim_start() {
            "" => space.to_owned(),
            comment if comment.starts_with('#') => format!("{space}# {MASK}"),
            _ => return MASK.to_owned(),
        };
        let bare = literal.trim_matches(['"', '\'']);
        let is_switch = SWITCHES.contains(&bare.to_ascii_lowercase().as_str());
        let literal = match is_switch || is_harmless(self.key) {
            true => mask_urls(literal),
            false => MASK.to_owned(),
        };
        literal + &after
    }
}

fn is_harmless(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let last_word = key.rsplit('_').next().unwrap_or_default();
    HARMLESS_WORDS.contains(&last_word)
        || HARMLESS_KEYS.contains(&key.as_str())
        || key.starts_with(PUBLIC)
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-".contains(c)
}

/// Whether it can be a key, and is no line of base64 that ends in `=`.
fn is_key(key: &str) -> bool {
    let is_upper = !key.contains(|c: char| c.is_ascii_lowercase());
    let is_lower = !key.contains(|c: char| c.is_ascii_uppercase());
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && (is_upper || is_lower)
        && key.split('_').all(|word| word.len() <= 20)
}

/// How long the mark of a comment at the start of a line is, in bytes; 0 where there is none.
fn comment_start(line: &str) -> usize {
    let text = line.trim_start();
    let words = text.trim_start_matches('#').trim_start();
    if text.starts_with('#') { line.len() - words.len() } else { 0 }
}

/// Where a value ends, its closing quote included; none if its quote stays open.
fn literal_end(value: &str) -> Option<usize> {
    match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => closing(&value[1..], quote).map(|at| at + 2),
        None => Some(value.find(" #").unwrap_or(value.trim_end().len())),
    }
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

fn ends_in_backslash(line: &str) -> bool {
    line.trim_end().ends_with('\\')
}

/// A value with what is secret in a URL hidden: all between `://` and the last `@`, because a
/// password may hold what a URL may not. A query may hold anything.
fn mask_urls(value: &str) -> String {
    match (value.find("://"), value.rfind('@')) {
        (Some(scheme), _) if value[scheme..].contains('?') => MASK.to_owned(),
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}{MASK}{}", &value[..scheme + 3], &value[at..])
        }
        (_, Some(_)) => MASK.to_owned(),
        (_, None) => value.to_owned(),
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
