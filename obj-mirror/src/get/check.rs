//! Compares received bytes with the checksum that the server has of the object.

use crate::s3::etag::is_md5;
use crate::s3::headers::Head;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle_format::parts::Layout;
use md5::{Digest, Md5};
use pipe_kit::Stop;
use pipe_kit::text::hex;
use sha2::Sha256;
use std::fmt;

/// What the received bytes were compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Sha256,
    Etag,
    None,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => ", which match the server's SHA-256",
            Self::Etag => ", which match the ETag",
            Self::None => "",
        })
    }
}

/// The hash that is computed while the bytes arrive.
enum Hash {
    Sha256(Sha256),
    Md5(Md5),
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Md5(hash) => hash.update(bytes),
        }
    }

    /// The hash, and the beginning of another of its kind.
    fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.finalize_reset().to_vec(),
            Self::Md5(hash) => hash.finalize_reset().to_vec(),
        }
    }

    fn of_kind(proof: Proof) -> Self {
        match proof {
            Proof::Sha256 => Self::Sha256(Sha256::new()),
            _ => Self::Md5(Md5::new()),
        }
    }
}

/// How the bytes are divided, where the checksum is one of the parts' checksums.
struct Parts {
    layout: Layout,
    /// The part that is being received, from 1.
    number: u32,
    /// Bytes that it still lacks.
    left: u64,
    /// The hash of the hashes of the parts before it.
    of_parts: Hash,
}

/// A comparison under way.
pub struct Check {
    proof: Proof,
    expected: String,
    hash: Hash,
    parts: Option<Parts>,
}

impl Check {
    /// A check that any bytes pass.
    pub fn none() -> Self {
        Self {
            proof: Proof::None,
            expected: String::new(),
            hash: Hash::of_kind(Proof::None),
            parts: None,
        }
    }

    /// Chooses the best checksum that the server has sent and that can be computed: of an object in parts, only if its
    /// parts are as `put` or a mirror makes them.
    pub fn new(head: &Head, sha256: Option<&str>, size: u64) -> Self {
        let sha256 = sha256.and_then(|text| Self::of(Proof::Sha256, text, size));
        let is_opaque = !head.etag_is_md5;
        let etag = || Self::of(Proof::Etag, &head.etag, size).filter(|_| !is_opaque);
        sha256.or_else(etag).unwrap_or_else(Self::none)
    }

    fn of(proof: Proof, text: &str, size: u64) -> Option<Self> {
        let (value, count) = match text.split_once('-') {
            Some((value, count)) => (value, Some(count.parse().ok()?)),
            None => (text, None),
        };
        let is_valid = match proof {
            Proof::Sha256 => STANDARD.decode(value).is_ok_and(|bytes| bytes.len() == 32),
            _ => is_md5(value),
        };
        if !is_valid {
            return None;
        }
        let parts = match count {
            None => None,
            Some(count) => {
                let layout = Layout::of(size, count)?;
                let left = layout.part(1);
                Some(Parts { layout, number: 1, left, of_parts: Hash::of_kind(proof) })
            }
        };
        Some(Self { proof, expected: text.to_owned(), hash: Hash::of_kind(proof), parts })
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        let Some(parts) = &mut self.parts else {
            if self.proof != Proof::None {
                self.hash.update(bytes);
            }
            return;
        };
        while !bytes.is_empty() {
            if parts.left == 0 {
                parts.of_parts.update(&self.hash.take());
                parts.number += 1;
                parts.left = parts.layout.part(parts.number);
            }
            let length = usize::try_from(parts.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(length);
            self.hash.update(now);
            parts.left -= length as u64;
            bytes = later;
        }
    }

    /// Compares.
    ///
    /// # Errors
    /// [`Stop::damaged`] if the bytes have another checksum.
    pub fn finish(mut self) -> Result<Proof> {
        let mut value = self.hash.take();
        let mut suffix = String::new();
        if let Some(parts) = &mut self.parts {
            parts.of_parts.update(&value);
            value = parts.of_parts.take();
            suffix = format!("-{}", parts.number);
        }
        let found = match self.proof {
            Proof::None => return Ok(Proof::None),
            Proof::Sha256 => STANDARD.encode(value) + &suffix,
            Proof::Etag => hex(&value) + &suffix,
        };
        if found == self.expected
            || (self.proof == Proof::Etag && found == self.expected.to_ascii_lowercase())
        {
            return Ok(self.proof);
        }
        let name = if self.proof == Proof::Sha256 { "SHA-256" } else { "ETag" };
        let expected = &self.expected;
        Err(Stop::damaged(format!(
            "it is damaged: the received bytes have the {name} {found}, not {expected}"
        ))
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::parts;

    fn check(proof: Proof, text: &str, bytes: &[u8]) -> Option<Result<Proof>> {
        let mut check = Check::of(proof, text, bytes.len() as u64)?;
        bytes.chunks(1000).for_each(|piece| check.update(piece));
        Some(check.finish())
    }

    #[test]
    fn whole_objects_are_compared_with_both_kinds_of_checksum() {
        let etag = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(check(Proof::Etag, etag, b"abc").unwrap().unwrap(), Proof::Etag);
        let upper = etag.to_ascii_uppercase();
        assert_eq!(check(Proof::Etag, &upper, b"abc").unwrap().unwrap(), Proof::Etag);
        assert!(check(Proof::Etag, etag, b"abd").unwrap().is_err());
        let sha256 = STANDARD.encode(Sha256::digest(b"abc"));
        assert_eq!(check(Proof::Sha256, &sha256, b"abc").unwrap().unwrap(), Proof::Sha256);
        assert!(check(Proof::Sha256, &sha256, b"").unwrap().is_err());
        for unknown in ["", "opaque", "900150983cd24fb0d6963f7d28e17f72-7", "x-1"] {
            assert!(check(Proof::Etag, unknown, b"abc").is_none(), "{unknown}");
        }
    }

    #[test]
    fn an_object_in_parts_is_compared_part_by_part() {
        let size = usize::try_from(parts::SMALLEST).unwrap();
        for length in [size, size + 1, 2 * size] {
            let mut bytes = vec![7; length];
            bytes[length - 1] = 8;
            let count = length.div_ceil(size);
            let digests: Vec<u8> = bytes.chunks(size).flat_map(Md5::digest).collect();
            let etag = format!("{}-{count}", hex(&Md5::digest(digests)));
            assert_eq!(check(Proof::Etag, &etag, &bytes).unwrap().unwrap(), Proof::Etag);
            bytes[0] = 8;
            assert!(check(Proof::Etag, &etag, &bytes).unwrap().is_err());
        }
    }
}
