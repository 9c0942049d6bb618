//! `obj-mirror status`, `obj-mirror list` and `obj-mirror verify`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `obj-mirror status --json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketStatus {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix that was counted; empty for the whole bucket.
    pub prefix: String,
    /// The object storage's URL.
    pub endpoint: String,
    /// Whether there is such a bucket.
    pub exists: bool,
    /// Number of objects.
    pub objects: u64,
    /// The sum of their sizes.
    pub bytes: u64,
    /// Whether every object is counted: with `--quick`, only the first page is.
    pub complete: bool,
}

/// `obj-mirror list --json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketObjects {
    /// Whether the keys may list them.
    pub allowed: bool,
    /// The objects, sorted by key.
    pub objects: Vec<BucketObject>,
}

/// One object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketObject {
    /// Its key, without the prefix that was listed.
    pub key: String,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: DateTime<Utc>,
}

/// `obj-mirror verify --json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorCheck {
    /// Number of objects in the index.
    pub objects: u64,
    /// The sum of their sizes by the index.
    pub bytes: u64,
    /// What is not as the index has it.
    pub problems: Vec<MirrorProblem>,
}

/// One thing that is wrong with a mirror.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MirrorProblem {
    /// The file, relative to the mirror.
    pub path: String,
    /// The object's key, where the file is an object's.
    pub key: Option<String>,
    /// What is wrong with it, as the end of a sentence.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reports_have_the_documented_shape() {
        let status = r#"{"bucket":"b","prefix":"","endpoint":"http://s3","exists":true,"objects":3,"bytes":9,"complete":true}"#;
        let read: BucketStatus = serde_json::from_str(status).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), status);
        let check =
            r#"{"objects":1,"bytes":2,"problems":[{"path":"a","key":null,"problem":"missing"}]}"#;
        let read: MirrorCheck = serde_json::from_str(check).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), check);
    }
}
