//! Keys that open the copies: they must not lie on the host that makes them, nor come into its bundles.

use super::file;
use super::line::Line;
use super::place::{Place, quoted};
use std::path::{Path, PathBuf};

/// How a secret key of age begins.
const SECRET: &str = "AGE-SECRET-KEY-";
/// When a key may be removed: that cannot be undone.
const TRIED: &str = "delete it here only after a copy was decrypted with it there";
/// How many files are looked at in one directory.
const MOST: usize = 1000;
/// How many directories deep.
const DEPTH: usize = 3;

/// A file with a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The file.
    pub path: PathBuf,
    /// Whether it opens what the recipients get; none if that is not known.
    pub opens: Option<bool>,
    /// Whether the file holds nothing else.
    pub is_alone: bool,
}

/// The secret keys of age in a file, and whether it holds nothing else.
pub struct Found {
    /// A key in each line, as `age-keygen` reads them.
    pub keys: String,
    /// Whether the file holds only these, and comments.
    pub is_alone: bool,
}

/// The files that hold a secret key of age: in the deployment, and beside the file of recipients.
pub fn files(place: &Place, recipients: Option<&Path>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search(place.dir(), 0, &mut found);
    for name in ["secrets", "certs"] {
        search(&place.path(name), DEPTH, &mut found);
    }
    if let Some(dir) = recipients.and_then(Path::parent) {
        search(dir, 0, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn search(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.take(MOST) {
        let path = entry.path();
        // A link to a directory may lead round in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth > 0 {
                search(&path, depth - 1, found);
            }
        } else if read(&path).is_some() {
            found.push(path);
        }
    }
}

/// Reads the secret keys in a file; none if it has none.
pub fn read(path: &Path) -> Option<Found> {
    let bytes = file::read(path).ok()?;
    let is_whole = (bytes.len() as u64) < file::MOST;
    let text = String::from_utf8_lossy(&bytes);
    let is_key = |line: &&str| line.trim_start().starts_with(SECRET);
    // A whole line, or the first word of one in a block of another file.
    let key = |line: &str| line.split_whitespace().next().map(|key| format!("{key}\n"));
    let keys: String = text.lines().filter(is_key).filter_map(key).collect();
    let is_other = |line: &str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line.starts_with(SECRET))
    };
    let is_alone = is_whole && !text.lines().any(is_other);
    (!keys.is_empty()).then_some(Found { keys, is_alone })
}

/// Whether one of a key's public halves, as `age-keygen -y` prints them, is among the recipients.
pub fn opens(public: Option<&str>, recipients: Option<&str>) -> Option<bool> {
    let (public, recipients) = (public?, recipients?);
    let is_one = |key: &str| super::copies::recipients(recipients).any(|line| line == key);
    Some(public.lines().map(str::trim).any(is_one))
}

/// A line for each key, and one if there is none.
pub fn lines(keys: &[Key]) -> Vec<Line> {
    const NAME: &str = "keys";
    if keys.is_empty() {
        return vec![Line::ok(NAME, "no key that opens copies was found in the deployment")];
    }
    keys.iter().map(|key| line(NAME, key)).collect()
}

fn line(name: &str, key: &Key) -> Line {
    let shown = key.path.display();
    match key.opens {
        Some(true) => {}
        Some(false) => {
            let found = format!("{shown} is a secret key of age, of none of the recipients");
            return Line::note(name, found);
        }
        None => {
            let found = format!(
                "{shown} has a secret key of age; whether it opens the copies is not known"
            );
            return Line::note(name, found);
        }
    }
    let opens = "a secret key that opens the copies: whoever takes over this host can read them";
    let path = quoted(&key.path);
    if !key.is_alone {
        let found = format!("{shown} has, among other things, {opens}; keep the key elsewhere");
        return Line::finding(name, found, format!("${{EDITOR:-vi}} {path}"));
    }
    let found = format!("{shown} is {opens}; keep it elsewhere, and {TRIED}");
    let elsewhere = file::name_of(&key.path.to_string_lossy());
    Line::finding(name, found, format!("scp {path} ELSEWHERE:{elsewhere}"))
}

