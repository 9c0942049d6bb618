//! The lines of an `.env` as they may be shown: a value only where its key is known to be harmless.
//! Everything else is `***`: a key that nobody has thought of may well name a secret.

/// What stands for a value that is not shown.
pub const MASK: &str = "***";

/// The settings of `docs/CONFIG.md` that are not secret and whose last word is not in
/// [`HARMLESS_WORDS`].
const HARMLESS_KEYS: &[&str] = &[
    "AWS_CA_BUNDLE",
    "BACKUP_KEEP_DAILY",
    "BACKUP_KEEP_MONTHLY",
    "BACKUP_KEEP_WEEKLY",
    "BACKUP_KEEP_YEARLY",
    "BACKUP_LINK",
    "BACKUP_SHIP",
    "DRILL_DATA_KEYS",
    "DRILL_USER",
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
    "SHIP_KEEP_DAILY",
    "SHIP_KEEP_MONTHLY",
    "SHIP_KEEP_WEEKLY",
    "SHIP_KEEP_YEARLY",
    "SHIP_RECIPIENTS",
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

/// A key that begins with this is public by its name.
const PUBLIC: &str = "PUBLIC_";

/// A key with a word that begins with one of these names a secret, whatever its last word, unless that is one of
/// [`PLACES`].
const SECRET_WORDS: &[&str] = &[
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "KEY",
    "APIKEY",
    "CREDENTIAL",
    "SALT",
    "SEED",
    "DSN",
    "JWT",
    "PRIVATE",
    "AUTH",
];

/// Last words of keys whose values are paths.
const PLACES: &[&str] = &["FILE", "DIR", "ROOT"];

/// A part of a URL's path that is this long and mixes letters with digits may be a token, in bytes.
const TOKEN: usize = 20;

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
        Some(Assignment { value, .. }) if quote_of(value).is_some() => unclosed(value),
        Some(_) if ends_in_backslash(line) => Open::Continued,
        Some(_) => Open::Nothing,
        // Some reader may take it for an assignment all the same.
        None if comment_start(line) == 0 => {
            line.find(['=', ':']).map_or(Open::Nothing, |at| unclosed(line[at + 1..].trim_start()))
        }
        None => Open::Nothing,
    }
}

/// The quote with which a value begins.
fn quote_of(value: &str) -> Option<char> {
    value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))
}

fn unclosed(value: &str) -> Open {
    match quote_of(value) {
        Some(quote) if literal_end(value).is_none() => Open::Quote(quote),
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
        let bare = literal.trim_matches(['"', '\'', '`']);
        let is_switch = SWITCHES.contains(&bare.to_ascii_lowercase().as_str());
        let literal = match is_switch || (is_harmless(self.key) && !holds_a_secret(bare)) {
            true => mask_urls(literal),
            false => MASK.to_owned(),
        };
        literal + &after
    }
}

fn is_harmless(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let last_word = key.rsplit('_').next().unwrap_or_default();
    let is_secret =
        |word: &str| SECRET_WORDS.iter().any(|secret| word.trim_matches('-').starts_with(secret));
    let names_a_secret = key.split(['_', '.', '-']).any(is_secret) && !PLACES.contains(&last_word);
    HARMLESS_KEYS.contains(&key.as_str())
        || is_destination(&key)
        || (!names_a_secret && (HARMLESS_WORDS.contains(&last_word) || key.starts_with(PUBLIC)))
}

/// Whether a key is `SHIP_1` to `SHIP_9`, or one of its settings that is not secret.
fn is_destination(key: &str) -> bool {
    let Some(rest) = key.strip_prefix("SHIP_") else { return false };
    let own = ["", "_CA_BUNDLE", "_ENDPOINT", "_FORCE_PATH_STYLE", "_MAX_RATE", "_PROFILE"];
    rest.starts_with(|digit| matches!(digit, '1'..='9')) && own.contains(&&rest[1..])
}

/// Whether a value of a harmless key may hold a secret all the same: options, JSON, a URL with a token.
fn holds_a_secret(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let named = ["pass", "password", "pwd", "secret", "token", "apikey", "api_key", "credential"];
    let is_given = |(at, word): (usize, &str)| {
        lower[at + word.len()..].starts_with(['=', ':', '"', '\'', ' ', '\t'])
    };
    let is_token = |part: &str| {
        part.len() >= TOKEN
            && part.contains(|c: char| c.is_ascii_digit())
            && part.contains(|c: char| c.is_ascii_alphabetic())
    };
    let paths = value.split_whitespace().filter_map(|word| Some(word.split_once("://")?.1));
    // A reference to another variable is no JSON.
    value.replace("${", "").contains('{')
        || named.iter().any(|word| lower.match_indices(word).any(is_given))
        || paths.flat_map(|path| path.split('/').skip(1)).any(is_token)
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
    let begins_comment =
        |(at, _): &(usize, &str)| value[..*at].ends_with(|c: char| c.is_whitespace());
    match quote_of(value) {
        Some(quote) => closing(&value[1..], quote).map(|at| at + 2),
        None => {
            let comment = value.match_indices('#').find(begins_comment);
            Some(value[..comment.map_or(value.len(), |(at, _)| at)].trim_end().len())
        }
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
mod tests;
