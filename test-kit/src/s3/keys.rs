//! The keys of the server's one client.

use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// The one pair of keys that the server knows.
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
        if access_key == self.access {
            return Ok(SecretKey::from(self.secret.as_str()));
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The access key Id you provided does not exist in our records"
        ))
    }
}
