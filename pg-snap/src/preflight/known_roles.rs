//! The roles of the server, by the names that the database of a load will have for them.
//!
//! The server keeps names as bytes, and each session reads them in the encoding of its database. Those that a dump
//! names are therefore compared as bytes: the session that asks may be in a database of another encoding.

use crate::database_state::Role;
use crate::sql::literal;
use pipe_kit::text::{hex, unhex};
use serde::Deserialize;
use std::collections::BTreeMap;

const UTF8: &str = "UTF8";

/// What the connected role may do with another.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Membership {
    /// Make it the owner of objects.
    pub set: bool,
    /// Use its rights.
    pub usage: bool,
    /// Change it, as `ALTER ROLE … SET` does.
    pub admin: bool,
    /// Whether it may log in.
    pub login: bool,
}

/// A role, as the server answers.
#[derive(Deserialize)]
pub struct KnownRole {
    /// The number of the wanted role that it is, from 1.
    wanted: Option<usize>,
    /// Those of its name, in hexadecimal digits.
    bytes: String,
    #[serde(flatten)]
    membership: Membership,
}

/// Two arrays of SQL: the names' bytes in UTF-8, and whether each is ASCII, which is the same in every encoding.
pub fn wanted(roles: &[Role]) -> String {
    let list = |of: fn(&Role) -> String| roles.iter().map(of).collect::<Vec<_>>().join(", ");
    format!(
        "array[{}]::text[], array[{}]::bool[]",
        list(|role| literal(&hex(role.name.as_bytes()))),
        list(|role| role.name.is_ascii().to_string())
    )
}

/// The roles by name. Of those that are not wanted, some may have a name that is no text in that encoding.
pub fn by_name(
    known: Vec<KnownRole>,
    wanted: &[Role],
    encoding: &str,
) -> BTreeMap<String, Membership> {
    let name_of = |role: &KnownRole| match role.wanted {
        Some(number) => wanted.get(number.checked_sub(1)?).map(|role| role.name.clone()),
        None => {
            let name = String::from_utf8(unhex(&role.bytes)?).ok()?;
            (name.is_ascii() || encoding == UTF8).then_some(name)
        }
    };
    known.into_iter().filter_map(|role| Some((name_of(&role)?, role.membership))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_the_name_that_the_dump_has_for_its_bytes() {
        let wanted = [Role { name: "rÃ´le".into(), login: false, owns: None }];
        assert_eq!(super::wanted(&wanted), "array['72c383c2b46c65']::text[], array[false]::bool[]");
        let role = |wanted: &str, name: &[u8]| {
            let rights = r#""set":true,"usage":true,"admin":true,"login":true"#;
            let line = format!(r#"{{"wanted":{wanted},"bytes":"{}",{rights}}}"#, hex(name));
            serde_json::from_str::<KnownRole>(&line).unwrap()
        };
        for (encoding, names) in [("LATIN1", "plain rÃ´le"), ("UTF8", "hôte plain rÃ´le")] {
            let known = vec![
                role("1", "rôle".as_bytes()),
                role("null", b"plain"),
                role("null", "hôte".as_bytes()),
                role("null", b"h\xf4te"),
            ];
            let roles = by_name(known, &wanted, encoding);
            assert_eq!(roles.into_keys().collect::<Vec<_>>().join(" "), names);
        }
    }
}
