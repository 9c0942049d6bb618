//! What prevents a dump from being loaded, each with its remedy: a pure decision from facts.

use super::facts::Facts;
use super::known_roles::Membership;
use super::problems::{Findings, IntendedLoad};
use super::settings::Reason;
use super::{extensions, requirements};
use crate::connections;
use crate::database_state::{LINE, Role, Setting};
use crate::head::Needs;
use crate::roles;
use crate::sql::{ident, literal};
use crate::version::Version;
use std::collections::HashSet;

/// Everything but the room on disk.
pub fn find(plan: &IntendedLoad<'_>, facts: &Facts) -> Findings {
    let mut found = Findings::default();
    versions(plan, &mut found);
    rights(plan, facts, &mut found);
    in_the_way(plan, facts, &mut found);
    role_problems(plan, facts, &mut found);
    settings(plan, facts, &mut found);
    extensions::check(plan, facts, &mut found);
    locales(plan, facts, &mut found);
    found.notes.extend(other_encoding(plan.database, plan.needs, facts));
    requirements::check(plan, facts, &mut found);
    found
}

/// What matters to a load of one schema.
pub fn find_for_part(plan: &IntendedLoad<'_>, facts: &Facts) -> Findings {
    let mut found = Findings::default();
    versions(plan, &mut found);
    standby(facts, &mut found);
    if facts.database.is_none() {
        found.problem(format!(
            "there is no database {}: a schema is restored into an existing one",
            plan.database
        ));
    }
    found
}

fn versions(plan: &IntendedLoad<'_>, found: &mut Findings) {
    let from = plan.needs.server_version.as_deref().unwrap_or_default();
    if let Some(major) = plan.needs.major().filter(|major| *major > plan.server.major) {
        found.problem(format!(
            "the dump is from PostgreSQL {from}, the server is {}: a dump cannot be loaded into an older \
             major; load it into PostgreSQL {major} or newer",
            plan.server
        ));
    }
    if plan.needs.restrict && !plan.psql.knows_restrict() {
        found.note(format!(
            "psql {} does not know \\restrict, so only pg-snap itself keeps psql commands out of the \
             load; a newer postgresql-client adds a second barrier",
            plan.psql
        ));
    }
}

fn standby(facts: &Facts, found: &mut Findings) {
    if facts.standby {
        found.problem(
            "the server is a standby, which accepts no writes; connect to its primary (PGHOST)",
        );
    }
    if !facts.synchronous_standbys.is_empty() {
        found.note(format!(
            "commits wait for standbys (synchronous_standby_names = '{}'); those of a load do not",
            facts.synchronous_standbys
        ));
    }
}

fn rights(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    let (me, name) = (ident(&facts.me), plan.database);
    standby(facts, found);
    if !facts.may_create_databases {
        found.problem(format!(
            "role {} may not create databases; as a superuser: ALTER ROLE {me} CREATEDB;",
            facts.me
        ));
    }
    if let Some(limit) = facts.connection_limit.filter(|limit| *limit < connections::LEAST_OF_LOAD)
    {
        found.problem(format!(
            "role {} may have {limit} sessions, and a load takes {} at least; as a superuser: ALTER ROLE {me} \
             CONNECTION LIMIT {};",
            facts.me,
            connections::LEAST_OF_LOAD,
            connections::ENOUGH
        ));
    }
    let Some(database) = &facts.database else { return };
    if !database.ours {
        found.problem(format!(
            "database {name} belongs to role {}, whose rights role {} does not have, so it cannot be replaced; as \
             a superuser: {}",
            database.owner,
            facts.me,
            roles::grant_statement(&database.owner, &facts.me, plan.server.major)
        ));
    }
    if database.is_template {
        found.problem(format!(
            "database {name} is a template, which cannot be dropped; ALTER DATABASE {} IS_TEMPLATE false;",
            ident(name)
        ));
    }
}

