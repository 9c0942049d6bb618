//! What counts as done is on the disk: the order of writing, syncing and renaming of whole runs, as
//! the system saw it.
// What a machine cannot show is reported.
#![allow(clippy::print_stdout)]

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use test_kit::deployment::{DOMAIN, Deployment, Options};
use test_kit::trace::{self, Call, Traced};

/// Everything by which a file's content or name comes to be, and by which it gets to the disk; `-y`
/// shows which file a descriptor is of.
const OPTIONS: [&str; 5] = [
    "-y",
    "-s",
    "4096",
    "-e",
    "trace=write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,sendfile,splice,\
     open,openat,creat,mkdir,mkdirat,link,linkat,symlink,symlinkat,rename,renameat,renameat2,\
     fsync,fdatasync,syncfs",
];

struct Trace(Vec<Call>);

impl Trace {
    fn of(command: &Command) -> Result<Self> {
        let Traced { run, trace } = trace::run(command, &OPTIONS)?;
        run.expect(0);
        Ok(Self(trace::calls(&trace).into_iter().filter(Call::is_done).collect()))
    }

    /// The last line of the trace on which a file's content changed.
    fn last_write(&self, path: &str) -> Option<usize> {
        let writes = |call: &&Call| {
            let by_descriptor =
                ["write", "ftruncate", "fallocate", "copy_file", "sendfile", "splice"];
            // The file written to is the second of a copy's two.
            let own = match &*call.name {
                "copy_file_range" | "splice" => call.text.contains(&format!("<{path}>")),
                _ => call.descriptor().as_deref() == Some(path),
            };
            own && by_descriptor.iter().any(|name| call.name.contains(name))
        };
        self.0.iter().filter(writes).map(|call| call.lines.1).max()
    }

    /// The last line on which something in a directory got its name.
    fn last_name(&self, dir: &str) -> Option<usize> {
        let names = |call: &&Call| {
            let makes = ["mkdir", "link", "rename", "creat"].iter().any(|n| call.name.contains(n))
                || call.text.contains("O_CREAT");
            makes && call.paths().iter().any(|p| Path::new(p).parent() == Some(Path::new(dir)))
        };
        self.0.iter().filter(names).map(|call| call.lines.1).max()
    }

    /// Whether a file or directory was synced after one line of the trace and before another, by
    /// itself or with the filesystem that it is on.
    fn is_synced(&self, path: &str, after: usize, before: usize) -> bool {
        self.0.iter().any(|call| {
            let of_it = match &*call.name {
                "fsync" | "fdatasync" => call.descriptor().as_deref() == Some(path),
                "syncfs" => call.descriptor().is_some_and(|dir| Path::new(path).starts_with(dir)),
                _ => false,
            };
            of_it && call.lines.0 > after && call.lines.1 < before
        })
    }

    fn renames(&self) -> impl Iterator<Item = (&Call, String, String)> {
        self.0.iter().filter(|call| call.name.starts_with("rename")).filter_map(|call| {
            match call.paths().as_slice() {
                [from, to] => Some((call, from.clone(), to.clone())),
                _ => None,
            }
        })
    }

    /// What a rename has put in place was on the disk before, and its new name is there soon after.
    fn check_put(&self, call: &Call, from: &str, to: &str) -> Result<()> {
        let written = self.last_write(from).with_context(|| format!("no write to {from}"))?;
        ensure!(
            self.is_synced(from, written, call.lines.0),
            "{to} got its name before its content was synced"
        );
        let dir = Path::new(to).parent().and_then(Path::to_str).context("a directory")?;
        ensure!(self.is_synced(dir, call.lines.1, usize::MAX), "the name {to} was never synced");
        Ok(())
    }
}

fn skipped() -> Result<bool> {
    let why = trace::why_not()?;
    if let Some(why) = &why {
        test_kit::skipped!("{why}");
    }
    Ok(why.is_some())
}

#[test]
fn a_bundle_has_its_final_name_only_when_all_of_it_is_on_the_disk() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let deployment = Deployment::temporary(&Options::default())?;
    // A key that no path can spell: its object lies beside the others.
    deployment.s3().put(("documents", "odd//key"), &[], b"odd")?;
    let trace = Trace::of(&deployment.script("backup.sh", &[]))?;
    let bundle = deployment.newest_bundle()?;
    let root = bundle.parent().and_then(Path::to_str).context("a root")?;
    let name = bundle.file_name().context("a name")?.to_string_lossy().into_owned();
    let partial = format!("{root}/.{name}.partial");
    let target = bundle.to_str().context("a path")?;
    let (published, ..) = trace
        .renames()
        .find(|(_, from, to)| *from == partial && to == target)
        .context("the bundle was not renamed")?;

    let (mut files, mut directories) = (0, 0);
    for entry in walkdir::WalkDir::new(&bundle) {
        let entry = entry?;
        let below = entry.path().strip_prefix(&bundle)?;
        let mut path = Path::new(&partial).join(below).to_string_lossy().into_owned();
        if below.as_os_str().is_empty() {
            path.clone_from(&partial);
        }
        if entry.file_type().is_dir() {
            directories += 1;
            let named = trace.last_name(&path).unwrap_or_default();
            ensure!(trace.is_synced(&path, named, published.lines.0), "{path} was not synced");
            continue;
        }
        files += 1;
        // What was written under a temporary name was renamed to this one.
        let made = trace.renames().filter(|(_, _, to)| *to == path).last();
        let written = match &made {
            Some((call, from, _)) => trace.last_write(from).max(Some(call.lines.1)),
            None => trace.last_write(&path),
        };
        let empty = entry.metadata()?.len() == 0;
        let written =
            written.or(empty.then_some(0)).with_context(|| format!("no write to {path}"))?;
        ensure!(trace.is_synced(&path, written, published.lines.0), "{path} was not synced");
    }
    ensure!(files > 40 && directories > 5, "{files} files, {directories} directories");
    ensure!(
        trace.is_synced(root, published.lines.1, usize::MAX),
        "the bundle's name was never synced"
    );
    Ok(())
}

#[test]
fn a_restored_file_and_the_journal_are_on_the_disk_before_they_have_their_names() -> Result<()> {
    if skipped()? {
        return Ok(());
    }
    let deployment = Deployment::temporary(&Options::default())?;
    deployment.backup(&[])?.expect(0);
    let bundle = deployment.newest_bundle()?;
    let dir = deployment.dir().to_str().context("a path")?.to_owned();
    std::fs::write(deployment.dir().join("secrets/signing_key"), "lost")?;
    std::fs::remove_dir_all(deployment.dir().join("certs"))?;
    let path = bundle.to_str().context("a path")?;
    let options = [path, "--confirm", DOMAIN, "--config", "yes"];
    let trace = Trace::of(&deployment.script("restore.sh", &options))?;

    let put = |to: &str| -> Result<usize> {
        let mut times = 0;
        for (call, from, _) in trace.renames().filter(|(_, _, name)| name == to) {
            trace.check_put(call, &from, to)?;
            times += 1;
        }
        Ok(times)
    };
    for file in ["secrets/signing_key", "certs/tls.key", "certs/archive/x1.pem"] {
        ensure!(put(&format!("{dir}/{file}"))? == 1, "{file} was not renamed into place");
    }
    let noted = put(&format!("{dir}/.restore/unfinished.json"))?;
    ensure!(noted > 3, "the journal was written {noted} times");
    Ok(())
}
