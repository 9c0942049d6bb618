//! A drill's directory, and the project in it.

use anyhow::{Context, Result};
use pipe_kit::Stop;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;

/// The label of everything that belongs to a drill; its value is the project's name.
pub const LABEL: &str = "piprio.drill";
/// The only Compose file of a drill.
pub const FILE: &str = "compose.drill.yml";

/// The project's name of a directory that is prepared for a drill.
///
/// # Errors
/// [`Stop::usage`] where its `.env` does not name a project, and the drill's Compose file alone.
pub fn prepared(dir: &Path) -> Result<String> {
    let dotenv = std::fs::read(dir.join(".env")).unwrap_or_default();
    let dotenv = String::from_utf8_lossy(&dotenv);
    let is_alone = last(&dotenv, "COMPOSE_FILE") == Some(FILE);
    let name = last(&dotenv, "COMPOSE_PROJECT_NAME").filter(|name| is_name(name));
    match name.filter(|_| is_alone) {
        Some(name) => Ok(name.to_owned()),
        None => Err(Stop::usage(format!(
            "{}/.env needs COMPOSE_FILE={FILE} and a COMPOSE_PROJECT_NAME, without quotes",
            dir.display()
        ))
        .into()),
    }
}

/// The value of the last line for a variable.
fn last<'a>(dotenv: &'a str, key: &str) -> Option<&'a str> {
    dotenv.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Whether Compose takes a text for a project's name as it is.
pub fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_plain) && text.chars().all(|c| is_plain(c) || "_-".contains(c))
}

/// The project of the drill's Compose file in a directory; `None` where there is no such file.
///
/// # Errors
/// [`Stop::refused`] where the file is not one that `isolate` has written.
pub fn project(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let file = serde_json::from_slice::<Value>(&bytes).ok();
    let labels = file.as_ref().and_then(|file| file.pointer("/networks/default/labels"));
    match labels.and_then(|labels| labels.get(LABEL)?.as_str()).filter(|name| is_name(name)) {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(Stop::refused(format!("{} was not written by isolate", path.display())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_directory_is_prepared_where_its_last_lines_name_a_project_and_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let with = |dotenv: &str| {
            std::fs::write(dir.path().join(".env"), dotenv).unwrap();
            prepared(dir.path()).ok()
        };
        let own = "COMPOSE_FILE=compose.drill.yml\nCOMPOSE_PROJECT_NAME=piprio-drill-1\n";
        assert_eq!(with(own).as_deref(), Some("piprio-drill-1"));
        let before = format!("COMPOSE_PROJECT_NAME=piprio\nCOMPOSE_FILE=a.yml\n{own}");
        assert_eq!(with(&before).as_deref(), Some("piprio-drill-1"));
        for wrong in [
            String::new(),
            own.replace("drill.yml", "yml"),
            own.replace("piprio-drill-1", "${NAME}"),
            own.replace("piprio-drill-1", ""),
            own.replace("COMPOSE_FILE", "#COMPOSE_FILE"),
            format!("{own}COMPOSE_FILE=compose.drill.yml:b.yml\n"),
        ] {
            assert_eq!(with(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_file_with_the_label_names_a_project() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(project(dir.path()).unwrap(), None);
        let with = |text: &str| {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            project(dir.path())
        };
        let file = json!({"networks": {"default": {"labels": {LABEL: "x"}}}}).to_string();
        assert_eq!(with(&file).unwrap().as_deref(), Some("x"));
        for wrong in
            ["", "{}", "services: {}", &file.replace("\"x\"", "\"\""), &file.replace(LABEL, "a")]
        {
            assert_eq!(pipe_kit::status::of(&with(wrong).unwrap_err()), pipe_kit::Exit::Refused);
        }
    }
}
