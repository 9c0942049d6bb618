//! Which parts of a value are secret.

use crate::settings;
use std::ops::Range;

/// Words that a secret's name ends in.
const WORDS: [&str; 21] = [
    "APIKEY",
    "AUTH",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
    "JWT",
    "KEY",
    "KEYS",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORDS",
    "PEPPER",
    "PWD",
    "SALT",
    "SECRET",
    "SECRETS",
    "SEED",
    "TOKEN",
    "TOKENS",
];
/// Words that one may be written together with: `DBPASSWORD`.
const ENDINGS: [&str; 5] = ["APIKEY", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];
/// Words after these that name only its encoding.
const FORMS: [&str; 4] = ["B64", "BASE", "BASE64", "HEX"];
/// A key that is for everybody.
const PUBLIC: [&str; 3] = ["PUB", "PUBLIC", "PUBLISHABLE"];
/// Values that are no secret whatever their name.
const SWITCHES: [&str; 6] = ["false", "no", "off", "on", "true", "yes"];
/// A shorter one protects nothing, and may be a name.
const SHORTEST: usize = 4;

/// Whether a variable's name is that of a secret.
pub fn is_secret_name(name: &str) -> bool {
    if let Some(setting) = settings::find(name) {
        return setting.secret;
    }
    let name = name.to_ascii_uppercase();
    let mut words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_form = |word: &str| FORMS.contains(&word) || word.bytes().all(|b| b.is_ascii_digit());
    while words.len() > 1 && words.last().is_some_and(|word| is_form(word)) {
        words.pop();
    }
    let is_public = words.iter().any(|word| PUBLIC.contains(word));
    let is_secret =
        |word: &&str| WORDS.contains(word) || ENDINGS.iter().any(|end| word.ends_with(end));
    !is_public && !settings::is_known(&name) && words.last().is_some_and(is_secret)
}

/// The secret parts of a variable's value.
pub fn of_variable(name: &str, value: &str) -> Vec<Range<usize>> {
    let is_path = ["/", "./", "../"].iter().any(|start| value.starts_with(start));
    let lower = value.to_ascii_lowercase();
    let parts = parts(value);
    if !parts.is_empty() {
        return parts;
    }
    let is_whole = is_secret_name(name)
        && value.len() >= SHORTEST
        && !is_path
        && !value.contains("://")
        && !SWITCHES.contains(&lower.as_str());
    if is_whole { whole(value) } else { Vec::new() }
}

fn whole(value: &str) -> Vec<Range<usize>> {
    std::iter::once(0..value.len()).collect()
}

/// The secret parts of a secret file's only line.
pub fn of_file(line: &str) -> Vec<Range<usize>> {
    let parts = parts(line);
    if !parts.is_empty() || line.contains("://") || line.is_empty() {
        return parts;
    }
    whole(line)
}

/// Passwords in URLs, `password=…`, and a line of a password file.
fn parts(value: &str) -> Vec<Range<usize>> {
    if value.contains("://") {
        return value.match_indices("://").flat_map(|(at, _)| of_url(value, at)).collect();
    }
    of_password_line(value).map_or_else(|| of_pairs(value), |part| vec![part])
}

/// Of the URL whose scheme ends here: the password, and the values of secret parameters.
fn of_url(value: &str, colon: usize) -> Vec<Range<usize>> {
    let begin = colon + 3;
    let is_end = |c: char| c.is_whitespace() || "\"'<>".contains(c);
    let end = value[begin..].find(is_end).map_or(value.len(), |at| begin + at);
    let url = &value[begin..end];
    let is_web = value[..colon].ends_with("http") || value[..colon].ends_with("https");
    // A password with a slash in it belongs into no URL, and is found in some all the same.
    let authority = match url.find(['/', '?', '#']) {
        Some(at) if is_web || url[..at].contains('@') => &url[..at],
        _ => url,
    };
    let mut found = Vec::new();
    if let Some(at) = authority.rfind('@')
        && let Some(colon) = authority[..at].find(':')
        && colon + 1 < at
    {
        found.push(begin + colon + 1..begin + at);
    }
    let Some(query) = url.find('?') else { return found };
    let mut from = begin + query + 1;
    for pair in value[from..end].split('#').next().unwrap_or_default().split('&') {
        if let Some((name, secret)) = pair.split_once('=')
            && is_secret_name(name)
            && !secret.is_empty()
        {
            found.push(from + name.len() + 1..from + pair.len());
        }
        from += pair.len() + 1;
    }
    found
}

