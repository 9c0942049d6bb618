//! What the operator must know after a schema was loaded: where everything is, and what may have changed its
//! meaning.

use super::mentions;
use crate::database_state::Role;
use crate::psql::Server;
use crate::roles;
use crate::sql::{ident, rename_schema, with_suffix};
use anyhow::Result;
use pipe_kit::{info, warning};

/// A schema that was loaded.
pub struct LoadedSchema<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// The connected role.
    pub me: &'a str,
    /// The schema's name in the dump.
    pub from: &'a str,
    /// Its name in the database.
    pub into: &'a str,
    /// The name under which the schema before it is kept.
    pub kept: Option<&'a str>,
}

/// Reports. `created`: roles that the load has created; `dump_roles`: the roles that the dump names.
pub fn report(loaded: &LoadedSchema<'_>, created: &[Role], dump_roles: &[Role]) -> Result<()> {
    let LoadedSchema { server, database, from, into, .. } = *loaded;
    info!(
        "schema {} of database {} is loaded from the dump",
        into.replace(char::is_control, "?"),
        database
    );
    if let Some(kept) = loaded.kept {
        let failed = with_suffix(into, "_restored");
        info!("the schema before it is kept as {}", kept.replace(char::is_control, "?"));
        info!("once you are sure, in psql: DROP SCHEMA {} CASCADE;", ident(kept));
        let back = format!("{}{}", rename_schema(into, &failed), rename_schema(kept, into))
            .replace('\n', " ");
        info!("to go back, in psql: BEGIN; {back}COMMIT;");
        let naming = mentions::functions_naming(server, database, kept, into)?;
        warn(&naming, &format!("name schema {}, and so use the one from the dump", ident(into)));
    }
    if from != into {
        let naming = mentions::functions_naming(server, database, into, from)?;
        warn(
            &naming,
            &format!("name schema {}, although they are in {} now", ident(from), ident(into)),
        );
    }
    warn_of_default_privileges(loaded)?;
    let may_log_in = |role: &&Role| dump_roles.iter().any(|r| r.login && r.name == role.name);
    for role in created.iter().filter(may_log_in) {
        warning!(
            "role {0} could log in where the dump was made, and is NOLOGIN here; to enable its login, in psql: {1}",
            role.name,
            roles::login_statements(&role.name)
        );
    }
    Ok(())
}

/// Warns of the role's default privileges: they apply to what the load created, and are in no dump.
fn warn_of_default_privileges(loaded: &LoadedSchema<'_>) -> Result<()> {
    let query = "SELECT count(*) FROM pg_catalog.pg_default_acl WHERE defaclnamespace = 0 \
         AND defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    if loaded.server.query(loaded.database, query)?.trim() != "0" {
        warning!(
            "role {} has default privileges in this database, which apply to the loaded objects, too; psql -c '\\ddp' lists them",
            loaded.me
        );
    }
    Ok(())
}

fn warn(functions: &[String], what: &str) {
    if !functions.is_empty() {
        warning!("functions that {what}: {}", functions.join(", ").replace(char::is_control, "?"));
    }
}
