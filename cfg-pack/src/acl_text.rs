//! Access control lists as archives hold them: `user::rw-,user:bob:r--:1001,group::---,mask::r--,other::---`.
//! GNU tar puts each entry on a line of its own, and no number after it.

use crate::accounts::{Accounts, is_name};
use crate::acl::{Acl, Draft, MAX_NAMED, Who};
use crate::pax::digits;

/// A list as it was read: its named entries are not yet those of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedAcl {
    /// The entries without a name.
    base: Acl,
    named: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    is_group: bool,
    name: Option<String>,
    id: Option<u32>,
    rights: u8,
}

impl ListedAcl {
    /// Reads the text; none if it is no whole list.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        // The mask of the named ones is in it, so that a list without one is noticed.
        let (mut base, mut named) = (Draft::default(), Vec::new());
        for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
            let mut fields = entry.split(':').map(str::trim);
            let tag = fields.next()?;
            let mut fields: Vec<&str> = fields.collect();
            if matches!(tag, "mask" | "m" | "other" | "o") && fields.len() == 1 {
                fields.insert(0, "");
            }
            let (who, rights, number) = match fields.as_slice() {
                [who, rights] => (*who, *rights, None),
                [who, rights, number] => (*who, *rights, Some(*number)),
                _ => return None,
            };
            let rights = parse_rights(rights)?;
            let is_group = match (tag, who) {
                ("user" | "u", "") => {
                    base.add(Who::Owner, rights)?;
                    continue;
                }
                ("group" | "g", "") => {
                    base.add(Who::Group, rights)?;
                    continue;
                }
                ("mask" | "m", "") => {
                    base.add(Who::Mask, rights)?;
                    continue;
                }
                ("other" | "o", "") => {
                    base.add(Who::Other, rights)?;
                    continue;
                }
                ("user" | "u", _) => false,
                ("group" | "g", _) => true,
                _ => return None,
            };
            named.push(Named::parse(is_group, who, number, rights)?);
        }
        let base = base.finish()?;
        let has_mask = base.mask.is_some() || named.is_empty();
        (has_mask && named.len() <= MAX_NAMED).then_some(Self { base, named })
    }

    /// From what the kernel takes, which has numbers alone.
    pub fn of_numbers(acl: &Acl) -> Self {
        let base = Acl { users: Default::default(), groups: Default::default(), ..acl.clone() };
        let one = |is_group: bool| {
            move |(id, rights): (&u32, &u8)| Named {
                is_group,
                name: None,
                id: Some(*id),
                rights: *rights,
            }
        };
        let named = acl.users.iter().map(one(false)).chain(acl.groups.iter().map(one(true)));
        Self { base, named: named.collect() }
    }

    /// The list for this host, and the entries of it that are nobody's here. Such an entry is left
    /// out: its number may be somebody else's.
    pub fn resolve(&self, accounts: &Accounts) -> (Acl, Vec<String>) {
        let (mut acl, mut lost) = (self.base.clone(), Vec::new());
        for named in &self.named {
            let database = if named.is_group { &accounts.groups } else { &accounts.users };
            let Some(id) = database.resolve(named.name.as_deref(), named.id) else {
                lost.push(named.text());
                continue;
            };
            let entries = if named.is_group { &mut acl.groups } else { &mut acl.users };
            entries.entry(id).and_modify(|rights| *rights &= named.rights).or_insert(named.rights);
        }
        (acl, lost)
    }

    /// As people read it, without the numbers.
    pub fn text(&self) -> String {
        let named = |is_group: bool| {
            let named = self.named.iter().filter(move |named| named.is_group == is_group);
            named.map(Named::text).collect::<Vec<_>>()
        };
        text(&self.base, named(false), named(true))
    }
}

impl Named {
    fn parse(is_group: bool, who: &str, number: Option<&str>, rights: u8) -> Option<Self> {
        let number = match number {
            None | Some("") => None,
            Some(number) => Some(parse_id(number)?),
        };
        if digits(who.as_bytes()).is_some() {
            return Some(Self { is_group, name: None, id: Some(parse_id(who)?), rights });
        }
        is_name(who).then(|| Self { is_group, name: Some(who.to_owned()), id: number, rights })
    }

    fn text(&self) -> String {
        let number = || self.id.map(|id| id.to_string()).unwrap_or_default();
        named_text(self.is_group, &self.name.clone().unwrap_or_else(number), self.rights)
    }
}

fn parse_id(text: &str) -> Option<u32> {
    let id = digits(text.as_bytes())?;
    u32::try_from(id).ok().filter(|id| *id != u32::MAX)
}

fn parse_rights(text: &str) -> Option<u8> {
    let mut rights = 0;
    for c in text.chars() {
        let right = match c {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => continue,
            _ => return None,
        };
        if rights & right != 0 {
            return None;
        }
        rights |= right;
    }
    (!text.is_empty() && text.len() <= 3).then_some(rights)
}

/// `rwx`, with a dash for what is not there.
pub fn rights_text(rights: u8) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')]
        .map(|(bit, letter)| if rights & bit == 0 { '-' } else { letter })
        .iter()
        .collect()
}

fn named_text(is_group: bool, who: &str, rights: u8) -> String {
    let tag = if is_group { "group" } else { "user" };
    format!("{tag}:{who}:{}", rights_text(rights))
}