/// `host=db user=app password=…`, separated by blanks or semicolons.
fn of_pairs(value: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    for pair in value.split_inclusive(|c: char| c.is_whitespace() || c == ';') {
        let text = pair.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
        if let Some((name, secret)) = text.split_once('=')
            && is_secret_name(name)
        {
            let quoted = ['\'', '"']
                .into_iter()
                .find_map(|quote| secret.strip_prefix(quote)?.strip_suffix(quote));
            let at = from + name.len() + 1 + usize::from(quoted.is_some());
            let bare = quoted.unwrap_or(secret);
            if !bare.is_empty() {
                found.push(at..at + bare.len());
            }
        }
        from += pair.len();
    }
    found
}

/// `host:port:database:user:password`, as libpq's password file has it.
fn of_password_line(value: &str) -> Option<Range<usize>> {
    let fields: Vec<&str> = value.splitn(5, ':').collect();
    let [_, port, _, user, password] = fields.as_slice() else { return None };
    let is_port = *port == "*" || port.parse::<u16>().is_ok();
    let is_user = user.parse::<u64>().is_err() && !user.is_empty();
    (is_port && is_user && !password.is_empty()).then(|| value.len() - password.len()..value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_name_ends_in_a_word_for_one() {
        for name in [
            "POSTGRES_PASSWORD",
            "S3_ACCESS_KEY",
            "SECRET_KEY_BASE",
            "JWT_SECRET",
            "SMTP_PASS",
            "API_TOKEN_2",
            "dbPassword",
            "DBPASSWORD",
            "SENTRY_DSN",
            "HASH_SALT",
            "KEY_BASE64",
            "KEY",
            "AWS_ACCESS_KEY_ID",
            "MINIO_ROOT_USER",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "POSTGRES_PASSWORD_FILE",
            "KEYCLOAK_URL",
            "AUTH_URL",
            "TOKEN_TTL",
            "PASSWORD_MIN_LENGTH",
            "S3_KEY_PREFIX",
            "STRIPE_PUBLIC_KEY",
            "POSTGRES_USER",
            "AUTHOR",
            "MONKEY",
            "PGPASSFILE",
            "POSTGRES_SSLKEY",
            "REDIS_KEY_FILE",
            "DRILL_DATA_KEYS",
            "",
            "_",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    fn secrets<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
        of_variable(name, value).into_iter().map(|part| &value[part]).collect()
    }

    #[test]
    fn the_secret_parts_of_a_value_are_found() {
        for (name, value, expected) in [
            ("SMTP_PASSWORD", "hunter2", &["hunter2"][..]),
            ("SMTP_PASSWORD", "yes", &[]),
            ("SMTP_PASSWORD", "", &[]),
            ("SIGNING_KEY", "/run/secrets/key", &[]),
            ("SIGNING_KEY", "./key", &[]),
            ("A", "hunter2", &[]),
            ("DATABASE_URL", "postgres://u:hunter2@h:5432/d?sslmode=require", &["hunter2"]),
            ("DATABASE_URL", "postgres://u@h/d?password=hunter2&x=y#f", &["hunter2"]),
            ("DATABASE_URL", "postgres://u:a%40b@h1:1,h2:2/d", &["a%40b"]),
            ("REDIS_URL", "redis://:hun/ter2@h:1/0", &["hun/ter2"]),
            ("REDIS_URL", "redis://:@h:1/0", &[]),
            (
                "READINESS_URLS",
                "a=http://u:p1x4@h/x b=http://h:80/u@x c=http://u:p2x4@g",
                &["p1x4", "p2x4"],
            ),
            ("SENTRY_DSN", "https://0123@sentry.example.com/1", &[]),
            ("CONN", "host=db user=app password='hunter2' sslmode=disable", &["hunter2"]),
            ("CONN", "Host=db;Username=app;Password=hunter2;Pooling=true", &["hunter2"]),
            ("PASSLINE", "db:5432:*:app:hunt:er2", &["hunt:er2"]),
            ("TIMES", "1:2:3:4:5", &[]),
            ("IMAGE", "a:b:c:d:e", &[]),
            ("PGSSLMODE", "require", &[]),
        ] {
            assert_eq!(secrets(name, value), expected, "{name}={value}");
        }
        let secrets = |line: &'static str| {
            of_file(line).into_iter().map(move |part| &line[part]).collect::<Vec<_>>()
        };
        assert_eq!(secrets("hunter2"), ["hunter2"]);
        assert_eq!(secrets("redis://:hunter2@h"), ["hunter2"]);
        assert_eq!(of_file("https://h/x").len() + of_file("").len(), 0);
    }
}
