//! Decisions that depend on more than one setting, as pure functions. Each asks for the services'
//! names only if they matter: asking costs a call of the driver.

use crate::endpoint::{Place, could_be_a_service, place};
use anyhow::Result;
use pipe_kit::Stop;

/// How the database's clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// Over the network, or a local socket.
    Tcp,
    /// Through the driver's `exec`, inside this service.
    Exec(String),
}

/// Bundled or external object storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The deployment's own: backed up and restored.
    Bundled,
    /// Operated by others: not touched.
    External,
}

impl Storage {
    /// As the setting spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::External => "external",
        }
    }
}

/// The service that the database is where neither `POSTGRES_SERVICE` nor `POSTGRES_HOST` names one.
const POSTGRES: &str = "postgres";

/// Decides how the database is reached, and why. `set` is `POSTGRES_VIA`, `service`
/// `POSTGRES_SERVICE`, `host` `POSTGRES_HOST`.
///
/// # Errors
/// [`Stop::usage`] for an invalid `POSTGRES_VIA`, or `tcp` without a host; an error of the driver if
/// the services are needed.
pub fn decide_postgres_via(
    set: &str,
    host: Option<&str>,
    service: Option<&str>,
    services: impl FnOnce() -> Result<Vec<String>>,
) -> Result<(Via, String)> {
    match (set, host) {
        ("tcp", Some(_)) => Ok((Via::Tcp, "set by POSTGRES_VIA".into())),
        ("tcp", None) => {
            Err(Stop::usage("POSTGRES_VIA=tcp needs POSTGRES_HOST, which is not set").into())
        }
        ("exec", host) => {
            let named = match (service, host) {
                (None, Some(host)) => named_by(host, services)?,
                _ => false,
            };
            Ok((exec_in(service, host.filter(|_| named)), "set by POSTGRES_VIA".into()))
        }
        ("auto", None) => Ok((exec_in(service, None), "POSTGRES_HOST is not set".into())),
        ("auto", Some(host)) if named_by(host, services)? => Ok((
            exec_in(service, Some(host)),
            format!("POSTGRES_HOST {host} is a service of this deployment"),
        )),
        ("auto", Some(host)) => {
            Ok((Via::Tcp, format!("POSTGRES_HOST {host} is not a service of this deployment")))
        }
        _ => Err(Stop::usage("POSTGRES_VIA must be auto, tcp or exec").into()),
    }
}

fn named_by(host: &str, services: impl FnOnce() -> Result<Vec<String>>) -> Result<bool> {
    Ok(could_be_a_service(host) && services()?.iter().any(|name| name == host))
}

fn exec_in(service: Option<&str>, host: Option<&str>) -> Via {
    Via::Exec(service.or(host).unwrap_or(POSTGRES).to_owned())
}

/// Decides whether the object storage is bundled or external, and why. `set` is `OBJECT_STORAGE`, `host` that of
/// `S3_ENDPOINT`.
///
/// # Errors
/// [`Stop::usage`] for an invalid `OBJECT_STORAGE`, or if nothing decides; an error of the driver if
/// the services are needed.
pub fn decide_object_storage(
    set: Option<&str>,
    host: Option<&str>,
    services: impl FnOnce() -> Result<Vec<String>>,
) -> Result<(Storage, String)> {
    match set {
        Some("bundled") => return Ok((Storage::Bundled, "set by OBJECT_STORAGE".into())),
        Some("external") => return Ok((Storage::External, "set by OBJECT_STORAGE".into())),
        Some(_) => return Err(Stop::usage("OBJECT_STORAGE must be bundled or external").into()),
        None => {}
    }
    let Some(host) = host else {
        return Ok((Storage::External, "S3_ENDPOINT is not set".into()));
    };
    let place = place(host);
    if place == Place::Loopback {
        return Ok((Storage::Bundled, format!("S3_ENDPOINT {host} is this machine")));
    }
    let services = services()?;
    if services.iter().any(|name| name == host) {
        let reason = format!("S3_ENDPOINT {host} is a service of this deployment");
        return Ok((Storage::Bundled, reason));
    }
    let own = services.iter().find(|name| is_storage(name));
    let doubt = match (place, own) {
        (Place::Public, None) => {
            let reason =
                format!("S3_ENDPOINT {host} is public and no service is an object storage");
            return Ok((Storage::External, reason));
        }
        (Place::Public, Some(own)) => format!("is public, but there is a service {own}"),
        _ => "is neither public nor a service of this deployment".to_owned(),
    };
    Err(Stop::usage(format!(
        "cannot determine whether the object storage is bundled or external: S3_ENDPOINT {host} {doubt}; set OBJECT_STORAGE=bundled \
         (back it up) or OBJECT_STORAGE=external (leave it alone)"
    ))
    .into())
}

/// Whether a service's name is that of an object storage.
fn is_storage(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = name.split(['-', '_', '.']);
    ["minio", "garage", "seaweed", "ceph", "rustfs"].iter().any(|known| name.contains(known))
        || words.into_iter().any(|word| ["s3", "storage", "objectstore"].contains(&word))
}

