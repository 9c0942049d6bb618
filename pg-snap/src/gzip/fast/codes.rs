//! Prefix codes: their lengths from how often each symbol occurs, the codes from their lengths.

/// No code of DEFLATE has more symbols.
const SYMBOLS: usize = 288;
/// Deeper than any tree of leaves that occur less than 2^32 times together.
const DEPTHS: usize = 64;

/// Bits of the code of each symbol, at most `limit`; none for a symbol that does not occur. Two have
/// one at least, so that the code is complete: some readers refuse others.
pub fn lengths<const N: usize>(counts: &[u32; N], limit: usize) -> [u8; N] {
    let mut lengths = [0; N];
    let mut rarest_first = [(0, 0); N];
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        rarest_first[used] = (count, symbol);
        used += 1;
    }
    if used < 2 {
        let (_, only) = rarest_first[0];
        lengths[only] = 1;
        lengths[usize::from(only == 0)] = 1;
        return lengths;
    }
    let rarest_first = &mut rarest_first[..used];
    rarest_first.sort_unstable();
    let mut leaves = leaves(rarest_first);
    raise(&mut leaves, limit);
    let mut symbols = rarest_first.iter().map(|(_, symbol)| *symbol);
    for (depth, n) in leaves.into_iter().enumerate().rev() {
        for symbol in symbols.by_ref().take(n) {
            lengths[symbol] = depth as u8;
        }
    }
    lengths
}

/// How many leaves Huffman's tree has at each depth.
fn leaves(rarest_first: &[(u32, usize)]) -> [usize; DEPTHS] {
    const NODES: usize = 2 * SYMBOLS;
    let n = rarest_first.len();
    let (mut weight, mut parent) = ([0; NODES], [0; NODES]);
    for (weight, (count, _)) in weight.iter_mut().zip(rarest_first) {
        *weight = *count;
    }
    // Leaves stand first, inner nodes behind them; each kind is made, and used up, lightest first.
    let (mut leaf, mut inner) = (0, n);
    for new in n..2 * n - 1 {
        for _ in 0..2 {
            let is_leaf = inner == new || leaf < n && weight[leaf] <= weight[inner];
            let next = if is_leaf { &mut leaf } else { &mut inner };
            weight[new] += weight[*next];
            parent[*next] = new;
            *next += 1;
        }
    }
    let mut depth = [0; NODES];
    let mut leaves = [0; DEPTHS];
    for node in (0..2 * n - 2).rev() {
        depth[node] = depth[parent[node]] + 1;
        if node < n {
            leaves[depth[node]] += 1;
        }
    }
    leaves
}

/// Brings leaves below the limit up to it, and makes room for them.
fn raise(leaves: &mut [usize; DEPTHS], limit: usize) {
    for depth in limit + 1..DEPTHS {
        leaves[limit] += std::mem::take(&mut leaves[depth]);
    }
    let taken: usize = (1..=limit).map(|depth| leaves[depth] << (limit - depth)).sum();
    for _ in 1 << limit..taken {
        // Where a leaf was, an inner node comes: with that leaf, and one from the lowest level.
        let Some(depth) = (1..limit).rev().find(|depth| leaves[*depth] > 0) else { return };
        leaves[depth] -= 1;
        leaves[depth + 1] += 2;
        leaves[limit] -= 1;
    }
}

/// A code, the first bit lowest, and how many bits it has.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Code {
    pub bits: u16,
    pub length: u8,
}

/// The codes that follow from their lengths (RFC 1951, 3.2.2).
pub fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut of_length = [0u16; 16];
    for &length in lengths {
        of_length[usize::from(length)] += u16::from(length > 0);
    }
    let mut next = [0u16; 16];
    for length in 1..16 {
        next[length] = (next[length - 1] + of_length[length - 1]) << 1;
    }
    lengths.map(|length| {
        if length == 0 {
            return Code::default();
        }
        let bits = next[usize::from(length)];
        next[usize::from(length)] += 1;
        Code { bits: bits.reverse_bits() >> (16 - length), length }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of all sequences of `limit` bits the codes take.
    fn taken(lengths: &[u8], limit: usize) -> usize {
        let lengths = lengths.iter().filter(|length| **length > 0);
        lengths.map(|length| 1 << (limit - usize::from(*length))).sum()
    }

    fn fibonacci<const N: usize>() -> [u32; N] {
        let (mut a, mut b) = (1u32, 1u32);
        std::array::from_fn(|_| {
            (a, b) = (b, if b < 1 << 20 { a + b } else { b });
            a
        })
    }

    fn is_complete_and_limited<const N: usize>(counts: &[u32; N], limit: usize) {
        let lengths = lengths(counts, limit);
        assert_eq!(taken(&lengths, limit), 1 << limit, "{counts:?} {lengths:?}");
        for (count, length) in counts.iter().zip(lengths) {
            assert!(usize::from(length) <= limit && (*count == 0 || length > 0));
            for (other, longer) in counts.iter().zip(lengths) {
                assert!(
                    other >= count || *other == 0 || longer >= length,
                    "{counts:?} {lengths:?}"
                );
            }
        }
    }

    #[test]
    fn a_code_is_complete_and_no_longer_than_the_limit_whatever_the_counts() {
        is_complete_and_limited(&[0; 19], 7);
        is_complete_and_limited(&[0, 0, 5], 7);
        is_complete_and_limited(&[7, 0, 0], 7);
        is_complete_and_limited(&[1; 286], 12);
        is_complete_and_limited(&[1; 286], 9);
        is_complete_and_limited(&[u32::MAX / 19; 19], 7);
        is_complete_and_limited(&fibonacci::<19>(), 7);
        is_complete_and_limited(&fibonacci::<30>(), 12);
        is_complete_and_limited(&fibonacci::<30>(), 5);
        is_complete_and_limited(&fibonacci::<286>(), 12);
        is_complete_and_limited(&fibonacci::<286>(), 15);
        let mut state = 1u32;
        for _ in 0..200 {
            let counts: [u32; 286] = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (1 << (state >> 28)) >> (state >> 20 & 15)
            });
            is_complete_and_limited(&counts, 12);
        }
    }

    #[test]
    fn the_more_a_symbol_occurs_the_shorter_its_code() {
        assert_eq!(lengths(&[1, 1, 2, 4, 8], 7), [4, 4, 3, 2, 1]);
        assert_eq!(lengths(&[1, 1, 2, 4, 8], 3), [3, 3, 3, 3, 1]);
        assert_eq!(lengths(&[0, 9, 0, 0, 9], 7), [0, 1, 0, 0, 1]);
        assert_eq!(lengths(&[0, 9, 0], 7), [1, 1, 0]);
        assert_eq!(lengths(&[9, 0, 0], 7), [1, 1, 0]);
    }

    #[test]
    fn codes_are_those_of_the_standards_example() {
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let written = codes.map(|code| code.bits.reverse_bits() >> (16 - code.length));
        assert_eq!(written, [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]);
        assert_eq!(self::codes(&[0, 1, 0, 1])[2..], [Code::default(), Code { bits: 1, length: 1 }]);
    }
}