/// The line of a key whose secret half is in gpg's keyring.
pub fn of_keyring(key: &str) -> Line {
    let found = format!(
        "gpg's keyring has the secret key of {key}, which opens the copies; keep it elsewhere, and {TRIED}"
    );
    let file = format!("secret-key-{}.gpg", file::name_of(key));
    let key = shell_words::quote(key);
    // gpg asks before it writes over a file.
    let command =
        format!("gpg --output {file} --export-secret-keys {key} && scp {file} ELSEWHERE:{file}");
    Line::finding("keys", found, command)
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn keys_are_found_in_the_deployment_and_beside_the_recipients() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let secret = "# created: now\nAGE-SECRET-KEY-1QQQ\n";
        let expected = [
            put("deploy/backup.key", secret),
            put("deploy/secrets/a/b", secret),
            put("keys/backup.key", secret),
        ];
        put("deploy/backups/piprio_1/key", secret);
        put("deploy/secrets/pw", "AGE");
        put("deploy/secrets/readme", "keep AGE-SECRET-KEY-1… elsewhere");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("deploy/secrets/loop")).unwrap();
        let recipients = put("keys/backup.pub", "age1abc\n");
        let place = Place::new(&dir.path().join("deploy"));
        assert_eq!(files(&place, Some(&recipients)), expected);
    }

    #[test]
    fn a_key_of_other_recipients_is_only_a_note() {
        let recipients = "# ours\nage1abc\n";
        assert_eq!(opens(Some("age1abc\n"), Some(recipients)), Some(true));
        assert_eq!(opens(Some("age1ab\n"), Some(recipients)), Some(false));
        assert_eq!(opens(None, Some(recipients)), None);
        let line = |opens, is_alone| {
            lines(&[Key { path: "/d/my key".into(), opens, is_alone }]).swap_remove(0)
        };
        let scp = "scp '/d/my key' ELSEWHERE:+d+my%20key";
        for (opens, is_alone, status, command) in [
            (Some(true), true, Status::Finding, Some(scp)),
            (Some(true), false, Status::Finding, Some("${EDITOR:-vi} '/d/my key'")),
            (None, true, Status::Note, None),
            (Some(false), true, Status::Note, None),
        ] {
            let line = line(opens, is_alone);
            assert_eq!((line.status, line.command.as_deref()), (status, command), "{opens:?}");
        }
        assert_eq!(lines(&[])[0].status, Status::Ok);
    }

    #[test]
    fn no_command_removes_a_key_and_each_goes_to_a_file_of_its_own() {
        let key = |path: &str| Key { path: path.into(), opens: Some(true), is_alone: true };
        let of_files = lines(&[key("/d/a/key"), key("/d/b/key")]);
        let keyring = ["A", "B", "C D"].map(of_keyring);
        let commands: Vec<String> =
            of_files.into_iter().chain(keyring).filter_map(|line| line.command).collect();
        let expected = [
            "scp /d/a/key ELSEWHERE:+d+a+key",
            "scp /d/b/key ELSEWHERE:+d+b+key",
            "gpg --output secret-key-A.gpg --export-secret-keys A && scp secret-key-A.gpg ELSEWHERE:secret-key-A.gpg",
            "gpg --output secret-key-B.gpg --export-secret-keys B && scp secret-key-B.gpg ELSEWHERE:secret-key-B.gpg",
            "gpg --output secret-key-C%20D.gpg --export-secret-keys 'C D' && scp secret-key-C%20D.gpg ELSEWHERE:secret-key-C%20D.gpg",
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn a_key_in_a_block_of_another_file_is_read_and_is_not_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).map(|found| (found.keys, found.is_alone))
        };
        let keys = "AGE-SECRET-KEY-1QQQ\n".to_owned();
        assert_eq!(of("# made\n\nAGE-SECRET-KEY-1QQQ\n"), Some((keys.clone(), true)));
        let block = "environment:\n  SOPS_AGE_KEY: |\n    AGE-SECRET-KEY-1QQQ\n";
        assert_eq!(of(block), Some((keys, false)));
        assert_eq!(of("environment: {}\n"), None);
    }
}
