//! Every setting there is, its default and whether it is a secret.

use crate::libpq;
use anyhow::Result;
use pipe_kit::Stop;
use url::Url;

/// One setting of the table in the documentation.
pub struct Setting {
    /// Its name in the `.env` and the environment.
    pub key: &'static str,
    /// What it is where nobody sets it.
    pub default: Option<&'static str>,
    /// Whether its value must not be shown.
    pub secret: bool,
}

const fn plain(key: &'static str, default: Option<&'static str>) -> Setting {
    Setting { key, default, secret: false }
}

const fn secret(key: &'static str) -> Setting {
    Setting { key, default: None, secret: true }
}

/// All settings but [`DESTINATIONS`], in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    plain("PIPRIO_DOMAIN", None),
    plain("PIPRIO_VERSION", Some("unknown")),
    plain("POSTGRES_HOST", None),
    plain("POSTGRES_PORT", Some("5432")),
    plain("POSTGRES_DB", Some("piprio")),
    plain("POSTGRES_USER", Some("piprio")),
    plain("POSTGRES_VIA", Some("auto")),
    plain("POSTGRES_SERVICE", None),
    secret("POSTGRES_PASSWORD"),
    plain("POSTGRES_PASSWORD_FILE", None),
    plain("POSTGRES_PGSERVICE", None),
    plain("POSTGRES_PGSERVICEFILE", None),
    plain("POSTGRES_SSLMODE", None),
    plain("POSTGRES_SSLROOTCERT", None),
    plain("POSTGRES_SSLCERT", None),
    plain("POSTGRES_SSLKEY", None),
    plain("POSTGRES_SSLCRL", None),
    plain("POSTGRES_SSLCRLDIR", None),
    plain("POSTGRES_SSLCERTMODE", None),
    plain("POSTGRES_SSLNEGOTIATION", None),
    plain("POSTGRES_SSLSNI", None),
    plain("POSTGRES_SSL_MIN_PROTOCOL_VERSION", None),
    plain("POSTGRES_SSL_MAX_PROTOCOL_VERSION", None),
    plain("POSTGRES_REQUIRESSL", None),
    plain("POSTGRES_CHANNEL_BINDING", None),
    plain("POSTGRES_REQUIRE_AUTH", None),
    plain("POSTGRES_REQUIREPEER", None),
    plain("POSTGRES_GSSENCMODE", None),
    plain("POSTGRES_KRBSRVNAME", None),
    plain("POSTGRES_GSSLIB", None),
    plain("POSTGRES_GSSDELEGATION", None),
    plain("POSTGRES_TARGET_SESSION_ATTRS", None),
    plain("POSTGRES_MIN_PROTOCOL_VERSION", None),
    plain("POSTGRES_MAX_PROTOCOL_VERSION", None),
    plain("POSTGRES_PASSFILE", None),
    plain("POSTGRES_CONNECT_TIMEOUT", Some("10")),
    plain("OBJECT_STORAGE", None),
    plain("S3_ENDPOINT", None),
    plain("S3_REGION", Some("us-east-1")),
    plain("S3_BUCKET", None),
    plain("S3_FORCE_PATH_STYLE", None),
    plain("AWS_CA_BUNDLE", None),
    secret("AWS_SESSION_TOKEN"),
    secret("S3_ACCESS_KEY"),
    plain("S3_ACCESS_KEY_FILE", None),
    secret("S3_SECRET_KEY"),
    plain("S3_SECRET_KEY_FILE", None),
    secret("AWS_ACCESS_KEY_ID"),
    secret("AWS_SECRET_ACCESS_KEY"),
    secret("MINIO_ROOT_USER"),
    plain("MINIO_ROOT_USER_FILE", None),
    secret("MINIO_ROOT_PASSWORD"),
    plain("MINIO_ROOT_PASSWORD_FILE", None),
    plain("REDIS_URL", Some("redis://127.0.0.1:6379")),
    plain("REDIS_CA_FILE", None),
    plain("REDIS_CERT_FILE", None),
    plain("REDIS_KEY_FILE", None),
    plain("READINESS_URLS", None),
    plain("SERVICE_DRIVER", Some("compose")),
    plain("SYSTEMD_UNITS", None),
    plain("STATEFUL_SERVICES", Some("postgres redis minio")),
    plain("BACKUP_ROOT", Some("backups")),
    plain("BACKUP_KEEP_DAYS", Some("30")),
    plain("BACKUP_KEEP_DAILY", Some("0")),
    plain("BACKUP_KEEP_WEEKLY", Some("0")),
    plain("BACKUP_KEEP_MONTHLY", Some("0")),
    plain("BACKUP_KEEP_YEARLY", Some("0")),
    plain("BACKUP_LEVEL", Some("default")),
    plain("BACKUP_LINK", Some("no")),
    plain("BACKUP_SHIP", Some("yes")),
    plain("SHIP_RECIPIENTS", None),
    plain("SHIP_TIMEOUT_HOURS", Some("24")),
    plain("SHIP_KEEP_DAYS", None),
    plain("SHIP_KEEP_DAILY", None),
    plain("SHIP_KEEP_WEEKLY", None),
    plain("SHIP_KEEP_MONTHLY", None),
    plain("SHIP_KEEP_YEARLY", None),
    plain("ALARM_SHRINK_PERCENT", Some("50")),
    plain("DRILL_DIR", None),
    plain("DRILL_USER", Some("postgres")),
    plain("DRILL_DATA_KEYS", None),
    plain("DRILL_RTO_GOAL_MINUTES", None),
    plain("DRILL_RPO_GOAL_HOURS", None),
    plain("DRILL_TIMEOUT_HOURS", Some("12")),
    plain("DRILL_SKIP_SERVICES", None),
    plain("HEALTH_TIMEOUT_SECONDS", Some("5")),
    plain("HEALTH_MAX_LATENCY_MS", Some("2000")),
    plain("HEALTH_MIN_FREE_MIB", Some("1024")),
    plain("HEALTH_MAX_BUNDLE_AGE_HOURS", Some("26")),
    plain("HEALTH_MAX_DRILL_AGE_DAYS", Some("0")),
    plain("HEALTH_MAX_SHIP_AGE_HOURS", Some("36")),
    plain("HOOK_TIMEOUT_SECONDS", Some("600")),
    secret("NOTIFY_PING"),
    plain("NOTIFY_PING_FILE", None),
    secret("NOTIFY_URL"),
    plain("NOTIFY_URL_FILE", None),
    plain("METRICS_FILE", None),
];

