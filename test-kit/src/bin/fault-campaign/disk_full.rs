//! Less room than is needed: the run fails, what was there before stays, the room is given back.

use crate::fault::{Ending, Fault, Scale};
use crate::room::{Mounted, Room};
use crate::script::Script;
use crate::server_killed;
use crate::stand::{Stand, ended, last_words};
use crate::traces;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::process::Command;
use test_kit::deployment::{DATABASE, Deployment, Run};

const MIB: u64 = 1 << 20;
/// What a filesystem may keep of freed room for itself.
const SLACK: u64 = 32 * 1024;

pub fn faults() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(BundleRoot),
        Box::new(DatabaseDisk { fills_up: false }),
        Box::new(DatabaseDisk { fills_up: true }),
    ]
}

/// The disk that bundles lie on.
struct BundleRoot;

impl Fault for BundleRoot {
    fn name(&self) -> String {
        "backup: disk full, at levels from no room to just too little".into()
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(24, 4)
    }

    fn attempt(&self, stand: &Stand, n: usize, _: &mut Rng, scale: Scale) -> Result<Ending> {
        let dir = tempfile::tempdir().context("a directory")?;
        let room = match Room::mount(dir.path(), 64 * MIB)? {
            Mounted::Room(room) => room,
            Mounted::Impossible(why) => return Ok(Ending::Skipped(why)),
        };
        let root = dir.path().join("root");
        let before = first_bundle(stand, &root)?;
        let needed = needed(stand, &room, &root)?;
        let last = self.tries(stand, scale) - 1;
        let left = match n == last {
            true => needed - 4096,
            false => needed * n as u64 / last as u64,
        };
        room.leave(left)?;
        let free = room.free()?;
        let run = backup_to(stand, &root)?;
        let report = || {
            format!("{left} bytes left of {needed} that are needed: {}", last_words(&run.stderr))
        };
        ensure!(run.status != 0, "it ended with 0, with {}", report());
        ensure!(room.free()?.abs_diff(free) <= SLACK, "room is not given back, with {}", report());
        traces::of_backups(&root).with_context(report)?;
        let left: Vec<_> =
            traces::names(&root)?.into_iter().filter(|n| n.starts_with("piprio_")).collect();
        ensure!(left.len() == 1, "there are {left:?}, with {}", report());
        stand.verify(&root.join(&left[0]), 0)?;
        ensure!(traces::contents(&root.join(&left[0]))? == before, "the bundle before has changed");
        stand.nothing_is_left().with_context(report)?;
        Ending::held(format!("failed with {}", run.status))
    }
}

fn backup_to(stand: &Stand, root: &Path) -> Result<Run> {
    stand.launch(Script::Backup, &[root.as_os_str()])?.finish()
}

/// A good bundle on the small disk.
fn first_bundle(stand: &Stand, root: &Path) -> Result<traces::Contents> {
    ended(&backup_to(stand, root)?, 0)?;
    let names = traces::names(root)?;
    let name = names.iter().find(|name| name.starts_with("piprio_")).context("no bundle")?;
    traces::contents(&root.join(name))
}

/// How much room one more bundle takes.
fn needed(stand: &Stand, room: &Room, root: &Path) -> Result<u64> {
    let (first, free) = (traces::names(root)?, room.free()?);
    ended(&backup_to(stand, root)?, 0)?;
    let needed = free - room.free()?;
    for name in traces::names(root)?.iter().filter(|name| !first.contains(name)) {
        std::fs::remove_dir_all(root.join(name)).context("removing a bundle")?;
    }
    Ok(needed)
}

/// The disk that the database's files lie on; its journal lies on another.
struct DatabaseDisk {
    /// In the middle of the load; else there is too little room from the start.
    fills_up: bool,
}

impl Fault for DatabaseDisk {
    fn name(&self) -> String {
        let how = if self.fills_up { "fills up in the load" } else { "too small for a second one" };
        format!("restore: database's disk {how}")
    }

    fn tries(&self, _: &Stand, scale: Scale) -> usize {
        scale.of(6, 1)
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, scale: Scale) -> Result<Ending> {
        let disk = match SmallDisk::under(&stand.deployment)? {
            Ok(disk) => disk,
            Err(why) => return Ok(Ending::Skipped(why)),
        };
        let before = stand.wreck(rng)?;
        let ask = format!("select pg_database_size('{DATABASE}')");
        let size: u64 = stand.deployment.psql(&ask)?.parse().context("a database's size")?;
        // With less, the server lets nobody in, whatever a restore does.
        let left = MIB + size / 2 * n as u64 / self.tries(stand, scale) as u64;
        let ending = match self.fills_up {
            true => in_the_load(stand, &disk.room, left, &before),
            false => from_the_start(stand, &disk.room, left, &before),
        };
        let report = || format!("{left} bytes left for a database of {size}");
        let ending = ending.with_context(report)?;
        disk.remove()?;
        stand.restores_again().with_context(report)?;
        Ending::held(ending)
    }
}

