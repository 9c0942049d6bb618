//! `replace-secrets`: an extracted config archive for a deployment that is not the original.

mod plan;
mod shape;
mod spans;
mod substitute;

use crate::dotenv;
use anyhow::{Context, Result, anyhow};
use pipe_kit::{Stop, info, warning};
use plan::{Archive, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What an archive has at its top. A directory with anything else is a deployment.
const TOP: [&str; 3] = [".env", "certs", "secrets"];
/// A larger file is no secret.
const LARGEST: u64 = 1 << 20;

/// What is asked for.
pub struct Request<'a> {
    pub dir: &'a Path,
    /// Names of variables, and of files below `secrets/`.
    pub data_keys: &'a [String],
    /// `KEY=VALUE`
    pub set: &'a [String],
    /// `KEY`, or `PREFIX*`
    pub unset: &'a [String],
}

/// Replaces the secrets, and gives a line for each of them.
///
/// # Errors
/// [`Stop::refused`] for a directory that has more than an archive has; [`Stop::usage`] for an `.env`
/// that cannot be read.
pub fn run(request: &Request<'_>) -> Result<String> {
    let dir = request.dir;
    refuse_deployment(dir)?;
    let path = dir.join(".env");
    let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    // The environment of whoever runs this is no part of the archive.
    let parsed = dotenv::parse(&bytes, &BTreeMap::new())
        .map_err(|error| Stop::usage(format!("{}, {error}", path.display())))?;
    let files = secrets(&dir.join("secrets"))?;
    let data_keys: BTreeSet<String> = request.data_keys.iter().cloned().collect();
    let archive = Archive { variables: &parsed.values, files: &files, data_keys: &data_keys };
    let mut random = random()?;
    let replaced = archive.replaced(&mut random);
    for (name, bytes) in &replaced.files {
        overwrite(&dir.join("secrets").join(name), bytes)?;
    }
    let mut variables = replaced.variables;
    variables.retain(|name, _| !request.unset.iter().any(|pattern| matches(pattern, name)));
    for pair in request.set {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Stop::usage("--set is not of the form KEY=VALUE"))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    let text: String =
        variables.iter().map(|(name, value)| dotenv::quote::line(name, value)).collect();
    overwrite(&path, text.as_bytes())?;
    for name in data_keys
        .iter()
        .filter(|name| !parsed.values.contains_key(*name) && !files.contains_key(*name))
    {
        warning!("the data key {name} is neither in .env nor in secrets/ of {}", dir.display());
    }
    info!("replaced the secrets in {}", dir.display());
    Ok(report(&replaced.outcomes))
}

fn report(outcomes: &BTreeMap<String, Outcome>) -> String {
    let line = |(name, outcome): (&String, &Outcome)| match outcome {
        Outcome::Replaced => format!("replaced\t{name}\n"),
        Outcome::Kept(reason) => format!("kept\t{name}\t{reason}\n"),
    };
    outcomes.iter().map(line).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// A deployment that lost its secrets to a slip would have no database any more.
fn refuse_deployment(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("reading {}", dir.display()))?.file_name();
        if !TOP.iter().any(|top| name == *top) {
            return Err(Stop::refused(format!(
                "{} has {}, which no config archive has: this is done only to an archive that was \
                 extracted into a directory of its own; nothing was changed",
                dir.display(),
                pipe_kit::text::path(&name)
            ))
            .into());
        }
    }
    let secrets = dir.join("secrets");
    if secrets.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
        let message = format!("{} is not a directory; nothing was changed", secrets.display());
        return Err(Stop::refused(message).into());
    }
    Ok(())
}

/// The files below a directory, by their paths there. A link's target is one of them too.
fn secrets(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut ahead: Vec<PathBuf> = dir.is_dir().then(|| dir.to_owned()).into_iter().collect();
    while let Some(next) = ahead.pop() {
        let reading = || format!("reading {}", next.display());
        for entry in std::fs::read_dir(&next).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let (path, kind) = (entry.path(), entry.file_type().with_context(reading)?);
            if kind.is_dir() {
                ahead.push(path);
            } else if kind.is_file() && entry.metadata().with_context(reading)?.len() <= LARGEST {
                let name = path.strip_prefix(dir).unwrap_or(&path).to_str().map(str::to_owned);
                let name = name.ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?;
                let bytes = std::fs::read(&path);
                found.insert(name, bytes.with_context(|| format!("reading {}", path.display()))?);
            }
        }
    }
    Ok(found)
}

