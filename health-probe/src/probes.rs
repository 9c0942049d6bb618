//! The probes of a health check.

mod bundle;
mod cache;
mod database;
mod disk;
mod drill;
mod readiness;
mod services;
mod ship;
mod storage;

use crate::limit::Limit;
use crate::probe::Probe;
use crate::settings::Settings;
use bundle_format::report::ProbeKind;

/// The work of a task: to probe, within a limit, one part or several of a kind.
pub type Run = Box<dyn FnOnce(Limit) -> Vec<Probe> + Send>;

/// A part, or several of a kind, to probe.
pub struct Task {
    /// What is probed.
    pub kind: ProbeKind,
    /// The name in the report if there is no answer.
    pub name: String,
    /// The work.
    pub run: Run,
}

/// Every probe, in the order of the report.
pub fn all(settings: &Settings) -> Vec<Task> {
    let mut tasks = vec![
        task(settings, ProbeKind::Service, "all", services::probe),
        task(settings, ProbeKind::Database, &database::name(), database::probe),
        task(settings, ProbeKind::Cache, "redis", cache::probe),
    ];
    for (service, url) in settings.readiness.clone() {
        let name = service.clone();
        let probe = move |settings: &Settings, limit| {
            vec![readiness::probe(settings, &service, &url, limit)]
        };
        tasks.push(task(settings, ProbeKind::Readiness, &name, probe));
    }
    if let Some(storage) = settings.storage.clone() {
        let name = storage.bucket.clone().unwrap_or_else(|| "bucket".into());
        let probe =
            move |settings: &Settings, limit| vec![storage::probe(settings, &storage, limit)];
        tasks.push(task(settings, ProbeKind::Storage, &name, probe));
    }
    for (name, path) in settings.disks.clone() {
        let probe = move |settings: &Settings, _: Limit| {
            vec![disk::probe(name, &path, settings.limits.free)]
        };
        tasks.push(task(settings, ProbeKind::Disk, name, probe));
    }
    tasks.push(task(settings, ProbeKind::Bundle, bundle::NAME, bundle::probe));
    let max_age = settings.limits.drill_age;
    if max_age.is_some() || drill::is_any(&settings.drills) {
        let probe =
            move |settings: &Settings, _: Limit| vec![drill::probe(&settings.drills, max_age)];
        tasks.push(task(settings, ProbeKind::Drill, drill::NAME, probe));
    }
    if let Some(max_age) = settings.limits.ship_age {
        for place in settings.places.clone() {
            let name = place.clone();
            let probe = move |settings: &Settings, _: Limit| {
                vec![ship::probe(&settings.state_dir, &place, max_age)]
            };
            tasks.push(task(settings, ProbeKind::Ship, &name, probe));
        }
    }
    tasks
}

fn task(
    settings: &Settings,
    kind: ProbeKind,
    name: &str,
    probe: impl FnOnce(&Settings, Limit) -> Vec<Probe> + Send + 'static,
) -> Task {
    let settings = settings.clone();
    Task { kind, name: name.into(), run: Box::new(move |limit| probe(&settings, limit)) }
}
