//! Puts owner, rights and attributes on what is extracted. At no moment may more read it than in the
//! end: what is made is its owner's alone until its list or mode is set, as the last thing.

use crate::access::{self, CurrentAccess};
use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::acl_text;
use crate::entry::Entry;
use crate::extra::{self, ACCESS, DEFAULT, Recorded};
use crate::plan::{Action, Change, Step};
use crate::rel_path::shown;
use crate::xattr;
use rustix::fd::AsFd;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::{Errno, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// How many names a line of warning has.
const MOST_NAMED: usize = 12;

/// What this process may do, and what it could not.
pub struct Rights<'r> {
    accounts: &'r Accounts,
    as_root: bool,
    uid: u32,
    groups: Vec<u32>,
    /// Owners that were not given, and what they are the owners of.
    not_given: RefCell<BTreeMap<String, Vec<String>>>,
    /// Directories whose default list was kept off.
    defaults: RefCell<BTreeSet<String>>,
}

impl<'r> Rights<'r> {
    /// Those of this process.
    pub fn of_process(accounts: &'r Accounts) -> Self {
        let uid = rustix::process::geteuid();
        let groups = rustix::process::getgroups().unwrap_or_default();
        Self {
            accounts,
            as_root: uid.is_root(),
            uid: uid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            not_given: RefCell::default(),
            defaults: RefCell::default(),
        }
    }

    /// Takes off what a new file or directory got from its directory's default list. Its mask lets
    /// nobody by it as yet, and would with the mode.
    pub fn strip(&self, file: impl AsFd, dir: &str, is_dir: bool) -> Result<()> {
        let mut stripped = xattr::remove_list(&file, ACCESS)?;
        if is_dir {
            stripped |= xattr::remove_list(&file, DEFAULT)?;
        }
        if stripped {
            self.defaults.borrow_mut().insert(dir.to_owned());
        }
        Ok(())
    }