/// What prevents the replacement of the database.
fn in_the_way(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    let name = plan.database;
    for gid in &facts.prepared {
        found.problem(format!(
            "database {name} has the prepared transaction {gid}, which prevents its replacement; in \
             it: COMMIT PREPARED {0}; or ROLLBACK PREPARED {0};",
            literal(gid)
        ));
    }
    for subscription in &facts.subscriptions {
        found.problem(format!(
            "database {name} has the subscription {subscription}, which prevents dropping it; in \
             it: DROP SUBSCRIPTION {};",
            ident(subscription)
        ));
    }
    for slot in &facts.slots {
        found.problem(format!(
            "database {name} has the logical replication slot {slot}: in use, it prevents dropping the \
             database; unused, it would be lost with it; SELECT pg_drop_replication_slot({});",
            literal(slot)
        ));
    }
    for session in &facts.sessions {
        let application = match session.application.as_str() {
            "" => "no application name",
            name => name,
        };
        found.problem(format!(
            "a session of role {} ({application}, pid {pid}) is in database {name}, and role {} may not end \
             it; close it, or as a superuser: SELECT pg_terminate_backend({pid});",
            session.role,
            facts.me,
            pid = session.pid
        ));
    }
    if facts.sessions.is_empty() && !facts.may_end_others {
        found.note(format!(
            "role {0} may end only its own sessions: a session of another role would block the load; \
             as a superuser: GRANT pg_signal_backend TO {1};",
            facts.me,
            ident(&facts.me)
        ));
    }
}

/// Roles of the dump that the server lacks.
pub fn roles_missing<'a>(needs: &'a Needs, facts: &Facts) -> Vec<&'a Role> {
    roles::missing(&needs.roles, |name| facts.roles.contains_key(name))
}

/// Roles that could log in where the dump was made and cannot here.
pub fn without_login<'a>(roles: &'a [Role], facts: &Facts) -> Vec<&'a Role> {
    let may = |role: &&Role| facts.roles.get(&role.name).is_some_and(|here| here.login);
    roles.iter().filter(|role| role.login && !may(role)).collect()
}

fn role_problems(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    for role in roles_missing(plan.needs, facts) {
        if facts.may_create_roles {
            let password = if role.login { " and will need a password" } else { "" };
            found.note(format!(
                "the dump needs role {}, which the server lacks: it will be created without login{password}",
                role.name
            ));
        } else {
            let me = ident(&facts.me);
            let statements =
                roles::create_statements(role, &me, facts.superuser, plan.server.major);
            found.problem(format!(
                "the dump needs role {}, which the server lacks, and role {} may not create roles; as a \
                 superuser: {statements}",
                role.name, facts.me
            ));
        }
    }
    let owner = plan.needs.state.as_ref().map(|state| state.owner.as_str());
    for role in &plan.needs.roles {
        let owns = role.owns.unwrap_or_else(|| owner == Some(&role.name));
        if let (true, Some(membership)) = (owns, facts.roles.get(&role.name)) {
            found.problems.extend(not_a_member(plan, facts, &role.name, *membership));
        }
    }
}

/// Only a member of a role can make it the owner of objects or grant something as that role, and only a session
/// with its rights can fill the objects afterwards.
fn not_a_member(
    plan: &IntendedLoad<'_>,
    facts: &Facts,
    role: &str,
    membership: Membership,
) -> Option<String> {
    let remedy = match (membership.set, membership.usage) {
        (true, true) => return None,
        (true, false) if plan.server.major < 16 => {
            format!("ALTER ROLE {} INHERIT;", ident(&facts.me))
        }
        _ => roles::grant_statement(role, &facts.me, plan.server.major),
    };
    Some(format!(
        "role {role} owns objects in the dump or has granted privileges, and role {} may not act for it; as a \
         superuser: {remedy}",
        facts.me
    ))
}

/// A setting that another major has, and this one does not know.
pub fn unknown_setting(name: &str, server: Version) -> String {
    format!(
        "the dump sets {name}, which PostgreSQL {server} does not know, for the database: the setting is omitted"
    )
}

