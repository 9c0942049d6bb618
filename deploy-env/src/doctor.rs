//! `doctor`: everything that decides whether tonight's backup and a restore would work. Each check collects facts and a
//! pure function judges them; what cannot be asked leaves the other checks as they are.

mod clients;
mod clock;
mod command;
mod copies;
mod cron;
mod database;
mod destinations;
mod file;
mod health;
mod jobs;
mod keyring;
mod keys;
mod line;
mod links;
mod permissions;
mod place;
mod report;
mod room;
mod runs;
mod schedule;
mod spelling;
mod templates;
mod toolkit;
mod unfinished;

use crate::deployment::Deployment;
use crate::layers::{Inherited, Layers};
use crate::program::{Answer, LIMIT, Tools, ask};
use crate::resolve;
use crate::{environment, get};
use anyhow::Result;
use bundle_format::report::{HealthReport, LoadPreflight, ProbeKind, RunKind};
use chrono::{Local, SecondsFormat, Utc};
use clients::Clients;
use command::Work;
use copies::Recipients;
use keyring::Keyring;
use line::{Line, Status};
use pipe_kit::{Exit, Stop};
use place::Place;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unfinished::Unfinished;

/// How long `pg-snap preflight` may take: it tries some statements on the server.
const PREFLIGHT: Duration = Duration::from_secs(30);

