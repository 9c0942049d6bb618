//! Secrets: a value, or a file that holds it.

use crate::deployment::Deployment;
use crate::layers::{Layers, Source};
use anyhow::{Context, Result, bail};
use pipe_kit::Stop;
use std::path::{Component, Path, PathBuf};

/// A secret that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its value.
    pub value: String,
    /// The layer that gave it.
    pub source: Source,
    /// The file it was read from.
    pub file: Option<PathBuf>,
}

/// Reads a setting or its `…_FILE`: what the environment gives, of either, wins over the `.env`.
///
/// # Errors
/// [`Stop::usage`] if one layer gives both; if the file cannot be read, is empty or is not text.
pub fn read(deployment: &Deployment, layers: &Layers, key: &str) -> Result<Option<Secret>> {
    let file_key = format!("{key}_FILE");
    for source in [Source::Environment, Source::File] {
        let (value, path) = (layers.in_layer(key, source), layers.in_layer(&file_key, source));
        match (value, path) {
            (Some(_), Some(_)) => {
                let message = format!("{key} and {file_key} are both set; keep one");
                return Err(Stop::usage(message).into());
            }
            (Some(value), None) => {
                return Ok(Some(Secret { value: value.to_owned(), source, file: None }));
            }
            (None, Some(path)) => {
                let path = locate(deployment, path);
                let value = contents(&path).with_context(|| file_key.clone())?;
                return Ok(Some(Secret { value, source, file: Some(path) }));
            }
            (None, None) => {}
        }
    }
    Ok(None)
}

/// The file that a setting names: `/run/secrets/NAME` is how a container sees `secrets/NAME` of the deployment.
pub fn locate(deployment: &Deployment, path: &str) -> PathBuf {
    let inside = Path::new(path).strip_prefix("/run/secrets").ok().filter(|name| {
        name.file_name().is_some() && name.components().all(|c| matches!(c, Component::Normal(_)))
    });
    match inside {
        Some(name) => deployment.dir().join("secrets").join(name),
        None => deployment.path(path),
    }
}

fn contents(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let Ok(mut text) = String::from_utf8(bytes) else {
        bail!("{} is not UTF-8 text", path.display())
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        bail!("{} is empty", path.display());
    }
    if text.contains('\0') {
        bail!("{} holds a NUL byte", path.display());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::layers;

    const KEY: &str = "POSTGRES_PASSWORD";
    const FILE: &str = "POSTGRES_PASSWORD_FILE";

    fn with(
        content: &[u8],
        environment: &[(&str, &str)],
        file: &[(&str, &str)],
    ) -> Result<Option<String>> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        std::fs::write(dir.path().join("secrets/pw"), content).unwrap();
        let deployment = Deployment::at(dir.path()).unwrap();
        Ok(read(&deployment, &layers(environment, file), KEY)?.map(|s| s.value))
    }

    #[test]
    fn a_file_under_run_secrets_is_the_deployments_and_loses_one_newline() {
        let table: [(&[u8], &str); 4] =
            [(b"pw\n", "pw"), (b"pw\r\n", "pw"), (b"pw\n\n", "pw\n"), (b" p w ", " p w ")];
        for (content, value) in table {
            for path in ["/run/secrets/pw", "secrets/pw", "./secrets/pw"] {
                assert_eq!(with(content, &[], &[(FILE, path)]).unwrap().unwrap(), value);
            }
        }
    }

    #[test]
    fn the_environment_wins_whichever_of_the_two_it_gives() {
        let value = with(b"from file", &[(KEY, "env")], &[(FILE, "secrets/pw")]).unwrap();
        assert_eq!(value.unwrap(), "env");
        let value = with(b"from file", &[(FILE, "secrets/pw")], &[(KEY, "dotenv")]).unwrap();
        assert_eq!(value.unwrap(), "from file");
        assert_eq!(with(b"", &[], &[]).unwrap(), None);
    }

    #[test]
    fn a_value_and_a_file_from_one_layer_are_a_usage_error() {
        let error = with(b"x", &[], &[(KEY, "hunter2"), (FILE, "secrets/pw")]).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
        assert!(!format!("{error:#}").contains("hunter2"));
    }

    #[test]
    fn a_file_that_is_missing_empty_or_no_text_is_named() {
        for (content, path) in [
            (&b"x"[..], "secrets/none"),
            (b"\n", "secrets/pw"),
            (b"\xFF", "secrets/pw"),
            (b"a\0b", "secrets/pw"),
        ] {
            let error = with(content, &[], &[(FILE, path)]).unwrap_err();
            assert!(format!("{error:#}").contains(path), "{error:#}");
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Failed);
        }
    }
}
