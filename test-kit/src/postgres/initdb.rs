//! Data directories of clusters. They are copied from a template, made once for a release and its
//! arguments: `initdb` takes longer than many a test.

use crate::tools::{built_dir, write_private};
use crate::user::{as_server_user, give_to_server_user};
use anyhow::{Context, Result};
use pipe_kit::child;
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The superuser of every throwaway cluster.
pub const USER: &str = "piprio";
/// Its password unless another is asked for.
pub const PASSWORD: &str = "pass word's $ecret";

/// The variable that names the locale whose language every throwaway cluster speaks.
pub const LC_MESSAGES: &str = "PIPRIO_TEST_LC_MESSAGES";

/// Makes a cluster's data directory, `data`, in a directory of the server's user.
///
/// # Errors
/// If `initdb` or the copy fails.
pub fn initdb(programs: &Path, data: &Path, password: &str, arguments: &[String]) -> Result<()> {
    if password != PASSWORD {
        return run_initdb(programs, data, password, arguments);
    }
    copy(&template(programs, arguments)?, data)
}

/// The template for a release and arguments, made if it is not there. Test processes that run at the
/// same time share it.
fn template(programs: &Path, arguments: &[String]) -> Result<PathBuf> {
    type Known = BTreeMap<(PathBuf, Vec<String>), PathBuf>;
    static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = (programs.to_owned(), arguments.to_vec());
    if let Some(template) = known.get(&wanted) {
        return Ok(template.clone());
    }
    let folder = built_dir()?.join("initdb-templates");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let key = key(programs, arguments)?;
    let lock = File::create(folder.join(format!("{key}.lock"))).context("a template's lock")?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("locking a template")?;
    let template = folder.join(&key);
    if !template.exists() {
        // The server's user may not be able to enter the target directory.
        let dir =
            tempfile::Builder::new().prefix("pg-").tempdir().context("a template's folder")?;
        give_to_server_user(dir.path())?;
        let data = dir.path().join("data");
        run_initdb(programs, &data, PASSWORD, arguments)?;
        let partial = folder.join(format!("{key}.partial"));
        if partial.exists() {
            std::fs::remove_dir_all(&partial).context("removing half a template")?;
        }
        copy(&data, &partial)?;
        std::fs::rename(&partial, &template).context("a template's name")?;
    }
    known.insert(wanted, template.clone());
    Ok(template)
}

/// What a data directory depends on, as a name: another release or other arguments have a template of
/// their own.
fn key(programs: &Path, arguments: &[String]) -> Result<String> {
    let mut postgres = as_server_user(programs.join("postgres"));
    let version = child::capture(postgres.arg("--version"), "postgres --version")?;
    let variables = [LC_MESSAGES, "TZ"].map(|name| std::env::var(name).unwrap_or_default());
    let parts = [version.trim(), USER, PASSWORD].map(str::to_owned).into_iter().chain(variables);
    let parts: Vec<String> = parts.chain(arguments.iter().cloned()).collect();
    let hash = Sha256::digest(parts.join("\0"));
    Ok(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Copies a data directory with its owner. Much of the write-ahead log is zeros.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    cp.args(["-a", "-T", "--reflink=auto", "--sparse=always"]).arg(from).arg(to);
    child::capture(&mut cp, "cp").map(drop)
}

fn run_initdb(programs: &Path, data: &Path, password: &str, arguments: &[String]) -> Result<()> {
    let home = data.parent().context("a data directory lies in another")?;
    let pwfile = home.join(".password");
    write_private(&pwfile, password.as_bytes())?;
    give_to_server_user(&pwfile)?;
    let mut command = as_server_user(programs.join("initdb"));
    command.arg("-D").arg(data).args(["-U", USER, "-A", "scram-sha-256", "--no-sync"]);
    command.arg(format!("--pwfile={}", pwfile.display())).args(arguments).current_dir("/");
    if let Some(locale) = std::env::var(LC_MESSAGES).ok().filter(|locale| !locale.is_empty()) {
        command.arg(format!("--lc-messages={locale}"));
    }
    let done = child::capture(&mut command, "initdb");
    std::fs::remove_file(&pwfile).context("removing a password file")?;
    done.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::programs;

    #[test]
    fn a_template_is_of_one_release_and_its_arguments() -> Result<()> {
        let programs = programs()?;
        let key = |arguments: &[&str]| {
            key(&programs, &arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(key(&["--locale=C"])?, key(&["--locale=C"])?);
        assert_ne!(key(&["--locale=C"])?, key(&["--locale=C.UTF-8"])?);
        assert_ne!(key(&["a", "b"])?, key(&["ab"])?);
        Ok(())
    }
}
