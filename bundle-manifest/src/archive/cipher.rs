//! What an archive is encrypted with, known by its first bytes, and the program that decrypts it.

use pipe_kit::{Exit, Stop};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many of a file's first bytes decide its kind.
pub const HEAD: usize = 64;

/// The program that decrypts a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    Age,
    Gpg,
}

/// The keys that were given.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Files of age identities.
    pub identities: Vec<PathBuf>,
    /// A file whose first line is the passphrase, for gpg.
    pub passphrase_file: Option<PathBuf>,
}

impl Cipher {
    /// Decides by the first bytes; `None` for what is not encrypted, or not in a known way.
    pub fn of(head: &[u8]) -> Option<Self> {
        let armoured = |kind: &str| head.starts_with(format!("-----BEGIN {kind}-----").as_bytes());
        if head.starts_with(b"age-encryption.org/") || armoured("AGE ENCRYPTED FILE") {
            return Some(Self::Age);
        }
        // An OpenPGP packet: the key for a public key (1) or for a passphrase (3), in the old or new form.
        let packet = match head.first() {
            Some(first @ 0x80..=0xbf) => Some((first & 0x3f) >> 2),
            Some(first @ 0xc0..) => Some(first & 0x3f),
            _ => None,
        };
        (matches!(packet, Some(1 | 3)) || armoured("PGP MESSAGE")).then_some(Self::Gpg)
    }

    /// The program's name.
    pub fn program(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Gpg => "gpg",
        }
    }

    /// The command that decrypts its standard input.
    ///
    /// # Errors
    /// [`Stop::usage`] if the keys are of another kind than the file.
    pub fn open(self, keys: &Keys) -> Result<Command, Stop> {
        let mut command = Command::new(self.program());
        match self {
            Self::Age => {
                if keys.passphrase_file.is_some() {
                    return Err(Stop::usage(
                        "--passphrase-file is for gpg; age asks for a passphrase on the terminal alone",
                    ));
                }
                command.arg("--decrypt");
                for identity in &keys.identities {
                    command.arg("--identity").arg(identity);
                }
            }
            Self::Gpg => {
                if !keys.identities.is_empty() {
                    return Err(Stop::usage(
                        "the file is gpg's, and gpg takes keys from its own keyring: leave out --identity",
                    ));
                }
                command.args(["--quiet", "--status-fd", "2", "--no-symkey-cache"]);
                if let Some(file) = &keys.passphrase_file {
                    command.args(["--batch", "--pinentry-mode", "loopback", "--passphrase-file"]);
                    command.arg(file);
                }
                command.arg("--decrypt");
            }
        }
        Ok(command)
    }

    /// What its failure means. `had_output`: it wrote something before it failed. `lines`: its standard error.
    pub fn failed(self, had_output: bool, lines: &[String]) -> Stop {
        let program = self.program();
        let why = format!("{program}: {}", self.last_line(lines));
        let cause = match self {
            // With a wrong key there is no output.
            _ if had_output => Cause::Damage,
            Self::Age => age_cause(lines),
            Self::Gpg => gpg_cause(lines),
        };
        match cause {
            Cause::Key => Stop::with_exit(
                Exit::Failed,
                format!(
                    "it cannot be decrypted with this key or passphrase, or its head is damaged ({why})"
                ),
            ),
            Cause::Damage => {
                Stop::damaged(format!("it is damaged or truncated ({why}); nothing was kept"))
            }
            Cause::Unknown => {
                Stop::with_exit(Exit::Failed, format!("it cannot be decrypted ({why})"))
            }
        }
    }

    fn last_line(self, lines: &[String]) -> String {
        let plain =
            |w: &&String| !w.starts_with("[GNUPG:]") && !w.contains("age: report unexpected");
        let lead = format!("{}: ", self.program());
        let line = lines.iter().rev().find(plain);
        line.map_or("it gives no reason", |line| line.trim_start_matches(&lead)).to_owned()
    }
}

/// Why a file was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Key,
    Damage,
    Unknown,
}

/// Decides by the status lines that gpg writes for programs: a prefix, then a keyword and its arguments.
fn gpg_cause(lines: &[String]) -> Cause {
    let status = || lines.iter().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let has = |word: &str| status().any(|line| line.split(' ').next() == Some(word));
    // The lower 16 bits of an error's number are its code.
    const BAD_PASSPHRASE: u32 = 11;
    let wrong_passphrase = status().any(|line| {
        let mut words = line.split(' ');
        let code = (words.next() == Some("ERROR")).then(|| words.nth(1)).flatten();
        let digits = code.and_then(|code| code.split('_').next());
        digits.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xffff)
            == Some(BAD_PASSPHRASE)
    });
    if has("NODATA") || has("BADMDC") {
        return Cause::Damage;
    }
    // gpg reports DECRYPTION_INFO only once it has a key for the content.
    match (has("BEGIN_DECRYPTION"), has("DECRYPTION_INFO") && !wrong_passphrase) {
        (_, true) => Cause::Damage,
        (true, false) => Cause::Key,
        (false, false) => Cause::Unknown,
    }
}

