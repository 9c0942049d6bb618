//! `detect`: what a deployment's services and its `.env` show, and which settings it needs before a backup.

mod dotenv_lines;
mod proposal;
mod report;
mod role;

use crate::deployment::Deployment;
use crate::layers::{self, Inherited, Layers};
use crate::program::{self, Tools};
use crate::settings;
use anyhow::{Context, Result, bail};
use bundle_format::report::ConfiguredService;
use pipe_kit::{Exit, Stop};
use proposal::{Need, Proposal, decide};
use report::Report;
use std::path::Path;
use std::time::Duration;

/// How long Compose may take to read its files.
const LIMIT: Duration = Duration::from_secs(60);

/// What is asked for.
pub struct Request<'a> {
    /// The deployment, if one is named.
    pub deploy: Option<&'a Path>,
    /// `KEY=VALUE` of the operator's.
    pub set: &'a [String],
    /// Whether the lines are written into the `.env`.
    pub write: bool,
    /// Whether JSON is printed.
    pub json: bool,
}

/// Looks, prints what was found, and writes what is missing if that is asked for.
///
/// # Errors
/// [`Stop::usage`] for a setting that does not exist or is a secret; if Compose cannot read its files, or the `.env`
/// cannot be read or written.
pub fn run(request: &Request) -> Result<Exit> {
    let deployment = Deployment::find(request.deploy)?;
    // What counts tonight is the file: cron has no other settings.
    let layers = Layers::read(&deployment, Inherited::Host)?;
    let set = request.set.iter().map(|text| assignment(text)).collect::<Result<Vec<_>>>()?;
    // A second run adds nothing.
    let is_new = |it: &Proposal| layers.file.get(it.key) != Some(&it.value);
    let report = look(&deployment, &layers, set.into_iter().filter(is_new).collect())?;
    let text = match request.json {
        true => serde_json::to_string(&report)? + "\n",
        false => report::text(&report, &deployment),
    };
    pipe_kit::output::print(&text)?;
    if request.write {
        let lines = report.set.iter().chain(&report.decision.proposed);
        dotenv_lines::append(&deployment, lines.map(|line| (line.key, line.value.as_str())))?;
    }
    Ok(if report.decision.needed.is_empty() { Exit::Done } else { Exit::Incomplete })
}

/// A setting that the operator gives. A secret on a command line could be read by every user.
fn assignment(text: &str) -> Result<Proposal> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Stop::usage(format!("--set {text}: write KEY=VALUE")).into());
    };
    let Some(setting) = settings::find(key) else {
        return Err(Stop::usage(format!("--set {key}: there is no such setting")).into());
    };
    if setting.secret || settings::mask_urls(value) != value {
        let message =
            format!("--set {key}: a secret must not be on a command line; write it into .env");
        return Err(Stop::usage(message).into());
    }
    let reason = "as you set it".to_owned();
    Ok(Proposal { key: setting.key, value: value.to_owned(), reason })
}

fn look(deployment: &Deployment, layers: &Layers, set: Vec<Proposal>) -> Result<Report> {
    let get = |key: &str| {
        let own = set.iter().find(|it| it.key == key).map(|it| it.value.as_str());
        own.or_else(|| layers.file.get(key).map(String::as_str)).filter(|value| !value.is_empty())
    };
    // Other drivers know names alone.
    if get("SERVICE_DRIVER").is_some_and(|driver| driver != "compose") {
        let decision = decide(&[], &get);
        return Ok(Report { decision, set, changed: Vec::new() });
    }
    // A new host, or services that the operator runs in another way.
    if !has_compose_file(deployment.dir(), get("COMPOSE_FILE")) {
        return Ok(Report { decision: decide(&[], &get), set, changed: Vec::new() });
    }
    let before = services(deployment, &[])?;
    let mut decision = decide(&before, &get);
    let changed_by = |lines: &[&Proposal]| -> Result<Vec<String>> {
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        Ok(changed(&before, &services(deployment, lines)?))
    };
    if !changed_by(&decision.proposed.iter().collect::<Vec<_>>())?.is_empty() {
        for proposal in std::mem::take(&mut decision.proposed) {
            match changed_by(&[&proposal])?.as_slice() {
                [] => decision.proposed.push(proposal),
                names => decision.needed.push(would_change(&proposal, names)),
            }
        }
    }
    let changed = changed_by(&set.iter().collect::<Vec<_>>())?;
    Ok(Report { decision, set, changed })
}

/// Whether Compose has something to read there. It also looks in the directories above.
fn has_compose_file(dir: &Path, set: Option<&str>) -> bool {
    const NAMES: [&str; 4] =
        ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
    set.is_some() || dir.ancestors().any(|dir| NAMES.iter().any(|name| dir.join(name).exists()))
}

/// The Compose file uses the variable too: with another value, its services are created again.
fn would_change(proposal: &Proposal, services: &[String]) -> Need {
    let what = format!(
        "{}={} would also change the configuration of {}: decide, add it, and start them again",
        proposal.key,
        proposal.value,
        services.join(", ")
    );
    Need { key: proposal.key, what }
}

/// The services that are not the same.
fn changed(before: &[ConfiguredService], after: &[ConfiguredService]) -> Vec<String> {
    let is_same = |service: &ConfiguredService| {
        before.iter().any(|it| it.name == service.name && it.hash == service.hash)
    };
    let gone = before.iter().filter(|it| !after.iter().any(|other| other.name == it.name));
    let new = after.iter().filter(|service| !is_same(service));
    gone.chain(new).map(|service| service.name.clone()).collect()
}

/// The services that Compose finds in the deployment's directory, with some more settings.
fn services(deployment: &Deployment, more: &[&Proposal]) -> Result<Vec<ConfiguredService>> {
    const PROGRAM: &str = "compose-driver";
    let beside = pipe_kit::own_path().context("finding our own binary")?.with_file_name(PROGRAM);
    let program = if beside.is_file() { beside } else { PROGRAM.into() };
    let mut command = Tools::default().command(program);
    layers::forget_resolved(&mut command);
    command.arg("services").env("PIPRIO_DEPLOY", deployment.dir());
    command.envs(more.iter().map(|line| (line.key, &line.value)));
    let answer = program::ask(&mut command, "", LIMIT)?;
    if !answer.is_good() {
        let why = match answer.words.is_empty() {
            true => answer.why(),
            false => answer.words.join("; "),
        };
        bail!("the services of {} are not known: {why}", deployment.dir().display());
    }
    serde_json::from_str(&answer.text).context("the answer of compose-driver cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_known_and_no_secret() {
        assert_eq!(assignment("PIPRIO_DOMAIN=a=b").unwrap().value, "a=b");
        for wrong in ["PIPRIO_DOMAIN", "NO_SUCH=1", "POSTGRES_PASSWORD=hunter2"] {
            let error = assignment(wrong).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), Exit::Usage, "{wrong}");
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        }
    }

    #[test]
    fn services_that_come_go_or_change_are_named() {
        let of = |pairs: &[(&str, &str)]| -> Vec<ConfiguredService> {
            let service = |(name, hash): &(&str, &str)| ConfiguredService {
                name: (*name).to_owned(),
                hash: (*hash).to_owned(),
                ..ConfiguredService::default()
            };
            pairs.iter().map(service).collect()
        };
        let before = of(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert!(changed(&before, &before).is_empty());
        assert_eq!(changed(&before, &of(&[("a", "1"), ("b", "2"), ("d", "1")])), ["c", "b", "d"]);
    }
}
