//! The services as they are configured: what an installation looks at to find the database, the object storage and
//! the cache.

use crate::compose::Compose;
use anyhow::Result;
use bundle_format::report::ConfiguredService;
use serde_json::Value;
use std::collections::BTreeMap;

/// Variables whose values name a database or its user, of the images that people use.
const NAMES: [&str; 4] =
    ["POSTGRES_DB", "POSTGRES_USER", "POSTGRESQL_DATABASE", "POSTGRESQL_USERNAME"];

/// The services of the active profiles.
///
/// # Errors
/// If the configuration cannot be read.
pub fn list(compose: &Compose) -> Result<Vec<ConfiguredService>> {
    let hashes = compose.hashes()?;
    let configuration = compose.resolved()?;
    Ok(hashes.into_iter().map(|(name, hash)| service(&configuration, name, hash)).collect())
}

fn service(configuration: &Value, name: String, hash: String) -> ConfiguredService {
    let of = |key: &str| &configuration["services"][&name][key];
    let image = of("image").as_str().map(str::to_owned);
    let environment = environment(of("environment"));
    ConfiguredService { name, image, hash, environment }
}

fn environment(variables: &Value) -> BTreeMap<String, Option<String>> {
    let entry = |name: &str, value: Option<String>| {
        (name.to_owned(), value.filter(|_| NAMES.contains(&name)))
    };
    match variables {
        Value::Object(pairs) => pairs
            .iter()
            .map(|(name, value)| entry(name, value.as_str().map(str::to_owned)))
            .collect(),
        Value::Array(lines) => {
            let pair = |line: &str| match line.split_once('=') {
                Some((name, value)) => entry(name, Some(value.to_owned())),
                None => entry(line, None),
            };
            lines.iter().filter_map(Value::as_str).map(pair).collect()
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_variable_is_listed_without_its_value_unless_it_names_a_database() {
        let secret = "hunter2";
        for variables in [
            json!({"POSTGRES_DB": "app", "POSTGRES_PASSWORD": secret, "EMPTY": null}),
            json!(["POSTGRES_DB=app", format!("POSTGRES_PASSWORD={secret}"), "EMPTY"]),
        ] {
            let services =
                json!({"services": {"db": {"image": "postgres:16", "environment": variables}}});
            let db = service(&services, "db".to_owned(), "h".to_owned());
            assert_eq!(db.image.as_deref(), Some("postgres:16"));
            assert_eq!(db.environment["POSTGRES_DB"].as_deref(), Some("app"));
            assert_eq!(db.environment["POSTGRES_PASSWORD"], None);
            assert_eq!(db.environment.len(), 3);
        }
    }
}
