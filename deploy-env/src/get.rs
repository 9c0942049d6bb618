//! `get`: one setting, without detecting anything.

use crate::deployment::Deployment;
use crate::layers::Layers;
use crate::libpq;
use crate::settings::{self, mask_urls};
use anyhow::{Result, anyhow};
use pipe_kit::Stop;

/// One setting as the operator gave it, or its default; nothing where it has neither.
///
/// # Errors
/// [`Stop::usage`] if there is no such setting, or it is a secret and not to be revealed.
pub fn value(deployment: &Deployment, layers: &Layers, key: &str, reveal: bool) -> Result<String> {
    if key == "PIPRIO_DEPLOY" {
        return Ok(deployment.dir().to_string_lossy().into_owned());
    }
    let passed = libpq::find(key);
    let setting = settings::find(passed.map_or(key, |passed| passed.setting)).ok_or_else(|| {
        anyhow!(Stop::usage(format!(
            "no such setting: {key}; `deploy-env show` lists all settings"
        )))
    })?;
    let given = match passed {
        Some(passed) => layers.given(passed).map(|given| given.value),
        None => layers.get(key).map(|(value, _)| value.to_owned()),
    };
    let value = given.as_deref().or(setting.default).unwrap_or_default();
    if !reveal && (setting.secret || mask_urls(value) != value) {
        return Err(Stop::usage(format!("{key} is secret; add --reveal to print it")).into());
    }
    let is_path = key == "BACKUP_ROOT" || (key == "DRILL_DIR" && !value.is_empty());
    Ok(if is_path { deployment.path_text(value) } else { value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::layers;

    fn get_from(file: &[(&str, &str)], key: &str, reveal: bool) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        value(&Deployment::at(dir.path()).unwrap(), &layers(&[], file), key, reveal)
    }

    #[test]
    fn secrets_are_printed_only_when_asked_for() {
        let file = [("POSTGRES_PASSWORD", "hunter2"), ("REDIS_URL", "redis://:hunter2@h")];
        for key in ["POSTGRES_PASSWORD", "REDIS_URL"] {
            let error = get_from(&file, key, false).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
            assert!(!format!("{error:#}").contains("hunter2"));
            assert!(get_from(&file, key, true).unwrap().contains("hunter2"));
        }
    }

    #[test]
    fn a_setting_nobody_gave_has_its_default_and_an_unknown_one_is_refused() {
        assert_eq!(get_from(&[], "BACKUP_KEEP_DAYS", false).unwrap(), "30");
        assert_eq!(get_from(&[], "PIPRIO_DOMAIN", false).unwrap(), "");
        for key in ["PGSSLMODE", "POSTGRES_SSLMODE"] {
            assert_eq!(get_from(&[("PGSSLMODE", "require")], key, false).unwrap(), "require");
        }
        assert!(get_from(&[], "BACKUP_ROOT", false).unwrap().starts_with('/'));
        assert_eq!(get_from(&[], "DRILL_DIR", false).unwrap(), "");
        let drills = get_from(&[("DRILL_DIR", "drills")], "DRILL_DIR", false).unwrap();
        assert!(drills.starts_with('/') && drills.ends_with("/drills"), "{drills}");
        let error = get_from(&[("FOO", "1")], "FOO", false).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
    }
}
