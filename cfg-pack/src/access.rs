//! Who may access what is extracted: nobody whom the archive does not allow, and in another group's
//! hands nobody whom neither the archive nor the file before allowed. Pure functions.

use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::acl_text;
use crate::entry::{Entry, Kind};
use crate::extra::Recorded;

/// What is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentAccess {
    /// None for a link, or what cannot be asked.
    pub acl: Option<Acl>,
    pub uid: u32,
    pub gid: u32,
}

/// Who may access it, and which of the archive's rights are dropped: phrases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub acl: Acl,
    /// The setgid and sticky bits.
    pub special: u32,
    pub losses: Vec<String>,
}

const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// The owner of an archived thing here, as far as it is known here.
pub fn owner(entry: &Entry, accounts: &Accounts) -> Option<u32> {
    accounts.users.resolve(entry.extra.owner.as_deref(), Some(entry.uid))
}

/// The same of its group.
pub fn group(entry: &Entry, accounts: &Accounts) -> Option<u32> {
    accounts.groups.resolve(entry.extra.group.as_deref(), Some(entry.gid))
}

/// The rights of a new file or directory whose group is `gid`, in the place of `here` if there was
/// something.
pub fn of_new(
    entry: &Entry,
    accounts: &Accounts,
    gid: u32,
    here: Option<&CurrentAccess>,
) -> Decision {
    let mut decided = archived(entry, accounts);
    bound_group(&mut decided, entry, accounts, gid, here);
    let before = here.and_then(|here| here.acl.as_ref()).filter(|acl| acl.is_extended());
    if let Some(before) = before
        && entry.extra.acl == Recorded::None
    {
        // An older archive has the mask of a list as the group's rights, and no list.
        let closest = Acl::of_mode(before.closest_mode());
        let (group, other) = (decided.acl.group & closest.group, decided.acl.other & closest.other);
        if (group, other) != (decided.acl.group, decided.acl.other) {
            decided.losses.push(format!(
                "it had the ACL {} and has none in the archive; its mode is {:04o} and not {:04o}",
                acl_text::shown(before, accounts),
                Acl { group, other, ..decided.acl.clone() }.mode(),
                decided.acl.mode()
            ));
        }
        (decided.acl.group, decided.acl.other) = (group, other);
    }
    give_special(&mut decided, entry, accounts, gid);
    decided
}

/// A directory gives its group to what is made in it, if it is the archive's group. A file has none of these bits: it
/// would run with the rights of its owner or group.
fn give_special(decided: &mut Decision, entry: &Entry, accounts: &Accounts, gid: u32) {
    if entry.kind != Kind::Dir {
        return;
    }
    decided.special = entry.mode & (SETGID | STICKY);
    if entry.mode & SETGID != 0 && group(entry, accounts) != Some(gid) {
        decided.special &= !SETGID;
        let (archived, here) = (archived_group(entry), group_here(accounts, gid));
        decided.losses.push(format!(
            "its group is {here} here and {archived} in the archive, so it does not have the setgid bit"
        ));
    }
}

fn archived_group(entry: &Entry) -> String {
    entry.extra.group.clone().unwrap_or_else(|| entry.gid.to_string())
}

fn group_here(accounts: &Accounts, gid: u32) -> String {
    accounts.groups.name(gid).unwrap_or_else(|| gid.to_string())
}

/// The rights of what is here already, with the archive's content.
pub fn of_same(entry: &Entry, accounts: &Accounts, here: &CurrentAccess) -> Decision {
    match &here.acl {
        Some(acl) if acl.is_extended() && entry.extra.acl == Recorded::None => {
            // Nothing is known of the list, so it stays, within the mode.
            let mode = Acl::of_mode(entry.mode);
            let mask = acl.mask.unwrap_or(7) & mode.group;
            let other = acl.other & mode.other;
            let acl = Acl { user: mode.user, mask: Some(mask), other, ..acl.clone() };
            Decision { acl, ..Decision::default() }
        }
        _ => {
            let mut decided = archived(entry, accounts);
            bound_group(&mut decided, entry, accounts, here.gid, Some(here));
            decided
        }
    }
}

fn archived(entry: &Entry, accounts: &Accounts) -> Decision {
    match &entry.extra.acl {
        Recorded::None => Decision { acl: Acl::of_mode(entry.mode), ..Decision::default() },
        Recorded::Acl(listed) => {
            let (acl, lost) = listed.resolve(accounts);
            let losses = if lost.is_empty() {
                Vec::new()
            } else {
                vec![format!(
                    "{} of its ACL: no such user or group on this host; skipped",
                    lost.join(",")
                )]
            };
            Decision { acl, losses, ..Decision::default() }
        }
        Recorded::Unreadable => {
            let mut acl = Acl::of_mode(entry.mode);
            // They may be a mask.
            acl.group &= acl.other;
            let why = "its ACL in the archive is unreadable; the group gets no rights";
            Decision { acl, losses: vec![why.to_owned()], ..Decision::default() }
        }
    }
}

