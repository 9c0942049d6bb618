//! Variables of the clients that an operator has set and that do not reach them.

use crate::layers::{Layers, Source};
use crate::{libpq, settings};

/// A variable that is set, and why it has no effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Unused<'a> {
    name: &'a str,
    /// The layer.
    place: &'static str,
    reason: String,
}

impl std::fmt::Display for Unused<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of the {} is not used: {}", self.name, self.place, self.reason)
    }
}

/// All of the environment, because they are dropped; of the `.env`, which other
/// programs read too, those that libpq would know.
pub fn unused<'a>(layers: &'a Layers, exports: &[(&'static str, String)]) -> Vec<Unused<'a>> {
    let mut unused = Vec::new();
    let exported = |name: &str| exports.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
    for (name, value) in &layers.environment {
        if value.is_empty() || !settings::is_foreign(name) || exported(name) == Some(value) {
            continue;
        }
        if let Some(reason) = reason(layers, name, Source::Environment) {
            unused.push(Unused { name, place: "environment", reason });
        }
    }
    for (name, value) in &layers.file {
        let passed = libpq::find(name);
        let of_libpq = passed.is_some() || libpq::NOT_PASSED.iter().any(|(known, _)| known == name);
        let variable = passed.map_or(name.as_str(), |passed| passed.variable);
        if value.is_empty() || !of_libpq || exported(variable) == Some(value) {
            continue;
        }
        if let Some(reason) = reason(layers, name, Source::File) {
            unused.push(Unused { name, place: ".env", reason });
        }
    }
    unused
}

/// Why a variable that is set is not what the clients get; nothing where it is, in another form.
fn reason(layers: &Layers, name: &str, place: Source) -> Option<String> {
    let Some(passed) = libpq::find(name) else {
        // Settings of the storage's keys have an order of their own.
        return (!settings::is_known(name)).then(|| libpq::reason(name).to_owned());
    };
    match layers.given(passed) {
        Some(given) if given.source != place => {
            Some(format!("{} of the environment takes precedence", given.name))
        }
        Some(given) if given.name != name => Some(format!("{} takes precedence", given.name)),
        None if place == Source::File => Some("it is empty in the environment".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::layers;

    #[test]
    fn what_is_set_and_does_not_reach_the_clients_is_named_with_its_reason() {
        let layers = layers(
            &[
                ("PGHOST", "elsewhere"),
                ("PGPORT", "5432"),
                ("PGOPTIONS", "-c x=y"),
                ("PGTZ", ""),
                ("PGNEW", "1"),
                ("PGSSLMODE", "require"),
                ("PGSSLROOTCERT", "certs/ca.pem"),
                ("PGGSSENCMODE", "disable"),
                ("AWS_PROFILE", "p"),
                ("AWS_ACCESS_KEY_ID", "id"),
                ("HOME", "/root"),
            ],
            &[
                ("PGUSER", "app"),
                ("PGADMIN_DEFAULT_EMAIL", "a@b"),
                ("PGSSLMODE", "verify-full"),
                ("POSTGRES_GSSENCMODE", "require"),
                ("PGCHANNELBINDING", "prefer"),
                ("POSTGRES_CHANNEL_BINDING", "require"),
            ],
        );
        let exports = [
            ("PGHOST", "db".to_owned()),
            ("PGPORT", "5432".to_owned()),
            ("PGUSER", "piprio".to_owned()),
            ("PGSSLMODE", "require".to_owned()),
            ("PGSSLROOTCERT", "/d/certs/ca.pem".to_owned()),
            ("PGCHANNELBINDING", "require".to_owned()),
            ("PGGSSENCMODE", "disable".to_owned()),
        ];
        let found = unused(&layers, &exports);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "AWS_PROFILE of the environment is not used: it is not a setting of a deployment",
            "PGHOST of the environment is not used: set POSTGRES_HOST",
            "PGNEW of the environment is not used: it is not a setting of a deployment",
            "PGOPTIONS of the environment is not used: it would change every session; use ALTER ROLE … SET or ALTER DATABASE … SET",
            "PGCHANNELBINDING of the .env is not used: POSTGRES_CHANNEL_BINDING takes precedence",
            "PGSSLMODE of the .env is not used: PGSSLMODE of the environment takes precedence",
            "PGUSER of the .env is not used: set POSTGRES_USER",
            "POSTGRES_GSSENCMODE of the .env is not used: PGGSSENCMODE of the environment takes precedence",
        ];
        assert_eq!(lines, expected);
    }
}
