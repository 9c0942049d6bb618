//! The server's programs on this host.

use super::account::Account;
use super::bounded;
use super::version::Version;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where packages put them, besides PATH: a directory, the beginning of a name in it, and a directory in that.
const PLACES: [(&str, &str, &str); 9] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("usr/lib", "postgresql", "bin"),
    ("usr/lib64", "postgresql", "bin"),
    ("usr/libexec", "postgresql", ""),
    ("usr/local", "pgsql", "bin"),
    ("opt", "pgsql", "bin"),
    ("opt", "postgres", "bin"),
    ("opt/postgresql", "", "bin"),
];
/// How long a program may take to print its version.
const ANSWER: Duration = Duration::from_secs(10);

/// The programs of one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Their directory.
    pub dir: PathBuf,
    /// Of the server.
    pub version: Version,
}

impl Programs {
    /// All that an account can run.
    pub fn installed(account: &Account) -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = directories(&path, Path::new("/")).into_iter();
        dirs.filter_map(|dir| Some(Self { version: ask(account, &dir)?, dir })).collect()
    }
}

/// The programs that serve a dump best: of its major, else of the next newer one.
pub fn choose(installed: &[Programs], major: u32) -> Option<&Programs> {
    let can_load = installed.iter().filter(|programs| programs.version.major >= major);
    can_load.min_by_key(|programs| programs.version.distance())
}

/// What there is, for messages.
pub fn list(installed: &[Programs]) -> String {
    let one = |it: &Programs| format!("{} in {}", it.version, it.dir.display());
    let all: Vec<String> = installed.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The directories with a server's programs, those on PATH first, each once.
fn directories(path: &OsStr, root: &Path) -> Vec<PathBuf> {
    // A relative one would be another in every current directory.
    let on_path = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    let in_places = PLACES.iter().flat_map(|(parent, prefix, below)| {
        let entries = std::fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
        let has_prefix = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
        let named = entries.filter(move |entry| has_prefix(&entry.file_name()));
        let mut dirs: Vec<PathBuf> = named.map(|entry| entry.path().join(below)).collect();
        dirs.sort();
        dirs
    });
    let has_programs =
        |dir: &PathBuf| ["initdb", "postgres"].iter().all(|name| dir.join(name).is_file());
    let mut seen = BTreeSet::new();
    let all = on_path.chain(in_places).filter(has_programs);
    all.filter(|dir| dir.canonicalize().is_ok_and(|real| seen.insert(real))).collect()
}

fn ask(account: &Account, dir: &Path) -> Option<Version> {
    let mut command = account.command(dir.join("postgres"), false);
    let ended = bounded::read(command.arg("--version"), ANSWER, "postgres --version").ok()?;
    ended.status.success().then(|| Version::from_banner(&ended.text))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_packages_put_them_and_each_directory_once() {
        let dir = tempfile::tempdir().unwrap();
        let make = |place: &str, names: &[&str]| {
            std::fs::create_dir_all(dir.path().join(place)).unwrap();
            for name in names {
                std::fs::write(dir.path().join(place).join(name), "").unwrap();
            }
        };
        let both = &["initdb", "postgres"];
        make("bin", both);
        make("usr/lib/postgresql/15/bin", both);
        make("usr/lib/postgresql/14/bin", &["pg_dump", "postgres"]);
        make("usr/pgsql-16/bin", both);
        make("usr/local/pgsql/bin", both);
        make("opt/other/bin", both);
        std::os::unix::fs::symlink("pgsql-16", dir.path().join("usr/pgsql-default")).unwrap();
        let path = format!("relative:{}:/no-such", dir.path().join("bin").display());
        let found = directories(path.as_ref(), dir.path());
        let found: Vec<&Path> = found.iter().map(|d| d.strip_prefix(&dir).unwrap()).collect();
        let expected =
            ["bin", "usr/lib/postgresql/15/bin", "usr/pgsql-16/bin", "usr/local/pgsql/bin"];
        assert_eq!(found, expected.map(Path::new));
    }

    #[test]
    fn the_dumps_own_major_serves_else_the_next_newer_never_an_older() {
        let of = |version: &str| Programs {
            dir: PathBuf::from("/pg").join(version),
            version: Version::from_banner(&format!("postgres (PostgreSQL) {version}")).unwrap(),
        };
        let all = ["18.4", "14.23", "16.2", "15.3", "15.20", "19devel"].map(of);
        let chosen = |major| choose(&all, major).map(|it| it.version.to_string());
        for (major, version) in [(13, "14.23"), (15, "15.20"), (16, "16.2"), (17, "18.4")] {
            assert_eq!(chosen(major).as_deref(), Some(version), "{major}");
        }
        assert_eq!(chosen(19).as_deref(), Some("19devel"));
        assert_eq!((chosen(20), list(&[])), (None, "none".to_owned()));
        assert_eq!(list(&all[..2]), "18.4 in /pg/18.4, 14.23 in /pg/14.23");
    }
}