/// The same file with other content: its owner, its mode and its lists stay. One that its owner may only read, as a
/// secret often is, is made writable for a moment.
fn overwrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("writing {}", path.display());
    let before = path.symlink_metadata().with_context(failed)?.permissions();
    let is_writable = before.mode() & 0o200 != 0;
    if !is_writable {
        let writable = Permissions::from_mode(before.mode() | 0o200);
        std::fs::set_permissions(path, writable).with_context(failed)?;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(path);
    let write = file.and_then(|mut file| file.write_all(bytes));
    write.with_context(failed)?;
    if !is_writable {
        std::fs::set_permissions(path, before).with_context(failed)?;
    }
    Ok(())
}

/// Numbers nobody can guess, each below the one that is asked for.
fn random() -> Result<impl FnMut(usize) -> usize> {
    const SOURCE: &str = "/dev/urandom";
    let mut source =
        BufReader::new(File::open(SOURCE).with_context(|| format!("opening {SOURCE}"))?);
    let mut bytes = [0; 2];
    source.read_exact(&mut bytes).with_context(|| format!("reading {SOURCE}"))?;
    Ok(move |below: usize| {
        let below = u16::try_from(below).unwrap_or(u16::MAX).max(1);
        let limit = u16::MAX - u16::MAX % below;
        loop {
            let number = u16::from_le_bytes(bytes);
            // It does not end, and has been read from.
            let is_read = source.read_exact(&mut bytes).is_ok();
            if number < limit || !is_read {
                return usize::from(number % below);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("secrets/keys")).unwrap();
        std::fs::create_dir(dir.path().join("certs")).unwrap();
        let env = "# a comment\nA_PASSWORD=\"hunter2hunter2\"\nNOTIFY_URL=x\nREDIS_URL=redis://:${A_PASSWORD}@h\n";
        std::fs::write(dir.path().join(".env"), env).unwrap();
        std::fs::write(dir.path().join("secrets/keys/one"), "hunter2hunter2\n").unwrap();
        std::fs::write(dir.path().join("certs/tls.key"), "hunter2hunter2").unwrap();
        let mode = PermissionsExt::from_mode(0o440);
        std::fs::set_permissions(dir.path().join("secrets/keys/one"), mode).unwrap();
        dir
    }

    fn run_on(dir: &Path, set: &[&str], unset: &[&str]) -> Result<String> {
        let owned =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        run(&Request { dir, data_keys: &[], set: &owned(set), unset: &owned(unset) })
    }

    #[test]
    fn secrets_are_replaced_in_place_and_settings_set_and_unset() {
        let dir = archive();
        let report = run_on(dir.path(), &["COMPOSE_FILE=a b", "NEW="], &["NOTIFY_*"]).unwrap();
        let lines = ["A_PASSWORD", "REDIS_URL", "secrets/keys/one"];
        assert_eq!(report, lines.map(|name| format!("replaced\t{name}\n")).concat());
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let secret = read("secrets/keys/one").trim_end().to_owned();
        assert!(secret != "hunter2hunter2" && secret.len() == 14);
        let expected = format!(
            "A_PASSWORD={secret}\nCOMPOSE_FILE='a b'\nNEW=\nREDIS_URL=redis://:{secret}@h\n"
        );
        assert_eq!(read(".env"), expected);
        assert_eq!(read("certs/tls.key"), "hunter2hunter2");
        let mode = dir.path().join("secrets/keys/one").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o440);
    }

    #[test]
    fn a_deployment_keeps_its_secrets() {
        for name in ["docker-compose.yml", "bin", ".restore", "backups", ".env.local"] {
            let dir = archive();
            std::fs::write(dir.path().join(name), "").unwrap();
            let error = run_on(dir.path(), &[], &[]).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused, "{name}");
            assert!(std::fs::read_to_string(dir.path().join(".env")).unwrap().contains("hunter2"));
        }
        let (dir, other) = (archive(), archive());
        std::fs::remove_dir_all(dir.path().join("secrets")).unwrap();
        std::os::unix::fs::symlink(other.path().join("secrets"), dir.path().join("secrets"))
            .unwrap();
        let error = run_on(dir.path(), &[], &[]).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
    }

    #[test]
    fn random_numbers_are_below_their_limit_and_reach_it() {
        let mut pick = random().unwrap();
        let seen: BTreeSet<usize> = (0..2000).map(|_| pick(5)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!((0..100).any(|_| pick(256) > 127) && pick(1) == 0);
    }
}
