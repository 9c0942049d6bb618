//! `pg-snap preflight`: checks everything about loading a dump that can be checked beforehand, and
//! changes nothing. `load` checks its own dump in the same way and refuses with the same messages.

mod extensions;
mod facts;
mod findings;
mod known_roles;
mod probes;
mod problems;
mod requirements;
mod room;
mod settings;
mod superuser;

pub use extensions::versions_to_create;
pub use facts::Facts;
pub use findings::{other_encoding, roles_missing, unknown_setting, without_login};
pub use problems::Findings;

use crate::blocks::Blocks;
use crate::client::Clients;
use crate::database_names::DatabaseNames;
use crate::gzip;
use crate::head::{Head, Needs};
use crate::psql::{self, Server};
use anyhow::Result;
use bundle_format::report::{LoadPreflight, MissingRole};
use pipe_kit::{Exit, Stop, warning};
use problems::IntendedLoad;
use room::RoomVerdict;
use std::fmt::Write;
use std::path::Path;

/// What a load is to do, as far as its preflight depends on it.
pub struct Replacement<'a> {
    pub file: &'a Path,
    pub drop_first: bool,
    pub keep_previous: bool,
    /// Whether what is derived from rows may be left out.
    pub keep_going: bool,
}

/// Checks, and prints the report.
///
/// # Errors
/// [`Stop::refused`] if there is a problem, [`Stop::damaged`] if the dump's head is damaged.
pub fn run(clients: &Clients, load: &Replacement<'_>, json: bool) -> Result<Exit> {
    let Replacement { file, drop_first, .. } = *load;
    let names = DatabaseNames::of(psql::wanted_database()?);
    let input = pipe_kit::input::open(file)?;
    let needs = Head::read(&mut Blocks::new(gzip::text_of(input)?))?.needs;
    let server = Server::connect_beside(clients, &names.database)?;
    let facts =
        Facts::query(&server, &names.database, &names.in_use(!drop_first), of_whole(&needs))?;

    let plan =
        plan(&names, &needs, &server, (load.keep_going, drop_first && facts.database.is_some()));
    let room = room::measure(clients, &facts, &needs);
    let mut found = findings::find(&plan, &facts);
    found.problems.extend(server.shut_in(&names.database)?);
    found.add_room(room::verdict(room::needed(&needs, file), &room, &facts, drop_first));
    let report = report(&plan, &facts, found);
    let text =
        if json { format!("{}\n", serde_json::to_string(&report)?) } else { to_text(&report) };
    pipe_kit::output::print(&text)?;
    refuse(&report.problems)?;
    Ok(Exit::Done)
}

/// The checks of a load before it changes anything. A server whose disk is full may go down, so missing
/// room counts here, too; if the size is a guess, it is only a warning.
///
/// # Errors
/// As [`run`].
pub fn check(
    clients: &Clients,
    server: &Server,
    names: &DatabaseNames,
    needs: &Needs,
    load: &Replacement<'_>,
) -> Result<Facts> {
    let in_use = names.in_use(load.keep_previous);
    let facts = Facts::query(server, &names.database, &in_use, of_whole(needs))?;
    let plan =
        plan(names, needs, server, (load.keep_going, load.drop_first && facts.database.is_some()));
    let mut found = findings::find(&plan, &facts);
    let needed = room::needed(needs, load.file);
    let room = room::measure(clients, &facts, needs);
    match room::verdict(needed, &room, &facts, load.drop_first) {
        RoomVerdict::TooLittle(line) if needed.is_some_and(|n| n.guessed) => warning!("{line}"),
        verdict => found.add_room(verdict),
    }
    refuse(&found.problems)?;
    Ok(facts)
}

/// The checks of a load of one schema before it changes anything.
///
/// # Errors
/// As [`run`].
pub fn check_part(server: &Server, database: &str, needs: &Needs) -> Result<Facts> {
    let facts = Facts::query(server, database, &[], (needs, None))?;
    let names = DatabaseNames::of(database.to_owned());
    let plan = plan(&names, needs, server, (false, false));
    refuse(&findings::find_for_part(&plan, &facts).problems)?;
    Ok(facts)
}

/// What a whole dump needs, with the encoding of the database that it makes.
fn of_whole(needs: &Needs) -> (&Needs, Option<&str>) {
    (needs, needs.state.as_ref().map(|state| state.encoding.as_str()))
}

fn plan<'a>(
    names: &'a DatabaseNames,
    needs: &'a Needs,
    server: &Server,
    (keep_going, drop_first): (bool, bool),
) -> IntendedLoad<'a> {
    let (server, psql) = (server.version, server.psql().version);
    let (database, made_as) = (names.database.as_str(), names.incoming.as_str());
    IntendedLoad { database, needs, server, psql, made_as, keep_going, drop_first }
}

/// Logs each problem on a line; the last one is the error.
///
/// # Errors
/// [`Stop::refused`] if there is any.
pub fn refuse(problems: &[String]) -> Result<()> {
    let Some((last, others)) = problems.split_last() else { return Ok(()) };
    for problem in others {
        pipe_kit::log::line(format_args!("{problem}"));
    }
    Err(Stop::refused(last).into())
}

fn report(plan: &IntendedLoad<'_>, facts: &Facts, found: Findings) -> LoadPreflight {
    let roles = roles_missing(plan.needs, facts);
    let roles = roles.iter().map(|r| MissingRole { name: r.name.clone(), login: r.login });
    let extensions = extensions::missing(plan, facts);
    let shut_out = without_login(&plan.needs.roles, facts);
    LoadPreflight {
        server_version: plan.server.to_string(),
        dump_version: plan.needs.server_version.clone(),
        exists: facts.database.is_some(),
        owner: facts.database.as_ref().map(|d| d.owner.clone()),
        problems: found.problems,
        notes: found.notes,
        roles_missing: roles.collect(),
        roles_without_login: shut_out.iter().map(|role| role.name.clone()).collect(),
        dump_owner: plan.needs.state.as_ref().map(|state| state.owner.clone()),
        extensions_missing_on_server: extensions.into_iter().map(str::to_owned).collect(),
    }
}

/// The text for people. The problems are not in it: they are reported as errors.
fn to_text(report: &LoadPreflight) -> String {
    let from = report.dump_version.as_deref().unwrap_or("unknown");
    let mut text =
        format!("Server: PostgreSQL {}\nDump: PostgreSQL {from}\n", report.server_version);
    match &report.owner {
        Some(owner) => text += &format!("Replaces: a database of {owner}\n"),
        None => text += "Replaces: nothing, the database does not exist\n",
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    let _ = writeln!(text, "Problems: {}", report.problems.len());
    text
}
