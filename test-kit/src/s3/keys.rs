//! The keys of the server's clients.

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// Keys that may only upload: this access key, with the same secret key.
pub const UPLOAD_ONLY: &str = "AKUPLOADSALONE";
/// Keys that may only list, with the same secret key.
pub const LIST_ONLY: &str = "AKLISTSALONE";
/// Keys that may only read, with the same secret key.
pub const READ_ONLY: &str = "AKREADSALONE";
/// What they may do.
const LIMITED: [(&str, &[&str]); 3] = [
    (READ_ONLY, &["ListObjectsV2", "GetObject", "HeadObject", "HeadBucket", "GetObjectTagging"]),
    (
        UPLOAD_ONLY,
        &[
            "PutObject",
            "PutObjectRetention",
            "CreateMultipartUpload",
            "UploadPart",
            "CompleteMultipartUpload",
            "AbortMultipartUpload",
            "ListMultipartUploads",
            "ListParts",
        ],
    ),
    (LIST_ONLY, &["ListObjectsV2"]),
];

/// What an access key may do; none if that is everything.
fn allowed(access_key: &str) -> Option<&'static [&'static str]> {
    LIMITED.into_iter().find(|(key, _)| *key == access_key).map(|(_, operations)| operations)
}

/// The pair of keys that may do anything.
#[derive(Clone)]
pub struct Keys {
    /// What AWS calls the access key id.
    pub access: String,
    /// What requests are signed with.
    pub secret: String,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access || allowed(access_key).is_some() {
            return Ok(SecretKey::from(self.secret.as_str()));
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The access key Id you provided does not exist in our records"
        ))
    }
}

#[async_trait::async_trait]
impl S3Access for Keys {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(keys) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        };
        match allowed(&keys.access_key) {
            Some(operations) if !operations.contains(&context.s3_op().name()) => {
                Err(s3_error!(AccessDenied, "Access Denied"))
            }
            _ => Ok(()),
        }
    }
}