/// Checks the deployment and prints what was found.
///
/// # Errors
/// [`Stop::usage`] if there is no deployment, or it has no `.env`.
pub fn run(deploy: Option<&Path>, json: bool) -> Result<Exit> {
    let none = |error: anyhow::Error| Stop::usage(format!("{error:#}"));
    let deployment = Deployment::find(deploy).map_err(none)?;
    if std::fs::symlink_metadata(deployment.dotenv()).is_err() {
        // The same message as that of every other verb.
        Layers::read_required(&deployment, Inherited::All).map_err(none)?;
    }
    let place = Place::new(deployment.dir());
    let began = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let lines = lines(&deployment, &place);
    let text = match json {
        true => report::json(deployment.dir(), began, &lines)?,
        false => report::text(&lines),
    };
    pipe_kit::output::print(&text)?;
    let is_good = report::number(&lines, Status::Finding) == 0;
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

fn lines(deployment: &Deployment, place: &Place) -> Vec<Line> {
    let mut lines = Vec::new();
    let layers = match Layers::read_required(deployment, Inherited::All) {
        Ok(layers) => layers,
        Err(error) => {
            lines.push(Line::finding("settings", format!("{error:#}"), place.edit()));
            lines.extend(permissions::facts(place, None).lines());
            lines.extend(scheduled(place, false));
            lines.push(Line::skipped("everything else", "the settings cannot be read"));
            return lines;
        }
    };
    let names: Vec<&str> = layers.file.keys().map(String::as_str).collect();
    lines.extend(spelling::lines(&names, place));
    let setting = |key: &str| get::value(deployment, &layers, key, true).unwrap_or_default();
    let root = PathBuf::from(setting("BACKUP_ROOT"));
    let access = permissions::facts(place, Some(&root)).lines();
    let programs = access.iter().find(|line| line.name == permissions::PROGRAMS);
    let programs = programs.and_then(|line| line.command.clone());
    let known = known(deployment, &layers, place, programs, &mut lines);
    lines.extend(access);
    lines.push(toolkit::writable(&root, place));
    let drills = setting("HEALTH_MAX_DRILL_AGE_DAYS").parse().unwrap_or(0_u32);
    lines.extend(scheduled(place, drills > 0));
    match known {
        Some(known) => lines.extend(of_settings(&known, place, &root)),
        None => {
            lines.push(clock::line(clock::is_synchronized(&Tools::default()), None));
            lines.push(Line::skipped("everything else", "the settings do not resolve"));
        }
    }
    lines
}

/// The settings of a deployment, and the environment in which its tools run.
struct Known {
    exports: Vec<(&'static str, String)>,
    tools: Tools,
}

impl Known {
    fn variable(&self, name: &str) -> Option<String> {
        let found = self.exports.iter().find(|(exported, _)| *exported == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.variable(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

/// Resolves the settings; how that went is entered into the lines. `programs` is the command that makes programs safe to
/// run, where they are not.
fn known(
    deployment: &Deployment,
    layers: &Layers,
    place: &Place,
    programs: Option<String>,
    lines: &mut Vec<Line>,
) -> Option<Known> {
    const NAME: &str = "settings";
    let resolved = resolve::resolve_only(deployment, layers).and_then(|resolved| {
        let exports = resolved.exports.clone();
        Ok((exports, environment::of(deployment, layers, resolved)?))
    });
    let (exports, changes) = match resolved {
        Ok(resolved) => resolved,
        Err(error) => {
            let is_refused = pipe_kit::status::of(&error) == Exit::Refused;
            let command = programs.filter(|_| is_refused).unwrap_or_else(|| place.edit());
            lines.push(Line::finding(NAME, format!("{error:#}"), command));
            return None;
        }
    };
    let unused = resolve::unused(layers, &exports);
    let note = |text: String| Line::note(NAME, text).with_command(place.edit());
    lines.extend(unused.iter().map(|unused| note(unused.to_string())));
    lines.push(Line::ok(NAME, format!("they resolve to {} variables", exports.len())));
    Some(Known { exports, tools: Tools::new(changes) })
}

/// What is scheduled, on this system or below `DESTDIR`, as `install.sh` has it.
fn scheduled(place: &Place, expects_drills: bool) -> Vec<Line> {
    let prepared = std::env::var_os("DESTDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let mut jobs = jobs::find(place, prepared.as_deref().unwrap_or("/".as_ref()));
    if prepared.is_none() && !rustix::process::geteuid().is_root() {
        jobs.extend(jobs::of_user(place));
    }
    if prepared.is_none() {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        jobs.extend(jobs::of_user_units(place, home.as_deref()));
    }
    let host = schedule::Host::look(&jobs, prepared.is_some());
    let now = Local::now().naive_local();
    let works = [(Work::Backup, true), (Work::Drill, expects_drills), (Work::Ship, false)];
    let line = |(work, expected)| schedule::line(work, expected, &jobs, &host, now, place);
    works.into_iter().filter_map(line).collect()
}

/// The checks that need the settings.
fn of_settings(known: &Known, place: &Place, root: &Path) -> Vec<Line> {
    let tools = &known.tools;
    let there = |program: &str| toolkit::has(tools, program);
    let versions = toolkit::versions(tools);
    let mut lines = vec![toolkit::line(&versions, env!("CARGO_PKG_VERSION"), there, place)];
    let unfinished = Unfinished::look(place);
    if there("backup-run") {
        lines.push(toolkit::backup(tools, root, place, &unfinished));
    }
    let health = match health::report(tools, known.number("HEALTH_TIMEOUT_SECONDS", 5)) {
        Ok(report) => Some(report),
        Err(error) => {
            let command = place.script("health-check.sh", &[]);
            lines.push(Line::finding("health", format!("{error:#}"), command));
            None
        }
    };
    let driver = known.variable("PIPRIO_DRIVER").unwrap_or_default();
    let scene = health::Scene { place, driver: &driver, root, unfinished: &unfinished };
    lines.extend(health.iter().flat_map(|report| health::lines(report, &scene)));
    let has =
        |kind| health.as_ref().is_some_and(|report| report.probes.iter().any(|p| p.kind == kind));
    let now = Utc::now();
    if !has(ProbeKind::Drill) {
        lines.push(runs::drill(runs::read(place, RunKind::Drill).as_ref(), now, place));
    }
    let ships = (1..=9).any(|number| known.variable(&format!("SHIP_{number}")).is_some());
    if ships && !has(ProbeKind::Ship) {
        lines.push(runs::ship(runs::read(place, RunKind::Ship).as_ref(), now, place));
    }
    let bundle = health.as_ref().and_then(|report| health::newest_bundle(report, root));
    lines.extend(of_database(known, place, health.as_ref(), bundle.as_ref()));
    lines.extend(links::urls(|name| known.variable(name), place));
    let need = room::Need {
        bundle: bundle.as_ref().map(|bundle| bundle.bytes),
        data: health.as_ref().and_then(health::data_bytes),
        links: known.variable("BACKUP_LINK").as_deref() == Some("yes"),
    };
    lines.push(room::for_bundles(root, room::free(root), &need));
    lines.extend(of_copies(known, place));
    let age = bundle.map(|bundle| bundle.age_seconds);
    lines.push(clock::line(clock::is_synchronized(tools), age));
    lines
}

fn of_database(
    known: &Known,
    place: &Place,
    health: Option<&HealthReport>,
    bundle: Option<&health::Bundle>,
) -> Vec<Line> {
    const NAME: &str = "database server";
    match health {
        None => return vec![Line::skipped(NAME, "the health check has no report")],
        Some(report) if !health::has_database(report) => {
            return vec![Line::skipped(NAME, "the database does not answer")];
        }
        Some(_) => {}
    }
    let exec = known.variable("PG_SNAP_EXEC");
    let facts = Clients::new(&known.tools, exec.as_deref()).and_then(|clients| {
        let superuser = database::as_superuser(clients.prefix(), |name| known.variable(name));
        database::facts(&clients, superuser)
    });
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => {
            let command = place.with_settings(&["pg-snap", "status"]);
            return vec![Line::finding(NAME, format!("{error:#}"), command)];
        }
    };
    let mut lines = facts.lines(place);
    lines.push(links::database(|name| known.variable(name), facts.has_tls(), place));
    lines.extend(restore(known, place, facts.may_create(), bundle));
    lines
}

/// Whether the newest bundle's database could be loaded beside the one in use.
fn restore(
    known: &Known,
    place: &Place,
    may_create: bool,
    bundle: Option<&health::Bundle>,
) -> Vec<Line> {
    const NAME: &str = "restore";
    let dump = match bundle {
        None => return vec![Line::skipped(NAME, "there is no bundle yet")],
        Some(_) if !may_create => {
            return vec![Line::skipped(NAME, "the role may not create databases")];
        }
        Some(bundle) => bundle.path.join(bundle_format::layout::DATABASE),
    };
    let mut command = known.tools.command("pg-snap");
    command.args(["preflight", "--json", "--quiet"]).arg(&dump);
    let answer = ask(&mut command, "", PREFLIGHT);
    let words = ["pg-snap".as_ref(), "preflight".as_ref(), dump.as_os_str()];
    let command = || place.with_settings(&words);
    match answer {
        Ok(answer) => match serde_json::from_str::<LoadPreflight>(&answer.text) {
            Ok(report) => database::preflight(&report, place, dump.as_os_str()),
            Err(_) => vec![Line::finding(NAME, answer.why(), command())],
        },
        Err(error) => vec![Line::note(NAME, format!("{error:#}")).with_command(command())],
    }
}

fn of_copies(known: &Known, place: &Place) -> Vec<Line> {
    let tools = &known.tools;
    let variable = |name: &str| {
        let inherited = || std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_users = ["HOME", "GNUPGHOME"].contains(&name);
        known.variable(name).or_else(|| inherited().filter(|_| is_users))
    };
    let setting = variable("SHIP_RECIPIENTS");
    let gpg = Keyring::new(tools, variable);
    let recipients = Recipients::read(
        setting.as_deref(),
        |file| keyring::age(tools, file),
        |key| gpg.trial(key),
    );
    let has = |program: &str| toolkit::has(tools, program);
    let facts = copies::facts(variable, recipients, has, place);
    let mut lines = facts.lines(place);
    let file = match facts.recipients() {
        Recipients::Age(path, _) => Some(path.as_path()),
        _ => None,
    };
    let text = file.and_then(|file| file::read(file).ok());
    let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
    let public = |keys: &str| {
        let answer = ask(tools.command("age-keygen").arg("-y"), keys, LIMIT).ok();
        answer.filter(Answer::is_good).map(|answer| answer.text)
    };
    let key = |path: PathBuf| {
        let found = keys::read(&path)?;
        let opens = keys::opens(public(&found.keys).as_deref(), text.as_deref());
        Some(keys::Key { path, opens, is_alone: found.is_alone })
    };
    let found: Vec<_> = keys::files(place, file).into_iter().filter_map(key).collect();
    lines.extend(keys::lines(&found));
    let keyring = setting.as_deref().and_then(|setting| setting.strip_prefix("gpg:"));
    let secret = keyring.into_iter().flat_map(copies::gpg_keys).filter(|key| gpg.has_secret(key));
    lines.extend(secret.map(keys::of_keyring));
    lines
}
