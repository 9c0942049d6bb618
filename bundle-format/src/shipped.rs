//! What lies beside a sealed bundle that was copied elsewhere: enough to list and to check the copy without the keys
//! that open it. A hash over its own text shows that it is as it was written.

use crate::BundleName;
use crate::shipments::Shipment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;

/// The end of the name of a bundle that age has sealed.
pub const AGE: &str = ".tar.age";
/// The end of the name of a bundle that gpg has sealed.
pub const GPG: &str = ".tar.gpg";
/// What is appended to the name of the sealed file.
pub const SUFFIX: &str = ".json";
/// What stands around the hash at the end of the text.
const BEFORE_CHECK: &str = ",\"check\":\"";
const AFTER_CHECK: &str = "\"}";

/// The description of a sealed bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedManifest {
    /// The bundle's name.
    pub bundle: String,
    /// The name of the sealed file.
    pub file: String,
    /// The domain of the deployment, or `unknown`.
    pub domain: String,
    /// The size of the sealed file, in bytes.
    pub size: u64,
    /// The SHA-256 of the sealed file, hex.
    pub sha256: String,
    /// The SHA-256 of the bundle's own seal, hex; none of a bundle without a seal.
    pub seal: Option<String>,
    /// When the copy was made.
    pub shipped: DateTime<Utc>,
    /// Until when it can be neither deleted nor replaced.
    pub retain_until: Option<DateTime<Utc>>,
    /// A hash of whom it is encrypted for, hex; none of a copy of an older version, or if it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<String>,
    /// The bundle, or an older one of its deployment, held far less than the one before it when the copy was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shrunk: bool,
    /// The SHA-256 of each part of the sealed file, hex; their sizes are those of [`crate::parts::of_stream`].
    pub parts: Vec<String>,
}

impl ShippedManifest {
    /// The text of the file.
    ///
    /// # Errors
    /// Never for values that this program makes.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string(self)?;
        text.pop();
        let check = digest(text.as_bytes());
        Ok(format!("{text}{BEFORE_CHECK}{check}{AFTER_CHECK}\n"))
    }

    /// The copy that it describes, as this host records it.
    #[must_use]
    pub fn shipment(&self) -> Shipment {
        let (seal, sha256) = (self.seal.clone(), Some(self.sha256.clone()));
        Shipment { seal, sha256, size: self.size, at: self.shipped, damaged: false }
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// Why it is not what was written.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?.trim_end();
        let end = text.strip_suffix(AFTER_CHECK).ok_or("it is cut")?;
        let split = end.len().checked_sub(64).and_then(|at| end.split_at_checked(at));
        let (body, hash) = split.ok_or("it is cut")?;
        let body = body.strip_suffix(BEFORE_CHECK).ok_or("it has no checksum")?;
        if digest(body.as_bytes()) != hash {
            return Err("it does not match its own checksum".into());
        }
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let sealed = sealed_name(&read.file).is_some_and(|name| name.as_str() == read.bundle);
        if !sealed {
            return Err("its names do not fit together".into());
        }
        Ok(read)
    }

    /// Where a part begins and ends, numbered from 0; none if the file has no such part.
    #[must_use]
    pub fn range(&self, number: usize) -> Option<std::ops::Range<u64>> {
        let number = u32::try_from(number).ok()?;
        let start: u64 = (1..=number).map(crate::parts::of_stream).sum();
        let end = (start + crate::parts::of_stream(number + 1)).min(self.size);
        (start < end).then_some(start..end)
    }
}

/// The bundle whose sealed file has this name.
#[must_use]
pub fn sealed_name(file: &str) -> Option<BundleName> {
    let name = file.strip_suffix(AGE).or_else(|| file.strip_suffix(GPG))?;
    BundleName::parse(OsStr::new(name))
}

/// SHA-256, hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ShippedManifest {
        ShippedManifest {
            bundle: "piprio_20260421T020000Z".into(),
            file: "piprio_20260421T020000Z.tar.age".into(),
            domain: "docs.example.org".into(),
            size: crate::parts::SMALLEST + 5,
            sha256: "ab".repeat(32),
            seal: Some("cd".repeat(32)),
            shipped: "2026-04-21T02:10:00Z".parse().unwrap(),
            retain_until: None,
            recipients: Some("23".repeat(32)),
            shrunk: true,
            parts: vec!["ef".repeat(32), "01".repeat(32)],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_if_a_byte_differs() {
        let text = sample().to_text().unwrap();
        assert_eq!(ShippedManifest::parse(text.as_bytes()), Ok(sample()));
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        for at in 0..text.len() - 1 {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert!(ShippedManifest::parse(&other).is_err(), "{at}");
            assert!(ShippedManifest::parse(&text.as_bytes()[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_manifest_of_an_older_version_is_read_and_one_of_a_newer_too() {
        let old = ShippedManifest { recipients: None, shrunk: false, ..sample() };
        let text = old.to_text().unwrap();
        assert!(!text.contains("recipients") && !text.contains("shrunk"));
        assert_eq!(ShippedManifest::parse(text.as_bytes()).as_ref(), Ok(&old));
        let body = text.split_once(BEFORE_CHECK).unwrap().0.to_owned() + ",\"later\":1";
        let check = digest(body.as_bytes());
        let newer = format!("{body}{BEFORE_CHECK}{check}{AFTER_CHECK}\n");
        assert_eq!(ShippedManifest::parse(newer.as_bytes()), Ok(old));
    }

    #[test]
    fn a_manifest_whose_names_do_not_fit_is_refused() {
        for (bundle, file) in [
            ("piprio_20260421T020000Z", "piprio_20260422T020000Z.tar.age"),
            ("piprio_20260421T020000Z", "../piprio_20260421T020000Z.tar.age"),
            ("..", "...tar.age"),
        ] {
            let other = ShippedManifest { bundle: bundle.into(), file: file.into(), ..sample() };
            let text = other.to_text().unwrap();
            assert!(ShippedManifest::parse(text.as_bytes()).is_err(), "{file}");
        }
    }

    #[test]
    fn parts_lie_one_after_another() {
        let size = crate::parts::SMALLEST;
        assert_eq!(sample().range(0), Some(0..size));
        assert_eq!(sample().range(1), Some(size..size + 5));
        assert_eq!(sample().range(2), None);
    }

    #[test]
    fn a_sealed_file_is_named_after_its_bundle() {
        let name = |file| sealed_name(file).map(|name| name.as_str().to_owned());
        for file in ["piprio_20260421T020000Z.tar.age", "piprio_20260421T020000Z.tar.gpg"] {
            assert_eq!(name(file).as_deref(), Some("piprio_20260421T020000Z"));
        }
        for file in ["piprio_20260421T020000Z", "x.tar.age", "piprio_20260421T020000Z.tar"] {
            assert_eq!(name(file), None);
        }
    }
}
