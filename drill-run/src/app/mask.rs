//! The secrets of a drill's deployment, so that what its services have logged can be shown without them.

use std::path::Path;

/// A shorter text is a part of ordinary words.
const SHORTEST: usize = 6;
/// A larger file is no secret that a log could have.
const LARGEST: u64 = 64 << 10;

/// Texts that are not shown, the longest first.
#[derive(Debug, Default)]
pub struct Mask(Vec<String>);

impl Mask {
    /// Of a deployment's directory: what is in `secrets/`, and the values of these variables of its `.env`,
    /// which `deploy-env` has written, a line each.
    pub fn of(deploy: &Path, variables: &[String]) -> Self {
        let mut found = Vec::new();
        of_directory(&deploy.join("secrets"), &mut found);
        let dotenv = std::fs::read(deploy.join(".env")).unwrap_or_default();
        let dotenv = String::from_utf8_lossy(&dotenv);
        for (name, value) in dotenv.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim_matches(['\'', '"']);
            if let Some(password) = password(value) {
                found.push(password.to_owned());
            } else if variables.iter().any(|known| known == name) {
                found.push(value.to_owned());
            }
        }
        found.retain(|secret| secret.len() >= SHORTEST);
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(found)
    }

    /// A text without them.
    pub fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

fn password(value: &str) -> Option<&str> {
    let (user, _) = value.split_once("://")?.1.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

fn of_directory(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            of_directory(&path, found);
        } else if meta.is_file() && meta.len() <= LARGEST {
            let bytes = std::fs::read(&path).unwrap_or_default();
            found.push(pipe_kit::text::hex(&bytes));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.extend(text.lines().map(|line| line.trim().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_file_or_a_variable_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("secrets/more")).unwrap();
        std::fs::write(dir.path().join("secrets/more/key"), "of-a-file\n").unwrap();
        std::fs::write(dir.path().join("secrets/raw"), b"\xff\x00\x01\x02").unwrap();
        let env = "A_PASSWORD='of a variable'\nREDIS_URL=redis://:of-a-url@h:1\nPIPRIO_DOMAIN=shown.example.com\n";
        std::fs::write(dir.path().join(".env"), env).unwrap();
        let mask = Mask::of(dir.path(), &["A_PASSWORD".to_owned()]);
        let text = "of-a-file, of a variable, of-a-url, ff000102, shown.example.com";
        assert_eq!(mask.masked(text), "***, ***, ***, ***, shown.example.com");
        assert_eq!(Mask::of(&dir.path().join("gone"), &[]).masked(text), text);
    }
}