fn text(base: &Acl, users: Vec<String>, groups: Vec<String>) -> String {
    let mut all = vec![named_text(false, "", base.user)];
    all.extend(users);
    all.push(named_text(true, "", base.group));
    all.extend(groups);
    all.extend(base.mask.map(|mask| format!("mask::{}", rights_text(mask))));
    all.push(format!("other::{}", rights_text(base.other)));
    all.join(",")
}

/// As people read it, and `setfacl --set` takes it.
pub fn shown(acl: &Acl, accounts: &Accounts) -> String {
    let entry = |is_group: bool, id: u32, rights: u8| {
        let name = accounts.of(is_group).name(id).unwrap_or_else(|| id.to_string());
        named_text(is_group, &name, rights)
    };
    let users = acl.users.iter().map(|(id, rights)| entry(false, *id, *rights));
    let groups = acl.groups.iter().map(|(id, rights)| entry(true, *id, *rights));
    text(acl, users.collect(), groups.collect())
}

/// As it goes into an archive: names, and the numbers after them.
pub fn archived(acl: &Acl, accounts: &Accounts) -> String {
    let entry = |is_group: bool, id: u32, rights: u8| {
        let name = accounts.of(is_group).name(id).unwrap_or_else(|| id.to_string());
        format!("{}:{id}", named_text(is_group, &name, rights))
    };
    let users = acl.users.iter().map(|(id, rights)| entry(false, *id, *rights));
    let groups = acl.groups.iter().map(|(id, rights)| entry(true, *id, *rights));
    text(acl, users.collect(), groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "user::rw-,user:70:rw-:70,user:bob:r--:1001,group::---,group:web:r--:33,mask::r--,other::---";

    #[test]
    fn what_both_tars_write_is_read() {
        let ours = ListedAcl::parse(OURS.as_bytes()).unwrap();
        assert_eq!(
            ours.text(),
            "user::rw-,user:70:rw-,user:bob:r--,group::---,group:web:r--,mask::r--,other::---"
        );
        let lines = "user::rw-\nuser:70:rw-\nuser:bob:r--\ngroup::---\ngroup:web:r--\nmask::r--\nother::---\n";
        assert_eq!(ListedAcl::parse(lines.as_bytes()).unwrap().text(), ours.text());
        let short = ListedAcl::parse(b"u::rw,g::r,o:-").unwrap();
        assert_eq!(short.text(), "user::rw-,group::r--,other::---");
    }

    #[test]
    fn what_is_no_list_is_none() {
        let many = format!("{OURS},{}", "user:1:r--,".repeat(2000));
        for text in [
            "",
            ",",
            "user::rw-",
            "user::rw-,group::r--",
            "user::rw-,group::r--,other::r--,other::r--",
            "user::rw-,user:bob:r--,group::r--,other::---",
            "user::rwz,group::r--,other::---",
            "user::rrr,group::r--,other::---",
            "user::,group::r--,other::---",
            "user::rw-,group::r--,other::---,bad::r--",
            "user::rw-,group::r--,other:x:---",
            "user::rw-,user:a b:r--,group::r--,mask::r--,other::---",
            "user::rw-,user:bob:r--:x,group::r--,mask::r--,other::---",
            "user::rw-,user:4294967295:r--,group::r--,mask::r--,other::---",
            "user::rw-,user:bob:r--:1:2,group::r--,mask::r--,other::---",
            "default:user::rw-,group::r--,other::---",
            &many,
        ] {
            assert_eq!(ListedAcl::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(ListedAcl::parse(b"user::rw-,group::r--,other::\xff"), None);
    }

    #[test]
    fn an_entry_goes_to_who_has_its_name_here_and_never_to_another() {
        let accounts = Accounts::of_lines("bob:x:2002:\nalice:x:70:\n", "web:x:44:\n");
        let (acl, lost) = ListedAcl::parse(OURS.as_bytes()).unwrap().resolve(&accounts);
        assert_eq!(acl.users, [(2002, 4), (70, 6)].into());
        assert_eq!((acl.groups, lost.len()), ([(44, 4)].into(), 0));
        let elsewhere = Accounts::of_lines("carol:x:1001:\n", "ops:x:33:\n");
        let (acl, lost) = ListedAcl::parse(OURS.as_bytes()).unwrap().resolve(&elsewhere);
        assert_eq!(acl.users, [(70, 6)].into());
        assert_eq!(acl.groups.len(), 0);
        assert_eq!(lost, ["user:bob:r--", "group:web:r--"]);
        let bare = Accounts::of_lines("", "");
        let (acl, lost) = ListedAcl::parse(OURS.as_bytes()).unwrap().resolve(&bare);
        assert_eq!((acl.users.len(), acl.groups.len(), lost.len()), (2, 1, 0));
        let two = "user::rw-,user:bob:r--:1,user:2002:rw-,group::---,mask::rw-,other::---";
        let (acl, _) = ListedAcl::parse(two.as_bytes()).unwrap().resolve(&accounts);
        assert_eq!(acl.users, [(2002, 4)].into(), "the lesser of two for one");
    }

    #[test]
    fn a_list_is_written_with_names_and_numbers() {
        let accounts = Accounts::of_lines("bob:x:1001:\n", "web:x:33:\n");
        let acl = ListedAcl::parse(OURS.as_bytes()).unwrap().resolve(&accounts).0;
        assert_eq!(archived(&acl, &accounts), OURS);
        assert_eq!(ListedAcl::of_numbers(&acl).resolve(&accounts).0, acl);
        let plain = Acl::of_mode(0o640);
        assert_eq!(shown(&plain, &accounts), "user::rw-,group::r--,other::---");
    }
}