/// The exported variables that hold a secret setting, whole. Passwords inside URLs are masked by their form.
pub const SECRET_VARIABLES: [&str; 6] = [
    "PGPASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "NOTIFY_PING",
    "NOTIFY_URL",
];

/// The settings of one destination of sealed copies: where it is, and how it is reached.
macro_rules! destination {
    ($name:literal) => {
        [
            plain($name, None),
            plain(concat!($name, "_ENDPOINT"), None),
            plain(concat!($name, "_REGION"), None),
            plain(concat!($name, "_CA_BUNDLE"), None),
            secret(concat!($name, "_ACCESS_KEY")),
            plain(concat!($name, "_ACCESS_KEY_FILE"), None),
            secret(concat!($name, "_SECRET_KEY")),
            plain(concat!($name, "_SECRET_KEY_FILE"), None),
            plain(concat!($name, "_PROFILE"), None),
            plain(concat!($name, "_FORCE_PATH_STYLE"), None),
            plain(concat!($name, "_PASSWORD_FILE"), None),
            plain(concat!($name, "_RETAIN_DAYS"), None),
            plain(concat!($name, "_RETAIN_MODE"), None),
            plain(concat!($name, "_MAX_RATE"), None),
        ]
    };
}

/// The settings of the destinations of sealed copies, those of one in a row.
pub const DESTINATIONS: &[[Setting; 14]] = &[
    destination!("SHIP_1"),
    destination!("SHIP_2"),
    destination!("SHIP_3"),
    destination!("SHIP_4"),
    destination!("SHIP_5"),
    destination!("SHIP_6"),
    destination!("SHIP_7"),
    destination!("SHIP_8"),
    destination!("SHIP_9"),
];

/// Every setting, in the order of the documentation.
fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(DESTINATIONS.iter().flatten())
}

/// The setting of a name.
pub fn find(key: &str) -> Option<&'static Setting> {
    all().find(|s| s.key == key)
}

/// The position of a setting in the documentation.
pub fn position(key: &str) -> Option<usize> {
    all().position(|s| s.key == key)
}

/// Whether there is a setting of that name, its own or libpq's.
pub fn is_known(key: &str) -> bool {
    find(key).is_some() || libpq::find(key).is_some()
}

/// Every name of a setting.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|setting| setting.key)
}

/// Whether a name is meant to be a setting of copies, and none of the product's own.
pub fn is_of_copies(name: &str) -> bool {
    name.strip_prefix("SHIP_").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit())
            || rest.starts_with("KEEP_")
            || rest.starts_with("RECIPIENT")
            || rest.starts_with("TIMEOUT")
    })
}

/// Whether a variable steers the clients, libpq or an S3 client's: dropped, unless it is a setting.
pub fn is_foreign(name: &str) -> bool {
    name.starts_with("PG") || name.starts_with("AWS_")
}

/// A setting that is yes or no, in one of the words for it.
///
/// # Errors
/// [`Stop::usage`] if it is neither.
pub fn yes_or_no(key: &str, text: &str) -> Result<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Ok("yes"),
        "no" | "false" | "0" | "off" => Ok("no"),
        _ => Err(Stop::usage(format!("{key} must be yes or no")).into()),
    }
}

/// A text with the passwords of the URLs in it masked.
pub fn mask_urls(text: &str) -> String {
    text.split(' ').map(mask_word).collect::<Vec<_>>().join(" ")
}

fn mask_word(word: &str) -> String {
    let at = word.find("://").map(|at| word[..at].rfind(['=', ':']).map_or(0, |at| at + 1));
    let Some((before, url)) = at.map(|at| word.split_at(at)) else { return word.to_owned() };
    match Url::parse(url) {
        Ok(mut url) if url.password().is_some() => match url.set_password(Some("***")) {
            Ok(()) => format!("{before}{url}"),
            Err(()) => format!("{before}***"),
        },
        Ok(_) => word.to_owned(),
        Err(_) if url.contains('@') => format!("{before}***"),
        Err(_) => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked_and_nothing_else_changes() {
        let table = [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
            ("restic:rest:https://u:hunter2@h/r", "restic:rest:https://u:***@h/r"),
            ("api=http://u:hunter2@h/x web=http://w/", "api=http://u:***@h/x web=http://w/"),
            ("redis://u:hun/ter2@h", "***"),
            ("plain text = x", "plain text = x"),
        ];
        for (text, masked) in table {
            assert_eq!(mask_urls(text), masked);
        }
    }
}
