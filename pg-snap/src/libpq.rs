//! Settings of libpq in the environment: those that an older libpq ignores, and those that decide
//! whether a connection is made.

use anyhow::Error;
use std::process::ExitStatus;

/// Settings newer than PostgreSQL 13, with their keywords. A libpq that does not know one ignores the
/// variable, but refuses a connection string with it.
const LATER: [(&str, &str); 8] = [
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLSNI", "sslsni"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGGSSDELEGATION", "gssdelegation"),
    ("PGMINPROTOCOLVERSION", "min_protocol_version"),
    ("PGMAXPROTOCOLVERSION", "max_protocol_version"),
];

/// Settings that decide whether a connection is made.
const DECIDING: [&str; 14] = [
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLCERTMODE",
    "PGSSLNEGOTIATION",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
    "PGGSSENCMODE",
    "PGTARGETSESSIONATTRS",
];

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Additions to a connection string, each with a blank before it; usually none.
pub fn later_settings() -> String {
    in_string(variable)
}

fn in_string(variable: impl Fn(&str) -> Option<String>) -> String {
    let quoted = |text: String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let set = LATER.iter().filter_map(|(name, keyword)| Some((keyword, variable(name)?)));
    set.map(|(keyword, value)| format!(" {keyword}={}", quoted(value))).collect()
}

/// The error of a client; if it did not reach the server (psql exits with status 2), with the settings
/// that decide about the connection.
pub fn explained(status: ExitStatus, error: Error) -> Error {
    const NO_CONNECTION: i32 = 2;
    let settings = deciding(variable);
    match settings.is_empty() || status.code() != Some(NO_CONNECTION) {
        true => error,
        false => error.context(format!("connecting with {settings}")),
    }
}

fn deciding(variable: impl Fn(&str) -> Option<String>) -> String {
    let set = DECIDING.iter().filter_map(|name| Some(format!("{name}={}", variable(name)?)));
    set.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        let value = match name {
            "PGSSLMODE" => "verify-full",
            "PGSSLROOTCERT" => "/d/our ca.pem",
            "PGREQUIREAUTH" => "scram-sha-256",
            "PGMINPROTOCOLVERSION" => "it's",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn what_an_older_libpq_would_pass_over_stands_in_the_connection_string() {
        assert_eq!(
            in_string(variable),
            r" require_auth='scram-sha-256' min_protocol_version='it\'s'"
        );
        assert_eq!(in_string(|_| None), "");
    }

    #[test]
    fn what_decides_on_a_connection_is_named() {
        let expected =
            "PGSSLMODE=verify-full, PGSSLROOTCERT=/d/our ca.pem, PGREQUIREAUTH=scram-sha-256";
        assert_eq!(deciding(variable), expected);
    }
}
