use super::*;
use std::collections::BTreeMap;

fn service(name: &str, image: &str, variables: &[(&str, Option<&str>)]) -> ConfiguredService {
    let pair =
        |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
    ConfiguredService {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        hash: String::new(),
        environment: variables.iter().map(pair).collect(),
    }
}

/// `KEY=VALUE` of what is proposed, and the keys of what is needed.
fn decided(
    services: &[ConfiguredService],
    settings: &[(&str, &str)],
) -> (Vec<String>, Vec<String>) {
    let settings: BTreeMap<&str, &str> = settings.iter().copied().collect();
    let decision = decide(services, &|key| settings.get(key).copied());
    let proposed = decision.proposed.iter().map(|it| format!("{}={}", it.key, it.value)).collect();
    (proposed, decision.needed.iter().map(|it| it.key.to_owned()).collect())
}

const NONE: Vec<String> = Vec::new();

#[test]
fn with_the_products_own_names_only_what_nobody_can_know_is_needed() {
    let services = [
        service(
            "postgres",
            "postgres:16",
            &[("POSTGRES_DB", Some("piprio")), ("POSTGRES_USER", Some("piprio"))],
        ),
        service("minio", "minio/minio", &[("MINIO_ROOT_USER", None)]),
        service("redis", "redis:7", &[]),
        service("api", "piprio/api:1", &[]),
    ];
    let (proposed, needed) = decided(&services, &[]);
    assert_eq!(proposed, ["S3_ENDPOINT=http://minio:9000", "REDIS_URL=redis://redis:6379"]);
    assert_eq!(needed, ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY", "PIPRIO_DOMAIN"]);
    let complete = [
        ("PIPRIO_DOMAIN", "example.com"),
        ("S3_ENDPOINT", "http://minio:9000"),
        ("S3_BUCKET", "documents"),
        ("MINIO_ROOT_USER", "a"),
        ("MINIO_ROOT_PASSWORD", "b"),
        ("REDIS_URL", "redis://redis:6379"),
    ];
    assert_eq!(decided(&services, &complete), (NONE, NONE));
}

#[test]
fn names_of_the_operators_own_are_proposed_as_they_are() {
    let services = [
        service(
            "db",
            "pgvector/pgvector:pg17",
            &[("POSTGRES_USER", Some("app")), ("POSTGRES_PASSWORD", None)],
        ),
        service("kv", "valkey/valkey:8", &[("VALKEY_PASSWORD", None)]),
        service("store", "dxflrs/garage:v2", &[]),
    ];
    let (proposed, needed) = decided(&services, &[("PIPRIO_DOMAIN", "d")]);
    let expected = [
        "POSTGRES_SERVICE=db",
        "POSTGRES_DB=app",
        "POSTGRES_USER=app",
        "S3_ENDPOINT=http://store:3900",
    ];
    assert_eq!(proposed, expected);
    assert_eq!(needed, ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY", "REDIS_URL"]);
}

#[test]
fn of_two_servers_neither_is_guessed() {
    let services = [
        service("a", "postgres:16", &[]),
        service("b", "postgres:17", &[]),
        service("c", "redis", &[]),
        service("d", "redis", &[]),
        service("e", "minio/minio", &[]),
        service("f", "minio/minio", &[]),
    ];
    let settings = [
        ("PIPRIO_DOMAIN", "d"),
        ("S3_BUCKET", "x"),
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    assert_eq!(decided(&services, &settings).1, ["POSTGRES_SERVICE", "S3_ENDPOINT", "REDIS_URL"]);
    let named = [
        &settings[..],
        &[("POSTGRES_SERVICE", "b"), ("S3_ENDPOINT", "http://f:9000"), ("REDIS_URL", "redis://c")],
    ];
    assert_eq!(decided(&services, &named.concat()), (NONE, NONE));
}

#[test]
fn servers_elsewhere_are_settings_alone() {
    let services = [service("api", "piprio/api:1", &[])];
    assert_eq!(
        decided(&services, &[]),
        (NONE, vec!["POSTGRES_HOST".to_owned(), "PIPRIO_DOMAIN".to_owned()])
    );
    let settings = [
        ("PIPRIO_DOMAIN", "d"),
        ("POSTGRES_HOST", "db.example.com"),
        ("OBJECT_STORAGE", "external"),
    ];
    assert_eq!(decided(&services, &settings), (NONE, vec!["POSTGRES_PASSWORD".to_owned()]));
}
