//! The timers that a template of the package makes, one for each deployment.

use super::place::Place;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The timers of this deployment that a template makes, `name@.timer`: of its path, and of the path without links.
pub fn instances(place: &Place, template: &str) -> Vec<String> {
    let Some((name, kind)) = template.split_once("@.") else { return Vec::new() };
    let mut paths = vec![place.dir().to_owned()];
    paths.extend(place.dir().canonicalize());
    let mut names: Vec<String> =
        paths.iter().map(|path| format!("{name}@{}.{kind}", escaped(path))).collect();
    names.dedup();
    names
}

/// Whether a timer starts with the system: what `systemctl enable` writes.
pub fn is_enabled(units: &[PathBuf], timer: &str) -> bool {
    let link = |dir: &PathBuf| dir.join("timers.target.wants").join(timer).symlink_metadata();
    units.iter().any(|dir| link(dir).is_ok())
}

/// A path as the instance of a unit, as `systemd-escape --path` prints it.
fn escaped(path: &Path) -> String {
    use std::fmt::Write;
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let mut name = String::new();
    for part in parts {
        if !name.is_empty() {
            name.push('-');
        }
        for byte in part.as_bytes() {
            let is_first_dot = *byte == b'.' && name.is_empty();
            if (byte.is_ascii_alphanumeric() || b":_.".contains(byte)) && !is_first_dot {
                name.push(char::from(*byte));
            } else {
                // A String takes everything.
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_systemd_does_it() {
        for (path, expected) in [
            ("/srv/piprio/deploy", "srv-piprio-deploy"),
            ("/srv/my-app/", "srv-my\\x2dapp"),
            ("/srv//x", "srv-x"),
            ("/.hidden/.d", "\\x2ehidden-.d"),
            ("/srv/a b%h:_", "srv-a\\x20b\\x25h:_"),
            ("/srv/ü", "srv-\\xc3\\xbc"),
            ("/", "-"),
        ] {
            assert_eq!(escaped(Path::new(path)), expected, "{path}");
        }
    }
}
