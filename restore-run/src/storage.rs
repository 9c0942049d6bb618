//! The object storage, through obj-mirror.

use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::BucketStatus;

/// The bucket, with how much it holds.
pub fn status(settings: &Settings) -> Result<BucketStatus> {
    let tool = settings.tool("obj-mirror").args(["status", "--json"]);
    tool.arg(settings.bucket_url()?).json()
}

/// Whether the bucket exists and holds nothing.
pub fn is_empty(settings: &Settings) -> Result<bool> {
    quick_status(settings, &[])
        .map(|status| status.exists && status.objects == 0 && status.complete)
}

/// Whether the bucket exists. What it holds is not counted.
pub fn bucket_exists(settings: &Settings) -> Result<bool> {
    quick_status(settings, &[]).map(|status| status.exists)
}

/// Whether the bucket exists, and the keys may write to it.
///
/// # Errors
/// If the storage does not answer, or the keys may not write to the bucket.
pub fn is_writable(settings: &Settings) -> Result<bool> {
    quick_status(settings, &["--writable"]).map(|status| status.exists)
}

fn quick_status(settings: &Settings, more: &[&str]) -> Result<BucketStatus> {
    let tool = settings.tool("obj-mirror").args(["status", "--quick", "--json"]).args(more);
    tool.arg(settings.bucket_url()?).json()
}
