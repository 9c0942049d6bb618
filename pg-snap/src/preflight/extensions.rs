//! Extensions that a dump creates.

use super::facts::Facts;
use super::problems::{Findings, IntendedLoad};
use crate::head::Needs;
use crate::removed_extensions::is_removed;
use crate::sql::literal;
use std::collections::BTreeMap;

/// The extensions that are not installed on the server, and that the load needs.
pub fn missing<'a>(plan: &IntendedLoad<'a>, facts: &Facts) -> Vec<&'a str> {
    let (missing, _) = absent(plan, facts);
    missing
}

/// Those that are not installed on the server: the ones that the load needs, and the ones that it leaves out.
fn absent<'a>(plan: &IntendedLoad<'a>, facts: &Facts) -> (Vec<&'a str>, Vec<&'a str>) {
    let wanted = plan.needs.extensions.iter().map(String::as_str);
    let absent = wanted.filter(|name| !facts.extensions.contains_key(*name));
    absent.partition(|name| !is_removed(name, plan.server.major))
}

/// Adds a line for each extension that cannot be created.
pub fn check(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    let (missing, removed) = absent(plan, facts);
    for name in removed {
        found.note(format!(
            "PostgreSQL {} no longer has extension {name}: the load leaves it out, and fails if an object of the dump \
             uses it",
            plan.server.major
        ));
    }
    for name in missing {
        found.problem(format!(
            "the dump needs extension {name}, which is not installed on the server; on its host, \
             on Debian: apt install {} (or apt-cache search postgresql {name})",
            package(name, plan.server.major)
        ));
    }
    for name in &plan.needs.extensions {
        if !facts.superuser && facts.extensions.get(name) == Some(&true) {
            found.problem(format!(
                "the dump creates extension {name}, which requires a superuser; load as one (PGUSER)"
            ));
        }
        if facts.extensions.contains_key(name) {
            preload(plan, facts, name, found);
            version(plan, facts, name, found);
        }
    }
    if plan.needs.extensions.iter().any(|name| name == CRON) {
        one_database(plan, facts, found);
    }
}

/// Extensions that are created only where the server has loaded them when it started.
const PRELOADED: [&str; 5] = [CRON, "citus", "pgaudit", "pglogical", "timescaledb"];
/// One that is created only in the database that `cron.database_name` names.
const CRON: &str = "pg_cron";

fn preload(plan: &IntendedLoad<'_>, facts: &Facts, name: &str, found: &mut Findings) {
    let Some(preloaded) = &facts.preloaded else { return };
    let loaded = |library: &str| library.trim().trim_matches('"') == name;
    if preloaded.split(',').any(loaded) {
        return;
    }
    let list = match preloaded.as_str() {
        "" => name.to_owned(),
        others => format!("{others}, {name}"),
    };
    let remedy = format!(
        "in postgresql.conf: shared_preload_libraries = {}; then restart PostgreSQL",
        literal(&list)
    );
    let requirements = plan.needs.state.as_ref().and_then(|state| state.requirements.as_ref());
    if PRELOADED.contains(&name) {
        found.problem(format!(
            "the dump creates extension {name}, which the server must load when it starts; {remedy}"
        ));
    } else if requirements.is_some_and(|r| r.preloaded.iter().any(|other| other == name)) {
        found.note(format!(
            "the source server loaded extension {name} when it started, and this one does not; {remedy}"
        ));
    }
}

fn version(plan: &IntendedLoad<'_>, facts: &Facts, name: &str, found: &mut Findings) {
    let Some(there) = recorded_version(plan.needs, name) else { return };
    let Some(here) = facts.extension_versions.get(name) else { return };
    let is_same_major = plan.needs.major() == Some(plan.server.major);
    if here == there || (is_same_major && offers(facts, name, there)) {
        return;
    }
    if parts(here) < parts(there) {
        found.note(format!(
            "the dump was made with extension {name} {there}, and the server creates {here}: a load fails on \
             what that version lacks; install the newer one on the server's host ({})",
            package(name, plan.server.major)
        ));
    } else if is_same_major {
        found.note(format!(
            "the dump was made with extension {name} {there}, which the server does not offer: it creates {here}; what \
             only {there} has is not there"
        ));
    }
}

fn recorded_version<'a>(needs: &'a Needs, name: &str) -> Option<&'a String> {
    let requirements = needs.state.as_ref()?.requirements.as_ref()?;
    requirements.extension_versions.get(name)
}

fn offers(facts: &Facts, name: &str, version: &str) -> bool {
    let offered = facts.offered_versions.get(name);
    offered.is_some_and(|offered| offered.iter().any(|other| other == version))
}

/// The extensions that the server is to create in the version that they had, and not in its default one: what is made
/// of them may need that version. On another major they get its default, as by pg_upgrade's advice: an old version may not
/// work there.
pub fn versions_to_create(needs: &Needs, facts: &Facts, major: u32) -> BTreeMap<String, String> {
    if needs.major() != Some(major) {
        return BTreeMap::new();
    }
    let recorded = needs.extensions.iter().filter_map(|name| {
        let version = recorded_version(needs, name)?;
        let is_other = facts.extension_versions.get(name) != Some(version);
        (is_other && offers(facts, name, version)).then(|| (name.clone(), version.clone()))
    });
    recorded.collect()
}

fn parts(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// A load fills the database under another name than its final one.
fn one_database(plan: &IntendedLoad<'_>, facts: &Facts, found: &mut Findings) {
    let (database, made_as) = (literal(plan.database), literal(plan.made_as));
    let remedy = format!(
        "for the load, in postgresql.conf: cron.database_name = {made_as}; and restart PostgreSQL; afterwards: \
         cron.database_name = {database}, and restart again"
    );
    match &facts.cron_database {
        Some(allowed) if allowed == plan.made_as => {}
        Some(allowed) => found.problem(format!(
            "the dump creates extension {CRON}, which the server allows only in database {allowed}, and a load \
             fills a database of another name before it swaps the names, even with --drop-first; {remedy}"
        )),
        None => found.note(format!(
            "the dump creates extension {CRON}, which the server allows only in one database, and role {} may not \
             read its name (GRANT pg_read_all_settings); {remedy}",
            facts.me
        )),
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

/// Extensions that come with PostgreSQL itself; other systems have a package of their own for them.
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
    use super::{package, parts};

    #[test]
    fn versions_are_compared_number_by_number() {
        assert!(parts("3.9.1") < parts("3.10") && parts("1.6") == parts("1.6"));
        assert!(parts("2.11.0-dev") < parts("2.11.1"));
    }

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
