//! The header of a gzip member of ours: constant bytes, and the member's length in an extra field.

/// Bytes up to the extra field: RFC 1952's own, and the extra field's length.
pub const FIXED: usize = 12;
/// Gzip, DEFLATE, with an extra field.
const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 4];
/// No time, no hint of the level, and an unknown operating system.
const NO_TIME: [u8; 6] = [0, 0, 0, 0, 0, 255];
/// A subfield's name and the length of what follows.
const LENGTH: [u8; 4] = [b'P', b'S', 4, 0];
const ZEROS: [u8; 4] = [b'P', b'0', ALIGNMENT as u8, 0];
/// Bytes of zero, as many as the window that restic's chunker looks at. Whatever polynomial the repository
/// has, the fingerprint of a window of zeros is zero, and ends a chunk.
const ALIGNMENT: usize = 64;

#[derive(Clone, Copy)]
pub enum Header {
    /// With zeros in front of what may differ, so that a chunk of a repository ends there.
    Aligning,
    /// The shortest.
    Plain,
}

/// What a header contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    pub header: usize,
    pub member: usize,
}

impl Header {
    const fn extra(self) -> usize {
        match self {
            Self::Plain => LENGTH.len() + 4,
            Self::Aligning => ZEROS.len() + ALIGNMENT + LENGTH.len() + 4,
        }
    }

    pub const fn length(self) -> usize {
        FIXED + self.extra()
    }

    /// Writes the header of a member of so many bytes.
    pub fn write(self, member: u32, out: &mut Vec<u8>) {
        self.write_constant(out);
        out.extend_from_slice(&member.to_le_bytes());
    }

    /// All but the length, which comes last.
    fn write_constant(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&NO_TIME);
        out.extend_from_slice(&(self.extra() as u16).to_le_bytes());
        if let Self::Aligning = self {
            out.extend_from_slice(&ZEROS);
            out.extend_from_slice(&[0; ALIGNMENT]);
        }
        out.extend_from_slice(&LENGTH);
    }
}

/// The length of the extra field that follows the first [`FIXED`] bytes of a member; none if it has none.
pub fn extra_length(fixed: &[u8]) -> Option<usize> {
    let length = fixed.get(FIXED - 2..FIXED)?;
    fixed.starts_with(&MAGIC).then(|| usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// The lengths in the header with which a member begins, if it is one of ours.
pub fn lengths(member: &[u8]) -> Option<Lengths> {
    let header = FIXED + extra_length(member)?;
    let mut extra = member.get(FIXED..header)?;
    while let Some((name, rest)) = extra.split_first_chunk::<4>() {
        let (value, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([name[2], name[3]])))?;
        if *name == LENGTH {
            let member = u32::from_le_bytes(value.try_into().ok()?);
            return Some(Lengths { header, member: usize::try_from(member).ok()? });
        }
        extra = rest;
    }
    None
}

/// Whether a header that is as long as one of ours is one, byte by byte: no checksum covers it.
pub fn is_intact(header: &[u8]) -> bool {
    [Header::Plain, Header::Aligning].iter().filter(|one| one.length() == header.len()).all(|one| {
        let mut constant = Vec::with_capacity(header.len());
        one.write_constant(&mut constant);
        header.starts_with(&constant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_found_among_other_subfields_and_in_no_other_header() {
        for header in [Header::Plain, Header::Aligning] {
            let mut bytes = Vec::new();
            header.write(700, &mut bytes);
            assert_eq!(bytes.len(), header.length());
            let found = Lengths { header: bytes.len(), member: 700 };
            assert_eq!(lengths(&bytes), Some(found));
            assert_eq!(lengths(&[&bytes[..], b"more"].concat()), Some(found));
            for cut in 0..bytes.len() {
                assert_eq!(lengths(&bytes[..cut]), None);
            }
        }
        let with_extra = |extra: &[u8]| {
            let fixed = [&MAGIC[..], &NO_TIME, &(extra.len() as u16).to_le_bytes()].concat();
            lengths(&[&fixed, extra, &[0; 9]].concat()).map(|lengths| lengths.member)
        };
        assert_eq!(with_extra(b"XY\x01\x00zPS\x04\x00\x07\x00\x00\x00AB\x00\x00"), Some(7));
        for other in
            [&b""[..], b"PS", b"PS\x05\x00\x07\x00\x00\x00\x00", b"XY\xff\x00PS\x04\x00abcd"]
        {
            assert_eq!(with_extra(other), None, "{other:?}");
        }
        assert_eq!(lengths(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]), None);
    }

    #[test]
    fn the_zeros_come_before_everything_that_differs_between_members() {
        let [mut a, mut b] = [Vec::new(), Vec::new()];
        Header::Aligning.write(1, &mut a);
        Header::Aligning.write(u32::MAX, &mut b);
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let zeros = a.windows(ALIGNMENT).position(|window| window.iter().all(|byte| *byte == 0));
        assert!(zeros.is_some_and(|at| at + ALIGNMENT <= same), "{zeros:?} of {same}");
    }
}