/// The archive's group is another one here: its rights are not this one's.
fn bound_group(
    decided: &mut Decision,
    entry: &Entry,
    accounts: &Accounts,
    gid: u32,
    here: Option<&CurrentAccess>,
) {
    if group(entry, accounts) == Some(gid) {
        return;
    }
    let had = here.filter(|here| here.gid == gid).and_then(|here| here.acl.as_ref());
    let acl = &mut decided.acl;
    let bound = acl.least() | had.map_or(0, Acl::group_rights);
    let group = acl.group_rights() & bound;
    if group != acl.group_rights() {
        let (archived, here) = (archived_group(entry), group_here(accounts, gid));
        decided.losses.push(format!(
            "its group is {here} here and {archived} in the archive, so the group has {} and not {}",
            acl_text::rights_text(group),
            acl_text::rights_text(acl.group_rights())
        ));
        acl.group = group;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl_text::ListedAcl;
    use crate::extra::Extra;

    const LIST: &str = "user::rw-,user:bob:r--:1001,group::---,mask::rw-,other::---";

    fn entry(mode: u32, list: Option<&str>) -> Entry {
        let acl = match list.map(|text| ListedAcl::parse(text.as_bytes())) {
            None => Recorded::None,
            Some(Some(acl)) => Recorded::Acl(acl),
            Some(None) => Recorded::Unreadable,
        };
        let extra = Extra { group: Some("web".into()), acl, ..Extra::default() };
        Entry { kind: Kind::Dir, mode, uid: 0, gid: 33, mtime: 0, extra }
    }

    fn accounts() -> Accounts {
        Accounts::of_lines("bob:x:2001:\n", "web:x:44:\nops:x:33:\n")
    }

    fn here(acl: Acl, gid: u32) -> CurrentAccess {
        CurrentAccess { acl: Some(acl), uid: 0, gid }
    }

    fn listed(text: &str) -> Acl {
        ListedAcl::parse(text.as_bytes()).unwrap().resolve(&accounts()).0
    }

    #[test]
    fn a_new_thing_has_the_archives_rights_where_its_group_is_here() {
        for (mode, gid, before, becomes, lost) in [
            (0o640, 44, None, 0o640, 0),
            (0o640, 44, Some((0o600, 44)), 0o640, 0),
            // Another group: nothing that was not everybody's, or its own before.
            (0o640, 33, None, 0o600, 1),
            (0o664, 33, None, 0o644, 1),
            (0o644, 33, None, 0o644, 0),
            (0o660, 33, Some((0o640, 33)), 0o640, 1),
            (0o640, 33, Some((0o640, 33)), 0o640, 0),
            (0o640, 33, Some((0o640, 7)), 0o600, 1),
        ] {
            let before = before.map(|(mode, gid)| here(Acl::of_mode(mode), gid));
            let decided = of_new(&entry(mode, None), &accounts(), gid, before.as_ref());
            assert_eq!(decided.acl, Acl::of_mode(becomes), "{mode:o} {gid} {before:?}");
            assert_eq!(decided.losses.len(), lost, "{:?}", decided.losses);
        }
    }

    #[test]
    fn a_new_directory_of_the_archives_group_is_setgid_and_no_file_is() {
        let dir = |mode| entry(mode, None);
        let file = Entry { kind: Kind::File { offset: 0, size: 0 }, ..dir(0o7755) };
        for (entry, gid, special, lost) in [
            (dir(0o2755), 44, 0o2000, 0),
            (dir(0o7755), 44, 0o3000, 0),
            (dir(0o3755), 33, 0o1000, 1),
            (dir(0o1755), 33, 0o1000, 0),
            (file, 44, 0, 0),
        ] {
            let decided = of_new(&entry, &accounts(), gid, None);
            assert_eq!((decided.special, decided.losses.len()), (special, lost), "{entry:?} {gid}");
        }
    }

    #[test]
    fn a_list_is_the_archives_and_a_mask_never_the_groups() {
        let decided = of_new(&entry(0o660, Some(LIST)), &accounts(), 44, None);
        assert_eq!(decided.acl.users, [(2001, 4)].into());
        assert_eq!((decided.acl.mode(), decided.acl.closest_mode()), (0o660, 0o600));
        assert!(decided.losses.is_empty());
        let broken = of_new(&entry(0o664, Some("nonsense")), &accounts(), 44, None);
        assert_eq!((broken.acl.mode(), broken.losses.len()), (0o644, 1));
        let nobody = Accounts::of_lines("carol:x:1001:\n", "web:x:44:\n");
        let decided = of_new(&entry(0o660, Some(LIST)), &nobody, 44, None);
        assert_eq!((decided.acl.users.len(), decided.losses.len()), (0, 1));
        let open = "user::rw-,group::rw-,group:web:rw-:44,mask::rw-,other::---";
        let decided = of_new(&entry(0o660, Some(open)), &accounts(), 33, None);
        assert_eq!((decided.acl.group, decided.acl.groups[&44]), (0, 6));
    }

    #[test]
    fn an_archive_without_lists_widens_none_that_is_here() {
        let before = here(listed(LIST), 44);
        // The group's bits of an older archive are that mask.
        let decided = of_new(&entry(0o660, None), &accounts(), 44, Some(&before));
        assert_eq!((decided.acl, decided.losses.len()), (Acl::of_mode(0o600), 1));
        let same = of_same(&entry(0o660, None), &accounts(), &before);
        assert!(same.acl.same_rights(before.acl.as_ref().unwrap()));
        let closed = of_same(&entry(0o600, None), &accounts(), &before);
        assert_eq!((closed.acl.mask, closed.acl.users.len()), (Some(0), 1));
    }

    #[test]
    fn what_is_the_same_gets_the_archives_rights_again() {
        let plain = here(Acl::of_mode(0o600), 44);
        assert_eq!(of_same(&entry(0o640, None), &accounts(), &plain).acl.mode(), 0o640);
        let with_list = of_same(&entry(0o660, Some(LIST)), &accounts(), &plain);
        assert!(with_list.acl.opens(plain.acl.as_ref().unwrap()));
        let other_group = here(Acl::of_mode(0o600), 33);
        assert_eq!(of_same(&entry(0o640, None), &accounts(), &other_group).acl.mode(), 0o600);
    }
}
