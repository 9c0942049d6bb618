//! libpq's own settings for the connection to the database: which of them are settings of a
//! deployment, and why the others are not. `docs/CONFIG.md` has the same tables; a test compares them.

use anyhow::Result;
use pipe_kit::Stop;

/// A setting of libpq that an operator may use.
#[derive(Debug)]
pub struct Passed {
    /// Its name in the `.env` and the environment, as every setting's.
    pub setting: &'static str,
    /// The variable that libpq reads; in the `.env` and the environment it counts too.
    pub variable: &'static str,
    /// libpq's keyword, as a connection service file has it.
    pub keyword: &'static str,
    /// What it can be.
    pub kind: Kind,
}

/// What a setting of libpq can be.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Words(&'static [&'static str]),
    /// libpq's business.
    Text,
    /// A number of seconds; libpq takes 0 for ever.
    Seconds,
    /// A file or a directory that only TLS needs.
    TlsFile,
    /// A file or a directory.
    File,
}

const fn words(
    setting: &'static str,
    variable: &'static str,
    keyword: &'static str,
    words: &'static [&'static str],
) -> Passed {
    Passed { setting, variable, keyword, kind: Kind::Words(words) }
}

const fn of(
    kind: Kind,
    setting: &'static str,
    variable: &'static str,
    keyword: &'static str,
) -> Passed {
    Passed { setting, variable, keyword, kind }
}

const TLS_VERSIONS: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// How TLS is used or not; the files are looked at only where it may be.
pub const SSLMODE: Passed = words(
    "POSTGRES_SSLMODE",
    "PGSSLMODE",
    "sslmode",
    &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
);

/// Whom to trust.
pub const SSLROOTCERT: Passed =
    of(Kind::TlsFile, "POSTGRES_SSLROOTCERT", "PGSSLROOTCERT", "sslrootcert");

/// The entry of a connection service file, and that file.
pub const SERVICE: Passed = of(Kind::Text, "POSTGRES_PGSERVICE", "PGSERVICE", "service");
/// See [`SERVICE`].
pub const SERVICE_FILE: Passed =
    of(Kind::File, "POSTGRES_PGSERVICEFILE", "PGSERVICEFILE", "servicefile");

/// All others that are handed on, in the order of the documentation.
pub const PASSED: &[Passed] = &[
    SSLMODE,
    SSLROOTCERT,
    of(Kind::TlsFile, "POSTGRES_SSLCERT", "PGSSLCERT", "sslcert"),
    of(Kind::TlsFile, "POSTGRES_SSLKEY", "PGSSLKEY", "sslkey"),
    of(Kind::TlsFile, "POSTGRES_SSLCRL", "PGSSLCRL", "sslcrl"),
    of(Kind::TlsFile, "POSTGRES_SSLCRLDIR", "PGSSLCRLDIR", "sslcrldir"),
    words("POSTGRES_SSLCERTMODE", "PGSSLCERTMODE", "sslcertmode", &["disable", "allow", "require"]),
    words("POSTGRES_SSLNEGOTIATION", "PGSSLNEGOTIATION", "sslnegotiation", &["postgres", "direct"]),
    words("POSTGRES_SSLSNI", "PGSSLSNI", "sslsni", &["0", "1"]),
    words(
        "POSTGRES_SSL_MIN_PROTOCOL_VERSION",
        "PGSSLMINPROTOCOLVERSION",
        "ssl_min_protocol_version",
        TLS_VERSIONS,
    ),
    words(
        "POSTGRES_SSL_MAX_PROTOCOL_VERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "ssl_max_protocol_version",
        TLS_VERSIONS,
    ),
    words("POSTGRES_REQUIRESSL", "PGREQUIRESSL", "requiressl", &["0", "1"]),
    words(
        "POSTGRES_CHANNEL_BINDING",
        "PGCHANNELBINDING",
        "channel_binding",
        &["disable", "prefer", "require"],
    ),
    of(Kind::Text, "POSTGRES_REQUIRE_AUTH", "PGREQUIREAUTH", "require_auth"),
    of(Kind::Text, "POSTGRES_REQUIREPEER", "PGREQUIREPEER", "requirepeer"),
    words("POSTGRES_GSSENCMODE", "PGGSSENCMODE", "gssencmode", &["disable", "prefer", "require"]),
    of(Kind::Text, "POSTGRES_KRBSRVNAME", "PGKRBSRVNAME", "krbsrvname"),
    of(Kind::Text, "POSTGRES_GSSLIB", "PGGSSLIB", "gsslib"),
    words("POSTGRES_GSSDELEGATION", "PGGSSDELEGATION", "gssdelegation", &["0", "1"]),
    words(
        "POSTGRES_TARGET_SESSION_ATTRS",
        "PGTARGETSESSIONATTRS",
        "target_session_attrs",
        &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"],
    ),
    of(Kind::Text, "POSTGRES_MIN_PROTOCOL_VERSION", "PGMINPROTOCOLVERSION", "min_protocol_version"),
    of(Kind::Text, "POSTGRES_MAX_PROTOCOL_VERSION", "PGMAXPROTOCOLVERSION", "max_protocol_version"),
    of(Kind::File, "POSTGRES_PASSFILE", "PGPASSFILE", "passfile"),
    of(Kind::Seconds, "POSTGRES_CONNECT_TIMEOUT", "PGCONNECT_TIMEOUT", "connect_timeout"),
];

const MEANING: &str = "it would change what the text of a dump means";