fn from_the_start(stand: &Stand, room: &Room, left: u64, before: &str) -> Result<String> {
    room.leave(left)?;
    let run = stand.restore()?;
    let report = || last_words(&run.stderr);
    ensure!(run.status != 0, "it ended with 0: {}", report());
    ensure!(stand.database()? == before, "the old database does not serve: {}", report());
    stand.has_no_other_database().with_context(report)?;
    for (service, is) in stand.deployment.ps()? {
        ensure!(is == "running", "{service} is {is}: {}", report());
    }
    room.clear()?;
    Ok(format!("failed with {}, the old database served", run.status))
}

/// The server may end itself when its disk is full; what it held must be there when it is up again.
fn in_the_load(stand: &Stand, room: &Room, left: u64, before: &str) -> Result<String> {
    let mut run = stand.launch_restore(&[])?;
    run.wait_for("] database …")?;
    let ask = format!("select count(*) from pg_database where datname like '{DATABASE}%'");
    while !run.has_ended()? && stand.deployment.psql_in("postgres", &ask)? == "1" {}
    room.leave(left)?;
    let run = run.finish()?;
    let report = || last_words(&run.stderr);
    room.clear()?;
    let served = stand.deployment.psql("select 1").is_ok();
    server_killed::bring_up(stand).with_context(report)?;
    let database = stand.database_is_old_or_new(before).with_context(report)?;
    ensure!(run.status != 0 || database == "new", "it ended with 0: {}", report());
    let server = if served { "stayed up" } else { "went down" };
    Ok(format!("ended with {}, the server {server}, {database} database", run.status))
}

/// A database server moved to a small disk.
struct SmallDisk<'a> {
    deployment: &'a Deployment,
    room: Room,
    data: PathBuf,
}

impl<'a> SmallDisk<'a> {
    fn under(deployment: &'a Deployment) -> Result<std::result::Result<Self, String>> {
        let data = deployment.facts().data.join("postgres");
        let aside = aside(&data);
        deployment.stop(&["postgres"])?;
        std::fs::rename(&data, &aside).context("moving the database aside")?;
        std::fs::create_dir(&data).context("a directory")?;
        let room = match Room::mount(&data, 256 * MIB)? {
            Mounted::Room(room) => room,
            Mounted::Impossible(why) => {
                std::fs::remove_dir(&data).context("removing a directory")?;
                std::fs::rename(&aside, &data).context("moving the database back")?;
                deployment.start(&["postgres"])?;
                return Ok(Err(why));
            }
        };
        copy(&aside, &data)?;
        let disk = Self { deployment, room, data };
        let (journal, kept) = (disk.data.join("pg_wal"), aside.join("pg_wal"));
        std::fs::remove_dir_all(&journal).context("removing a journal")?;
        std::os::unix::fs::symlink(kept, &journal).context("linking the journal")?;
        deployment.start(&["postgres"])?;
        Ok(Ok(disk))
    }

    /// Moves the server back.
    fn remove(self) -> Result<()> {
        let Self { deployment, room, data } = self;
        let aside = aside(&data);
        deployment.stop(&["postgres"])?;
        let keep =
            tempfile::tempdir_in(deployment.facts().data.as_path()).context("a directory")?;
        copy(&data, keep.path())?;
        drop(room);
        let (wal, link) = (aside.join("pg_wal"), keep.path().join("pg_wal"));
        std::fs::remove_file(&link).context("removing a link")?;
        std::fs::rename(&wal, &link).context("moving the journal back")?;
        std::fs::remove_dir(&data).context("removing a mount point")?;
        std::fs::remove_dir_all(&aside).context("removing the older files")?;
        std::fs::rename(keep.keep(), &data).context("moving the database back")?;
        deployment.start(&["postgres"])
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--"]).arg(from.join(".")).arg(to);
    let status = command.status().context("running cp")?;
    ensure!(status.success(), "cp failed");
    Ok(())
}

fn aside(data: &Path) -> PathBuf {
    data.with_file_name("postgres.aside")
}
