//! `pg-snap preflight`: everything about loading a dump that can be checked before harm. It changes
//! nothing. `load` asks the same of its own dump, so what it refuses, it refuses in the same words.

mod extensions;
mod facts;
mod findings;
mod probes;
mod requirements;
mod room;

pub use facts::Facts;
pub use findings::{Findings, roles_missing, unknown_setting, without_login};

use crate::client::Clients;
use crate::gzip;
use crate::head::{Head, Needs};
use crate::lines::Blocks;
use crate::load::Names;
use crate::psql::{self, Server};
use anyhow::Result;
use bundle_format::report::{LoadPreflight, MissingRole};
use findings::Plan;
use pipe_kit::{Exit, Stop, warning};
use room::Verdict;
use std::fmt::Write;
use std::path::Path;

/// Checks, and prints the report.
///
/// # Errors
/// [`Stop::refused`] if there is a problem, [`Stop::damaged`] if the dump's head is; if the server
/// does not answer.
pub fn run(clients: &Clients, file: &Path, drop_first: bool, json: bool) -> Result<Exit> {
    let names = Names::of(psql::wanted_database()?);
    let input = pipe_kit::input::open(file)?;
    let needs = Head::read(&mut Blocks::new(gzip::text_of(input)?))?.needs;
    let server = Server::connect_beside(clients, &names.database)?;
    let facts = Facts::ask(&server, &names.database, &names.in_use(!drop_first), &needs)?;

    let plan = plan(&names, &needs, &server);
    let room = room::look(clients, &facts, &needs);
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

/// What a load of its own dump asks before it changes anything. A server whose disk is full may go
/// down, so want of room counts here, too; but where the size is a guess it is only told.
///
/// # Errors
/// As [`run`].
pub fn check(
    clients: &Clients,
    server: &Server,
    names: &Names,
    needs: &Needs,
    options: &crate::load::Options,
) -> Result<Facts> {
    let facts = Facts::ask(server, &names.database, &names.in_use(options.keep_previous), needs)?;
    let plan = plan(names, needs, server);
    let mut found = findings::find(&plan, &facts);
    let needed = room::needed(needs, &options.file);
    let room = room::look(clients, &facts, needs);
    match room::verdict(needed, &room, &facts, options.drop_first) {
        Verdict::TooLittle(line) if needed.is_some_and(|n| n.guessed) => warning!("{line}"),
        verdict => found.add_room(verdict),
    }
    refuse(&found.problems)?;
    Ok(facts)
}

/// What a load of one schema of a dump asks before it changes anything.
///
/// # Errors
/// As [`run`].
pub fn check_part(server: &Server, database: &str, needs: &Needs) -> Result<Facts> {
    let facts = Facts::ask(server, database, &[], needs)?;
    let names = Names::of(database.to_owned());
    refuse(&findings::find_for_part(&plan(&names, needs, server), &facts).problems)?;
    Ok(facts)
}

fn plan<'a>(names: &'a Names, needs: &'a Needs, server: &Server) -> Plan<'a> {
    let (server, psql) = (server.version, server.psql().version);
    Plan { database: &names.database, needs, server, psql, made_as: &names.incoming }
}

/// A line each: the last as the error.
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

fn report(plan: &Plan<'_>, facts: &Facts, found: Findings) -> LoadPreflight {
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

/// For people; the problems are told as errors.
fn to_text(report: &LoadPreflight) -> String {
    let from = report.dump_version.as_deref().unwrap_or("unknown");
    let mut text =
        format!("Server: PostgreSQL {}\nDump: PostgreSQL {from}\n", report.server_version);
    match &report.owner {
        Some(owner) => text += &format!("Replaces: a database of {owner}\n"),
        None => text += "Replaces: nothing, there is no such database\n",
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    let _ = writeln!(text, "Problems: {}", report.problems.len());
    text
}
