//! Passwords: those that come out of the bundle are proved, and those that no bundle holds are named.

use super::kit::*;
use anyhow::Result;
use test_kit::deployment::{APPS, Deployment, Options};
use test_kit::postgres;

#[test]
fn a_restored_password_that_the_server_does_not_take_is_named_before_the_application_starts()
-> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let file = deployment.dir().join("secrets/postgres_password");
    let old = std::fs::read_to_string(&file)?;
    let user = postgres::USER;
    deployment.psql(&format!("alter role {user} password 'planted-new-0815'"))?;
    std::fs::write(&file, "planted-new-0815\n")?;

    let run = deployment.restore(&bundle, &[], &answers("y"))?.expect(1);
    assert!(run.stderr.contains("[10/11] start: "), "{}", run.stderr);
    assert!(run.stderr.contains("do not work with the database"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("\\password {user}")), "{}", run.stderr);
    for secret in ["planted-new-0815", old.trim()] {
        assert!(!run.stderr.contains(secret) && !run.stdout.contains(secret), "{}", run.stderr);
    }
    let states = deployment.ps()?;
    for app in APPS {
        assert!(states.contains(&(app.to_owned(), "stopped".to_owned())), "{states:?}");
    }
    deployment.restore(&bundle, &["--resume"], "")?.expect(1);

    // The repair: the server takes the restored one.
    let mut psql = deployment.postgres_client("psql");
    psql.env("PGPASSWORD", "planted-new-0815");
    let restored = old.trim().replace('\'', "''");
    postgres::psql(psql, "postgres", &[], &format!("alter role {user} password '{restored}'"))?;
    deployment.restore(&bundle, &["--resume"], "")?.expect(0);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    deployment.health_check()?.expect(0);
    Ok(())
}

#[test]
fn a_restored_cache_password_that_does_not_fit_is_named_too() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let conf = deployment.facts().data.join("redis.conf");
    let text = std::fs::read_to_string(&conf)?;
    let password = &deployment.facts().redis_password;
    assert!(text.contains(password.as_str()), "{text}");
    std::fs::write(&conf, text.replace(password.as_str(), "another"))?;
    let env = deployment.dir().join(".env");
    let settings = std::fs::read_to_string(&env)?;
    std::fs::write(&env, settings.replace("redis://:cache%20p%40ss%2Fword@", "redis://:another@"))?;
    deployment.stop(&["redis"])?;
    deployment.start(&["redis"])?;

    let run = deployment.restore(&bundle, &["--force-config"], &answers("n"))?.expect(1);
    assert!(run.stderr.contains("do not work with the cache"), "{}", run.stderr);
    assert!(run.stderr.contains("api worker are left stopped"), "{}", run.stderr);
    std::fs::write(&conf, text)?;
    deployment.stop(&["redis"])?;
    deployment.start(&["redis"])?;
    deployment.restore(&bundle, &["--resume"], "")?.expect(0);
    Ok(())
}

/// A role that owns what is in the database, which the server then lacks.
fn without_its_roles(roles: &str, owner: &str) -> Result<(Deployment, std::path::PathBuf)> {
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.psql(&format!("{roles}; alter database piprio owner to {owner}"))?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    deployment.psql_in("postgres", "drop database piprio with (force)")?;
    deployment.psql_in("postgres", "drop role reader; drop role if exists app")?;
    Ok((deployment, bundle))
}

#[test]
fn roles_that_could_log_in_are_listed_at_the_end_as_needing_a_password() -> Result<()> {
    let make = "create role reader login; grant usage on schema public to reader";
    let (deployment, bundle) = without_its_roles(make, postgres::USER)?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(0);
    let last = run.stderr.rfind("role reader could log in").expect("not named");
    assert!(last > run.stderr.find("the restore is complete").expect("not complete"));
    assert_eq!(deployment.psql("select rolcanlogin from pg_roles where rolname = 'reader'")?, "f");
    Ok(())
}

#[test]
fn a_restore_ends_with_1_where_the_applications_own_role_lacks_its_password() -> Result<()> {
    let make =
        "create role reader login; grant usage on schema public to reader; create role app login";
    let (deployment, bundle) = without_its_roles(make, "app")?;
    let run = deployment.restore(&bundle, &[], &answers("n"))?.expect(1);
    assert!(run.stderr.contains("app is the application's own role"), "{}", run.stderr);
    assert!(run.stderr.contains("role reader could log in"), "{}", run.stderr);
    assert!(!deployment.dir().join(".restore/unfinished.json").exists());
    Ok(())
}
