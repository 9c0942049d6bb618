//! What a restore asks of database, cache and object storage before it changes anything, and which of them it changes.

use super::kit::*;
use anyhow::{Result, ensure};
use test_kit::Redis;
use test_kit::deployment::Deployment;
use test_kit::s3::keys::READ_ONLY;

/// Replaces a setting.
fn set(deployment: &Deployment, key: &str, value: &str) -> Result<()> {
    let env = deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let others = text.lines().filter(|line| !line.starts_with(&format!("{key}=")));
    let lines: Vec<_> = others.map(str::to_owned).chain([format!("{key}='{value}'\n")]).collect();
    Ok(std::fs::write(&env, lines.join("\n"))?)
}

#[test]
fn a_database_whose_files_are_lost_is_replaced() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let before = deployment.state()?;
    let path = deployment.psql(
        "select current_setting('data_directory') || '/base/' || oid from pg_database
         where datname = current_database()",
    )?;
    deployment.psql_in("postgres", "checkpoint")?;
    std::fs::remove_file(std::path::Path::new(&path).join("PG_VERSION"))?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    ensure!(run.stderr.contains("CANNOT BE OPENED, and is replaced"), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    Ok(())
}

#[test]
fn every_node_of_a_cluster_is_emptied() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let nodes = Redis::cluster(2)?;
    set(&deployment, "REDIS_URL", &nodes[1].url(0))?;
    // The second time by a user who may not count them.
    for refused in ["", "-dbsize"] {
        let fill = |node: &Redis| {
            // Each key belongs to one of them, and the other refuses it.
            (0..50).filter(|n| node.command(0, &["SET", &format!("k{n}"), "1"]).is_ok()).count()
        };
        for node in &nodes {
            ensure!(fill(node) > 5, "no key belongs to a node");
            if !refused.is_empty() {
                node.command(0, &["ACL", "SETUSER", "default", refused])?;
            }
        }
        let run = deployment.restore(&bundle, &["--only", "cache"], &answers("n"))?.expect(0);
        let counted = run.stderr.contains("the cache held 50 keys");
        assert_eq!(counted, refused.is_empty(), "{}", run.stderr);
        for node in &nodes {
            node.command(0, &["ACL", "SETUSER", "default", "+dbsize"])?;
            assert_eq!(node.command(0, &["DBSIZE"])?, "0");
        }
    }
    Ok(())
}

#[test]
fn the_database_that_the_query_of_a_url_names_is_emptied_and_no_other() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let cache = Redis::start()?;
    for database in [0, 3] {
        cache.command(database, &["SET", "k", "1"])?;
    }
    let url = format!("redis://127.0.0.1:{}?db=3", cache.port());
    set(&deployment, "REDIS_URL", &url)?;
    let run = deployment.restore(&bundle, &["--only", "cache"], &answers("n"))?.expect(0);
    ensure!(run.stderr.contains("?db=3: emptied"), "{}", run.stderr);
    assert_eq!([0, 3].map(|n| cache.command(n, &["DBSIZE"]).unwrap()), ["1", "0"]);
    // A user with few rights, of whom a server that is alone does not ask more.
    let few = ["+@read", "+@connection", "+@transaction", "+flushdb", "+dbsize"];
    let user = [&["ACL", "SETUSER", "few", "on", ">pw", "~*"][..], &few].concat();
    cache.command(0, &user)?;
    set(&deployment, "REDIS_URL", &url.replace("//", "//few:pw@"))?;
    let run = deployment.restore(&bundle, &["--only", "cache"], &answers("n"))?.expect(0);
    ensure!(!run.stderr.contains("one of a cluster"), "{}", run.stderr);
    set(&deployment, "REDIS_URL", &url.replace("?", "/0?"))?;
    let run = deployment.restore(&bundle, &["--only", "cache"], &answers("n"))?;
    ensure!(run.stderr.contains("REDIS_URL names two databases"), "{}", run.stderr);
    assert_eq!(cache.command(0, &["DBSIZE"])?, "1");
    Ok(())
}

#[test]
fn keys_that_may_not_write_are_found_before_the_database_is_replaced() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    set(&deployment, "S3_ACCESS_KEY_FILE", "")?;
    set(&deployment, "S3_ACCESS_KEY", READ_ONLY)?;
    let before = deployment.state()?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(5);
    ensure!(run.stderr.contains("the right to write"), "{}", run.stderr);
    assert_eq!(deployment.state()?, before);
    Ok(())
}
