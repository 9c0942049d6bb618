//! Texts encrypted with a key of the deployment (AES-256-GCM).

use anyhow::{Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// The key of all encrypted columns.
pub struct Key(LessSafeKey);

impl Key {
    /// A key of 32 bytes.
    ///
    /// # Errors
    /// If it has another length.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes);
        let key = key.map_err(|_| anyhow!("the encryption key has not 32 bytes"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A text encrypted, in base64.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(&self, text: &[u8]) -> Result<String> {
        let mut nonce = [0; NONCE_LEN];
        let random = SystemRandom::new().fill(&mut nonce);
        random.map_err(|_| anyhow!("the system gives no random bytes"))?;
        let mut bytes = text.to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_append_tag(nonce_used, Aad::empty(), &mut bytes);
        sealed.map_err(|_| anyhow!("it cannot be encrypted"))?;
        Ok(STANDARD.encode([&nonce[..], &bytes].concat()))
    }

    /// What was encrypted.
    ///
    /// # Errors
    /// If it was with another key, or is no such text.
    pub fn open(&self, sealed: &str) -> Result<Vec<u8>> {
        let mut bytes = STANDARD.decode(sealed)?;
        ensure!(bytes.len() >= NONCE_LEN, "it is too short");
        let (nonce, text) = bytes.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| anyhow!("its nonce"))?;
        let opened = self.0.open_in_place(nonce, Aad::empty(), text);
        Ok(opened.map_err(|_| anyhow!("the encryption key does not fit"))?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn only_the_key_that_sealed_a_text_opens_it() {
        let (key, other) = (Key::new(&[1; 32]).unwrap(), Key::new(&[2; 32]).unwrap());
        let sealed = key.seal(b"hunter2").unwrap();
        assert_eq!(key.open(&sealed).unwrap(), b"hunter2");
        assert!(other.open(&sealed).is_err() && key.open("").is_err());
        assert_ne!(key.seal(b"hunter2").unwrap(), sealed);
        assert!(Key::new(b"short").is_err());
    }
}
