//! Where this program is installed.

use std::io;
use std::path::{Path, PathBuf};

/// The path of this program's file. If it was called through a directory that is a link, as a package's programs are
/// linked into a deployment, the path keeps that link: the deployment is the directory above it.
///
/// # Errors
/// If the system does not know the file.
pub fn own_path() -> io::Result<PathBuf> {
    let file = std::env::current_exe()?;
    let called = std::env::args_os().next().map(PathBuf::from);
    Ok(called.and_then(|called| through_link(&called, &file)).unwrap_or(file))
}

/// The path that was called, if its directory is a link and it is this file.
fn through_link(called: &Path, file: &Path) -> Option<PathBuf> {
    // A bare name was found on PATH.
    called.parent().filter(|dir| !dir.as_os_str().is_empty())?;
    let called = std::path::absolute(called).ok()?;
    let is_link = called.parent()?.is_symlink();
    (is_link && called.canonicalize().ok()? == file).then_some(called)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_link_of_a_directory_is_kept_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (package, deploy) = (dir.join("package"), dir.join("deploy"));
        std::fs::create_dir(&package).unwrap();
        std::fs::create_dir(&deploy).unwrap();
        let file = package.join("tool");
        std::fs::write(&file, "").unwrap();
        std::fs::write(package.join("other"), "").unwrap();
        symlink(&package, deploy.join("bin")).unwrap();
        symlink(&file, deploy.join("tool")).unwrap();
        symlink(&dir, dir.join("current")).unwrap();
        let linked = deploy.join("bin/tool");
        assert_eq!(through_link(&linked, &file), Some(linked.clone()));
        let through_two = dir.join("current/deploy/bin/tool");
        assert_eq!(through_link(&through_two, &file), Some(through_two.clone()));
        for called in [
            file.clone(),
            deploy.join("tool"),
            deploy.join("bin/other"),
            deploy.join("bin/absent"),
            dir.join("current/package/tool"),
            PathBuf::from("tool"),
            PathBuf::from(""),
        ] {
            assert_eq!(through_link(&called, &file), None, "{}", called.display());
        }
    }
}
