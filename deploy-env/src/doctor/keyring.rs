//! What `age` and `gpg` answer about recipients, as `seal.sh` asks them.

use super::copies::Trial;
use crate::program::{Answer, LIMIT, Tools, ask};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// No questions, no keys from the network, and no trust except the keyring's.
const OPTIONS: [&str; 5] = ["--batch", "--no-tty", "--trust-model", "auto", "--no-auto-key-locate"];
/// To list keys, nothing has to be brought up to date.
const NO_CHECK: &str = "--no-auto-check-trustdb";

/// Where gpg keeps public keys, and what may name another place.
const PUBLIC: [&str; 4] = ["pubring.kbx", "pubring.gpg", "public-keys.d", "gpg.conf"];

/// Whether age encrypts for a file of recipients.
pub fn age(tools: &Tools, file: &Path) -> Trial {
    trial(ask(tools.command("age").arg("-R").arg(file), "", LIMIT))
}

/// gpg with the keyring of the user who asks.
pub struct Keyring<'a> {
    tools: &'a Tools,
    dir: Option<PathBuf>,
}

impl<'a> Keyring<'a> {
    /// That of `GNUPGHOME`, or of the home directory.
    pub fn new(tools: &'a Tools, variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = || Some(PathBuf::from(variable("HOME")?).join(".gnupg"));
        let dir = variable("GNUPGHOME").map(PathBuf::from).or_else(home);
        Self { tools, dir }
    }

    /// Whether gpg encrypts for a key.
    pub fn trial(&self, key: &str) -> Trial {
        // gpg would create one.
        if !PUBLIC.into_iter().any(|name| self.has(name)) {
            return Trial::Lacks;
        }
        // As for a copy, the trust is computed first where it is out of date: without, a good key is refused. A group
        // of gpg.conf can be encrypted for, and not listed.
        let trial = trial(self.ask(&["--encrypt", "--recipient", key]));
        let is_listed = || {
            let listed = self.ask(&[NO_CHECK, "--list-keys", "--", key]);
            listed.is_ok_and(|answer| answer.is_good())
        };
        match trial {
            Trial::Refused(_) if !is_listed() => Trial::Lacks,
            trial => trial,
        }
    }

    /// Whether the keyring has the secret half of a key.
    pub fn has_secret(&self, key: &str) -> bool {
        // gpg would start its agent.
        let dir = self.dir.as_ref().map(|dir| dir.join("private-keys-v1.d"));
        let mut files = dir.into_iter().filter_map(|dir| dir.read_dir().ok()).flatten();
        files.next().is_some()
            && self
                .ask(&[NO_CHECK, "--list-secret-keys", "--", key])
                .is_ok_and(|answer| answer.is_good())
    }

    fn has(&self, name: &str) -> bool {
        self.dir.as_ref().is_some_and(|dir| dir.join(name).exists())
    }

    fn ask(&self, arguments: &[&str]) -> Result<Answer> {
        ask(self.tools.command("gpg").args(OPTIONS).args(arguments), "", LIMIT)
    }
}

fn trial(answer: Result<Answer>) -> Trial {
    match answer {
        Ok(answer) if answer.is_good() => Trial::Good,
        Ok(answer) => {
            // The first is about the key; what follows is about the input.
            let is_about_key = |line: &&String| !line.contains("WARNING");
            let first = answer.words.iter().find(is_about_key).cloned();
            Trial::Refused(first.unwrap_or_else(|| answer.why()))
        }
        Err(error) => Trial::Unknown(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_that_is_not_there_is_not_made() {
        let home = tempfile::tempdir().unwrap();
        let tools = Tools::default();
        let path = home.path().to_str();
        let variable = |name: &str| path.filter(|_| name == "HOME").map(str::to_owned);
        let keyring = Keyring::new(&tools, variable);
        assert_eq!(keyring.trial("A"), Trial::Lacks);
        assert!(!keyring.has_secret("A"));
        assert!(home.path().read_dir().unwrap().next().is_none());
    }

    #[test]
    fn a_program_that_refuses_and_one_that_is_missing_are_different() {
        assert_eq!(trial(Ok(Answer { status: Some(0), ..Answer::default() })), Trial::Good);
        let refused = Answer {
            status: Some(2),
            words: ["gpg: WARNING: x", "expired", "failed"].map(str::to_owned).into(),
            ..Answer::default()
        };
        assert_eq!(trial(Ok(refused)), Trial::Refused("expired".into()));
        let none = Tools::new([("PATH".into(), Some("/none".into()))]);
        assert!(matches!(age(&none, "/none".as_ref()), Trial::Unknown(_)));
    }
}
