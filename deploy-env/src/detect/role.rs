//! What a service is for, by its image, or where that has a name of its own, by the service's name.

use bundle_format::report::ConfiguredService;

/// What the toolkit backs up of a service, or does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// PostgreSQL.
    Database,
    /// Object storage that speaks S3 on this port.
    Storage(u16),
    /// Redis, or what speaks its protocol.
    Cache,
}

/// Programs that work on such a server, and are none.
const CLIENTS: [&str; 8] =
    ["exporter", "backup", "bouncer", "admin", "commander", "insight", "postgrest", "console"];
const DATABASES: [&str; 4] = ["postgres", "postgis", "pgvector", "timescale"];
const CACHES: [&str; 4] = ["redis", "valkey", "keydb", "dragonfly"];
/// The ports of S3 in the images' own configuration.
const STORAGES: [(&str, u16); 4] =
    [("minio", 9000), ("garage", 3900), ("seaweedfs", 8333), ("rustfs", 9000)];

/// The role of a service; none if it is one of the application's.
pub fn of(service: &ConfiguredService) -> Option<Role> {
    let image = service.image.as_deref().map(repository);
    let by_image = image.and_then(of_name);
    // An image of the operator's own, with a database in it, has any name.
    by_image.or_else(|| is_exact(&service.name).then(|| of_name(&service.name)).flatten())
}

/// The last part of an image's name, without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split(':').next().unwrap_or(last)
}

/// Whether a service's name is that of the server, and not of something for it.
fn is_exact(name: &str) -> bool {
    let storages = STORAGES.iter().map(|(name, _)| *name);
    let names = DATABASES.into_iter().chain(CACHES).chain(storages).chain(["postgresql"]);
    names.into_iter().any(|known| known == name)
}

fn of_name(name: &str) -> Option<Role> {
    if CLIENTS.iter().any(|client| name.contains(client)) {
        return None;
    }
    let has = |names: &[&str]| names.iter().any(|known| name.contains(known));
    if has(&DATABASES) {
        return Some(Role::Database);
    }
    if has(&CACHES) {
        return Some(Role::Cache);
    }
    let storage = STORAGES.iter().find(|(known, _)| name.contains(known));
    storage.map(|(_, port)| Role::Storage(*port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, image: Option<&str>) -> Option<Role> {
        let image = image.map(str::to_owned);
        of(&ConfiguredService { name: name.to_owned(), image, ..ConfiguredService::default() })
    }

    #[test]
    fn a_server_is_found_by_its_image_whatever_the_service_is_called() {
        for (image, expected) in [
            ("postgres:16-alpine", Some(Role::Database)),
            ("docker.io/library/postgres@sha256:0a", Some(Role::Database)),
            ("registry.example.com:5000/team/timescaledb-ha:pg16", Some(Role::Database)),
            ("pgvector/pgvector:pg17", Some(Role::Database)),
            ("minio/minio:RELEASE.2025-01-20T14-49-07Z", Some(Role::Storage(9000))),
            ("dxflrs/garage:v2.1.0", Some(Role::Storage(3900))),
            ("valkey/valkey:8", Some(Role::Cache)),
            ("redis", Some(Role::Cache)),
            ("prometheuscommunity/postgres-exporter", None),
            ("postgrest/postgrest", None),
            ("edoburu/pgbouncer", None),
            ("prodrigestivill/postgres-backup-local", None),
            ("piprio/api:4.2", None),
        ] {
            assert_eq!(role("x", Some(image)), expected, "{image}");
        }
    }

    #[test]
    fn with_an_image_of_its_own_the_exact_name_counts() {
        assert_eq!(role("postgres", Some("piprio/all:1")), Some(Role::Database));
        assert_eq!(role("minio", None), Some(Role::Storage(9000)));
        assert_eq!(role("redis-worker", Some("piprio/all:1")), None);
        assert_eq!(role("api", None), None);
    }
}
