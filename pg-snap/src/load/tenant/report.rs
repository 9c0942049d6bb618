//! What an operator must know after a schema was brought back: where everything is, and what may not
//! mean what it did.

use super::{Tenant, mentions, renamed};
use crate::database_state::Role;
use crate::roles;
use crate::sql::{beside, ident};
use anyhow::Result;
use pipe_kit::{say, warning};

/// Tells. `made` are roles that the load has made, `of_dump` what the dump tells of its roles.
///
/// # Errors
/// If the server does not answer.
pub fn tell(tenant: &Tenant<'_>, made: &[Role], of_dump: &[Role]) -> Result<()> {
    let (from, into) = (tenant.from, tenant.into);
    say!(
        "schema {} of database {} is that of the dump",
        into.replace(char::is_control, "?"),
        tenant.database
    );
    if let Some((_, kept)) = &tenant.present {
        let (kept, failed) = (kept.as_str(), beside(into, "_restored"));
        say!("what was there is kept as schema {}", kept.replace(char::is_control, "?"));
        say!("once you are sure, in psql: DROP SCHEMA {} CASCADE;", ident(kept));
        let back = format!("{}{}", renamed(into, &failed), renamed(kept, into)).replace('\n', " ");
        say!("to go back, in psql: BEGIN; {back}COMMIT;");
        let acting = mentions::of(&tenant.server, &tenant.database, kept, into)?;
        warn(&acting, &format!("name schema {}, and so act on the one from the dump", ident(into)));
    }
    if from != into {
        let acting = mentions::of(&tenant.server, &tenant.database, into, from)?;
        warn(
            &acting,
            &format!("name schema {}, though they are of {} now", ident(from), ident(into)),
        );
    }
    default_grants(tenant)?;
    let may_log_in = |role: &&Role| of_dump.iter().any(|r| r.login && r.name == role.name);
    for role in made.iter().filter(may_log_in) {
        warning!(
            "role {0} could log in where the dump was made, and is NOLOGIN here; to let it in, in psql: {1}",
            role.name,
            roles::login_statements(&role.name)
        );
    }
    Ok(())
}

/// What the connected role grants on whatever it makes is in no dump of what it made.
fn default_grants(tenant: &Tenant<'_>) -> Result<()> {
    let ask = "SELECT count(*) FROM pg_catalog.pg_default_acl WHERE defaclnamespace = 0 \
         AND defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    if tenant.server.query(&tenant.database, ask)?.trim() != "0" {
        warning!(
            "role {} has default privileges in this database, which are on what was made now, too; psql -c '\\ddp' lists them",
            tenant.facts.me
        );
    }
    Ok(())
}

fn warn(functions: &[String], what: &str) {
    if !functions.is_empty() {
        warning!("functions that {what}: {}", functions.join(", ").replace(char::is_control, "?"));
    }
}
