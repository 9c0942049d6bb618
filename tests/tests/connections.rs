//! What an operator asks of the connection to the database holds in every client: a server that is not
//! the right one gets neither password nor data.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use test_kit::Deployment;
use test_kit::deployment::{DOMAIN, Options, Run, run, sh};
use test_kit::postgres;
use test_kit::process::wait_until;
use test_kit::user::give_to_server_user;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A certificate and its key, `NAME.pem` and `NAME.key` in a directory.
fn certificate(authority: &Authority, names: &[&str], common: &str, dir: &Path, name: &str) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, common);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    private(&dir.join(format!("{name}.pem")), &certificate.pem());
    private(&dir.join(format!("{name}.key")), &key.serialize_pem());
}

/// A deployment whose database speaks TLS. In its `certs/`: `right.pem` of the authority that has signed
/// the server's certificate, `wrong.pem` of another, `client.pem` and `client.key`.
struct Stand {
    deployment: Deployment,
    data: PathBuf,
}

impl Stand {
    fn new() -> Result<Self> {
        let options = Options { objects: 3, docs: 3, tenants: 1, ..Options::default() };
        let deployment = Deployment::temporary(&options)?;
        let data = deployment.facts().data.join("postgres");
        let certs = deployment.dir().join("certs");
        let ours = authority("ours");
        std::fs::write(certs.join("right.pem"), ours.pem())?;
        std::fs::write(certs.join("wrong.pem"), authority("theirs").pem())?;
        certificate(&ours, &[], "piprio", &certs, "client");
        certificate(&ours, &["127.0.0.1"], "server", &data, "server");
        std::fs::rename(data.join("server.pem"), data.join("server.crt"))?;
        std::fs::write(data.join("root.crt"), ours.pem())?;
        for name in ["server.crt", "server.key", "root.crt"] {
            give_to_server_user(&data.join(name))?;
        }
        let stand = Self { deployment, data };
        stand.sql("alter system set ssl = on")?;
        stand.sql("alter system set ssl_ca_file = 'root.crt'")?;
        stand.reload()?;
        Ok(stand)
    }

    /// SQL over the local socket, whoever may connect over TCP.
    fn sql(&self, sql: &str) -> Result<String> {
        let mut command = self.deployment.postgres_client("psql");
        command.env("PGHOST", &self.deployment.facts().data);
        postgres::psql(command, "postgres", &[], sql)
    }

    /// Returns once sessions begin with the server's files as they are now.
    fn reload(&self) -> Result<()> {
        const LOADED: &str = "select pg_catalog.pg_conf_load_time()";
        let before = self.sql(LOADED)?;
        self.sql("select pg_catalog.pg_reload_conf()")?;
        wait_until("the server to read its files", || Ok(self.sql(LOADED)? != before))
    }

    /// Who may connect over TCP, a line of `pg_hba.conf`.
    fn admit(&self, line: &str) -> Result<()> {
        let text = format!("{line}\nlocal all all scram-sha-256\n");
        std::fs::write(self.data.join("pg_hba.conf"), text)?;
        self.reload()
    }

    fn cert(&self, name: &str) -> String {
        self.deployment.dir().join("certs").join(name).display().to_string()
    }

    /// Lines added to the `.env` for one run of something.
    fn with<T>(&self, lines: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.deployment.dir().join(".env");
        let before = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("{before}{lines}\n"))?;
        let done = act();
        std::fs::write(&path, before)?;
        done
    }

    fn script(&self, name: &str, environment: &[(&str, &str)]) -> Result<Run> {
        let mut command = self.deployment.script(name, &[]);
        command.envs(environment.iter().copied());
        run(command, "")
    }

    /// A backup fails, makes no bundle, and names the settings.
    fn fails(&self, environment: &[(&str, &str)], lines: &str, words: &[&str]) -> Result<()> {
        let bundles = self.deployment.bundles()?.len();
        let ended = self.with(lines, || self.script("backup.sh", environment))?.expect(1);
        for word in words {
            assert!(ended.stderr.contains(word), "no {word} in: {}", ended.stderr);
        }
        assert_eq!(self.deployment.bundles()?.len(), bundles);
        Ok(())
    }

    fn succeeds(&self, environment: &[(&str, &str)], lines: &str) -> Result<()> {
        self.with(lines, || self.script("backup.sh", environment))?.expect(0);
        Ok(())
    }
}

const FULL: (&str, &str) = ("PGSSLMODE", "verify-full");

#[test]
fn a_server_that_cannot_be_verified_gets_no_backup_and_fails_the_health_check() -> Result<()> {
    let stand = Stand::new()?;
    let (right, wrong) = (stand.cert("right.pem"), stand.cert("wrong.pem"));
    let named = format!("PGSSLMODE=verify-full, PGSSLROOTCERT={wrong}");
    let words = ["connecting with", named.as_str()];
    let trusting = |ca: &str| format!("POSTGRES_SSLMODE=verify-full\nPOSTGRES_SSLROOTCERT={ca}");
    for (environment, lines) in [
        (vec![FULL, ("PGSSLROOTCERT", &wrong)], String::new()),
        (vec![], trusting("certs/wrong.pem")),
        (vec![], format!("PGSSLMODE=verify-full\nPGSSLROOTCERT={wrong}")),
        (vec![("PGSSLROOTCERT", wrong.as_str())], trusting("certs/right.pem")),
    ] {
        stand.fails(&environment, &lines, &words)?;
        let health = stand.with(&lines, || stand.script("health-check.sh", &environment))?;
        let health = health.expect(1);
        assert!(health.stdout.contains(&named), "{}", health.stdout);
    }
    // libpq itself connects without a certificate where there is no such file.
    let none = stand.cert("none.pem");
    stand.fails(
        &[("PGSSLMODE", "require"), ("PGSSLROOTCERT", &none)],
        "",
        &["PGSSLROOTCERT", &none],
    )?;

    stand.succeeds(&[FULL, ("PGSSLROOTCERT", &right)], "")?;
    stand.succeeds(&[], &trusting("certs/right.pem"))?;
    stand.succeeds(&[("POSTGRES_SSLROOTCERT", "certs/right.pem")], &trusting("certs/wrong.pem"))?;
    stand.with(&trusting("certs/right.pem"), || stand.script("health-check.sh", &[]))?.expect(0);
    Ok(())
}

