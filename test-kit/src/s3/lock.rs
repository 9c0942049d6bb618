//! Object Lock. A store keeps one version of an object, so what would hide a locked one, or replace it, is refused here;
//! S3 keeps the locked version behind a newer one.

use s3s::dto::Timestamp;
use s3s::{S3Result, s3_error};
use std::time::SystemTime;

/// What locks are to the buckets of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locks {
    /// Refused.
    #[default]
    Refused,
    /// Kept.
    Kept,
    /// Kept, but for an object that is uploaded in parts, which is accepted without its lock, as Ceph 16 has it. A lock
    /// of its own is kept afterwards.
    OfWholeUploads,
}

/// Until when an object is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `GOVERNANCE` or `COMPLIANCE`
    pub mode: String,
    /// The day it ends.
    pub until: Timestamp,
}

impl Lock {
    /// The lock that a request asks for with two headers.
    pub(super) fn asked(mode: Option<&str>, until: Option<&Timestamp>) -> Option<Self> {
        Some(Self { mode: mode?.to_owned(), until: until?.clone() })
    }

    fn holds(&self) -> bool {
        self.until > Timestamp::from(SystemTime::now())
    }
}

/// Refuses what a lock forbids.
pub(super) fn check_unlocked(lock: Option<&Lock>) -> S3Result<()> {
    match lock {
        Some(lock) if lock.holds() => {
            Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock"))
        }
        _ => Ok(()),
    }
}

/// Refuses a lock in a bucket without Object Lock, or without a checksum.
pub(super) fn check_asked(lock: Option<&Lock>, locks: Locks, has_checksum: bool) -> S3Result<()> {
    match lock {
        Some(_) if locks == Locks::Refused => {
            Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"))
        }
        Some(_) if !has_checksum => Err(s3_error!(
            InvalidRequest,
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )),
        _ => Ok(()),
    }
}
