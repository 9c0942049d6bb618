//! The deployment's own object storage, asked by `obj-mirror status`.

use super::bytes;
use crate::address::dialled;
use crate::ask::ask;
use crate::limit::Limit;
use crate::probe::{Facts, Kind, Probe};
use crate::settings::{Settings, Storage};
use anyhow::{Context, Result, bail};
use pipe_kit::address::joined;
use serde::Deserialize;
use std::process::Command;
use std::time::Instant;
use url::Url;

#[derive(Deserialize)]
struct Status {
    objects: u64,
    bytes: u64,
    exists: bool,
    /// False where only a part was counted.
    complete: bool,
}

/// Whether the bucket answers; its number of objects and their size.
pub fn probe(settings: &Settings, storage: &Storage, limit: Limit) -> Probe {
    let Some(bucket) = &storage.bucket else {
        return Probe::fail(Kind::Storage, "bucket", "S3_BUCKET is not set");
    };
    let start = Instant::now();
    match status(settings, storage, bucket, limit) {
        Ok((detail, facts)) => {
            Probe::pass(Kind::Storage, bucket, detail).knowing(facts).after(start.elapsed())
        }
        Err(error) => Probe::fail(Kind::Storage, bucket, format!("{error:#}")),
    }
}

fn status(
    settings: &Settings,
    storage: &Storage,
    bucket: &str,
    limit: Limit,
) -> Result<(String, Facts)> {
    let mut command = Command::new("obj-mirror");
    command.args(["status", "--quick", "--json", &format!("s3://{bucket}")]);
    if let Some(resolve) = storage.endpoint.as_deref().and_then(|e| moved(settings, e, limit)) {
        command.env("PIPRIO_RESOLVE", resolve);
    }
    told(&ask(&mut command, "obj-mirror status", limit)?)
}

/// The endpoint's address of now, where its name means nothing here.
fn moved(settings: &Settings, endpoint: &str, limit: Limit) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    settings.resolve.find(host, port)?;
    let address = *dialled(settings, host, port, limit).ok()?.first()?;
    Some(format!("{}:{address}", joined(host, port)))
}

fn told(json: &str) -> Result<(String, Facts)> {
    let status: Status =
        serde_json::from_str(json).context("obj-mirror status: its answer is not understood")?;
    if !status.exists {
        bail!("it answers, but has no such bucket");
    }
    let detail = match status.complete {
        true => format!("{} objects, {}", status.objects, bytes(status.bytes)),
        false => format!("more than {} objects", status.objects),
    };
    let facts = Facts::from([
        ("objects", status.objects.into()),
        ("bytes", status.bytes.into()),
        ("complete", status.complete.into()),
    ]);
    Ok((detail, facts))
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn objects_and_their_size_are_told() {
        let json = r#"{"exists":true,"objects":3,"bytes":1536,"complete":true}"#;
        assert_eq!(told(json).unwrap().0, "3 objects, 1.5 KiB");
        let json = r#"{"exists":true,"objects":1000,"bytes":1536,"complete":false}"#;
        assert_eq!(told(json).unwrap().0, "more than 1000 objects");
        let json = r#"{"bucket":"b","exists":false,"objects":0,"bytes":0,"complete":true}"#;
        assert!(told(json).unwrap_err().to_string().contains("no such bucket"));
        for other in ["{}", r#"{"objects":3,"bytes":1536}"#] {
            assert!(told(other).is_err(), "{other}");
        }
    }
}
