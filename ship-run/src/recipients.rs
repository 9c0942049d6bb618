//! Whom copies are encrypted for.

use bundle_format::shipped::digest;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What is printed of a copy that is encrypted for others than those of the settings.
pub const FOR_OTHERS: &str = "encrypted for other recipients than those of SHIP_RECIPIENTS";

/// What encrypts the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// A file of age recipients.
    Age(PathBuf),
    /// Keys of gpg's keyring.
    Gpg(Vec<String>),
}

impl Recipients {
    /// From the setting.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("gpg:") {
            Some(keys) => {
                let keys = keys.split([',', ' ']).filter(|key| !key.is_empty());
                Self::Gpg(keys.map(str::to_owned).collect())
            }
            None => Self::Age(text.into()),
        }
    }

    /// A hash that is the same for the same recipients, in whatever order, and whatever is remarked on them; none if
    /// their file cannot be read. Keys of gpg are compared as they are set.
    pub fn digest(&self) -> Option<String> {
        let text;
        let all: BTreeSet<&str> = match self {
            Self::Age(file) => {
                text = std::fs::read_to_string(file).ok()?;
                let lines = text.lines().map(str::trim);
                lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
            }
            Self::Gpg(keys) => keys.iter().map(String::as_str).collect(),
        };
        let lines: String = all.iter().map(|one| format!("{one}\n")).collect();
        Some(digest(lines.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_a_file_or_keys_of_gpg() {
        assert_eq!(Recipients::parse("/b.pub"), Recipients::Age("/b.pub".into()));
        let keys = Recipients::Gpg(vec!["A".into(), "B".into()]);
        assert_eq!(Recipients::parse("gpg:A, B"), keys);
    }

    #[test]
    fn the_same_recipients_have_the_same_hash_and_others_another() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let file = dir.path().join("pub");
            std::fs::write(&file, text).unwrap();
            Recipients::Age(file).digest().unwrap()
        };
        assert_eq!(of("age1a\nage1b\n"), of("# of the company\n\n age1b \r\nage1a"));
        assert_ne!(of("age1a\nage1b\n"), of("age1a\n"));
        let gpg = |text: &str| Recipients::parse(text).digest();
        assert_eq!(gpg("gpg:A,B"), gpg("gpg:B A"));
        assert_ne!(gpg("gpg:A,B"), gpg("gpg:A"));
        assert_eq!(Recipients::Age("/nonexistent".into()).digest(), None);
    }
}
