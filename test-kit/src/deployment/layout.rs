//! The files of a deployment: settings, secrets, certificates, and the services as programs.

use super::facts::Facts;
use super::settings::{BUCKET, DATABASE, DOMAIN, REDIS_DATABASE};
use crate::tools::write_private;
use crate::user::{AS_SERVER_USER, is_root};
use crate::{postgres, redis};
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

/// Writes all of them into an empty directory.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write(dir: &Path, facts: &Facts) -> Result<()> {
    write_private(&dir.join(".env"), env(facts).as_bytes())?;
    secrets(dir, facts)?;
    certs(dir)?;
    redis::write_config(
        &facts.data.join("redis.conf"),
        facts.redis_port,
        &facts.data,
        Some(&facts.redis_password),
    )?;
    services(dir, facts)
}

fn env(facts: &Facts) -> String {
    let redis_password: String =
        url::form_urlencoded::byte_serialize(facts.redis_password.as_bytes()).collect();
    let redis_password = redis_password.replace('+', "%20");
    let (postgres_port, redis_port) = (facts.postgres_port, facts.redis_port);
    let (api_port, worker_port) = (facts.api_port, facts.worker_port);
    let storage = if facts.external_storage { "OBJECT_STORAGE=external\n" } else { "" };
    format!(
        r#"# Piprio, self-hosted
PIPRIO_DOMAIN={DOMAIN}
PIPRIO_VERSION=4.2.1
PUBLIC_URL="https://${{PIPRIO_DOMAIN}}/app"   # where people go

# database
POSTGRES_HOST=127.0.0.1
POSTGRES_PORT={postgres_port}
POSTGRES_DB={DATABASE}
POSTGRES_USER={user}
POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password

# documents
S3_ENDPOINT={s3}
S3_BUCKET={BUCKET}
S3_ACCESS_KEY_FILE=/run/secrets/s3_access_key
S3_SECRET_KEY_FILE=/run/secrets/s3_secret_key
{storage}
REDIS_URL=redis://:{redis_password}@127.0.0.1:{redis_port}/{REDIS_DATABASE}
READINESS_URLS="api=http://127.0.0.1:{api_port}/ready worker=http://127.0.0.1:{worker_port}/ready"
SERVICE_DRIVER=process

SMTP_PASSWORD='p4ss # "word" $HOME'
export FEATURE_FLAGS="drafts exports" # both
EMPTY=
CONNECTOR_SFTP_SECRET=c2Z0cC1zZWNyZXQ=
"#,
        user = postgres::USER,
        s3 = facts.s3_endpoint(),
    )
}

fn make_private_dir(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(dir);
    made.with_context(|| format!("creating {}", dir.display()))
}

fn secrets(dir: &Path, facts: &Facts) -> Result<()> {
    let dir = dir.join("secrets");
    make_private_dir(&dir)?;
    let line = |text: &str| format!("{text}\n").into_bytes();
    let secrets = [
        ("postgres_password", line(&facts.postgres_password)),
        ("s3_access_key", line(&facts.s3_access_key)),
        ("s3_secret_key", line(&facts.s3_secret_key)),
        ("signing_key", line(&STANDARD.encode(noise("signing", 48)))),
        // Bytes, not text: a secret may be either.
        ("credential_encryption_key", noise("encryption", 32)),
    ];
    secrets.iter().try_for_each(|(name, bytes)| write_private(&dir.join(name), bytes))
}

/// Bytes that look random and are the same each time.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    let block = |n: usize| Sha256::digest(format!("{seed}/{n}")).to_vec();
    (0..length.div_ceil(32)).flat_map(block).take(length).collect()
}

