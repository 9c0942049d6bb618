//! Secrets in what is sent away: each one that is known is replaced.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use url::Url;

const MASK: &str = "***";
/// Shorter secrets are replaced only where they stand alone: they are part of common words.
const SHORT: usize = 4;
/// Files that are larger hold no passwords.
const LARGEST: u64 = 64 * 1024;
/// How many directories deep they are looked for: a link may lead up again.
const DEEPEST: u32 = 4;

/// The secrets of a deployment.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first, since one can contain another.
    values: Vec<String>,
}

impl Secrets {
    /// Those of the settings of this run, the passwords of all URLs in its environment, the files in `secrets/`, and
    /// those that variables name as such.
    pub fn of_run(deploy: &Path) -> Self {
        let names = std::env::var("PIPRIO_SECRETS").unwrap_or_default();
        let of_settings = names.split_whitespace().filter_map(|name| std::env::var(name).ok());
        let in_urls = std::env::vars_os().filter_map(|(_, value)| value.into_string().ok());
        let in_urls = in_urls.flat_map(|value| passwords(&value));
        let named = named_files(std::env::vars_os(), deploy);
        let in_files = in_files(&deploy.join("secrets")).into_iter();
        let in_files = in_files.chain(named.filter_map(|path| read_small(&path)));
        Self::new(of_settings.chain(in_urls).chain(in_files))
    }

    /// Of these, each also as a part of a URL, and line by line.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut values = Vec::new();
        for secret in secrets {
            let lines: Vec<&str> = secret.lines().filter(|line| line.len() >= 8).collect();
            for text in std::iter::once(secret.trim_end_matches(['\r', '\n'])).chain(lines) {
                let encoded: String =
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
                values.extend([encoded.replace('+', "%20"), encoded, text.to_owned()]);
            }
        }
        values.retain(|value| !value.is_empty());
        values.sort_by(|a, b| (b.len(), a).cmp(&(a.len(), b)));
        values.dedup();
        Self { values }
    }

    /// The text without them.
    pub fn mask(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| {
            if secret.len() < SHORT {
                mask_words(&text, secret)
            } else {
                text.replace(secret, MASK)
            }
        })
    }
}

/// Replaces a secret where no letter or digit is beside it.
fn mask_words(text: &str, secret: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let end = at + secret.len();
        let before = rest[..at].chars().next_back().or(out.chars().next_back());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        out += &rest[..at];
        out += if is_word(before) || is_word(rest[end..].chars().next()) { secret } else { MASK };
        rest = &rest[end..];
    }
    out + rest
}

/// The passwords of the URLs in a text, as they stand there.
fn passwords(text: &str) -> Vec<String> {
    let urls = text.split_whitespace().filter_map(|word| {
        let scheme = word.find("://")?;
        // Before the scheme stands a name, or the kind of a repository.
        let start = word[..scheme].rfind(['=', ':']).map_or(0, |at| at + 1);
        Url::parse(&word[start..]).ok()
    });
    let mut found = Vec::new();
    for url in urls {
        let Some(password) = url.password() else { continue };
        let pair = format!("x={}", password.replace('+', "%2B"));
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        found.extend(decoded.map(|(_, value)| value.into_owned()));
        found.push(password.to_owned());
    }
    found
}

/// Those of a directory and the directories in it. Links are followed: some systems give secrets as links.
fn in_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![(dir.to_owned(), 0)];
    while let Some((dir, depth)) = dirs.pop() {
        for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
        {
            if depth < DEEPEST && path.is_dir() {
                dirs.push((path, depth + 1));
            } else {
                found.extend(read_small(&path));
            }
        }
    }
    found
}

/// The files that settings of keys and passwords name, wherever they lie.
fn named_files(
    variables: impl Iterator<Item = (OsString, OsString)>,
    deploy: &Path,
) -> impl Iterator<Item = PathBuf> {
    let is_secret = |name: &OsString| {
        let name = name.as_encoded_bytes();
        name.ends_with(b"_KEY_FILE") || name.ends_with(b"_PASSWORD_FILE")
    };
    variables.filter(move |(name, _)| is_secret(name)).map(|(_, path)| deploy.join(path))
}

/// Reading a pipe in a file's place could wait without end.
fn read_small(path: &Path) -> Option<String> {
    let meta = path.metadata().ok()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        Secrets::new(values.iter().map(|value| (*value).to_owned()))
    }

    #[test]
    fn each_secret_is_replaced_wherever_it_stands() {
        let table: [(&[&str], &str, &str); 8] = [
            (&["hunter2"], "password=hunter2, hunter22", "password=***, ***2"),
            (&["hunter2", "hunter2000"], "hunter2000", "***"),
            (&["p w/$"], "as p%20w%2F%24 and p+w%2F%24 and p w/$", "as *** and *** and ***"),
            (&["line one\nline two\n"], "line two, line one\nline two", "***, ***"),
            (&["ab"], "ab cab ab. ab_ xab ab", "*** cab ***. ab_ xab ***"),
            (&["aa"], "aaaa aa", "aaaa ***"),
            (&["geheimnis-äö"], "geheimnis-äö!", "***!"),
            (&["", "\n"], "nothing", "nothing"),
        ];
        for (values, text, masked) in table {
            assert_eq!(secrets(values).mask(text), masked);
        }
    }

    #[test]
    fn passwords_of_urls_are_secrets_in_both_forms() {
        let found = passwords(
            "api=http://u:p%2Bw@h/x redis://:plain@h text=1 web=http://h/ restic:rest:https://u:pw@h/r",
        );
        assert_eq!(found, ["p+w", "p%2Bw", "plain", "plain", "pw", "pw"]);
    }

    #[test]
    fn the_files_of_the_deployments_secrets_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("secrets");
        std::fs::create_dir(&secrets).unwrap();
        std::fs::write(secrets.join("token"), "from a file\n").unwrap();
        std::fs::write(secrets.join("noise"), b"\xFF\xFE").unwrap();
        std::fs::create_dir(secrets.join("keys")).unwrap();
        std::fs::write(secrets.join("keys/one"), "from below").unwrap();
        std::os::unix::fs::symlink("..", secrets.join("keys/up")).unwrap();
        let masked = Secrets::of_run(dir.path()).mask("it is from a file, from below.");
        assert_eq!(masked, "it is ***, ***.");
    }
    #[test]
    fn files_that_settings_of_keys_and_passwords_name_are_known_wherever_they_lie() {
        let variables = [
            ("SHIP_1_SECRET_KEY_FILE", "/etc/ship/key"),
            ("RESTIC_PASSWORD_FILE", "restic"),
            ("METRICS_FILE", "/var/metrics"),
            ("SHIP_1", "s3://b"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let found: Vec<_> = named_files(variables.into_iter(), Path::new("/d")).collect();
        assert_eq!(found, [Path::new("/etc/ship/key"), Path::new("/d/restic")]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "of a destination\n").unwrap();
        assert_eq!(Secrets::new(read_small(&file)).mask("it is of a destination."), "it is ***.");
        std::fs::write(&file, vec![b'a'; 64 * 1024 + 1]).unwrap();
        assert_eq!((read_small(&file), read_small(dir.path())), (None, None));
    }
}
