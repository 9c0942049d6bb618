//! Extensions that a dump creates.

use super::facts::Facts;
use super::findings::Plan;

/// Those that the server has not installed.
pub fn missing<'a>(plan: &Plan<'a>, facts: &Facts) -> Vec<&'a str> {
    let wanted = plan.needs.extensions.iter().map(String::as_str);
    wanted.filter(|name| !facts.extensions.contains_key(*name)).collect()
}

/// Adds a line for each that cannot be created.
pub fn check(plan: &Plan<'_>, facts: &Facts, problems: &mut Vec<String>) {
    for name in missing(plan, facts) {
        problems.push(format!(
            "the dump needs extension {name}, which the server has not installed; where the server runs, \
             on Debian: apt install {} (or apt-cache search postgresql {name})",
            package(name, plan.server.major)
        ));
    }
    for name in &plan.needs.extensions {
        if !facts.superuser && facts.extensions.get(name) == Some(&true) {
            problems.push(format!(
                "the dump creates extension {name}, which takes a superuser; load as one (PGUSER)"
            ));
        }
    }
}

/// The Debian package that an extension is in, as far as their naming goes.
fn package(extension: &str, major: u32) -> String {
    let name = match extension {
        "vector" => "pgvector".into(),
        name if name.starts_with("postgis") || name.starts_with("address_standardizer") => {
            "postgis-3".into()
        }
        name if CONTRIB.contains(&name) => return format!("postgresql-{major}"),
        name => name.strip_prefix("pg_").unwrap_or(name).replace('_', "-"),
    };
    format!("postgresql-{major}-{name}")
}

/// Those that come with PostgreSQL itself, in a package of its own on other systems.
const CONTRIB: [&str; 24] = [
    "amcheck",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dblink",
    "earthdistance",
    "file_fdw",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_buffercache",
    "pg_stat_statements",
    "pg_trgm",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "tablefunc",
    "unaccent",
    "uuid-ossp",
];

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn packages_are_named_as_debian_names_them() {
        for (extension, expected) in [
            ("citext", "postgresql-15"),
            ("vector", "postgresql-15-pgvector"),
            ("postgis_topology", "postgresql-15-postgis-3"),
            ("pg_cron", "postgresql-15-cron"),
        ] {
            assert_eq!(package(extension, 15), expected);
        }
    }
}