/// age ends with status 1 whatever the cause, and has no status lines for programs, so its messages, which it does
/// not translate, decide. They choose between two failures that both keep nothing.
fn age_cause(lines: &[String]) -> Cause {
    let names = |parts: &[&str]| lines.iter().any(|l| parts.iter().any(|part| l.contains(part)));
    if names(&["no identity matched", "incorrect passphrase"]) {
        Cause::Key
    } else if names(&[
        "failed to read header",
        "bad header MAC",
        "payload",
        "unexpected EOF",
        "invalid",
        "unknown",
        "too short",
    ]) {
        Cause::Damage
    } else {
        Cause::Unknown
    }
}

/// The message that a program is missing, with the command that installs it.
pub fn missing(program: &str) -> Option<String> {
    let package = match program {
        "age" => "age",
        "gpg" => "gnupg",
        _ => return None,
    };
    Some(format!("{program} is not installed: apt-get install {package}"))
}

/// Whether a program is on PATH, or is a path itself.
pub fn is_there(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_which_program_decrypts_a_file() {
        for (head, cipher) in [
            (&b"age-encryption.org/v1\n-> X25519"[..], Some(Cipher::Age)),
            (b"-----BEGIN AGE ENCRYPTED FILE-----\n", Some(Cipher::Age)),
            (b"\x8c\x0d\x04\x09", Some(Cipher::Gpg)),
            (b"\x85\x01\x8c\x03", Some(Cipher::Gpg)),
            (b"\xc1\xc0\x4c\x03", Some(Cipher::Gpg)),
            (b"\xc3\x2e\x04\x07", Some(Cipher::Gpg)),
            (b"-----BEGIN PGP MESSAGE-----\n", Some(Cipher::Gpg)),
            (b"\x1f\x8b\x08", None),
            (b"piprio_20260421T020000Z/", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(Cipher::of(head), cipher, "{head:?}");
        }
    }

    #[test]
    fn a_wrong_key_is_distinguished_from_damage() {
        let exit = |cipher: Cipher, gave, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            let error = anyhow::Error::new(cipher.failed(gave, &words));
            (pipe_kit::status::of(&error), error.to_string())
        };
        let (age, gpg) = (Cipher::Age, Cipher::Gpg);
        for (cipher, gave, words, expected) in [
            (
                age,
                false,
                &["age: error: no identity matched any of the recipients"][..],
                Exit::Failed,
            ),
            (age, false, &["age: error: incorrect passphrase"], Exit::Failed),
            (age, false, &["age: error: bad header MAC"], Exit::Damaged),
            (age, false, &["age: error: failed to read header: EOF"], Exit::Damaged),
            (
                age,
                true,
                &["age: error: failed to decrypt and authenticate payload chunk"],
                Exit::Damaged,
            ),
            (age, false, &["age: error: could not read passphrase: no tty"], Exit::Failed),
            (age, true, &[], Exit::Damaged),
            (gpg, true, &["[GNUPG:] BADMDC"], Exit::Damaged),
            // Wrong passphrase; a wrong key; none at all.
            (
                gpg,
                false,
                &[
                    "[GNUPG:] NEED_PASSPHRASE_SYM 9 3 2",
                    "[GNUPG:] BEGIN_DECRYPTION",
                    "[GNUPG:] DECRYPTION_INFO 2 9 0",
                    "[GNUPG:] ERROR symkey_decrypt.maybe_error 11_BAD_PASSPHRASE",
                    "[GNUPG:] DECRYPTION_FAILED",
                ],
                Exit::Failed,
            ),
            (
                gpg,
                false,
                &["[GNUPG:] ERROR x 33554443", "[GNUPG:] DECRYPTION_INFO 2 9 0"],
                Exit::Failed,
            ),
            (
                gpg,
                false,
                &[
                    "[GNUPG:] BEGIN_DECRYPTION",
                    "gpg: Entschlüsselung fehlgeschlagen: Kein Schlüssel",
                ],
                Exit::Failed,
            ),
            (gpg, false, &["[GNUPG:] NODATA 3"], Exit::Damaged),
            (
                gpg,
                false,
                &["[GNUPG:] DECRYPTION_INFO 2 9 0", "gpg: Entschlüsselung fehlgeschlagen"],
                Exit::Damaged,
            ),
            // Words decide nothing.
            (
                gpg,
                false,
                &["gpg: invalid packet", "gpg: No secret key", "gpg: NODATA"],
                Exit::Failed,
            ),
            (gpg, false, &[], Exit::Failed),
        ] {
            assert_eq!(exit(cipher, gave, words).0, expected, "{words:?}");
        }
        let message =
            exit(gpg, false, &["gpg: decryption failed: No secret key", "[GNUPG:] END_DECRYPTION"])
                .1;
        assert!(message.ends_with("(gpg: decryption failed: No secret key)"), "{message}");
    }
}
