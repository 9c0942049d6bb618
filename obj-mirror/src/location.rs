//! Source and destination as written on the command line.

use crate::object::key::printable;
use pipe_kit::Stop;
use std::path::PathBuf;

/// One side of a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Bucket(BucketPath),
    Directory(PathBuf),
}

/// A bucket and a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPath {
    pub bucket: String,
    /// Empty, or the beginning of every key; ends in `/`.
    pub prefix: String,
}

impl Location {
    /// Parses `s3://BUCKET[/PREFIX]`; anything else is a directory.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        match text.strip_prefix("s3://") {
            Some(rest) => Ok(Self::Bucket(BucketPath::of(rest)?)),
            None if text.contains("://") => {
                Err(Stop::usage(format!("{text}: neither s3://BUCKET nor a directory")))
            }
            None if text.is_empty() => Err(Stop::usage("the name of a directory cannot be empty")),
            None => Ok(Self::Directory(text.into())),
        }
    }
}

impl BucketPath {
    /// Parses `s3://BUCKET[/PREFIX]`.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is not one.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        match Location::parse(text)? {
            Location::Bucket(bucket) => Ok(bucket),
            Location::Directory(_) => {
                Err(Stop::usage(format!("{text}: a bucket is written s3://BUCKET")))
            }
        }
    }

    fn of(rest: &str) -> Result<Self, Stop> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(plain) || bucket.chars().all(|c| c == '.') {
            return Err(Stop::usage(format!("s3://{rest}: {bucket:?} is not a bucket name")));
        }
        let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
        Ok(Self { bucket: bucket.to_owned(), prefix: format!("{prefix}{slash}") })
    }
}

/// One object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPath {
    pub bucket: String,
    pub key: String,
}

impl ObjectPath {
    /// Parses `s3://BUCKET/KEY`.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is not one.
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let wrong = || Stop::usage(format!("{text}: an object is written s3://BUCKET/KEY"));
        let (bucket, key) =
            text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        if key.is_empty() || key.ends_with('/') {
            return Err(wrong());
        }
        Ok(Self { bucket: BucketPath::of(bucket)?.bucket, key: key.to_owned() })
    }
}

impl std::fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, printable(&self.key))
    }
}

impl std::fmt::Display for BucketPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_bucket_or_a_directory() {
        let bucket = |text: &str| BucketPath::parse(text).map(|b| (b.bucket, b.prefix));
        assert_eq!(bucket("s3://b").unwrap(), ("b".into(), String::new()));
        assert_eq!(bucket("s3://b/").unwrap(), ("b".into(), String::new()));
        assert_eq!(bucket("s3://b/x/y").unwrap(), ("b".into(), "x/y/".into()));
        for wrong in ["s3://", "s3:///x", "s3://..", "s3://a b", "gs://b", "dir"] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Location::parse("s3").unwrap(), Location::Directory("s3".into()));
        assert!(Location::parse("").is_err());
    }

    #[test]
    fn an_object_is_a_bucket_and_a_key() {
        let object = |text: &str| ObjectPath::parse(text).map(|o| (o.bucket, o.key));
        assert_eq!(object("s3://b/k").unwrap(), ("b".into(), "k".into()));
        assert_eq!(object("s3://b//x/y.tar.age").unwrap(), ("b".into(), "/x/y.tar.age".into()));
        for wrong in ["s3://b", "s3://b/", "s3://b/dir/", "s3:///k", "b/k", "k"] {
            assert!(object(wrong).is_err(), "{wrong}");
        }
    }
}
