//! What the restore's tests share.

use anyhow::Result;
use std::path::{Path, PathBuf};
use test_kit::deployment::{DOMAIN, Deployment, Options, sh};
use test_kit::process::wait_until;

/// A deployment with a bundle.
pub fn with_bundle() -> Result<(Deployment, PathBuf)> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    Ok((deployment, bundle))
}

pub fn answers(config: &str) -> String {
    format!("{DOMAIN}\n{config}\n")
}

pub fn pids(deployment: &Deployment, services: &[&str]) -> Result<Vec<i32>> {
    services.iter().map(|s| deployment.pid(s)).collect()
}

pub fn databases(deployment: &Deployment) -> Result<String> {
    let ask =
        "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
    deployment.psql_in("postgres", ask)
}

/// Makes it a bundle of the older script whose dump, whole as it is, ends with one more statement.
pub fn append_to_dump(bundle: &Path, statement: &str) -> Result<()> {
    let script = format!(
        "gunzip -c database.sql.gz > d
         awk '/^-- PostgreSQL database dump complete/ {{ last = NR }} {{ line[NR] = $0 }}
              END {{ for (n = 1; n <= NR; n++) {{ if (n == last) print \"{statement};\"; print line[n] }} }}' d |
           gzip -c > database.sql.gz
         rm d SHA256SUMS && echo 'a bundle of the older script' > MANIFEST.txt"
    );
    sh(bundle, &script).map(drop)
}

/// A load of a dump that ends in `SELECT pg_sleep` is in it.
pub fn wait_for_the_sleeping_load(deployment: &Deployment) -> Result<()> {
    let asleep = "select count(*) from pg_stat_activity where query ~ '^SELECT pg_sleep' and state = 'active'";
    wait_until("the load", || Ok(deployment.psql_in("postgres", asleep)? == "1"))
}

/// Replaces a program of the deployment by a script; `$real` in it is the program itself.
pub fn stand_in(deployment: &Deployment, tool: &str, script: &str) -> Result<()> {
    sh(
        deployment.dir(),
        &format!(
            "mv bin/{tool} bin/.{tool}
             printf '%s\\n' '#!/bin/sh' 'real=${{0%/*}}/.{tool}' '{script}' 'exec \"$real\" \"$@\"' > bin/{tool}
             chmod 755 bin/{tool}"
        ),
    )
    .map(drop)
}

pub fn put_back(deployment: &Deployment, tool: &str) -> Result<()> {
    sh(deployment.dir(), &format!("mv bin/.{tool} bin/{tool}")).map(drop)
}
