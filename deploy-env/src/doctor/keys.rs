//! Keys that open the copies: they must not lie on the host that makes them, nor come into its bundles.

use super::line::Line;
use super::place::{Place, quoted};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How a secret key of age begins.
const SECRET: &[u8] = b"AGE-SECRET-KEY-1";
/// How much of a file is read.
const READ: u64 = 64 * 1024;
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
        } else if path.is_file() && holds_key(&path) {
            found.push(path);
        }
    }
}

fn holds_key(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let Ok(file) = std::fs::File::open(path) else { return false };
    let read = file.take(READ).read_to_end(&mut bytes);
    read.is_ok()
        && bytes
            .split(|byte| *byte == b'\n')
            .any(|line| line.trim_ascii_start().starts_with(SECRET))
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
    let line = |Key { path, opens }: &Key| {
        let (shown, path) = (path.display(), quoted(path));
        if *opens == Some(false) {
            return Line::note(
                NAME,
                format!("{shown} is a secret key of age, of none of the recipients"),
            );
        }
        let found = format!(
            "{shown} is a secret key that opens the copies: whoever takes this host can read them"
        );
        Line::finding(NAME, found, format!("scp {path} ELSEWHERE: && shred -u {path}"))
    };
    keys.iter().map(line).collect()
}

/// The line of a key whose secret half is in gpg's keyring.
pub fn of_keyring(key: &str) -> Line {
    let found = format!("gpg's keyring has the secret key of {key}, which opens the copies");
    let key = shell_words::quote(key);
    Line::finding(
        "keys",
        found,
        format!(
            "gpg --export-secret-keys {key} | ssh ELSEWHERE 'umask 077; cat > backup.gpg' && gpg --delete-secret-keys {key}"
        ),
    )
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
        for (opens, status) in
            [(Some(true), Status::Finding), (None, Status::Finding), (Some(false), Status::Note)]
        {
            let line = lines(&[Key { path: "/d/my key".into(), opens }]).swap_remove(0);
            assert_eq!(line.status, status);
            if status == Status::Finding {
                let command = "scp '/d/my key' ELSEWHERE: && shred -u '/d/my key'";
                assert_eq!(line.command.as_deref(), Some(command));
            }
        }
        assert_eq!(lines(&[])[0].status, Status::Ok);
    }
}
