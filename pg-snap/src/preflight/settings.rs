//! Settings of the dump's database that the server does not accept, found by attempt: the session's own role
//! gets each in a transaction that is rolled back. The server checks a value for a role as it does for a
//! database: what only the database itself could look up is no error.

use super::probes;
use crate::database_state::Setting;
use crate::psql::Server;
use crate::server_error::{INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT};
use anyhow::Result;
use std::collections::HashSet;

/// A name of a form that this major does not take, or of an extension that has no such setting.
const INVALID_NAME: &str = "42602";
const MAY_NOT: &str = "42501";
/// A setting that only the server's own configuration can change.
const NOT_CHANGEABLE: &str = "55P02";
const NOT_SUPPORTED: &str = "0A000";
/// It succeeds wherever a role may change its own settings.
const ALLOWED: &str = "ALTER ROLE CURRENT_USER RESET work_mem;";

/// A setting that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSetting {
    pub setting: Setting,
    pub reason: Reason,
}

/// Why the server does not accept a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It knows none of that name.
    Unknown,
    /// The role may not make it.
    Guarded,
    Value,
    /// The attempt failed for another reason, with this SQLSTATE.
    Unclear(String),
}

impl Reason {
    fn of(state: &str, may_alter: bool) -> Self {
        match state {
            UNDEFINED_OBJECT | INVALID_NAME => Self::Unknown,
            MAY_NOT if may_alter => Self::Guarded,
            INVALID_PARAMETER_VALUE | NOT_CHANGEABLE | NOT_SUPPORTED => Self::Value,
            state => Self::Unclear(state.to_owned()),
        }
    }
}

/// Tries every setting once, whosever it is, and returns those that failed.
pub fn try_all(server: &Server, settings: &[Setting]) -> Result<Vec<RefusedSetting>> {
    let mut seen = HashSet::new();
    // A load may create the role that these name; minor releases before it may refuse another one.
    let names_role = |setting: &&Setting| {
        ["role", "session_authorization"].iter().any(|name| setting.name.eq_ignore_ascii_case(name))
    };
    let settings: Vec<&Setting> = settings
        .iter()
        .filter(|setting| !names_role(setting) && seen.insert((&setting.name, &setting.value)))
        .collect();
    if settings.is_empty() {
        return Ok(Vec::new());
    }
    let attempts = settings.iter().map(|setting| attempt(setting));
    let attempts: Vec<String> = std::iter::once(ALLOWED.to_owned()).chain(attempts).collect();
    let mut states = probes::states(server, &attempts)?.into_iter();
    let may_alter = states.next().as_deref() == Some(probes::NO_ERROR);
    let failed = settings.into_iter().zip(states).filter(|(_, state)| state != probes::NO_ERROR);
    Ok(failed
        .map(|(setting, state)| RefusedSetting {
            setting: setting.clone(),
            reason: Reason::of(&state, may_alter),
        })
        .collect())
}

fn attempt(setting: &Setting) -> String {
    format!("ALTER ROLE CURRENT_USER {};", setting.assignment())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_what_a_failed_attempt_means() {
        for (state, may_alter, reason) in [
            ("42704", true, Reason::Unknown),
            ("42602", true, Reason::Unknown),
            ("42501", true, Reason::Guarded),
            ("42501", false, Reason::Unclear("42501".into())),
            ("22023", true, Reason::Value),
            ("55P02", true, Reason::Value),
            ("55P03", true, Reason::Unclear("55P03".into())),
        ] {
            assert_eq!(Reason::of(state, may_alter), reason, "{state}");
        }
    }

    #[test]
    fn what_a_dump_sets_is_quoted_where_it_is_tried() {
        let setting = |name: &str, value: &str| Setting {
            role: Some("r".into()),
            name: name.into(),
            value: value.into(),
        };
        assert_eq!(
            attempt(&setting("a.b\"; DROP", "x'; DROP DATABASE postgres; --")),
            "ALTER ROLE CURRENT_USER SET \"a\".\"b\"\"; DROP\" TO 'x''; DROP DATABASE postgres; --';"
        );
        assert_eq!(
            attempt(&setting("search_path", "\"$user\", \"a, b\"")),
            "ALTER ROLE CURRENT_USER SET \"search_path\" TO '$user', 'a, b';"
        );
    }
}
