//! Records of a PAX extension header: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record.

/// A key and its value, which may hold any byte.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// The records of a header.
pub fn records(mut header: &[u8]) -> Result<Vec<Record<'_>>, ()> {
    let mut all = Vec::new();
    while !header.is_empty() {
        // A length of more digits is longer than any header.
        let space = header.iter().take(8).position(|b| *b == b' ').ok_or(())?;
        let length = digits(&header[..space]).ok_or(())?;
        let (record, rest) = header.split_at_checked(length).ok_or(())?;
        let record = record.get(space + 1..).and_then(|r| r.strip_suffix(b"\n")).ok_or(())?;
        let equals = record.iter().position(|b| *b == b'=').ok_or(())?;
        all.push((&record[..equals], &record[equals + 1..]));
        header = rest;
    }
    Ok(all)
}

/// A number without sign.
pub fn digits(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A record.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + b" =\n".len();
    // The length counts its own digits.
    let mut length = body + 1;
    while body + length.to_string().len() != length {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_record_is_an_error() {
        for header in [
            "x",
            "6 a=",
            "5 a=",
            "+6 a=b\n",
            "06a=b\n",
            " a=b\n",
            "7 a=b\n",
            "5 a=b\n",
            "5 ab\n",
            "99999999999999999999 a=b\n",
            "0 a=b\n",
            "1 a=b\n",
        ] {
            assert_eq!(records(header.as_bytes()), Err(()), "{header:?}");
        }
        assert_eq!(records(b""), Ok(vec![]));
    }

    #[test]
    fn the_length_counts_its_own_digits() {
        assert_eq!(record(b"a", b"b"), b"6 a=b\n");
        for size in [0, 2, 3, 4, 90, 91, 92, 93, 990, 991, 992, 70_000] {
            let value = vec![b'v'; size];
            assert_eq!(records(&record(b"k", &value)), Ok(vec![(&b"k"[..], value.as_slice())]));
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(key in "[a-zA-Z.]{1,20}", value: Vec<u8>, next: Vec<u8>) {
            let header = [record(key.as_bytes(), &value), record(b"next", &next)].concat();
            let expected = vec![(key.as_bytes(), value.as_slice()), (&b"next"[..], next.as_slice())];
            prop_assert_eq!(records(&header), Ok(expected));
        }

        #[test]
        fn no_bytes_are_a_panic(header: Vec<u8>) {
            let _ = records(&header);
        }
    }
}
