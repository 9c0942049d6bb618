//! Are two contents the same?

use std::io::{self, ErrorKind, Read};

/// Whether two streams give the same bytes.
pub fn same(mut a: impl Read, mut b: impl Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let n = fill(&mut a, &mut left)?;
        let m = fill(&mut b, &mut right)?;
        if left[..n] != right[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match from.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn a_difference_anywhere_is_seen() {
        let a = vec![1; 200_000];
        let mut b = a.clone();
        assert!(same(a.as_slice(), b.as_slice()).unwrap());
        b[199_999] = 2;
        assert!(!same(a.as_slice(), b.as_slice()).unwrap());
        assert!(!same(a.as_slice(), &a[..199_999]).unwrap());
        assert!(!same(&a[..65_536], a.as_slice()).unwrap());
        assert!(same(&b""[..], &b""[..]).unwrap());
    }
}
