//! Roles that a dump needs: which are missing, and how they are created.

use crate::database_state::Role;
use crate::sql::ident;

/// The connected role, whatever the encoding of the session.
pub const ME: &str = "CURRENT_USER";

/// The wanted roles that the server lacks.
pub fn missing(wanted: &[Role], present: impl Fn(&str) -> bool) -> Vec<&Role> {
    wanted.iter().filter(|role| !present(&role.name)).collect()
}

/// Creates a role without login. Only a member of the role, or a superuser, can make it an owner; so `me`, written
/// as SQL, becomes a member, unless it is a superuser.
pub fn create_statements(role: &Role, me: &str, superuser: bool, server_major: u32) -> String {
    let create = format!("CREATE ROLE {} NOLOGIN;", ident(&role.name));
    if superuser || role.owns == Some(false) {
        return create;
    }
    format!("{create} {}", grant_to(&role.name, me, server_major))
}

/// Makes `me` a member of a role, able to act as it. Since PostgreSQL 16, both options must be given.
pub fn grant_statement(role: &str, me: &str, server_major: u32) -> String {
    grant_to(role, &ident(me), server_major)
}

fn grant_to(role: &str, me: &str, server_major: u32) -> String {
    let options = if server_major >= 16 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    format!("GRANT {} TO {me}{options};", ident(role))
}

/// What to type in psql to give a role its login. psql prompts for the password, which so gets into no log
/// and no history.
pub fn login_statements(role: &str) -> String {
    format!("ALTER ROLE {0} LOGIN; then \\password {0}", ident(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_no_superuser_becomes_a_member_of_roles_that_own() {
        let role = |owns| Role { name: "a\"b".into(), login: true, owns };
        let create = "CREATE ROLE \"a\"\"b\" NOLOGIN;";
        for (owns, superuser, major, grant) in [
            (Some(true), true, 15, ""),
            (Some(false), false, 15, ""),
            (Some(true), false, 15, " GRANT \"a\"\"b\" TO \"me\";"),
            (None, false, 16, " GRANT \"a\"\"b\" TO \"me\" WITH INHERIT TRUE, SET TRUE;"),
        ] {
            let sql = create_statements(&role(owns), &ident("me"), superuser, major);
            assert_eq!(sql, format!("{create}{grant}"));
        }
    }
}
