//! Privileges on a database, and the statements that give them again.

use crate::sql::ident;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// One privilege on the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// None: PUBLIC.
    pub grantee: Option<String>,
    pub privilege: String,
    pub grantable: bool,
    /// Who has granted it. None: the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantor: Option<String>,
}

impl Grant {
    fn statement(&self, database: &str) -> String {
        let to = self.grantee.as_deref().map_or("PUBLIC".into(), ident);
        let option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        let grant =
            format!("GRANT {} ON DATABASE {} TO {to}{option};", self.privilege, ident(database));
        match &self.grantor {
            // The server takes the role in force as the grantor; GRANTED BY accepts no other.
            Some(grantor) => format!("SET LOCAL ROLE {}; {grant} RESET ROLE;\n", ident(grantor)),
            None => format!("{grant}\n"),
        }
    }

    /// Whether its grantor may grant it once these are granted.
    fn is_possible_after(&self, granted: &[&Self]) -> bool {
        let Some(grantor) = &self.grantor else { return true };
        granted.iter().any(|before| {
            before.grantable
                && before.privilege == self.privilege
                && before.grantee.as_ref() == Some(grantor)
        })
    }
}

/// The statements that give a database exactly these privileges, and take the server's defaults away.
pub fn statements(grants: &[Grant], database: &str, owner: &str) -> String {
    let mut sql = String::new();
    for role in ["PUBLIC".to_owned(), ident(owner)] {
        let _ = writeln!(sql, "REVOKE ALL ON DATABASE {} FROM {role};", ident(database));
    }
    sql.extend(in_order(grants).into_iter().map(|grant| grant.statement(database)));
    sql
}

/// Each after one that lets its grantor grant it: the server's own order shows where a privilege was first granted,
/// and not by whom.
fn in_order(grants: &[Grant]) -> Vec<&Grant> {
    let (mut ordered, mut waiting) = (Vec::new(), grants.iter().collect::<Vec<_>>());
    while let Some(next) = waiting.iter().position(|grant| grant.is_possible_after(&ordered)) {
        ordered.push(waiting.remove(next));
    }
    ordered.extend(waiting);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: &str, grantable: bool, grantor: Option<&str>) -> Grant {
        Grant {
            grantee: Some(grantee.into()),
            privilege: "CONNECT".into(),
            grantable,
            grantor: grantor.map(Into::into),
        }
    }

    #[test]
    fn a_privilege_is_granted_by_who_granted_it_after_it_may() {
        let grants = [
            grant("c", false, Some("b")),
            grant("b", true, Some("a")),
            grant("d", false, None),
            grant("a", true, None),
            grant("e", false, Some("unknown")),
        ];
        let order: Vec<_> = in_order(&grants).iter().filter_map(|g| g.grantee.clone()).collect();
        assert_eq!(order.join(" "), "d a b c e");
        let sql = statements(&grants[1..2], "x\"y", "o");
        assert_eq!(
            sql,
            "REVOKE ALL ON DATABASE \"x\"\"y\" FROM PUBLIC;\nREVOKE ALL ON DATABASE \"x\"\"y\" FROM \"o\";\n\
             SET LOCAL ROLE \"a\"; GRANT CONNECT ON DATABASE \"x\"\"y\" TO \"b\" WITH GRANT OPTION; RESET ROLE;\n"
        );
        assert!(!statements(&[], "x", "o").contains("GRANT"));
    }
}