/// What a load needs privileges for: the tablespace of the database, and its settings.
fn settings(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    refused_settings(plan, facts, found);
    let Some(state) = plan.needs.state.as_ref().filter(|_| !facts.superuser) else { return };
    let with_own = state.settings.iter().filter(|s| s.role.is_some());
    let mut refused: Vec<&str> = with_own
        .filter_map(|s| s.role.as_deref())
        .filter(|role| *role != facts.me && !may_change(plan, facts, role))
        .collect();
    refused.sort_unstable();
    refused.dedup();
    for role in refused {
        found.problem(format!(
            "the dump has settings of role {role} in the database, which role {} may not set; load as a \
             superuser (PGUSER), or as one: ALTER ROLE {} CREATEROLE;{}",
            facts.me,
            ident(&facts.me),
            match plan.server.major {
                16.. => format!(" GRANT {} TO {} WITH ADMIN OPTION;", ident(role), ident(&facts.me)),
                _ => String::new(),
            }
        ));
    }
    let space = &state.tablespace;
    if space != "pg_default" && facts.tablespaces.get(space).is_some_and(|space| !space.ours) {
        found.problem(format!(
            "the dump's database is in tablespace {space}, where role {} may not create objects; as a superuser: \
             GRANT CREATE ON TABLESPACE {} TO {};",
            facts.me,
            ident(space),
            ident(&facts.me)
        ));
    }
}

fn refused_settings(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    for name in facts.unknown_settings() {
        found.note(unknown_setting(name, plan.server));
    }
    let mut guarded = HashSet::new();
    for refused in &facts.refused_settings {
        let Setting { role, name, .. } = &refused.setting;
        let whose = match role {
            Some(role) => format!("role {role} in the database"),
            None => "the database".into(),
        };
        match &refused.reason {
            Reason::Guarded if guarded.insert(name) => found.problem(format!(
                "the dump sets {name} for {whose}, which requires a superuser; load as one (PGUSER)"
            )),
            Reason::Value => found.problem(format!(
                "the dump sets {} for {whose}, which the server does not accept; {}, or set it to another value \
                 in the dump's text (line '{}'), and load that",
                named_value(&refused.setting),
                remedy_for_value(name),
                LINE.trim()
            )),
            Reason::Unclear(state) => found.note(format!(
                "cannot check whether the server accepts {name}, which the dump sets for {whose} (SQLSTATE {state})"
            )),
            Reason::Unknown | Reason::Guarded => {}
        }
    }
}

/// An application may keep a secret in a setting of its own.
fn named_value(Setting { name, value, .. }: &Setting) -> String {
    match name.contains('.') {
        true => name.clone(),
        false => format!("{name} = {}", literal(value)),
    }
}

fn remedy_for_value(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "timezone" | "log_timezone" => {
            "install the time zone on its host (on Debian: apt install tzdata-legacy)"
        }
        name if name.starts_with("lc_") => {
            "install the locale on its host (on Debian: add it to /etc/locale.gen, run locale-gen, and restart \
             PostgreSQL)"
        }
        _ => "load it into a server of the same major that is built as the source server",
    }
}

fn may_change(plan: &IntendedLoad<'_>, facts: &Facts, role: &str) -> bool {
    let created = !facts.roles.contains_key(role);
    let admin = plan.server.major < 16 || facts.roles.get(role).is_some_and(|m| m.admin);
    facts.may_create_roles && (created || admin)
}

/// A dump that does not name its database's encoding, in place of a database that has another one than the
/// dump's text.
pub fn other_encoding(name: &str, needs: &Needs, facts: &Facts) -> Option<String> {
    let (text, here) = (needs.encoding.as_ref()?, &facts.database.as_ref()?.encoding);
    (needs.state.is_none() && text != here).then(|| {
        format!(
            "the dump's text is in {text}, and the database that it replaces in {here}, which the new one will be \
             in, too; for one in {text}, rename the old one first: ALTER DATABASE {} RENAME TO …;",
            ident(name)
        )
    })
}

fn locales(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    for locale in &facts.unknown_locales {
        found.problem(format!(
            "the dump's locale {locale} is not installed on the server's host; there, on Debian: add it to \
             /etc/locale.gen, run locale-gen, and restart PostgreSQL"
        ));
    }
    let provider = plan.needs.state.as_ref().and_then(|s| s.locale_provider.as_deref());
    if provider == Some("i") && !facts.icu {
        found.problem(
            "the dump's locale is an ICU locale, and the server has no ICU; load it into a server built with ICU",
        );
    }
}

#[cfg(test)]
mod tests;
