//! The probes of a health check.

mod bundle;
mod cache;
mod database;
mod disk;
mod readiness;
mod services;
mod storage;

use crate::limit::Limit;
use crate::probe::{Kind, Probe};
use crate::settings::Settings;

/// What a task does: probes, within a limit, one thing or several of a kind.
pub type Run = Box<dyn FnOnce(Limit) -> Vec<Probe> + Send>;

/// Something to probe.
pub struct Task {
    /// What is probed.
    pub kind: Kind,
    /// Which one, for the report if there is no answer.
    pub name: String,
    /// Probes it.
    pub run: Run,
}

/// Everything there is to probe, in the order of the report.
#[must_use]
pub fn all(settings: &Settings) -> Vec<Task> {
    let mut tasks = vec![
        task(settings, Kind::Service, "all", services::probe),
        task(settings, Kind::Database, &database::name(), database::probe),
        task(settings, Kind::Cache, "redis", cache::probe),
    ];
    for (service, url) in settings.readiness.clone() {
        let name = service.clone();
        let probe = move |settings: &Settings, limit| {
            vec![readiness::probe(settings, &service, &url, limit)]
        };
        tasks.push(task(settings, Kind::Readiness, &name, probe));
    }
    if let Some(storage) = settings.storage.clone() {
        let name = storage.bucket.clone().unwrap_or_else(|| "bucket".into());
        let probe =
            move |settings: &Settings, limit| vec![storage::probe(settings, &storage, limit)];
        tasks.push(task(settings, Kind::Storage, &name, probe));
    }
    for (name, path) in settings.disks.clone() {
        let probe = move |settings: &Settings, _: Limit| {
            vec![disk::probe(name, &path, settings.limits.free)]
        };
        tasks.push(task(settings, Kind::Disk, name, probe));
    }
    tasks.push(task(settings, Kind::Bundle, bundle::NAME, bundle::probe));
    tasks
}

fn task(
    settings: &Settings,
    kind: Kind,
    name: &str,
    probe: impl FnOnce(&Settings, Limit) -> Vec<Probe> + Send + 'static,
) -> Task {
    let settings = settings.clone();
    Task { kind, name: name.into(), run: Box::new(move |limit| probe(&settings, limit)) }
}

/// A number of bytes for people.
fn bytes(number: u64) -> String {
    let mut rest = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if rest < 1024.0 {
            return if unit == "B" { format!("{number} B") } else { format!("{rest:.1} {unit}") };
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} PiB")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ];
        for (number, text) in table {
            assert_eq!(bytes(number), text);
        }
    }
}