/// Variables of libpq and its clients that are not handed on, and why or what to set instead.
pub const NOT_PASSED: &[(&str, &str)] = &[
    ("PGHOST", "set POSTGRES_HOST"),
    ("PGHOSTADDR", "set POSTGRES_HOST"),
    ("PGPORT", "set POSTGRES_PORT"),
    ("PGDATABASE", "set POSTGRES_DB"),
    ("PGUSER", "set POSTGRES_USER"),
    ("PGPASSWORD", "set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE"),
    ("PGOPTIONS", "it would change every session; use ALTER ROLE … SET or ALTER DATABASE … SET"),
    ("PGCLIENTENCODING", MEANING),
    ("PGDATESTYLE", MEANING),
    ("PGTZ", MEANING),
    ("PGGEQO", "it would change every session; use ALTER ROLE … SET"),
    ("PGAPPNAME", "the tools identify their sessions by this name"),
    ("PGLOADBALANCEHOSTS", "all sessions of a dump must reach the same server"),
    ("PGSSLCOMPRESSION", "compression weakens TLS, and libpq no longer supports it"),
    ("PGSYSCONFDIR", "set POSTGRES_PGSERVICEFILE"),
    ("PGLOCALEDIR", "the messages are the clients' own"),
];

/// Variables of S3 clients that have a setting of another name.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("AWS_REGION", "set S3_REGION"),
    ("AWS_DEFAULT_REGION", "set S3_REGION"),
    ("AWS_ENDPOINT_URL", "set S3_ENDPOINT"),
    ("AWS_ENDPOINT_URL_S3", "set S3_ENDPOINT"),
];

/// The setting with a name, its own or libpq's.
pub fn find(name: &str) -> Option<&'static Passed> {
    const SERVICES: &[Passed] = &[SERVICE, SERVICE_FILE];
    PASSED.iter().chain(SERVICES).find(|p| p.setting == name || p.variable == name)
}

/// Why a variable is not handed on, or what to set instead.
pub fn reason(variable: &str) -> &'static str {
    let known = NOT_PASSED.iter().chain(OTHER_NAMES).find(|(name, _)| *name == variable);
    known.map_or("it is not a setting of a deployment", |(_, why)| why)
}

/// Holds a value against what the setting can be.
///
/// # Errors
/// [`Stop::usage`] naming the setting, never the value.
pub fn check(passed: &Passed, name: &str, value: &str) -> Result<()> {
    let wrong = |what: String| Err(Stop::usage(format!("{name} must be {what}")).into());
    match &passed.kind {
        Kind::Words(words) if !words.contains(&value) => {
            wrong(format!("one of {}", words.join(", ")))
        }
        Kind::Seconds if !value.parse::<u32>().is_ok_and(|s| (1..=3600).contains(&s)) => {
            wrong("a number of seconds, 1 to 3600".into())
        }
        _ => Ok(()),
    }
}

/// Whether a value names a file: libpq knows `system` in place of a root certificate, and keys on
/// hardware as `ENGINE:KEY`.
pub fn is_path(passed: &Passed, value: &str) -> bool {
    let is_file = matches!(passed.kind, Kind::TlsFile | Kind::File);
    let is_word = match passed.variable {
        "PGSSLROOTCERT" => value == "system",
        "PGSSLKEY" => value.split('/').next().is_some_and(|first| first.contains(':')),
        _ => false,
    };
    is_file && !is_word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_libpq_would_take_for_another_is_refused_by_its_name() {
        for (name, value, is_good) in [
            ("PGSSLMODE", "verify-full", true),
            ("PGSSLMODE", "verify_full", false),
            ("PGSSLMODE", "Verify-Full", false),
            ("PGCHANNELBINDING", "require", true),
            ("PGCHANNELBINDING", "hunter2", false),
            ("PGCONNECT_TIMEOUT", "30", true),
            ("PGCONNECT_TIMEOUT", "0", false),
            ("PGREQUIREAUTH", "!none,!password", true),
        ] {
            let checked = check(find(name).unwrap(), name, value);
            assert_eq!(checked.is_ok(), is_good, "{name}={value}");
            if let Err(error) = checked {
                assert!(error.to_string().starts_with(name), "{error}");
            }
        }
    }

    #[test]
    fn the_systems_certificates_and_keys_on_hardware_are_no_files() {
        for (name, value, expected) in [
            ("PGSSLROOTCERT", "system", false),
            ("PGSSLROOTCERT", "certs/system", true),
            ("PGSSLKEY", "pkcs11:object=key", false),
            ("PGSSLKEY", "/etc/keys/a:b", true),
            ("PGSSLCERT", "system", true),
            ("PGSSLMODE", "disable", false),
        ] {
            assert_eq!(is_path(find(name).unwrap(), value), expected, "{name}={value}");
        }
    }

    #[test]
    fn each_of_libpqs_variables_has_its_line_in_the_documentation() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CONFIG.md");
        let text = std::fs::read_to_string(path).unwrap();
        let line = |start: String| text.lines().find(|line| line.starts_with(&start));
        for passed in PASSED.iter().chain([&SERVICE, &SERVICE_FILE]) {
            let start = format!("| `{}` | `{}` |", passed.setting, passed.variable);
            let line = line(start.clone()).unwrap_or_else(|| panic!("no line {start}"));
            if let Kind::Words(words) = passed.kind {
                assert!(words.iter().all(|word| line.contains(&format!("`{word}`"))), "{line}");
            }
        }
        for (name, why) in NOT_PASSED {
            let start = format!("| `{name}` | {why}");
            assert!(line(start.clone()).is_some(), "no line {start}");
            assert!(find(name).is_none(), "{name}");
        }
    }
}