/// The services that stay up during a restore: the list as set, and every service that another
/// setting names. Where the services' names are known, only those; else any name that may be one.
pub fn stateful_union(listed: &str, named: &[String], services: Option<&[String]>) -> Vec<String> {
    let mut union: Vec<String> = Vec::new();
    let listed = listed.split([' ', '\t', '\n', ',']).filter(|name| !name.is_empty());
    let by_settings = named.iter().map(String::as_str).filter(|name| match services {
        Some(services) => services.iter().any(|service| service == name),
        None => could_be_a_service(name),
    });
    for name in listed.chain(by_settings) {
        if !union.iter().any(|present| present == name) {
            union.push(name.to_owned());
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> Result<Vec<String>> {
        Ok(["db", "postgres", "minio", "api"].map(str::to_owned).to_vec())
    }

    fn not_asked() -> Result<Vec<String>> {
        panic!("the services decide nothing here")
    }

    fn exec(service: &str) -> Via {
        Via::Exec(service.into())
    }

    #[test]
    fn the_database_is_reached_as_documented() {
        let table = [
            ("auto", Some("db"), None, exec("db")),
            ("auto", Some("db"), Some("postgres"), exec("postgres")),
            ("auto", Some("db.example.com"), None, Via::Tcp),
            ("auto", Some("elsewhere"), Some("db"), Via::Tcp),
            ("exec", Some("db"), None, exec("db")),
            ("exec", Some("elsewhere"), None, exec("postgres")),
        ];
        for (set, host, service, via) in table {
            let decided = decide_postgres_via(set, host, service, services).unwrap().0;
            assert_eq!(decided, via, "{set} {host:?} {service:?}");
        }
    }

    #[test]
    fn the_services_are_not_asked_where_they_decide_nothing() {
        let table = [
            ("auto", None, None, exec("postgres")),
            ("auto", None, Some("db"), exec("db")),
            ("auto", Some("127.0.0.1"), None, Via::Tcp),
            ("auto", Some("localhost"), Some("db"), Via::Tcp),
            ("auto", Some("/run/postgresql"), None, Via::Tcp),
            ("auto", Some("10.0.0.5"), None, Via::Tcp),
            ("tcp", Some("db"), None, Via::Tcp),
            ("exec", Some("db"), Some("postgres"), exec("postgres")),
            ("exec", Some("127.0.0.1"), None, exec("postgres")),
            ("exec", None, None, exec("postgres")),
        ];
        for (set, host, service, via) in table {
            let decided = decide_postgres_via(set, host, service, not_asked).unwrap().0;
            assert_eq!(decided, via, "{set} {host:?} {service:?}");
        }
    }

    #[test]
    fn a_postgres_via_that_cannot_be_is_a_usage_error() {
        for (set, host) in [("tcp", None), ("both", Some("db"))] {
            let error = decide_postgres_via(set, host, None, not_asked).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
        }
    }

    #[test]
    fn services_that_cannot_be_asked_stop_and_never_fall_back() {
        let failing = || Err(anyhow::anyhow!("compose ps failed"));
        assert!(decide_postgres_via("auto", Some("db"), None, failing).is_err());
        assert!(decide_object_storage(None, Some("s3.example.com"), failing).is_err());
    }

    /// `OBJECT_STORAGE`, the endpoint's host, the services, and what is decided.
    type StorageCase =
        (Option<&'static str>, Option<&'static str>, &'static [&'static str], Option<Storage>);

    #[test]
    fn the_object_storage_is_decided_as_documented() {
        let table: [StorageCase; 13] = [
            (Some("bundled"), None, &[], Some(Storage::Bundled)),
            (Some("external"), Some("localhost"), &["minio"], Some(Storage::External)),
            (Some("mine"), None, &[], None),
            (None, None, &["minio"], Some(Storage::External)),
            (None, Some("127.0.0.1"), &[], Some(Storage::Bundled)),
            (None, Some("localhost"), &[], Some(Storage::Bundled)),
            (None, Some("minio"), &["minio"], Some(Storage::Bundled)),
            (None, Some("files.example.com"), &["files.example.com"], Some(Storage::Bundled)),
            (None, Some("s3.example.com"), &["api", "postgres"], Some(Storage::External)),
            (None, Some("s3.example.com"), &["api", "minio"], None),
            (None, Some("s3.example.com"), &["object-storage"], None),
            (None, Some("10.0.0.7"), &["api"], None),
            (None, Some("nas.local"), &["api"], None),
        ];
        for (set, host, services, expected) in table {
            let services = services.iter().map(|s| (*s).to_owned()).collect();
            let decided = decide_object_storage(set, host, || Ok(services));
            match (decided, expected) {
                (Ok((storage, reason)), Some(expected)) => {
                    assert_eq!(storage, expected, "{set:?} {host:?}");
                    assert!(!reason.is_empty());
                }
                (Err(error), None) => {
                    assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
                    assert!(error.to_string().contains("OBJECT_STORAGE"));
                }
                (decided, _) => panic!("{set:?} {host:?}: {decided:?}"),
            }
        }
    }

    #[test]
    fn the_storage_is_decided_without_the_services_where_they_decide_nothing() {
        for (set, host) in [(Some("external"), Some("minio")), (None, None), (None, Some("::1"))] {
            decide_object_storage(set, host, not_asked).unwrap();
        }
    }

    #[test]
    fn what_a_setting_names_is_stateful_whatever_the_list_has() {
        let named = ["db", "s3.example.com", "127.0.0.1", "minio"].map(str::to_owned);
        let services = services().unwrap();
        assert_eq!(
            stateful_union("redis, minio", &named, Some(&services)),
            ["redis", "minio", "db"]
        );
        assert_eq!(stateful_union("", &named, None), ["db", "s3.example.com", "minio"]);
    }
}
