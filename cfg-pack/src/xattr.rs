//! Extended attributes of what is on disk.

use crate::acl::Acl;
use crate::extra::{ACCESS, DEFAULT};
use rustix::fd::AsFd;
use rustix::fs::XattrFlags;
use rustix::io::{Errno, Result};
use std::path::Path;

/// Size of the buffer for an attribute or a list of names: the kernel's limit, in bytes.
const MOST: usize = 64 << 10;

/// The value of an attribute; none if there is none, or the filesystem has none.
pub fn get(path: &Path, name: &[u8]) -> Result<Option<Vec<u8>>> {
    read(|buffer| rustix::fs::getxattr(path, name, buffer))
}

/// The same of an open file.
pub fn get_open(file: impl AsFd, name: &[u8]) -> Result<Option<Vec<u8>>> {
    read(|buffer| rustix::fs::fgetxattr(&file, name, buffer))
}

fn read(get: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Option<Vec<u8>>> {
    match read_any(get) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_any(get: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut small = [0; 512];
    match get(&mut small) {
        Ok(n) => Ok(small[..n].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; MOST];
            let n = get(&mut large)?;
            large.truncate(n);
            Ok(large)
        }
        Err(e) => Err(e),
    }
}

/// The names of all attributes, in order.
pub fn names(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut buffer = vec![0_u8; MOST];
    let n = match rustix::fs::listxattr(path, buffer.as_mut_slice()) {
        Ok(n) => n,
        Err(Errno::OPNOTSUPP) => 0,
        Err(e) => return Err(e),
    };
    let bytes = &buffer[..n];
    let names = bytes.split(|b| *b == 0).filter(|name| !name.is_empty());
    let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    names.sort();
    Ok(names)
}

/// Sets an attribute.
pub fn set(file: impl AsFd, name: &[u8], value: &[u8]) -> Result<()> {
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
}

/// Removes a list, if there is one: whether there was.
pub fn remove_list(file: impl AsFd, name: &str) -> Result<bool> {
    let is_there = get_open(&file, name.as_bytes())?.is_some();
    if is_there {
        rustix::fs::fremovexattr(file, name)?;
    }
    Ok(is_there)
}

/// The access control list of an open file, its mode's if it has none; and whether its filesystem has
/// such lists.
pub fn acl(file: impl AsFd, mode: u32) -> Result<(Acl, bool)> {
    match list(file, ACCESS)? {
        (Some(acl), has) => Ok((acl, has)),
        (None, has) => Ok((Acl::of_mode(mode), has)),
    }
}

/// The list that new files in an open directory begin with.
pub fn default_acl(dir: impl AsFd) -> Result<Option<Acl>> {
    Ok(list(dir, DEFAULT)?.0)
}

fn list(file: impl AsFd, name: &str) -> Result<(Option<Acl>, bool)> {
    match read_any(|buffer| rustix::fs::fgetxattr(&file, name, buffer)) {
        Ok(bytes) => Acl::from_bytes(&bytes).map(|acl| (Some(acl), true)).ok_or(Errno::INVAL),
        Err(Errno::NODATA) => Ok((None, true)),
        Err(Errno::OPNOTSUPP) => Ok((None, false)),
        Err(e) => Err(e),
    }
}
