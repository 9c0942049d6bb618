use super::*;
use fastrand::Rng;
use proptest::prelude::*;
use std::collections::HashSet;

/// In the ratio of the real ones, but small, so that many texts can be tried.
const SMALL: usize = 3 << 10;
const LARGE: usize = 8 << 10;

fn members(mut text: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    while !text.is_empty() {
        let (member, rest) = text.split_at(first_between(text, SMALL, LARGE));
        members.push(member);
        text = rest;
    }
    members
}

/// A row that no other equals, of eight to so many bytes.
fn row(rng: &mut Rng, longest: usize) -> Vec<u8> {
    let length = rng.usize(8..=longest);
    let mut row: Vec<u8> = (1..length).map(|_| rng.alphanumeric() as u8).collect();
    row.push(b'\n');
    row
}

fn rows(rng: &mut Rng, bytes: usize, longest: usize) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    let mut total = 0;
    while total < bytes {
        let row = row(rng, longest);
        total += row.len();
        rows.push(row);
    }
    rows
}

/// The members of `after` that are not among those of `before`.
fn new_members<'a>(before: &[u8], after: &'a [u8]) -> Vec<&'a [u8]> {
    let before: HashSet<_> = members(before).into_iter().collect();
    members(after).into_iter().filter(|member| !before.contains(member)).collect()
}

#[test]
fn every_member_but_the_last_ends_with_a_row_and_is_within_the_bounds() {
    let mut rng = Rng::with_seed(1);
    for longest in [8, 80, SMALL, LARGE - SMALL] {
        let text = rows(&mut rng, 100 * LARGE, longest).concat();
        let members = members(&text);
        let (last, others) = members.split_last().unwrap();
        assert!(last.len() <= LARGE);
        for member in others {
            assert!(member.ends_with(b"\n") && (SMALL..=LARGE).contains(&member.len()));
        }
        let mean = text.len() / members.len();
        assert!((LARGE / 2..LARGE * 7 / 8).contains(&mean), "{mean} bytes on average");
    }
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let text = |ends: &[usize]| {
        let mut text = vec![b'x'; MEMBER];
        ends.iter().for_each(|end| text[*end - 1] = b'\n');
        text
    };
    for end in [SHORTEST, SHORTEST + 1, MEMBER - 1, MEMBER] {
        assert_eq!(first_member(&text(&[end])), end);
    }
    // In front of a row that does not fit, however small the member becomes.
    assert_eq!(first_member(&text(&[7, SHORTEST - 1])), SHORTEST - 1);
    assert_eq!(first_member(&text(&[1])), 1);
    // Within a row that does not fit at all.
    assert_eq!(first_member(&text(&[])), MEMBER);
    for length in [0, 1, SHORTEST, MEMBER - 1] {
        assert_eq!(first_member(&text(&[SHORTEST, SHORTEST + 9])[..length]), length);
    }
}

#[test]
fn a_row_that_does_not_fit_is_the_same_pieces_whatever_comes_before_it() {
    let mut rng = Rng::with_seed(2);
    let mut huge = vec![b'h'; 3 * LARGE + 99];
    huge.push(b'\n');
    for before in [0, 100, SMALL, LARGE, 3 * LARGE] {
        let text = [rows(&mut rng, before, 300).concat(), huge.clone()].concat();
        let members = members(&text);
        let pieces = members.iter().rev().take(4).map(|member| member.len()).collect::<Vec<_>>();
        assert_eq!(pieces, [100, LARGE, LARGE, LARGE], "after {before} bytes");
    }
}

#[test]
fn equal_rows_are_cut_as_early_as_allowed() {
    let text = b"a\tb\t1\n".repeat(LARGE);
    let first = SMALL.next_multiple_of(6);
    assert!(members(&text)[..4].iter().all(|member| member.len() == first));
}

/// The hash decides where members end in every copy of a dump that is kept anywhere.
#[test]
fn the_hash_of_a_line_is_the_same_in_every_release() {
    let hashes = [&b"\n"[..], b"1\tone\n", b"0123456789abcdef\n", &[7; 1000]].map(line_hash);
    let known = [
        1_879_447_343_612_093_937,
        10_701_875_802_554_325_351,
        5_176_652_957_293_128_751,
        17_635_322_283_821_720_566,
    ];
    assert_eq!(hashes, known);
}

#[test]
fn lines_that_differ_little_have_hashes_that_differ_in_every_part() {
    let lines = (0..20_000).map(|n| format!("{n}\tview\t{{\"ms\": {}}}\n", n % 7));
    let hashes: Vec<u64> = lines.map(|line| line_hash(line.as_bytes())).collect();
    for shift in [0, 16, 32] {
        let distinct: HashSet<u64> =
            hashes.iter().map(|hash| hash >> shift & 0xffff_ffff).collect();
        assert!(distinct.len() > 19_990, "{} after {shift} bits", distinct.len());
    }
    let low = hashes.iter().filter(|hash| **hash < 1 << 60).count();
    assert!((1_000..1_500).contains(&low), "{low} of 20,000 are in the lowest sixteenth");
}

/// One of the changes that a night makes to a table; rows are found again by their order.
fn change(rng: &mut Rng, rows: &mut Vec<Vec<u8>>) {
    let at = rng.usize(..rows.len() - 20);
    match rng.u8(..4) {
        0 => drop(rows.drain(at..at + rng.usize(1..20))),
        1 => {
            let new: Vec<_> = (0..rng.usize(1..20)).map(|_| row(rng, 200)).collect();
            rows.splice(at..at, new);
        }
        2 => rows[at] = row(rng, 400),
        // As PostgreSQL updates a row: it moves.
        _ => {
            let row = rows.remove(at);
            rows.push(row);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever changes, most of what did not is the same members.
    #[test]
    fn changes_cost_the_members_around_them(seed: u64, changes in 1..40usize) {
        let mut rng = Rng::with_seed(seed);
        let mut table = rows(&mut rng, 400 * LARGE, 200);
        let before = table.concat();
        (0..changes).for_each(|_| change(&mut rng, &mut table));
        let after = table.concat();
        let new = new_members(&before, &after).len();
        // Two where a row leaves and arrives; seldom, a few until the ends are the same again.
        prop_assert!(new <= 3 * changes + 12, "{new} after {changes} changes");
    }
}

#[test]
fn on_average_a_change_costs_hardly_more_than_the_member_that_it_is_in() {
    let mut rng = Rng::with_seed(5);
    let table = rows(&mut rng, 100 * LARGE, 200);
    let before = table.concat();
    let mut new = 0;
    for _ in 0..300 {
        let mut changed = table.clone();
        let at = rng.usize(..changed.len());
        changed[at] = row(&mut rng, 400);
        new += new_members(&before, &changed.concat()).len();
    }
    assert!((300..390).contains(&new), "{new} members for 300 changes");
}

#[test]
fn rows_that_come_first_leave_the_others_as_they_are() {
    let mut rng = Rng::with_seed(6);
    let table = rows(&mut rng, 200 * LARGE, 200).concat();
    let whole = members(&table).len();
    for more in [1, SMALL, LARGE, 5 * LARGE] {
        let after = [rows(&mut rng, more, 200).concat(), table.clone()].concat();
        let new = new_members(&table, &after).len();
        let least = more / LARGE + 1;
        assert!((least..least + 9).contains(&new), "{new} of {whole} after {more} bytes");
    }
}
