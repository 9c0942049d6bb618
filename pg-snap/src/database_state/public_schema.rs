//! The schema public of a server before PostgreSQL 15: there it belongs to the first superuser, and the owner of the
//! database can neither take it over nor change its rights. The server answers a REVOKE or GRANT with a warning.

use crate::sql::ident;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An SQL expression whose value is a [`PublicSchema`]; null since PostgreSQL 15, or if there is no such schema.
pub const STATE: &str = include_str!("public_schema.sql");

/// Who owns it, and what others may do in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicSchema {
    /// None: the first superuser.
    pub owner: Option<String>,
    /// Roles (none: PUBLIC), each with a privilege.
    pub rights: BTreeSet<(Option<String>, String)>,
}

impl PublicSchema {
    /// The statements that make it like another one.
    pub fn statements_to(&self, wanted: &Self) -> Vec<String> {
        let to = |role: &Option<String>| role.as_deref().map_or("PUBLIC".to_owned(), ident);
        let owner = wanted.owner.as_deref().filter(|_| self.owner != wanted.owner);
        let owner = owner.map(|owner| format!("ALTER SCHEMA public OWNER TO {};", ident(owner)));
        let taken = self.rights.difference(&wanted.rights);
        let taken = taken
            .map(|(role, right)| format!("REVOKE {right} ON SCHEMA public FROM {};", to(role)));
        let given = wanted.rights.difference(&self.rights);
        let given =
            given.map(|(role, right)| format!("GRANT {right} ON SCHEMA public TO {};", to(role)));
        owner.into_iter().chain(taken).chain(given).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(owner: Option<&str>, rights: &[(Option<&str>, &str)]) -> PublicSchema {
        let rights = rights.iter().map(|(role, right)| (role.map(Into::into), (*right).into()));
        PublicSchema { owner: owner.map(Into::into), rights: rights.collect() }
    }

    #[test]
    fn what_differs_is_taken_and_given() {
        let initial = schema(None, &[(None, "CREATE"), (None, "USAGE")]);
        assert_eq!(initial.statements_to(&initial), [""; 0]);
        let wanted = schema(Some("App"), &[(None, "USAGE"), (Some("r"), "CREATE")]);
        assert_eq!(
            initial.statements_to(&wanted),
            [
                "ALTER SCHEMA public OWNER TO \"App\";",
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
                "GRANT CREATE ON SCHEMA public TO \"r\";"
            ]
        );
    }
}
