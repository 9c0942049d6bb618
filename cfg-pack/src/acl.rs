//! Access control lists as the kernel has them, and what they let whom do.

use std::collections::BTreeMap;

/// How many named entries there may be; the kernel takes fewer.
pub const MAX_NAMED: usize = 1024;

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NO_ID: u32 = u32::MAX;

/// Who may do what; rights are bits: read 4, write 2, execute 1. Without named entries and mask it is
/// what a mode grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    pub user: u8,
    pub group: u8,
    pub other: u8,
    /// The most that the group and the named ones have.
    pub mask: Option<u8>,
    pub users: BTreeMap<u32, u8>,
    pub groups: BTreeMap<u32, u8>,
}

impl Acl {
    /// What permission bits grant.
    pub fn of_mode(mode: u32) -> Self {
        let bits = |shift: u32| ((mode >> shift) & 7) as u8;
        Self { user: bits(6), group: bits(3), other: bits(0), ..Self::default() }
    }

    /// Whether a mode cannot express it.
    pub fn is_extended(&self) -> bool {
        self.mask.is_some() || !self.users.is_empty() || !self.groups.is_empty()
    }

    fn masked(&self, rights: u8) -> u8 {
        rights & self.mask.unwrap_or(7)
    }

    /// What the owning group may do.
    pub fn group_rights(&self) -> u8 {
        self.masked(self.group)
    }

    fn named(&self) -> impl Iterator<Item = u8> {
        self.users.values().chain(self.groups.values()).map(|rights| self.masked(*rights))
    }

    /// The rights that everybody but the owner has at least.
    pub fn least(&self) -> u8 {
        self.named().fold(self.group_rights() & self.other, |least, rights| least & rights)
    }

    fn most(&self) -> u8 {
        self.named().fold(self.group_rights() | self.other, |most, rights| most | rights)
    }

    /// The permission bits that let nobody do more than this does, for where it cannot be applied. The
    /// mask, which `stat` shows as the group's bits, is not among them.
    pub fn closest_mode(&self) -> u32 {
        let users = self.users.values().map(|rights| self.masked(*rights));
        // A named user may be in the group; a named user or group is somebody other without the list.
        let group = users.fold(self.group_rights(), |group, rights| group & rights);
        let other = self.named().fold(self.other, |other, rights| other & rights);
        bits(self.user, group, other)
    }

    /// The permission bits that `stat` shows once it is applied.
    pub fn mode(&self) -> u32 {
        bits(self.user, self.mask.unwrap_or(self.group), self.other)
    }

    /// Whether both let everybody do the same.
    pub fn same_rights(&self, other: &Self) -> bool {
        let rights = |acl: &Self| {
            let masked = |named: &BTreeMap<u32, u8>| -> BTreeMap<u32, u8> {
                named.iter().map(|(id, rights)| (*id, acl.masked(*rights))).collect()
            };
            (acl.user, acl.group_rights(), acl.other, masked(&acl.users), masked(&acl.groups))
        };
        rights(self) == rights(other)
    }

    /// Whether somebody but the owner may be able to do what `before` forbids them, the owning group
    /// being the same.
    pub fn opens(&self, before: &Self) -> bool {
        let more = |now: u8, then: u8| now & !then != 0;
        let of = |acl: &Self, named: &BTreeMap<u32, u8>, id: &u32, without: u8| {
            named.get(id).map_or(without, |rights| acl.masked(*rights))
        };
        let users = self.users.keys().chain(before.users.keys());
        let mut users = users.map(|id| {
            let now = of(self, &self.users, id, self.most());
            more(now, of(before, &before.users, id, before.least()))
        });
        let groups = self.groups.keys().chain(before.groups.keys());
        let mut groups = groups.map(|id| {
            let now = of(self, &self.groups, id, self.most());
            more(now, of(before, &before.groups, id, before.least()))
        });
        more(self.group_rights(), before.group_rights())
            || more(self.other, before.other)
            || users.any(|more| more)
            || groups.any(|more| more)
    }

    /// As the kernel takes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, rights: u8, id: u32| {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(u16::from(rights).to_le_bytes());
            bytes.extend(id.to_le_bytes());
        };
        put(USER_OBJ, self.user, NO_ID);
        self.users.iter().for_each(|(id, rights)| put(USER, *rights, *id));
        put(GROUP_OBJ, self.group, NO_ID);
        self.groups.iter().for_each(|(id, rights)| put(GROUP, *rights, *id));
        if let Some(mask) = self.mask {
            put(MASK, mask, NO_ID);
        }
        put(OTHER, self.other, NO_ID);
        bytes
    }

    /// From what the kernel gives, or an archive holds.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || !entries.len().is_multiple_of(8) {
            return None;
        }
        let mut draft = Draft::default();
        for entry in entries.chunks_exact(8) {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let rights = u8::try_from(u16::from_le_bytes([entry[2], entry[3]])).ok()?;
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let who = match tag {
                USER_OBJ => Who::Owner,
                USER => Who::User(id),
                GROUP_OBJ => Who::Group,
                GROUP => Who::NamedGroup(id),
                MASK => Who::Mask,
                OTHER => Who::Other,
                _ => return None,
            };
            draft.add(who, rights)?;
        }
        draft.finish()
    }
}

fn bits(user: u8, group: u8, other: u8) -> u32 {
    u32::from(user) << 6 | u32::from(group) << 3 | u32::from(other)
}

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Owner,
    User(u32),
    Group,
    NamedGroup(u32),
    Mask,
    Other,
}

/// A list that entries are added to, each once.
#[derive(Default)]
pub struct Draft {
    user: Option<u8>,
    group: Option<u8>,
    mask: Option<u8>,
    other: Option<u8>,
    users: BTreeMap<u32, u8>,
    groups: BTreeMap<u32, u8>,
}

impl Draft {
    /// Adds an entry; none if it cannot be one, or is there already.
    pub fn add(&mut self, who: Who, rights: u8) -> Option<()> {
        if rights > 7 || self.users.len() + self.groups.len() > MAX_NAMED {
            return None;
        }
        let before = match who {
            Who::Owner => self.user.replace(rights),
            Who::Group => self.group.replace(rights),
            Who::Mask => self.mask.replace(rights),
            Who::Other => self.other.replace(rights),
            Who::User(NO_ID) | Who::NamedGroup(NO_ID) => return None,
            Who::User(id) => self.users.insert(id, rights),
            Who::NamedGroup(id) => self.groups.insert(id, rights),
        };
        before.is_none().then_some(())
    }

    /// The list, if nothing is missing.
    pub fn finish(self) -> Option<Acl> {
        let named = !self.users.is_empty() || !self.groups.is_empty();
        if named && self.mask.is_none() {
            return None;
        }
        Some(Acl {
            user: self.user?,
            group: self.group?,
            other: self.other?,
            mask: self.mask,
            users: self.users,
            groups: self.groups,
        })
    }
}

#[cfg(test)]
mod tests;