/// A text in PEM's form; no key or certificate is in it.
fn pem(label: &str, seed: &str) -> String {
    let body = STANDARD.encode(noise(seed, 700));
    let lines: Vec<&str> =
        (0..body.len()).step_by(64).map(|i| &body[i..body.len().min(i + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn certs(dir: &Path) -> Result<()> {
    let dir = dir.join("certs");
    for sub in ["", "archive", "live"] {
        let path = dir.join(sub);
        std::fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o755))
            .context("a directory's mode")?;
    }
    write_private(&dir.join("tls.key"), pem("PRIVATE KEY", "key").as_bytes())?;
    for name in ["tls.crt", "archive/x1.pem"] {
        let path = dir.join(name);
        std::fs::write(&path, pem("CERTIFICATE", name)).context("writing a certificate")?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).context("a file's mode")?;
    }
    symlink("../archive/x1.pem", dir.join("live/x.pem")).context("linking a certificate")
}

fn services(dir: &Path, facts: &Facts) -> Result<()> {
    let services = dir.join("services");
    make_private_dir(&services)?;
    let needs = |ports: &[u16]| -> String {
        ports.iter().map(|port| format!(" --needs 127.0.0.1:{port}")).collect()
    };
    let app = |port: u16, needs: &str| {
        format!("exec {} --listen 127.0.0.1:{port}{needs}", quoted(&facts.app_service))
    };
    let api = needs(&[facts.postgres_port, facts.redis_port, facts.s3_port]);
    let worker = needs(&[facts.postgres_port, facts.redis_port]);
    let redis = format!("exec redis-server {}", quoted(&facts.data.join("redis.conf")));
    let all = [
        ("postgres", postgres_service(facts), accepts(facts.postgres_port, facts)),
        ("redis", redis, connects(facts.redis_port)),
        ("api", app(facts.api_port, &api), answers(facts.api_port)),
        ("worker", app(facts.worker_port, &worker), answers(facts.worker_port)),
    ];
    for (name, program, ready) in &all {
        write_program(&services.join(name), program)?;
        write_program(&services.join(format!("{name}.ready")), ready)?;
    }
    let home = if facts.external_storage { facts.data.join("provider") } else { dir.to_owned() };
    if facts.external_storage {
        make_private_dir(&home)?;
        make_private_dir(&home.join("services"))?;
    }
    let secrets = dir.join("secrets");
    write_program(&home.join("services/minio"), &minio(&secrets, facts))?;
    write_program(&home.join("services/minio.ready"), &connects(facts.s3_port))
}

fn write_program(path: &Path, body: &str) -> Result<()> {
    write_private(path, format!("#!/usr/bin/env bash\n{body}\n").as_bytes())?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).context("a program's mode")
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// SIGTERM makes PostgreSQL wait for its sessions to end; SIGINT ends them.
fn postgres_service(facts: &Facts) -> String {
    let user =
        if is_root() { format!("setpriv {} ", AS_SERVER_USER.join(" ")) } else { String::new() };
    let (data, port) = (quoted(&facts.data), facts.postgres_port);
    format!(
        "cd /\n\
         trap 'kill -INT \"$server\"' TERM\n\
         {user}{postgres} -D {data}/postgres -p {port} -c listen_addresses=127.0.0.1 \
         -c unix_socket_directories={data} -c fsync=off -c full_page_writes=off &\n\
         server=$!\n\
         # A trapped signal ends the first wait.\n\
         wait \"$server\"; wait \"$server\"",
        postgres = quoted(&facts.programs.join("postgres")),
    )
}

fn minio(secrets: &Path, facts: &Facts) -> String {
    format!(
        "S3_ACCESS_KEY=$(cat {secrets}/s3_access_key) S3_SECRET_KEY=$(cat {secrets}/s3_secret_key)\n\
         export S3_ACCESS_KEY S3_SECRET_KEY\n\
         exec {server} --listen 127.0.0.1:{port} --bucket {BUCKET} --object-lock",
        secrets = quoted(secrets),
        server = quoted(&facts.s3_server),
        port = facts.s3_port,
    )
}

fn accepts(port: u16, facts: &Facts) -> String {
    format!("exec {} -q -h 127.0.0.1 -p {port}", quoted(&facts.programs.join("pg_isready")))
}

fn connects(port: u16) -> String {
    format!("exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/{port}")
}

fn answers(port: u16) -> String {
    format!(
        "exec 2>/dev/null 3<>/dev/tcp/127.0.0.1/{port} || exit 1\n\
         printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3\n\
         read -r _ status _ <&3 && [[ $status == 200 ]]"
    )
}
