//! The API: documents and credentials of one tenant.

use super::http::{Answer, Request};
use super::parts::Parts;
use super::{PORT, QUEUE, http};
use crate::s3::object::hex;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const SCHEMA: &str = "
set client_min_messages = warning;
create table if not exists public.schema_migrations (
    version text primary key, applied_at timestamptz not null default now());
create schema if not exists tenant_0001;
create table if not exists tenant_0001.documents (
    id bigint generated always as identity primary key,
    key text not null unique, sha256 text not null, state text not null default 'queued');
create table if not exists tenant_0001.credentials (name text primary key, sealed text not null);
insert into public.schema_migrations (version) values ('0001') on conflict do nothing;";

/// Serves until the process ends. What is missing of tables and bucket is made first, as on any new
/// deployment.
///
/// # Errors
/// If database or storage refuse that, or the port is taken.
pub fn run(parts: Parts) -> Result<()> {
    parts.storage.create_bucket(&parts.bucket).context("making the bucket")?;
    parts.sql(SCHEMA, &[]).context("making the tables")?;
    http::serve(PORT, move |request| answer(&parts, request))
}

fn answer(parts: &Parts, request: &Request) -> Result<Answer> {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["ready"]) => Ok(ready(parts)),
        ("GET", ["documents"]) => list(parts),
        ("POST", ["documents"]) => add(parts, &request.body),
        ("GET", ["documents", id]) => document(parts, id),
        ("GET", ["credentials", name]) => credential(parts, name),
        ("PUT", ["credentials", name]) => set_credential(parts, name, &request.body),
        _ => Ok(Answer::new(404, "no such page\n")),
    }
}

/// Whether all that is needed is there.
pub fn ready(parts: &Parts) -> Answer {
    match parts.check() {
        Ok(()) => Answer::new(200, "ok\n"),
        Err(error) => Answer::new(503, format!("{error:#}\n")),
    }
}

fn list(parts: &Parts) -> Result<Answer> {
    let rows = "select id || ' ' || sha256 || ' ' || state from tenant_0001.documents order by id";
    Ok(Answer::new(200, parts.sql(rows, &[])?))
}

/// The object first, then its row, then the job: what a row names exists.
fn add(parts: &Parts, body: &[u8]) -> Result<Answer> {
    let hash = hex(&Sha256::digest(body));
    let key = format!("tenant_0001/{:016x}-{}.bin", fastrand::u64(..), &hash[..8]);
    let kind = [("content-type", "application/octet-stream")];
    parts.storage.put((&parts.bucket, &key), &kind, body)?;
    let insert =
        "insert into tenant_0001.documents (key, sha256) values (:'key', :'hash') returning id";
    let id = parts.sql(insert, &[("key", &key), ("hash", &hash)])?;
    parts.cache(&["LPUSH", QUEUE, &id])?;
    Ok(Answer::new(201, id))
}

fn document(parts: &Parts, id: &str) -> Result<Answer> {
    let row = "select key from tenant_0001.documents where id::text = :'id'";
    match parts.sql(row, &[("id", id)])?.as_str() {
        "" => Ok(Answer::new(404, "no such document\n")),
        key => Ok(Answer::new(200, parts.storage.get((&parts.bucket, key))?.body)),
    }
}

fn credential(parts: &Parts, name: &str) -> Result<Answer> {
    let row = "select sealed from tenant_0001.credentials where name = :'name'";
    match parts.sql(row, &[("name", name)])?.as_str() {
        "" => Ok(Answer::new(404, "no such credential\n")),
        sealed => Ok(Answer::new(200, parts.key.open(sealed)?)),
    }
}

fn set_credential(parts: &Parts, name: &str, body: &[u8]) -> Result<Answer> {
    let upsert = "insert into tenant_0001.credentials values (:'name', :'sealed')
                  on conflict (name) do update set sealed = excluded.sealed";
    parts.sql(upsert, &[("name", name), ("sealed", &parts.key.seal(body)?)])?;
    Ok(Answer::new(204, ""))
}
