//! Where the drill's restore goes to: to services of the drill, or it is refused. A step replaces what its
//! settings name, wherever that is.

use super::notes::Port;
use pipe_kit::Stop;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use url::{Host, Url};

/// An object storage of others, which no restore touches.
pub const EXTERNAL: &str = "external";

/// The settings that name a server, as the bundle's `.env` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub postgres_host: String,
    pub postgres_port: String,
    pub s3_endpoint: String,
    pub redis_url: String,
    pub readiness_urls: String,
}

/// The drill's services, and the ports that the deployment publishes.
pub struct Services<'a> {
    pub names: &'a BTreeSet<String>,
    pub ports: &'a BTreeMap<u16, Port>,
}

/// What has to be set in place of what the bundle has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub settings: Vec<(&'static str, String)>,
    /// Readiness URLs that lead elsewhere: nobody asks them.
    pub dropped_urls: Vec<String>,
}

/// Where a host and port lead.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Service,
    /// To this port of a service, by a port that is published here.
    Published(&'a Port),
    Elsewhere,
}

impl<'a> Services<'a> {
    fn place(&self, host: &str, port: Option<u16>) -> Place<'a> {
        if self.names.contains(host) {
            return Place::Service;
        }
        let published = port.filter(|_| is_this_host(host)).and_then(|port| self.ports.get(&port));
        published.map_or(Place::Elsewhere, Place::Published)
    }

    /// A URL that leads to a service; `None` where it leads elsewhere.
    fn url(&self, text: &str, default_port: Option<u16>) -> Option<String> {
        let mut url = Url::parse(text).ok()?;
        let host = host(&url)?;
        match self.place(&host, url.port_or_known_default().or(default_port)) {
            Place::Service => Some(text.to_owned()),
            Place::Elsewhere => None,
            Place::Published(port) => {
                url.set_host(Some(&port.service)).ok()?;
                url.set_port(Some(port.target)).ok()?;
                // The parser adds the root's slash.
                let new = url.to_string();
                Some(match text.ends_with('/') {
                    true => new,
                    false => new.strip_suffix('/').unwrap_or(&new).to_owned(),
                })
            }
        }
    }

    /// What has to be set so that a restore reaches the drill's services alone.
    ///
    /// # Errors
    /// [`Stop::refused`] where a setting leads elsewhere.
    pub fn changes(&self, settings: &Settings) -> Result<Changes, Stop> {
        let mut changes = Changes::default();
        self.database(settings, &mut changes)?;
        let mut url = |name: &'static str, value: &str, port: Option<u16>| {
            let new = self.url(value, port).ok_or_else(|| elsewhere(name))?;
            if new != value {
                changes.settings.push((name, new));
            }
            Ok::<_, Stop>(())
        };
        url("REDIS_URL", &settings.redis_url, Some(6379))?;
        // Whether an object storage elsewhere is external is decided when the settings are resolved.
        if self.url(&settings.s3_endpoint, None).is_some() {
            url("S3_ENDPOINT", &settings.s3_endpoint, None)?;
        }
        self.readiness(settings, &mut changes);
        Ok(changes)
    }

    fn database(&self, settings: &Settings, changes: &mut Changes) -> Result<(), Stop> {
        let (host, port) = (&settings.postgres_host, settings.postgres_port.parse().ok());
        if host.is_empty() {
            return Ok(());
        }
        match self.place(host, port) {
            Place::Service => Ok(()),
            Place::Elsewhere => Err(elsewhere("POSTGRES_HOST")),
            Place::Published(port) => {
                changes.settings.push(("POSTGRES_HOST", port.service.clone()));
                changes.settings.push(("POSTGRES_PORT", port.target.to_string()));
                Ok(())
            }
        }
    }

    fn readiness(&self, settings: &Settings, changes: &mut Changes) {
        let mut kept = Vec::new();
        for pair in settings.readiness_urls.split_whitespace() {
            let url =
                pair.split_once('=').and_then(|(name, url)| Some((name, self.url(url, None)?)));
            match url {
                Some((name, url)) => kept.push(format!("{name}={url}")),
                // Without what may be secret in it.
                None => {
                    changes.dropped_urls.push(pair.split('=').next().unwrap_or_default().to_owned())
                }
            }
        }
        let kept = kept.join(" ");
        if kept != settings.readiness_urls {
            changes.settings.push(("READINESS_URLS", kept));
        }
    }
}