    /// The owner and group of a new file, as far as this process may set them. A replaced file keeps its
    /// own.
    pub fn owner(&self, step: &Step<'_>) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = match (&step.action, step.chosen.entry) {
            (Action::Replace { here, .. }, _) => (Some(here.uid), Some(here.gid)),
            (_, Some(entry)) => {
                (access::owner(entry, self.accounts), access::group(entry, self.accounts))
            }
            (_, None) => (None, None),
        };
        let may = |gid: &u32| self.as_root || self.groups.contains(gid);
        (uid.filter(|_| self.as_root).map(Uid::from_raw), gid.filter(may).map(Gid::from_raw))
    }

    /// Gives a new file or directory, whose content is written, its owner, attributes and rights.
    pub fn apply_to_new(&self, file: impl AsFd, step: &Step<'_>, shown: &str) -> Result<()> {
        let (uid, gid) = self.owner(step);
        match rustix::fs::fchown(&file, uid, gid) {
            Err(_) if !self.as_root => {}
            ended => ended?,
        }
        let Some(entry) = step.chosen.entry else {
            return rustix::fs::fchmod(&file, Mode::from_raw_mode(step.chosen.mode()));
        };
        let now = rustix::fs::fstat(&file)?;
        let here = match &step.action {
            Action::Replace { here, .. } => Some(here),
            _ => {
                self.note_owner(entry, now.st_uid, shown);
                None
            }
        };
        for name in entry.extra.attributes.keys() {
            self.set_attribute(&file, entry, name, shown);
        }
        self.warn_ignored(entry, shown);
        self.set_default(&file, entry, shown);
        let decided = access::of_new(entry, self.accounts, now.st_gid, here);
        decided.losses.iter().for_each(|loss| pipe_kit::warning!("{shown}: {loss}"));
        let given = self.set_rights(&file, &decided.acl, decided.special, shown)?;
        self.note_opening(&given, now.st_gid, here, shown);
        Ok(())
    }

    /// Sets a list, or a mode; where a list cannot be set, the mode that lets nobody do more. `special` are the bits
    /// beside the rights. What it set.
    fn set_rights(&self, file: impl AsFd, acl: &Acl, special: u32, shown: &str) -> Result<Acl> {
        let set_mode = || chmod(&file, acl.mode(), special, shown);
        if !acl.is_extended() {
            set_mode()?;
            return Ok(acl.clone());
        }
        let Err(error) = xattr::set(&file, ACCESS.as_bytes(), &acl.to_bytes()) else {
            // A list does not hold those bits; with one, a mode's group bits are its mask.
            if special != 0 {
                set_mode()?;
            }
            return Ok(acl.clone());
        };
        let mode = acl.closest_mode();
        self.set_mode(&file, mode, special, shown)?;
        pipe_kit::warning!(
            "{shown}: its ACL {} is not restored ({}); its mode is {mode:04o}",
            acl_text::shown(acl, self.accounts),
            std::io::Error::from(error)
        );
        Ok(Acl::of_mode(mode))
    }

    /// Changes what is here already. `keep` are bits beside the rights that stay.
    pub fn change(
        &self,
        file: impl AsFd,
        change: &Change,
        keep: u32,
        entry: &Entry,
        shown: &str,
    ) -> Result<()> {
        change.losses.iter().for_each(|loss| pipe_kit::warning!("{shown}: {loss}"));
        change.attributes.iter().for_each(|name| self.set_attribute(&file, entry, name, shown));
        if change.default_acl.is_some() {
            self.set_default(&file, entry, shown);
        }
        let Some(rights) = &change.rights else { return Ok(()) };
        let given = if rights.is_extended() {
            if change.special != 0 {
                // A list does not hold those bits.
                chmod(&file, change.here.mode(), keep, shown)?;
            }
            self.set_rights(&file, rights, keep, shown)?
        } else {
            self.set_mode(&file, rights.mode(), keep, shown)?;
            rights.clone()
        };
        self.note_opening_since(&given, &change.here, shown);
        Ok(())
    }

    /// Sets a mode in the place of a list, whose mask would else be the group's.
    fn set_mode(&self, file: impl AsFd, mode: u32, special: u32, shown: &str) -> Result<()> {
        if xattr::get_open(&file, ACCESS.as_bytes())?.is_some() {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & !0o070))?;
            xattr::remove_list(&file, ACCESS)?;
        }
        chmod(&file, mode, special, shown)
    }

    fn set_attribute(&self, file: impl AsFd, entry: &Entry, name: &[u8], path: &str) {
        let Some(value) = entry.extra.attributes.get(name) else { return };
        if name == extra::CAPABILITY && !self.as_root {
            pipe_kit::warning!("{path}: {} is not restored (only root can)", shown(name));
            return;
        }
        if let Err(error) = xattr::set(file, name, value) {
            let error = std::io::Error::from(error);
            pipe_kit::warning!("{path}: {} is not restored ({error})", shown(name));
        }
    }

    fn warn_ignored(&self, entry: &Entry, path: &str) {
        if !entry.extra.ignored.is_empty() {
            let names: Vec<&str> = entry.extra.ignored.iter().map(String::as_str).collect();
            pipe_kit::warning!(
                "{path}: {} of the archive is not restored; only user.* and security.capability are",
                names.join(", ")
            );
        }
    }

    fn set_default(&self, file: impl AsFd, entry: &Entry, path: &str) {
        let acl = match &entry.extra.default_acl {
            Recorded::None => return,
            Recorded::Unreadable => {
                pipe_kit::warning!("{path}: its default ACL in the archive is unreadable");
                return;
            }
            Recorded::Acl(listed) => {
                let (acl, lost) = listed.resolve(self.accounts);
                if !lost.is_empty() {
                    pipe_kit::warning!(
                        "{path}: {} of its default ACL: no such user or group on this host; skipped",
                        lost.join(",")
                    );
                }
                acl
            }
        };
        if let Err(error) = xattr::set(file, DEFAULT.as_bytes(), &acl.to_bytes()) {
            let error = std::io::Error::from(error);
            pipe_kit::warning!("{path}: its default ACL is not restored ({error})");
        }
    }

    fn note_opening(&self, now: &Acl, gid: u32, here: Option<&CurrentAccess>, path: &str) {
        // Of another group it has nothing that that had not.
        if let Some(before) = here.filter(|here| here.gid == gid).and_then(|here| here.acl.as_ref())
        {
            self.note_opening_since(now, before, path);
        }
    }

    fn note_opening_since(&self, now: &Acl, before: &Acl, path: &str) {
        if now.opens(before) {
            let text = |acl: &Acl| rights_text(acl, self.accounts);
            pipe_kit::warning!(
                "{path} is accessible to more users than before: {} as in the archive, {} before",
                text(now),
                text(before)
            );
        }
    }

    fn note_owner(&self, entry: &Entry, uid: u32, path: &str) {
        let here = access::owner(entry, self.accounts);
        if here == Some(uid) {
            return;
        }
        let name = entry.extra.owner.clone().unwrap_or_else(|| entry.uid.to_string());
        self.not_given.borrow_mut().entry(name).or_default().push(path.to_owned());
    }

    /// Warns of what was the same for many.
    pub fn report(&self) {
        for (owner, paths) in &*self.not_given.borrow() {
            let why = if self.as_root { "no such name on this host" } else { "only root can" };
            let owner_here = self.accounts.users.name(self.uid).unwrap_or(self.uid.to_string());
            pipe_kit::warning!(
                "owner {owner} is not restored ({why}); the owner is {owner_here}: {}",
                list(paths)
            );
        }
        let defaults: Vec<String> = self.defaults.borrow().iter().cloned().collect();
        if !defaults.is_empty() {
            pipe_kit::info!(
                "new files have the archive's rights instead of the default ACL of {}",
                list(&defaults)
            );
        }
    }
}

/// Sets a mode with these bits beside the rights; without them, and with a warning, where the system forbids them to
/// this process, as systemd does with `RestrictSUIDSGID`.
fn chmod(file: impl AsFd, mode: u32, special: u32, path: &str) -> Result<()> {
    let set = |mode| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode));
    match set(mode | special) {
        Err(error @ Errno::PERM) if special != 0 => {
            set(mode)?;
            let error = std::io::Error::from(error);
            let wanted = mode | special;
            pipe_kit::warning!("{path}: its mode is {mode:04o} and not {wanted:04o} ({error})");
            Ok(())
        }
        ended => ended,
    }
}

/// A mode if that is all, else a list.
pub fn rights_text(acl: &Acl, accounts: &Accounts) -> String {
    if acl.is_extended() {
        format!("ACL {}", acl_text::shown(acl, accounts))
    } else {
        format!("mode {:04o}", acl.mode())
    }
}

fn list(paths: &[String]) -> String {
    let more = paths.len().saturating_sub(MOST_NAMED);
    let named = paths[..paths.len() - more].join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