#[test]
fn a_certificate_of_ones_own_and_channel_binding_reach_the_server() -> Result<()> {
    let stand = Stand::new()?;
    let key = stand.cert("client.key");
    stand.admit("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca")?;
    stand.fails(&[], "", &[])?;
    stand.succeeds(&[], "PGSSLCERT=certs/client.pem\nPGSSLKEY=certs/client.key")?;
    let certificate = stand.cert("client.pem");
    stand.succeeds(&[("PGSSLCERT", &certificate), ("PGSSLKEY", &key)], "")?;
    stand.succeeds(&[], "POSTGRES_SSLCERT=certs/client.pem\nPOSTGRES_SSLKEY=certs/client.key")?;

    stand.admit("host all all 127.0.0.1/32 scram-sha-256")?;
    stand.succeeds(&[("PGCHANNELBINDING", "require")], "")?;
    // One that an older libpq does not know, and would pass over as a variable.
    stand.fails(&[], "POSTGRES_REQUIRE_AUTH=none", &["PGREQUIREAUTH=none"])?;
    let lines = "POSTGRES_CHANNEL_BINDING=require\nPOSTGRES_SSLMODE=disable";
    stand.fails(&[], lines, &["PGCHANNELBINDING=require"])?;
    Ok(())
}

#[test]
fn a_connection_service_file_names_the_database() -> Result<()> {
    let stand = Stand::new()?;
    let facts = stand.deployment.facts();
    let entry = format!(
        "[ours]\nhost=127.0.0.1\nport={}\nuser=piprio\nsslmode=verify-full\nsslrootcert={}\n",
        facts.postgres_port,
        stand.cert("right.pem")
    );
    std::fs::write(stand.deployment.dir().join("certs/services"), &entry)?;
    let wrong = entry.replace("right.pem", "wrong.pem");
    std::fs::write(stand.deployment.dir().join("certs/wrong-services"), wrong)?;
    let env = stand.deployment.dir().join(".env");
    let text = std::fs::read_to_string(&env)?;
    let own =
        |line: &&str| !["HOST", "PORT"].iter().any(|k| line.starts_with(&format!("POSTGRES_{k}=")));
    let without: Vec<&str> = text.lines().filter(own).collect();
    std::fs::write(&env, without.join("\n") + "\nPOSTGRES_PGSERVICE=ours\n")?;
    stand.succeeds(&[], "POSTGRES_PGSERVICEFILE=certs/services")?;
    let file = stand.cert("wrong-services");
    stand.fails(&[("PGSERVICEFILE", &file)], "", &["PGSERVICE=ours", &file])?;
    Ok(())
}

#[test]
fn a_restore_keeps_to_what_it_began_with_when_its_settings_are_replaced() -> Result<()> {
    let stand = Stand::new()?;
    let deployment = &stand.deployment;
    // A driver that notes what each call was given.
    let driver = deployment.dir().join("scripts/noting");
    let script = "#!/bin/sh\necho \"$1 $PGSSLMODE $PGSSLROOTCERT\" >> \"$PIPRIO_DEPLOY/run/calls\"\n\
        exec \"${0%/*}/drivers/process\" \"$@\"\n";
    std::fs::write(&driver, script)?;
    std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o700))?;
    sh(deployment.dir(), "sed -i 's,^SERVICE_DRIVER=.*,SERVICE_DRIVER=scripts/noting,' .env")?;
    let bundle = stand.with("PGSSLMODE=require", || {
        deployment.backup(&[])?.expect(0);
        deployment.newest_bundle()
    })?;
    let lines = "POSTGRES_SSLMODE=verify-full\nPGSSLROOTCERT=certs/right.pem\n";
    let env = deployment.dir().join(".env");
    let before = std::fs::read_to_string(&env)?;
    std::fs::write(&env, format!("{before}{lines}"))?;

    let wrong = [("PGSSLROOTCERT", stand.cert("wrong.pem"))];
    let mut command = deployment.script("restore.sh", &[]);
    command.arg(&bundle).args(["--force-config", "--config", "no"]).envs(wrong);
    let refused = run(command, &format!("{DOMAIN}\n"))?;
    assert!(refused.status != 0 && refused.stderr.contains("wrong.pem"), "{}", refused.stderr);
    assert!(std::fs::read_to_string(&env)?.contains("verify-full"));

    let calls = deployment.dir().join("run/calls");
    let _ = std::fs::remove_file(&calls);
    let arguments = ["--force-config", "--config", "no"];
    let done = deployment.restore(&bundle, &arguments, &format!("{DOMAIN}\n"))?.expect(0);
    assert!(done.stderr.contains("--force-config changes PGSSLMODE"), "{}", done.stderr);
    assert!(!std::fs::read_to_string(&env)?.contains("verify-full"));
    let report = std::fs::read_to_string(&calls)?;
    let expected = format!("start verify-full {}", stand.cert("right.pem"));
    let started: Vec<&str> = report.lines().filter(|line| line.starts_with("start ")).collect();
    assert!(!started.is_empty() && started.iter().all(|line| *line == expected), "{report}");
    Ok(())
}
