//! The cache as the tools reach it: over TLS, on IPv6, at another address than its name's.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use test_kit::Deployment;
use test_kit::deployment::{DOMAIN, Options, Run, run};
use test_kit::process::{ATTEMPTS, Server, free_port, wait_until};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A Redis that was started with some options.
struct Cache {
    _server: Server,
    port: u16,
    dir: TempDir,
}

impl Cache {
    /// `options` stand for the port, too.
    fn start(dir: TempDir, options: impl Fn(&str) -> Vec<String>) -> Result<Self> {
        let log = dir.path().join("log");
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            let mut command = Command::new("redis-server");
            command.args(["--save", "", "--dir"]).arg(dir.path()).args(options(&port.to_string()));
            let mut server = Server::spawn(&mut command, &log)?;
            let mut is_up = false;
            wait_until("Redis to start", || {
                is_up = server.log().contains("Ready to accept connections");
                Ok(is_up || server.ended()?.is_some())
            })?;
            if is_up {
                return Ok(Self { _server: server, port, dir });
            }
            if !server.log().contains("Address already in use") {
                bail!("Redis does not start: {}", server.log());
            }
        }
        bail!("Redis found no free port")
    }

    /// One that speaks TLS alone, with a certificate for `names`, and asks for a client's or not.
    fn over_tls(names: &[&str], asks: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("redis-").tempdir()?;
        let ours = authority("ours");
        let file = |name: &str, text: String| std::fs::write(dir.path().join(name), text);
        file("ca.pem", ours.pem())?;
        file("other.pem", authority("theirs").pem())?;
        for (name, names) in [("server", names), ("client", &["client"][..])] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(names)?.signed_by(&key, &ours)?;
            file(&format!("{name}.pem"), certificate.pem())?;
            file(&format!("{name}.key"), key.serialize_pem())?;
        }
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (certificate, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
        let asks = asks.to_owned();
        Self::start(dir, move |port| {
            [
                ("bind", "127.0.0.1"),
                ("port", "0"),
                ("tls-port", port),
                ("tls-cert-file", &certificate),
                ("tls-key-file", &key),
                ("tls-ca-cert-file", &ca),
                ("tls-auth-clients", &asks),
                ("requirepass", "hunter2"),
            ]
            .into_iter()
            .flat_map(|(name, value)| [format!("--{name}"), value.to_owned()])
            .collect()
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A deployment with a bundle, and lines for the end of its `.env`.
struct Stand {
    deployment: Deployment,
    bundle: PathBuf,
    env: String,
}

impl Stand {
    fn new() -> Result<Self> {
        let options = Options { objects: 3, docs: 3, tenants: 1, ..Options::default() };
        let deployment = Deployment::temporary(&options)?;
        deployment.backup(&[])?.expect(0);
        let bundle = deployment.newest_bundle()?;
        let env = std::fs::read_to_string(deployment.dir().join(".env"))?;
        Ok(Self { deployment, bundle, env })
    }

    /// A driver by which services answer elsewhere.
    fn answering_at(&self, address: &str) -> Result<()> {
        let driver = self.deployment.dir().join("scripts/elsewhere");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" != addr ] || {{ printf '%s:%s\\n' '{address}' \"$3\"; exit; }}\n\
             exec \"${{0%/*}}/drivers/process\" \"$@\"\n"
        );
        std::fs::write(&driver, script)?;
        std::fs::set_permissions(&driver, PermissionsExt::from_mode(0o700))?;
        Ok(())
    }

    /// The health check of the cache, and a restore's step that empties it.
    fn both(&self, lines: &str) -> Result<[Run; 2]> {
        let path = self.deployment.dir().join(".env");
        std::fs::write(&path, format!("{}{lines}\n", self.env))?;
        let health = self.deployment.script("health-check.sh", &["--only", "cache"]);
        let mut restore = self.deployment.script("restore.sh", &[]);
        restore.arg(&self.bundle).args(["--only", "cache", "--confirm", DOMAIN]);
        Ok([run(health, "")?, run(restore, "")?])
    }

    fn reach(&self, lines: &str) -> Result<()> {
        let [health, restore] = self.both(lines)?;
        assert!(health.expect(0).stdout.contains("PONG"));
        assert!(restore.expect(0).stderr.contains("the cache held "), "{lines}");
        Ok(())
    }

    /// Neither reaches it, and each reports why, without the password.
    fn fail(&self, lines: &str, reason: &str) -> Result<()> {
        for run in self.both(lines)? {
            assert_ne!(run.status, 0, "{lines}");
            let text = run.stdout + &run.stderr;
            assert!(text.contains(reason), "no {reason} for {lines} in {text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        Ok(())
    }
}

#[test]
fn a_cache_over_tls_is_trusted_by_its_authority_and_by_no_other() -> Result<()> {
    let cache = Cache::over_tls(&["127.0.0.1"], "no")?;
    let stand = Stand::new()?;
    let url = format!("REDIS_URL=rediss://:hunter2@127.0.0.1:{}/2", cache.port);
    let with = |name: &str| format!("{url}\nREDIS_CA_FILE={}", cache.file(name).display());
    stand.reach(&with("ca.pem"))?;
    let other = format!("not in {}, which REDIS_CA_FILE names", cache.file("other.pem").display());
    stand.fail(&with("other.pem"), &other)?;
    stand.fail(&url, "REDIS_CA_FILE")?;
    stand.fail(&with("none.pem"), "REDIS_CA_FILE: reading")?;
    stand.fail(&with("log"), "REDIS_CA_FILE: there is no certificate in")?;
    stand.fail(&with("ca.pem").replace("rediss:", "redis:"), "cache")?;
    stand.fail(&with("ca.pem").replace("hunter2", "wrong"), "WRONGPASS")?;
    // Relative paths are the deployment's.
    std::fs::copy(cache.file("ca.pem"), stand.deployment.dir().join("certs/cache-ca.pem"))?;
    stand.reach(&format!("{url}\nREDIS_CA_FILE=certs/cache-ca.pem"))?;
    // As an application's container sees it.
    std::fs::copy(cache.file("ca.pem"), stand.deployment.dir().join("secrets/cache-ca"))?;
    stand.reach(&format!("{url}\nREDIS_CA_FILE=/run/secrets/cache-ca"))?;
    Ok(())
}

#[test]
fn a_cache_that_asks_for_a_certificate_gets_one_and_is_reached_at_the_drivers_address() -> Result<()>
{
    let cache = Cache::over_tls(&["redis"], "yes")?;
    let stand = Stand::new()?;
    stand.answering_at("127.0.0.1")?;
    let lines = format!(
        "SERVICE_DRIVER=scripts/elsewhere\nREDIS_URL=rediss://:hunter2@redis:{}\nREDIS_CA_FILE={}",
        cache.port,
        cache.file("ca.pem").display()
    );
    stand.fail(&lines, "redis")?;
    let (certificate, key) = (cache.file("client.pem"), cache.file("client.key"));
    let shown = format!("{lines}\nREDIS_CERT_FILE={}", certificate.display());
    stand.fail(&shown, "REDIS_KEY_FILE is not")?;
    stand.reach(&format!("{shown}\nREDIS_KEY_FILE={}", key.display()))?;
    Ok(())
}

#[test]
fn a_cache_on_ipv6_is_reached_by_its_address_and_by_its_name() -> Result<()> {
    if TcpListener::bind(("::1", 0)).is_err() {
        test_kit::skipped!("this host has no IPv6 (::1)");
        return Ok(());
    }
    let dir = tempfile::Builder::new().prefix("redis-").tempdir()?;
    let cache =
        Cache::start(dir, |port| ["--bind", "::1", "--port", port].map(str::to_owned).to_vec())?;
    let stand = Stand::new()?;
    stand.answering_at("[::1]").context("a driver")?;
    stand.reach(&format!("REDIS_URL=redis://[::1]:{}/1", cache.port))?;
    let lines =
        format!("SERVICE_DRIVER=scripts/elsewhere\nREDIS_URL=redis://redis:{}/1", cache.port);
    stand.reach(&lines)?;
    Ok(())
}

/// One that was started with these options beside its port.
fn with(options: &[&str]) -> Result<Cache> {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let dir = tempfile::Builder::new().prefix("redis-").tempdir()?;
    Cache::start(dir, move |port| {
        let first = ["--bind", "127.0.0.1", "--port", port].map(str::to_owned);
        first.into_iter().chain(options.clone()).collect()
    })
}

#[test]
fn a_cache_that_would_refuse_to_be_emptied_is_refused_before_anything_is_changed() -> Result<()> {
    let stand = Stand::new()?;
    let path = stand.deployment.dir().join(".env");
    let before = stand.deployment.state()?;
    let user = ["--user", "app", "on", ">hunter2", "~*", "&*", "+@all"];
    let refused = [
        (
            with(&[&user[..], &["-@dangerous"]].concat())?,
            "app:hunter2@",
            "ACL SETUSER USER +flushdb",
        ),
        (with(&["--rename-command", "FLUSHDB", ""])?, "", "correct the server's configuration"),
        (with(&["--replicaof", "127.0.0.1", "1"])?, "", "name its primary in REDIS_URL"),
    ];
    for (cache, user, remedy) in &refused {
        let url = format!("REDIS_URL=redis://{user}127.0.0.1:{}/1\n", cache.port);
        std::fs::write(&path, format!("{}{url}", stand.env))?;
        for more in [&[][..], &["--dry-run"]] {
            let run = stand.deployment.restore(&stand.bundle, more, &format!("{DOMAIN}\nn\n"))?;
            assert_eq!(run.status, 5, "{remedy}: {}", run.stderr);
            assert!(run.stderr.contains("preflight: the cache redis://"), "{}", run.stderr);
            assert!(run.stderr.contains(remedy), "no {remedy} in {}", run.stderr);
            assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        }
        std::fs::write(&path, &stand.env)?;
        assert_eq!(stand.deployment.state()?, before, "{remedy}");
    }
    Ok(())
}

#[test]
fn a_user_with_no_right_but_to_empty_the_cache_is_enough_and_keys_are_freed_in_the_background()
-> Result<()> {
    let stand = Stand::new()?;
    let user = ["--user", "app", "on", ">hunter2", "~*", "+ping", "+select", "+flushdb"];
    let cache = with(&[&user[..], &["--slowlog-log-slower-than", "0"]].concat())?;
    let ask = |words: &[&str]| test_kit::redis::command(cache.port, None, 1, words);
    ask(&["SET", "key", "value"])?;
    let url = format!("REDIS_URL=redis://app:hunter2@127.0.0.1:{}/1\n", cache.port);
    std::fs::write(stand.deployment.dir().join(".env"), format!("{}{url}", stand.env))?;
    let run = stand.deployment.restore(&stand.bundle, &["--only", "preflight"], "")?;
    run.expect(0);
    assert_eq!(ask(&["DBSIZE"])?, "1", "preflight empties nothing");
    let only = ["--only", "cache", "--confirm", DOMAIN];
    let run = stand.deployment.restore(&stand.bundle, &only, "")?.expect(0);
    assert!(run.stderr.contains("the cache: it is empty now"), "{}", run.stderr);
    assert_eq!(ask(&["DBSIZE"])?, "0");
    let log = ask(&["SLOWLOG", "GET", "100"])?;
    assert!(log.contains("FLUSHDB\nASYNC\n"), "{log}");
    Ok(())
}