fn host(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

fn is_this_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.is_loopback() || it.is_unspecified())
}

fn elsewhere(setting: &str) -> Stop {
    Stop::refused(format!(
        "{setting} names no service of the deployment: the drill would restore into what it names; a drill of the \
         services needs database, cache and storage among them; use --level data"
    ))
}

/// What the tools of the drill would use, once its settings are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How clients run where the database runs; empty over the network.
    pub exec: String,
    pub postgres_host: String,
    /// An address that libpq prefers to the host's.
    pub postgres_address: String,
    /// Names of libpq's service file, which may name any host.
    pub postgres_service_file: String,
    pub s3_endpoint: String,
    pub object_storage: String,
    pub redis_url: String,
}

/// The last word before anything is restored: each server is a service of the drill, by a name that nothing on
/// this host gives to another one.
///
/// # Errors
/// [`Stop::refused`] for one that is not.
pub fn require_services(
    resolved: &Resolved,
    names: &BTreeSet<String>,
    resolves_here: &dyn Fn(&str) -> bool,
) -> Result<(), Stop> {
    let mut hosts = Vec::new();
    if resolved.exec.is_empty() {
        if !resolved.postgres_address.is_empty() || !resolved.postgres_service_file.is_empty() {
            return Err(elsewhere("the database's address"));
        }
        hosts.push(("POSTGRES_HOST", Some(resolved.postgres_host.clone())));
    }
    let of_url = |text: &str| Url::parse(text).ok().and_then(|url| host(&url));
    hosts.push(("REDIS_URL", of_url(&resolved.redis_url)));
    if resolved.object_storage != EXTERNAL {
        hosts.push(("S3_ENDPOINT", of_url(&resolved.s3_endpoint)));
    }
    for (setting, host) in hosts {
        let Some(host) = host.filter(|host| names.contains(host)) else {
            return Err(elsewhere(setting));
        };
        if resolves_here(&host) {
            return Err(Stop::refused(format!(
                "{setting} names the service {host}, and this host knows another server by that name (getent hosts \
                 {host}): the drill would restore into that one; rename the service, or use --level data"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeSet<String> {
        ["api", "db", "redis", "minio", "web"].map(str::to_owned).into()
    }

    fn ports() -> BTreeMap<u16, Port> {
        let port = |service: &str, target| Port { service: service.to_owned(), target };
        [
            (15432, port("db", 5432)),
            (16379, port("redis", 6379)),
            (443, port("web", 8443)),
            (6379, port("redis", 6379)),
            (19000, port("minio", 9000)),
        ]
        .into()
    }

    fn usual() -> Settings {
        Settings {
            postgres_host: "db".into(),
            postgres_port: "5432".into(),
            s3_endpoint: "https://minio:9000".into(),
            redis_url: "redis://:pw@redis:6379/0".into(),
            ..Settings::default()
        }
    }

    fn changes(change: &dyn Fn(&mut Settings)) -> Option<Vec<(&'static str, String)>> {
        let mut settings = usual();
        change(&mut settings);
        let (names, ports) = (names(), ports());
        match (Services { names: &names, ports: &ports }).changes(&settings) {
            Ok(changes) => Some(changes.settings),
            Err(stop) => {
                assert_eq!(pipe_kit::status::of(&stop.into()), pipe_kit::Exit::Refused);
                None
            }
        }
    }

    #[test]
    fn a_server_is_a_service_of_the_drill_or_the_drill_is_refused() {
        let one = |name, value: &str| Some(vec![(name, value.to_owned())]);
        assert_eq!(changes(&|_| {}), Some(vec![]));
        // Through exec, in the service.
        assert_eq!(changes(&|it| it.postgres_host = String::new()), Some(vec![]));
        let database = [("POSTGRES_HOST", "db".to_owned()), ("POSTGRES_PORT", "5432".to_owned())];
        for host in ["127.0.0.1", "localhost", "::1"] {
            let moved = changes(&|it| {
                it.postgres_host = host.into();
                it.postgres_port = "15432".into();
            });
            assert_eq!(moved.unwrap(), database, "{host}");
        }
        for host in ["127.0.0.1", "10.0.0.5", "db.example.com", "host.docker.internal", "piprio-db"]
        {
            assert_eq!(changes(&|it| it.postgres_host = host.into()), None, "{host}");
        }
        for (url, expected) in [
            ("redis://:p%40w@127.0.0.1:16379/3", one("REDIS_URL", "redis://:p%40w@redis:6379/3")),
            ("redis://127.0.0.1", one("REDIS_URL", "redis://redis:6379")),
            ("redis://127.0.0.1:1/0", None),
            ("redis://10.0.0.5:6379/0", None),
            ("rediss://cache.example.com", None),
            ("nonsense", None),
        ] {
            assert_eq!(changes(&|it| it.redis_url = url.into()), expected, "{url}");
        }
        for (url, expected) in [
            ("", Some(vec![])),
            ("http://localhost:19000", one("S3_ENDPOINT", "http://minio:9000")),
            ("https://minio:9000/", Some(vec![])),
            ("https://s3.example.com", Some(vec![])),
            ("http://127.0.0.1:9000", Some(vec![])),
        ] {
            assert_eq!(changes(&|it| it.s3_endpoint = url.into()), expected, "{url}");
        }
    }

    #[test]
    fn a_readiness_url_that_leads_to_production_is_not_asked() {
        let (names, ports) = (names(), ports());
        let services = Services { names: &names, ports: &ports };
        let urls = "api=http://api:8080/ready web=https://127.0.0.1/ready?a=b public=https://x.example.com/?t=s";
        let settings = Settings { readiness_urls: urls.into(), ..usual() };
        let changes = services.changes(&settings).unwrap();
        let kept = "api=http://api:8080/ready web=https://web:8443/ready?a=b";
        assert_eq!(changes.settings, [("READINESS_URLS", kept.to_owned())]);
        assert_eq!(changes.dropped_urls, ["public"]);
    }

    #[test]
    fn nothing_is_restored_unless_every_server_is_the_drills() {
        let usual = Resolved {
            postgres_host: "db".into(),
            s3_endpoint: "https://minio:9000".into(),
            object_storage: "bundled".into(),
            redis_url: "redis://:pw@redis:6379/0".into(),
            ..Resolved::default()
        };
        let check = |change: &dyn Fn(&mut Resolved), known: &str| {
            let mut resolved = usual.clone();
            change(&mut resolved);
            require_services(&resolved, &names(), &|host| host == known).is_ok()
        };
        assert!(check(&|_| {}, ""));
        assert!(check(
            &|it| {
                it.exec = "compose exec db".into();
                it.postgres_host = String::new()
            },
            ""
        ));
        assert!(check(
            &|it| {
                it.object_storage = "external".into();
                it.s3_endpoint = "https://x".into()
            },
            ""
        ));
        for change in [
            &(|it: &mut Resolved| it.postgres_host = "10.0.0.5".into()) as &dyn Fn(&mut Resolved),
            &|it| it.postgres_host = String::new(),
            &|it| it.postgres_address = "10.0.0.5".into(),
            &|it| it.postgres_service_file = "production".into(),
            &|it| it.redis_url = "redis://127.0.0.1:6379".into(),
            &|it| it.redis_url = String::new(),
            &|it| it.s3_endpoint = "https://s3.example.com".into(),
            &|it| it.s3_endpoint = "http://127.0.0.1:9000".into(),
        ] {
            assert!(!check(change, ""));
        }
        for known in ["db", "redis", "minio"] {
            assert!(!check(&|_| {}, known), "{known}");
        }
        assert!(check(&|it| it.exec = "compose exec db".into(), "db"));
    }
}
