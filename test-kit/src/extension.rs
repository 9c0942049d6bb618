//! A PostgreSQL that knows extensions of our own: one with tables that its users fill, and one that goes
//! by the name of another and lets itself be made in one database alone; and a dictionary's file. A server finds
//! them from where its program lies, so that a copy of the program has others than the original,
//! in which nothing is changed.

use crate::user::give_to_server_user;
use anyhow::{Context, Result};
use pipe_kit::child;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What to `CREATE EXTENSION` by.
pub const NAME: &str = "odd_lookup";
const FILES: [(&str, &str); 4] = [
    ("odd_lookup.control", include_str!("../../tests/fixtures/extension/odd_lookup.control")),
    ("odd_lookup--1.0.sql", include_str!("../../tests/fixtures/extension/odd_lookup--1.0.sql")),
    ("pg_cron.control", include_str!("../../tests/fixtures/extension/pg_cron.control")),
    ("pg_cron--1.0.sql", include_str!("../../tests/fixtures/extension/pg_cron--1.0.sql")),
];
/// A list of stop words.
pub const WORDS: &str = "odd_words";
/// The programs that ask where they lie. The others may be links.
const COPIED: [&str; 2] = ["postgres", "initdb"];

/// A release of PostgreSQL whose server knows the extensions.
#[derive(Debug)]
pub struct Extended {
    /// The directory of its programs.
    pub programs: PathBuf,
    _dir: TempDir,
}

impl Extended {
    /// Of the release with these programs.
    ///
    /// # Errors
    /// If it does not print its directories, or the copy cannot be made.
    pub fn of(programs: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pg-").tempdir().context("a copy's folder")?;
        give_to_server_user(dir.path())?;
        let below = |path: &Path| dir.path().join(path.strip_prefix("/").unwrap_or(path));
        let [bin, share, lib] = directories(programs)?;
        link_all(&bin, &below(&bin), &COPIED)?;
        for program in COPIED {
            fs::copy(bin.join(program), below(&bin).join(program)).context("copying a program")?;
        }
        link_all(&share, &below(&share), &["extension", "tsearch_data"])?;
        let words = below(&share).join("tsearch_data");
        link_all(&share.join("tsearch_data"), &words, &[])?;
        fs::write(words.join(format!("{WORDS}.stop")), "odd\n").context("writing stop words")?;
        let extensions = below(&share).join("extension");
        // Written through a link, a real one of that name would be ours.
        link_all(&share.join("extension"), &extensions, &FILES.map(|(name, _)| name))?;
        for (name, text) in FILES {
            fs::write(extensions.join(name), text).context("writing an extension")?;
        }
        let libs = lib.parent().context("a library's folder")?;
        fs::create_dir_all(below(libs))?;
        symlink(&lib, below(&lib)).context("linking libraries")?;
        if !programs.join("pg_config").exists() {
            link_all(libs, &below(libs), &["postgresql"])?;
        }
        // Where a release brings libraries along, its programs find them from where they lie, too.
        for dir in bin.ancestors().skip(1).take(3) {
            for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "libs") {
                    symlink(&path, below(&path)).context("linking libraries")?;
                }
            }
        }
        Ok(Self { programs: below(&bin), _dir: dir })
    }
}

/// Those of programs, shared files and libraries. A release that is a server alone has them beside each
/// other.
fn directories(programs: &Path) -> Result<[PathBuf; 3]> {
    if !programs.join("pg_config").exists() {
        let bin = fs::canonicalize(programs).context("a release's programs")?;
        let root = bin.parent().context("a release's folder")?;
        return Ok([bin.clone(), root.join("share/postgresql"), root.join("lib/postgresql")]);
    }
    let ask = |what: &str| -> Result<PathBuf> {
        let mut pg_config = Command::new(programs.join("pg_config"));
        Ok(child::capture(pg_config.arg(what), "pg_config")?.trim().into())
    };
    Ok([ask("--bindir")?, ask("--sharedir")?, ask("--pkglibdir")?])
}

/// Makes a directory with links to all that is in another, but for some names.
fn link_all(from: &Path, to: &Path, but: &[&str]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let name = entry?.file_name();
        if !but.iter().any(|but| name == *but) {
            symlink(from.join(&name), to.join(&name)).context("making a link")?;
        }
    }
    Ok(())
}
