//! What a file has beside its mode, as records of an archive; and what of it an archive cannot have.

use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::acl_text;
use crate::extra::{self, ACCESS, DEFAULT};
use crate::headers::MAX_EXTENSION;
use crate::pax::record;
use crate::rel_path::{RelPath, shown};
use crate::xattr;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Attributes that the system gives every file; nobody misses them.
const SET_BY_THE_SYSTEM: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];
/// How long a name a header has room for, in bytes.
const NAME_FIELD: usize = 31;

/// The extras of one file or directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Records of an extension header.
    pub records: Vec<u8>,
    /// Names for the header's own fields.
    pub owner: String,
    pub group: String,
    /// Permission bits for the header: who reads those alone gives nobody more rights than the access
    /// control list does.
    pub mode: u32,
}

/// Reads extras, and collects what is lost of them.
pub struct Reader {
    accounts: Accounts,
    /// A line each.
    pub warnings: Vec<String>,
    /// Attributes that are not kept: how many files have each, and one of them.
    left_out: BTreeMap<Vec<u8>, (usize, RelPath)>,
}

impl Reader {
    pub fn new() -> Self {
        Self { accounts: Accounts::here(), warnings: Vec::new(), left_out: BTreeMap::new() }
    }

    /// The names of an owner and a group.
    pub fn names(&self, uid: u32, gid: u32, mode: u32) -> Attached {
        let mut attached = Attached { mode, ..Attached::default() };
        let Attached { records, owner, group, .. } = &mut attached;
        for (key, name, field) in [
            ("uname", self.accounts.users.name(uid), owner),
            ("gname", self.accounts.groups.name(gid), group),
        ] {
            let name = name.unwrap_or_default();
            if name.len() > NAME_FIELD {
                records.extend(record(key.as_bytes(), name.as_bytes()));
            } else {
                *field = name;
            }
        }
        attached
    }

    /// Adds what the file or directory at `source`, no link, has.
    pub fn read(&mut self, path: &RelPath, source: &Path, is_dir: bool, attached: &mut Attached) {
        match xattr::get(source, ACCESS.as_bytes()).map_err(io::Error::from) {
            Ok(None) => {}
            Ok(Some(bytes)) => match Acl::from_bytes(&bytes) {
                Some(acl) => {
                    attached.mode = (attached.mode & 0o7000) | acl.closest_mode();
                    self.add_acl(path, false, &acl, attached);
                }
                None => self.no_acl(path, "unknown format", attached),
            },
            Err(error) => self.no_acl(path, &error.to_string(), attached),
        }
        if is_dir {
            match xattr::get(source, DEFAULT.as_bytes()).map_err(io::Error::from) {
                Ok(None) => {}
                Ok(Some(bytes)) => match Acl::from_bytes(&bytes) {
                    Some(acl) => self.add_acl(path, true, &acl, attached),
                    None => self.lost(path, DEFAULT, "unknown format"),
                },
                Err(error) => self.lost(path, DEFAULT, &error.to_string()),
            }
        }
        match xattr::names(source) {
            Ok(names) => names.iter().for_each(|name| self.attribute(path, source, name, attached)),
            Err(error) => {
                let error = io::Error::from(error);
                self.warnings
                    .push(format!("{path}: its extended attributes cannot be read ({error})"));
            }
        }
    }

    fn add_acl(&mut self, path: &RelPath, is_default: bool, acl: &Acl, attached: &mut Attached) {
        let record = extra::acl_record(is_default, &acl_text::archived(acl, &self.accounts));
        if !fits(attached, &record) {
            self.lost(path, if is_default { DEFAULT } else { ACCESS }, "it is too long");
            return;
        }
        attached.records.extend(record);
    }

    /// Without the list, the group's bits may be its mask.
    fn no_acl(&mut self, path: &RelPath, why: &str, attached: &mut Attached) {
        let closed = (attached.mode & 7) << 3 | 0o7707;
        attached.mode &= closed;
        self.lost(path, ACCESS, &format!("{why}; the archive gives the group no rights"));
    }

    fn attribute(&mut self, path: &RelPath, source: &Path, name: &[u8], attached: &mut Attached) {
        if name == ACCESS.as_bytes() || name == DEFAULT.as_bytes() {
            return;
        }
        if !extra::is_kept(name) {
            let (count, _) =
                self.left_out.entry(name.to_vec()).or_insert_with(|| (0, path.clone()));
            *count += 1;
            return;
        }
        match xattr::get(source, name).map_err(io::Error::from) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let record = extra::attribute_record(name, &value);
                if fits(attached, &record) {
                    attached.records.extend(record);
                } else {
                    let size = value.len();
                    self.lost(path, &shown(name), &format!("{size} bytes are too many"));
                }
            }
            Err(error) => self.lost(path, &shown(name), &error.to_string()),
        }
    }

    fn lost(&mut self, path: &RelPath, name: &str, why: &str) {
        self.warnings.push(format!("{path}: {name} is not archived ({why})"));
    }

    /// What is left out of many files alike: notes, and warnings.
    pub fn left_out(&self) -> (Vec<String>, Vec<String>) {
        let line = |(name, (count, path)): (&Vec<u8>, &(usize, RelPath))| {
            format!("{} of {count} entries is not archived; the first is {path}", shown(name))
        };
        let (systems, others): (Vec<_>, Vec<_>) = self
            .left_out
            .iter()
            .partition(|(name, _)| SET_BY_THE_SYSTEM.contains(&name.as_slice()));
        (systems.into_iter().map(line).collect(), others.into_iter().map(line).collect())
    }
}

fn fits(attached: &Attached, record: &[u8]) -> bool {
    (attached.records.len() + record.len()) as u64 <= MAX_EXTENSION
}
