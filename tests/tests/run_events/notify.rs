//! Pings and messages, at real receivers.

use crate::hooks::write_hook;
use crate::metrics::measured;
use crate::receivers::backup_notifying;
use crate::{ANSWERS, deployment, replace};
use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use test_kit::deployment::Deployment;
use test_kit::receiver::{Manner, Receiver, Request, lines, messages};

/// Every secret of a test deployment that a program of it could print.
fn secrets(deployment: &Deployment) -> Vec<String> {
    let facts = deployment.facts();
    [&facts.postgres_password, &facts.redis_password, &facts.s3_access_key, &facts.s3_secret_key]
        .into_iter()
        .cloned()
        .chain(["planted-ping".to_owned(), "planted-url".to_owned(), "planted file".to_owned()])
        .collect()
}

/// Prints what no receiver may see.
const LEAK: &str = r#"echo "$PGPASSWORD $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $REDIS_URL $NOTIFY_PING $NOTIFY_URL" >&2
cat secrets/planted; echo visible"#;

fn check(requests: &[Request], secrets: &[String]) -> Result<()> {
    for Request { body, .. } in requests {
        let leaked = secrets.iter().find(|secret| body.contains(*secret));
        ensure!(leaked.is_none(), "{leaked:?} is in\n{body}");
    }
    Ok(())
}

/// The files that the toolkit wrote in its directory of state.
fn state_files(deployment: &Deployment) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(deployment.dir().join(".restore"))? {
        let path = entry?.path();
        files.push((path.clone(), std::fs::read_to_string(&path).unwrap_or_default()));
    }
    Ok(files)
}

#[test]
fn each_run_pings_twice_with_its_masked_log_and_failures_and_recoveries_are_messages() -> Result<()>
{
    let (pings, hooks) =
        (Receiver::start(Manner::Status(200))?, Receiver::start(Manner::Status(200))?);
    let (deployment, metrics) = measured(&format!(
        "\nNOTIFY_PING=http://{}/planted-ping/{{run}}\nNOTIFY_URL_FILE=/run/secrets/url\n",
        pings.address()
    ))?;
    std::fs::write(
        deployment.dir().join("secrets/url"),
        format!("http://{}/planted-url\n", hooks.address()),
    )?;
    std::fs::write(deployment.dir().join("secrets/planted"), "planted file\n")?;
    let secrets = secrets(&deployment);
    write_hook(&deployment, "before-backup.d/1", LEAK)?;

    let run = deployment.backup(&[])?.expect(0);
    let sent = pings.take();
    assert_eq!(lines(&sent), ["POST /planted-ping/backup/start", "POST /planted-ping/backup/0"]);
    check(&sent, &secrets)?;
    let log = &sent[1].body;
    for line in ["backup-run: [1/8] database …\n", "\nvisible\n", "backup-run: [8/8] prune: "] {
        ensure!(log.contains(line), "{line} is not in\n{log}");
    }
    // The operator's own log is complete, and has the same lines.
    assert_eq!(log.lines().count(), run.stderr.lines().count(), "{log}\n-- and\n{}", run.stderr);
    assert!(hooks.take().is_empty());

    let replaced =
        replace(&deployment, "pg-snap", "echo the disk is on fire: $PGPASSWORD >&2; exit 1")?;
    for _ in 0..2 {
        deployment.backup(&[])?.expect(1);
        let sent = pings.take();
        assert_eq!(
            lines(&sent),
            ["POST /planted-ping/backup/start", "POST /planted-ping/backup/1"]
        );
        ensure!(sent[1].body.contains("the disk is on fire: ***"), "{}", sent[1].body);
        ensure!(sent[1].body.ends_with(" are as they were\n"), "{}", sent[1].body);
        let failed = hooks.take();
        check(&failed, &secrets)?;
        let [(event, text)] = &messages(&failed)?[..] else { panic!("{failed:?}") };
        assert_eq!((lines(&failed)[0], event.as_str()), ("POST /planted-url", "failure"));
        ensure!(
            text.contains("backup failed with status 1 in database: [1/8] database: "),
            "{text}"
        );
    }
    replaced.put_back()?;
    deployment.backup(&[])?.expect(0);
    let events: Vec<_> = messages(&hooks.take())?.into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["recovery"]);
    pings.take();
    deployment.backup(&[])?.expect(0);
    assert_eq!((pings.take().len(), hooks.take().len()), (2, 0));

    let bundle = deployment.newest_bundle()?;
    deployment.restore(&bundle, &["--safety-backup"], ANSWERS)?.expect(0);
    let sent = pings.take();
    assert_eq!(lines(&sent), ["POST /planted-ping/restore/start", "POST /planted-ping/restore/0"]);
    check(&sent, &secrets)?;
    deployment.restore(&bundle, &[], "no\n")?.expect(5);
    assert_eq!(lines(&pings.take())[1], "POST /planted-ping/restore/5");
    assert_eq!(messages(&hooks.take())?[0].0, "failure");
    let written = std::fs::read_to_string(&metrics)?;
    for (file, text) in state_files(&deployment)?.into_iter().chain([(metrics, written)]) {
        let leaked = secrets.iter().find(|secret| text.contains(*secret));
        ensure!(leaked.is_none(), "{leaked:?} is in {}", file.display());
    }
    Ok(())
}

/// A server's side of TLS for 127.0.0.1, and the file with its certificate.
fn tls(dir: &Path) -> Result<(Arc<ServerConfig>, PathBuf)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let file = dir.join("ca.pem");
    std::fs::write(&file, certificate.pem())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).ok().context("a key")?;
    let config =
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)?;
    Ok((Arc::new(config), file))
}

#[test]
fn over_tls_the_systems_authorities_decide_whom_to_trust() -> Result<()> {
    let deployment = deployment("")?;
    let dir = tempfile::tempdir()?;
    let (config, roots) = tls(dir.path())?;
    let receiver = Receiver::start(Manner::Tls(config))?;
    let url = format!("https://{}", receiver.address());
    let run = backup_notifying(&deployment, &url, None)?.expect(0);
    assert_eq!(run.stderr.matches("its certificate is not trusted").count(), 2, "{}", run.stderr);
    assert!(receiver.take().is_empty());
    let run = backup_notifying(&deployment, &url, Some(&roots))?.expect(0);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    assert_eq!(lines(&receiver.take()), ["POST /planted-ping/start", "POST /planted-ping/0"]);
    // Of the health check's readiness URLs too.
    let check = |roots: Option<&Path>| {
        let mut command = deployment.script("health-check.sh", &["--only=readiness"]);
        command.env("READINESS_URLS", format!("api={url}"));
        command.envs(roots.map(|roots| ("SSL_CERT_FILE", roots)));
        test_kit::deployment::run(command, "")
    };
    check(None)?.expect(1);
    check(Some(&roots))?.expect(0);
    Ok(())
}
