//! The description beside a copy, with which the copy is complete.

use crate::place::{Destination, Place};
use crate::send::bundle::Bundle;
use crate::send::tee::Passed;
use anyhow::{Context, Result, bail};
use bundle_format::shipments::Shipment;
use bundle_format::shipped::{SUFFIX, ShippedManifest};
use chrono::Utc;

/// Removes the description of a copy that another one is about to replace: it would fit a sealed file of the same size,
/// and no restore would accept that.
pub fn remove_old(destination: &Destination, file: &str) -> Result<()> {
    let Place::Files(files) = &destination.place else { return Ok(()) };
    let described = format!("{file}{SUFFIX}");
    // Keys that can only upload remove nothing. One that is empty is none.
    let removed = files.remove(&described).or_else(|_| files.write(&described, b"", None));
    removed.context("removing the description of the copy that is replaced")
}

/// Writes it. `recipients`: a hash of whom the copy is encrypted for.
///
/// # Errors
/// If it cannot be written. The copy is then not complete, and the next run makes it again.
pub fn describe(
    destination: &Destination,
    bundle: &Bundle,
    file: &str,
    passed: &Passed,
    recipients: Option<&str>,
) -> Result<Shipment> {
    let Place::Files(files) = &destination.place else { bail!("only sealed files are described") };
    let now = Utc::now();
    let manifest = ShippedManifest {
        bundle: bundle.name.as_str().to_owned(),
        file: file.to_owned(),
        domain: bundle.domain.clone(),
        size: passed.size,
        sha256: passed.sha256.clone(),
        seal: bundle.seal.clone(),
        shipped: now,
        retain_until: destination.retain_until(now),
        recipients: recipients.map(str::to_owned),
        shrunk: bundle.is_shrunk,
        parts: passed.parts.clone(),
    };
    let text = manifest.to_text().context("describing the copy")?;
    let written = files.write(&format!("{file}{SUFFIX}"), text.as_bytes(), destination.retain_days);
    written.context("writing its description")?;
    Ok(manifest.shipment())
}
