//! What an entry of an archive has besides its mode and content, read from extension headers, which
//! are not trusted.

use crate::accounts::is_name;
use crate::acl::Acl;
use crate::acl_text::ListedAcl;
use crate::pax::record;
use crate::rel_path::shown;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes that hold lists of their own.
pub const ACCESS: &str = "system.posix_acl_access";
pub const DEFAULT: &str = "system.posix_acl_default";
/// The attribute that gives a program rights of root's.
pub const CAPABILITY: &[u8] = b"security.capability";

const XATTR: &[u8] = b"SCHILY.xattr.";
const ACL_ACCESS: &[u8] = b"SCHILY.acl.access";
const ACL_DEFAULT: &[u8] = b"SCHILY.acl.default";
/// The kernel's bounds, in bytes.
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 64 << 10;
/// How many ignored attributes of an entry are named.
const MOST_IGNORED: usize = 10;

/// The extras of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Names of its owner and group where it was archived.
    pub owner: Option<String>,
    pub group: Option<String>,
    pub acl: Recorded,
    /// A directory's: what new files in it begin with.
    pub default_acl: Recorded,
    /// Extended attributes, by name.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Attributes that are not for an archive to set.
    pub ignored: BTreeSet<String>,
}

/// What an archive holds of an access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    #[default]
    None,
    Acl(ListedAcl),
    /// Something that is no list. What is known of the mode is that the group's bits may be a mask.
    Unreadable,
}

impl Recorded {
    fn text(value: &[u8]) -> Self {
        ListedAcl::parse(value).map_or(Self::Unreadable, Self::Acl)
    }

    fn bytes(value: &[u8]) -> Self {
        Acl::from_bytes(value)
            .map_or(Self::Unreadable, |acl| Self::Acl(ListedAcl::of_numbers(&acl)))
    }
}

/// Whether an attribute is kept: not what the system or a security module sets itself.
pub fn is_kept(name: &[u8]) -> bool {
    (name.starts_with(b"user.") && name.len() > b"user.".len()) || name == CAPABILITY
}

impl Extra {
    /// Takes in a record of an extension header, if it is one of these.
    pub fn take(&mut self, key: &[u8], value: &[u8]) {
        let name =
            || std::str::from_utf8(value).ok().filter(|name| is_name(name)).map(str::to_owned);
        match key {
            b"uname" => self.owner = name(),
            b"gname" => self.group = name(),
            ACL_ACCESS => self.acl = Recorded::text(value),
            ACL_DEFAULT => self.default_acl = Recorded::text(value),
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.take_attribute(decoded(name), value);
                }
            }
        }
    }

    fn take_attribute(&mut self, name: Vec<u8>, value: &[u8]) {
        // The text, where there is both, has the names.
        if name == ACCESS.as_bytes() {
            if self.acl == Recorded::None {
                self.acl = Recorded::bytes(value);
            }
        } else if name == DEFAULT.as_bytes() {
            if self.default_acl == Recorded::None {
                self.default_acl = Recorded::bytes(value);
            }
        } else if is_kept(&name)
            && name.len() <= LONGEST_NAME
            && !name.contains(&0)
            && value.len() <= LONGEST_VALUE
        {
            self.attributes.insert(name, value.to_vec());
        } else if self.ignored.len() < MOST_IGNORED {
            self.ignored.insert(shown(&name[..name.len().min(60)]));
        }
    }
}

/// The record of an extended attribute.
pub fn attribute_record(name: &[u8], value: &[u8]) -> Vec<u8> {
    record(&[XATTR, &encoded(name)].concat(), value)
}

/// The record of an access control list.
pub fn acl_record(is_default: bool, text: &str) -> Vec<u8> {
    record(if is_default { ACL_DEFAULT } else { ACL_ACCESS }, text.as_bytes())
}

/// A key ends at the first `=`: GNU tar's way to have one in a name.
fn encoded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => out.extend(b"%3D"),
            b'%' => out.extend(b"%25"),
            byte => out.push(*byte),
        }
    }
    out
}

fn decoded(mut key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len());
    while let Some((byte, rest)) = key.split_first() {
        let (byte, rest) = match rest {
            [b'3', b'D', rest @ ..] if *byte == b'%' => (b'=', rest),
            [b'2', b'5', rest @ ..] if *byte == b'%' => (b'%', rest),
            rest => (*byte, rest),
        };
        out.push(byte);
        key = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pax::records;

    fn extra(records: &[(&str, &[u8])]) -> Extra {
        let mut extra = Extra::default();
        records.iter().for_each(|(key, value)| extra.take(key.as_bytes(), value));
        extra
    }

    #[test]
    fn only_attributes_that_are_an_archives_to_set_are_taken() {
        let extra = extra(&[
            ("SCHILY.xattr.user.a", b"1"),
            ("SCHILY.xattr.user.", b"1"),
            ("SCHILY.xattr.security.capability", b"c"),
            ("SCHILY.xattr.security.selinux", b"s"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.system.nfs4_acl", b"n"),
            ("SCHILY.xattr.user.nul\0", b"1"),
            ("SCHILY.xattr.security.\x1b[2J", b"1"),
            ("comment", b"1"),
            ("uname", b"a:b"),
            ("gname", b"web"),
        ]);
        let names: Vec<_> = extra.attributes.keys().map(|name| shown(name)).collect();
        assert_eq!(names, ["security.capability", "user.a"]);
        assert_eq!(extra.ignored.len(), 6, "{:?}", extra.ignored);
        assert!(extra.ignored.iter().all(|name| !name.contains('\x1b')));
        assert_eq!((extra.owner, extra.group.as_deref()), (None, Some("web")));
    }

    #[test]
    fn a_list_that_is_none_is_noticed() {
        let acl = |key: &str, value: &[u8]| extra(&[(key, value)]).acl;
        assert!(matches!(
            acl("SCHILY.acl.access", b"user::rw-,group::r--,other::---"),
            Recorded::Acl(_)
        ));
        assert_eq!(acl("SCHILY.acl.access", b"nonsense"), Recorded::Unreadable);
        let raw = "SCHILY.xattr.system.posix_acl_access";
        assert!(matches!(acl(raw, &Acl::of_mode(0o640).to_bytes()), Recorded::Acl(_)));
        assert_eq!(acl(raw, b"\x02\0\0\0x"), Recorded::Unreadable);
        let both =
            extra(&[("SCHILY.acl.access", b"user::rw-,group::r--,other::---"), (raw, b"bad")]);
        assert!(matches!(both.acl, Recorded::Acl(_)));
    }

    #[test]
    fn a_name_with_an_equals_sign_comes_back() {
        for name in [&b"user.a=b"[..], b"user.100%", b"user.%3D", b"user.%2525=", b"user.\xff"] {
            let bytes = attribute_record(name, b"v\n=\0");
            let [(key, value)] = records(&bytes).unwrap()[..] else { panic!("one record") };
            let mut extra = Extra::default();
            extra.take(key, value);
            assert_eq!(extra.attributes.get(name).map(Vec::as_slice), Some(&b"v\n=\0"[..]));
        }
    }
}
