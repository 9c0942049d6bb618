//! The deployment's own object storage, by `obj-mirror status`.

use crate::address::dialled;
use crate::limit::Limit;
use crate::probe::{Facts, Probe};
use crate::program::output;
use crate::settings::{Settings, Storage};
use anyhow::{Context, Result, bail};
use bundle_format::report::{BucketStatus, ProbeKind};
use pipe_kit::address::joined;
use pipe_kit::text::size;
use std::process::Command;
use std::time::Instant;
use url::Url;

/// Whether the bucket answers; its number of objects and their size.
pub fn probe(settings: &Settings, storage: &Storage, limit: Limit) -> Probe {
    let Some(bucket) = &storage.bucket else {
        return Probe::fail(ProbeKind::Storage, "bucket", "S3_BUCKET is not set");
    };
    let start = Instant::now();
    match status(settings, storage, bucket, limit) {
        Ok((detail, facts)) => {
            Probe::pass(ProbeKind::Storage, bucket, detail).with_facts(facts).after(start.elapsed())
        }
        Err(error) => Probe::fail(ProbeKind::Storage, bucket, format!("{error:#}")),
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
    read(&output(&mut command, "obj-mirror status", limit)?)
}

/// The endpoint's present address, where its name does not resolve here.
fn moved(settings: &Settings, endpoint: &str, limit: Limit) -> Option<String> {
    let url = Url::parse(endpoint).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    settings.resolve.find(host, port)?;
    let address = *dialled(settings, host, port, limit).ok()?.first()?;
    Some(format!("{}:{address}", joined(host, port)))
}

fn read(json: &str) -> Result<(String, Facts)> {
    let status: BucketStatus =
        serde_json::from_str(json).context("obj-mirror status: its report cannot be read")?;
    if !status.exists {
        bail!("it answers, but has no such bucket");
    }
    let detail = match status.complete {
        true => format!("{} objects, {}", status.objects, size(status.bytes)),
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
    use super::*;

    #[test]
    fn objects_and_their_size_are_reported() {
        let status = BucketStatus {
            bucket: "b".to_owned(),
            prefix: String::new(),
            endpoint: "http://s3".to_owned(),
            exists: true,
            objects: 3,
            bytes: 1536,
            complete: true,
        };
        let read_of = |status: &BucketStatus| read(&serde_json::to_string(status).unwrap());
        assert_eq!(read_of(&status).unwrap().0, "3 objects, 1.5 KiB");
        let part = BucketStatus { objects: 1000, complete: false, ..status.clone() };
        assert_eq!(read_of(&part).unwrap().0, "more than 1000 objects");
        let missing = BucketStatus { exists: false, ..status };
        assert!(read_of(&missing).unwrap_err().to_string().contains("no such bucket"));
        for other in ["{}", r#"{"objects":3,"bytes":1536}"#] {
            assert!(read(other).is_err(), "{other}");
        }
    }
}
