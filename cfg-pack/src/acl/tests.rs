use super::*;
use proptest::prelude::*;

fn acl(user: u8, group: u8, other: u8, mask: u8, users: &[(u32, u8)], groups: &[(u32, u8)]) -> Acl {
    let (users, groups) = (users.iter().copied().collect(), groups.iter().copied().collect());
    Acl { user, group, other, mask: Some(mask), users, groups }
}

/// What somebody may do: the kernel's own steps.
fn rights(acl: &Acl, uid: u32, groups: &[u32], owning_group: u32, wanted: u8) -> bool {
    let masked = |rights: u8| rights & acl.mask.unwrap_or(7);
    let grants = |rights: u8| rights & wanted == wanted;
    if let Some(rights) = acl.users.get(&uid) {
        return grants(masked(*rights));
    }
    let mut of_groups: Vec<u8> =
        groups.iter().filter_map(|gid| acl.groups.get(gid)).copied().collect();
    if groups.contains(&owning_group) {
        of_groups.push(acl.group);
    }
    if of_groups.is_empty() {
        grants(acl.other)
    } else {
        of_groups.into_iter().any(|r| grants(masked(r)))
    }
}

fn any_acl() -> impl Strategy<Value = Acl> {
    let named = || prop::collection::btree_map(1_u32..4, 0_u8..8, 0..3);
    (0_u8..8, 0_u8..8, 0_u8..8, 0_u8..8, named(), named(), any::<bool>()).prop_map(
        |(user, group, other, mask, users, groups, plain)| {
            if plain {
                return Acl { user, group, other, ..Acl::default() };
            }
            Acl { user, group, other, mask: Some(mask), users, groups }
        },
    )
}

/// Everybody that a list of [`any_acl`] distinguishes, except the owner.
fn everybody() -> Vec<(u32, Vec<u32>)> {
    let mut all = Vec::new();
    for uid in 1..6 {
        for groups in 0..16_u32 {
            all.push((uid, (0..4).filter(|bit| groups >> bit & 1 == 1).map(|b| b + 1).collect()));
        }
    }
    all
}

/// The group of files here.
const OWNING: u32 = 4;

proptest! {
    #[test]
    fn the_closest_mode_lets_nobody_do_more(acl in any_acl()) {
        let mode = Acl::of_mode(acl.closest_mode());
        for (uid, groups) in everybody() {
            for wanted in [1, 2, 4] {
                let plain = rights(&mode, uid, &groups, OWNING, wanted);
                prop_assert!(!plain || rights(&acl, uid, &groups, OWNING, wanted), "{uid} {groups:?}");
            }
        }
    }

    #[test]
    fn what_opens_is_noticed(now in any_acl(), before in any_acl()) {
        let gains = everybody().iter().any(|(uid, groups)| [1, 2, 4].iter().any(|wanted| {
            rights(&now, *uid, groups, OWNING, *wanted) && !rights(&before, *uid, groups, OWNING, *wanted)
        }));
        prop_assert!(!gains || now.opens(&before));
        prop_assert!(!Acl::of_mode(now.closest_mode()).opens(&Acl::of_mode(now.closest_mode())));
    }

    #[test]
    fn bytes_come_back(acl in any_acl()) {
        prop_assert_eq!(Acl::from_bytes(&acl.to_bytes()), Some(acl));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>) {
        let _ = Acl::from_bytes(&bytes);
    }
}

#[test]
fn a_mask_is_no_right_of_the_group() {
    // user:7:rw-, group::---, mask::rw-: `stat` shows 0660.
    let secret = acl(6, 0, 0, 6, &[(7, 6)], &[]);
    assert_eq!(secret.mode(), 0o660);
    assert_eq!(secret.closest_mode(), 0o600);
    // Whom the list forbids it, the mode forbids too.
    assert_eq!(acl(6, 4, 4, 4, &[(7, 0)], &[]).closest_mode(), 0o600);
    assert_eq!(acl(6, 4, 4, 4, &[], &[(7, 0)]).closest_mode(), 0o640);
    assert_eq!(Acl::of_mode(0o640).closest_mode(), 0o640);
    assert!(acl(6, 4, 0, 4, &[], &[]).same_rights(&Acl::of_mode(0o640)));
}

#[test]
fn what_is_no_list_is_none() {
    let good = acl(6, 4, 0, 4, &[(7, 4)], &[(8, 4)]).to_bytes();
    assert!(Acl::from_bytes(&good).is_some());
    for cut in 0..good.len() {
        assert!(Acl::from_bytes(&good[..cut]).is_none(), "{cut}");
    }
    let entry = |at: usize| good[4 + at * 8..12 + at * 8].to_vec();
    let twice = [good.clone(), entry(1)].concat();
    let mut rights = good.clone();
    rights[6] = 8;
    let mut tag = good.clone();
    tag[4] = 0x40;
    let mut version = good.clone();
    version[0] = 1;
    let mut nobody = good.clone();
    nobody[16..20].fill(0xff);
    for bad in [twice, rights, tag, version, nobody] {
        assert!(Acl::from_bytes(&bad).is_none(), "{bad:?}");
    }
    let many = acl(6, 0, 0, 0, &(0..5000).map(|id| (id, 4)).collect::<Vec<_>>(), &[]);
    assert!(Acl::from_bytes(&many.to_bytes()).is_none());
}
