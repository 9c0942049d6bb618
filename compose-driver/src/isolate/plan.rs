//! The Compose file of a drill: a deployment's configuration without anything by which it could reach, or
//! be reached by, what is not the drill's.

use super::facts::{Facts, Image};
use super::files::Section;
use super::mounts::{self, Volumes};
use super::notes::{Notes, Port};
use super::ports;
use super::service::Service;
use crate::drill::LABEL;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The engine's name of the address to which the default route of containers leads.
const NOWHERE: &str = "DefaultGatewayIPv4";

/// Sections of a configuration that define what services name.
const SECTIONS: [Section; 2] = [Section::Secrets, Section::Configs];

/// The Compose file, and what it is without.
///
/// # Errors
/// [`Stop::refused`] for what cannot be isolated.
pub fn isolate(configuration: &Value, facts: &Facts<'_>) -> Result<(Value, Notes)> {
    let mut notes = Notes::default();
    let services = services(configuration)?;
    let kept = kept(services, facts, &mut notes);
    let none = Image::default();
    require_images(&kept, facts)?;
    let labels = json!({LABEL: facts.project});
    let aliases = aliases(services, &kept);
    let mut volumes = Volumes::new(names(configuration, "volumes"));
    let mut isolated = Map::new();
    for name in &kept {
        let Some(configured) = services[name].as_object() else { continue };
        let image = facts.images.get(name).unwrap_or(&none);
        let aliases = aliases.get(name).cloned().unwrap_or_default();
        let service = Service { name, configured, image, kept: &kept, aliases, labels: &labels };
        let mut service = service.isolated(&mut notes);
        let mounts = volumes.of_service(name, &services[name], image, facts, &mut notes)?;
        if !mounts.is_empty() {
            service.insert("volumes".into(), json!(mounts));
        }
        let published = configured.get("ports").map(ports::published).unwrap_or_default();
        let port = |(published, target)| Port { published, service: name.clone(), target };
        notes.ports.extend(published.into_iter().map(port));
        isolated.insert(name.clone(), Value::Object(service));
    }
    let mut file = Map::new();
    if let Some(version) = configuration.get("version").filter(|version| version.is_string()) {
        file.insert("version".into(), version.clone());
    }
    for section in SECTIONS {
        let definitions = definitions(section, configuration, &isolated, facts)?;
        if !definitions.is_empty() {
            file.insert(section.key().into(), Value::Object(definitions));
        }
    }
    let volumes: Map<_, _> =
        volumes.used().iter().map(|name| (name.clone(), json!({"labels": labels}))).collect();
    if !volumes.is_empty() {
        file.insert("volumes".into(), Value::Object(volumes));
    }
    let addresses = json!({"subnet": facts.subnet.range,
                           "aux_addresses": {NOWHERE: facts.subnet.nobody.to_string()}});
    let network = json!({"internal": true, "labels": labels, "ipam": {"config": [addresses]}});
    file.insert("networks".into(), json!({"default": network}));
    file.insert("services".into(), Value::Object(isolated));
    Ok((Value::Object(file), notes))
}

/// The services of a configuration.
///
/// # Errors
/// If it has none.
pub fn services(configuration: &Value) -> Result<&Map<String, Value>> {
    let services = configuration.get("services").and_then(Value::as_object);
    services.filter(|services| !services.is_empty()).context("the configuration has no services")
}

fn names(configuration: &Value, section: &str) -> BTreeSet<String> {
    let entries = configuration.get(section).and_then(Value::as_object);
    entries.into_iter().flat_map(Map::keys).cloned().collect()
}

/// The services that run in a drill. What was done once in the deployment, a migration above all, is in the
/// bundle, and is not done again.
fn kept(services: &Map<String, Value>, facts: &Facts<'_>, notes: &mut Notes) -> BTreeSet<String> {
    let awaited = awaited(services);
    let mut kept = BTreeSet::new();
    for name in services.keys().filter(|name| facts.active.contains(*name)) {
        let reason = if facts.skip.contains(name) {
            Some("asked")
        } else if awaited.contains(name) || facts.done.contains(name) {
            Some("one-shot")
        } else {
            mounts::has_engine(&services[name]).then_some("socket")
        };
        match reason {
            Some(reason) => notes.skipped.push((name.clone(), reason)),
            None => drop(kept.insert(name.clone())),
        }
    }
    kept
}

/// Services whose successful end others wait for.
fn awaited(services: &Map<String, Value>) -> BTreeSet<String> {
    let dependencies =
        services.values().filter_map(|service| service.get("depends_on")?.as_object()).flatten();
    let is_awaited = |on: &Value| {
        on.get("condition").is_some_and(|condition| condition == "service_completed_successfully")
    };
    dependencies.filter(|(_, on)| is_awaited(on)).map(|(name, _)| name.clone()).collect()
}

fn require_images(kept: &BTreeSet<String>, facts: &Facts<'_>) -> Result<()> {
    let missing: Vec<&str> =
        kept.iter().filter(|name| !facts.images.contains_key(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Stop::refused(format!(
        "the images of these services are not on this host, and a drill fetches none: {}; start them \
         in {} once",
        missing.join(" "),
        facts.deploy.display()
    ))
    .into())
}

/// The further names of each service, its container's too. One network takes the place of all: a name that
/// two services have, or that is another service's own, would lead to either.
fn aliases(
    services: &Map<String, Value>,
    kept: &BTreeSet<String>,
) -> BTreeMap<String, Vec<String>> {
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, service) in services.iter().filter(|(name, _)| kept.contains(*name)) {
        let networks = service.get("networks").and_then(Value::as_object);
        let lists = networks.into_iter().flat_map(Map::values).filter_map(|it| it.get("aliases"));
        let listed = lists.filter_map(Value::as_array).flatten();
        for alias in listed.chain(service.get("container_name")).filter_map(Value::as_str) {
            owners.entry(alias).or_default().insert(name);
        }
    }
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (alias, owners) in owners {
        if let (1, Some(owner), false) = (owners.len(), owners.first(), kept.contains(alias)) {
            aliases.entry((*owner).to_owned()).or_default().push(alias.to_owned());
        }
    }
    aliases
}

fn definitions(
    section: Section,
    configuration: &Value,
    services: &Map<String, Value>,
    facts: &Facts<'_>,
) -> Result<Map<String, Value>> {
    let mut definitions = Map::new();
    for (service, value) in services {
        for name in value.as_object().map(|it| section.used_by(it)).unwrap_or_default() {
            if definitions.contains_key(&name) {
                continue;
            }
            let definition = configuration.get(section.key()).and_then(|all| all.get(&name));
            let definition = definition.with_context(|| {
                format!("the service {service} uses {name}, which is not defined")
            })?;
            definitions.insert(name.clone(), section.isolated(&name, definition, service, facts)?);
        }
    }
    Ok(definitions)
}

#[cfg(test)]
mod tests;
