//! The keys of the server's clients.

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// Keys that may only upload: this access key, with the same secret key.
pub const UPLOAD_ONLY: &str = "AKUPLOADSALONE";
/// What they may do.
const UPLOADING: [&str; 7] = [
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListMultipartUploads",
    "ListParts",
];

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
        if access_key == self.access || access_key == UPLOAD_ONLY {
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
        match context.credentials() {
            None => Err(s3_error!(AccessDenied, "Signature is required")),
            Some(keys) if keys.access_key != UPLOAD_ONLY => Ok(()),
            Some(_) if UPLOADING.contains(&context.s3_op().name()) => Ok(()),
            Some(_) => Err(s3_error!(AccessDenied, "Access Denied")),
        }
    }
}
