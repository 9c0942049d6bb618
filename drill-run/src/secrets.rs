//! The secrets of a bundle's configuration, so that what checks print can be shown without them.

use anyhow::{Context, Result};
use pipe_kit::text::hex;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter texts are parts of ordinary words.
const SHORTEST: usize = 6;
/// A larger file is no secret that a check could print.
const LONGEST: u64 = 64 * 1024;
/// A setting whose name ends in one of these words holds no secret.
const HARMLESS: [&str; 22] = [
    "BUCKET", "COUNT", "DATABASE", "DAYS", "DB", "DIR", "DOMAIN", "DRIVER", "FILE", "HOST",
    "HOURS", "LEVEL", "MINUTES", "MODE", "NAME", "PORT", "REGION", "ROOT", "SERVICES", "STORAGE",
    "USER", "VERSION",
];

/// Texts that are not shown, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Reads the secrets of an extracted configuration.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_config(config: &Path) -> Result<Self> {
        let mut found = BTreeSet::new();
        let env = config.join(".env");
        if env.is_file() {
            let text = std::fs::read(&env).with_context(|| format!("reading {}", env.display()))?;
            found.extend(values(&String::from_utf8_lossy(&text)));
        }
        of_directory(&config.join("secrets"), &mut found)?;
        let encoded: Vec<String> = found.iter().map(|secret| percent_encoded(secret)).collect();
        found.extend(encoded);
        let mut found: Vec<String> = found.into_iter().filter(|s| s.len() >= SHORTEST).collect();
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(Self(found))
    }

    /// A text without them.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

/// The secrets of files, in the forms in which they may be printed.
fn of_directory(dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    let failed = || format!("reading {}", dir.display());
    for entry in std::fs::read_dir(dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let kind = path.symlink_metadata().with_context(failed)?;
        if kind.is_dir() {
            of_directory(&path, found)?;
        } else if kind.is_file() && kind.len() <= LONGEST {
            let bytes = std::fs::read(&path).with_context(failed)?;
            found.extend([hex(&bytes), hex(&bytes).to_uppercase(), base64(&bytes)]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(text.lines().map(|line| line.trim().to_owned()));
        }
    }
    Ok(())
}

/// The values of an `.env` that may be secret; of a URL, its password.
fn values(env: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in env.lines() {
        let line = line.trim_start();
        let Some((key, value)) = line.split_once(['=', ':']) else {
            // A value in quotes may span lines.
            found.push(line.trim_matches(['\'', '"', ' ']).to_owned());
            continue;
        };
        let key = key.trim_start_matches("export ").trim();
        let last = key.rsplit('_').next().unwrap_or(key);
        if key.starts_with('#') || HARMLESS.contains(&last) {
            continue;
        }
        let value = value.trim();
        let quoted = value.strip_prefix(['\'', '"']);
        let value = match quoted {
            Some(inner) => inner.split(['\'', '"']).next().unwrap_or_default().to_owned(),
            None => value.split(" #").next().unwrap_or_default().trim_end().to_owned(),
        };
        match password_of_url(&value) {
            Some(password) => found.extend([percent_decoded(password), password.to_owned()]),
            None if value.contains("://") => {}
            None => {
                found.extend(quoted.map(|inner| inner.trim_end_matches(['\'', '"']).to_owned()));
                found.push(value);
            }
        }
    }
    found
}

fn password_of_url(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As a part of a URL.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Without line breaks.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for at in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or_default();
            text.push(if at <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_files_and_settings_are_masked_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("secrets/more")).unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("secrets/password", b"pass word\n");
        put("secrets/more/key", b"\xff\x00\x01\x02\x03\x04\x05");
        put(
            ".env",
            b"SMTP_PASSWORD='p4ss # \"word\" $HOME'\nREDIS_URL=redis://:a%20b%2Fsecret@h:1/0\nPOSTGRES_USER=operator\n\
              export API_TOKEN=\"tok-123456\" # mine\nSHORT=abc\nPUBLIC_URL=https://host/app\n",
        );
        let secrets = Secrets::of_config(dir.path()).unwrap();
        for hidden in [
            "pass word",
            "pass%20word",
            "ff000102030405",
            "FF000102030405",
            "/wABAgMEBQ==",
            "p4ss # \"word\" $HOME",
            "a%20b%2Fsecret",
            "a b/secret",
            "tok-123456",
        ] {
            let masked = secrets.masked(&format!("it is {hidden}."));
            assert_eq!(masked, "it is ***.", "{hidden}");
        }
        for shown in ["operator", "abc", "https://host/app", "redis://"] {
            assert_eq!(secrets.masked(shown), shown);
        }
    }

    #[test]
    fn base64_is_the_standards() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_configuration_without_secrets_masks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Secrets::of_config(dir.path()).unwrap(), Secrets::default());
    }
}
