//! A random text of the same shape, so that a program that reads a key as hexadecimal digits can.

const DIGITS: &[u8] = b"0123456789";
const LOWER_HEX: &[u8] = b"0123456789abcdef";
const UPPER_HEX: &[u8] = b"0123456789ABCDEF";
const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The last digits that base64 may have before its padding: for two bytes and for one of the last three.
const LAST_OF_TWO: &[u8] = b"AEIMQUYcgkosw048";
const LAST_OF_ONE: &[u8] = b"AQgw";
/// Where a UUID has its version and variant.
const FIXED_IN_UUID: [usize; 2] = [14, 19];

/// Picks a number below another one.
pub type Pick<'a> = dyn FnMut(usize) -> usize + 'a;

/// A text of as many characters, all of them letters and digits; hexadecimal, decimal, base64 and a UUID
/// stay what they are. Never the same text.
pub fn like(text: &str, pick: &mut Pick<'_>) -> String {
    for _ in 0..100 {
        let other = once(text, pick);
        if other != text {
            return other;
        }
    }
    // One character that has no other of its kind.
    text.chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect()
}

fn once(text: &str, pick: &mut Pick<'_>) -> String {
    if let Some(rest) = text.strip_prefix("base64:") {
        return format!("base64:{}", once(rest, pick));
    }
    let bytes = text.as_bytes();
    let all = |set: &[u8]| bytes.iter().all(|byte| set.contains(byte));
    let mut of = |set: &[u8]| char::from(set[pick(set.len())]);
    if is_uuid(text) {
        let kept = |at: usize, c: char| c == '-' || FIXED_IN_UUID.contains(&at);
        let each = text.chars().enumerate();
        return each.map(|(at, c)| if kept(at, c) { c } else { of(LOWER_HEX) }).collect();
    }
    let set = match text.len() {
        8.. if all(DIGITS) => DIGITS,
        8.. if all(LOWER_HEX) => LOWER_HEX,
        8.. if all(UPPER_HEX) => UPPER_HEX,
        _ if all(DIGITS) => DIGITS,
        _ => LETTERS,
    };
    let Some((body, last, padding)) = base64(text) else {
        return text.chars().map(|_| of(set)).collect();
    };
    let mut other: String = (0..body).map(|_| of(LETTERS)).collect();
    other.push(of(last));
    other + padding
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |at: usize, c: char| match at {
        8 | 13 | 18 | 23 => c == '-',
        _ => c.is_ascii_digit() || ('a'..='f').contains(&c),
    };
    text.len() == 36 && text.char_indices().all(|(at, c)| is_hex(at, c))
}

/// Of padded base64: how many digits may be any, which the last may be, and the padding.
fn base64(text: &str) -> Option<(usize, &'static [u8], &'static str)> {
    let body = text.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    if !text.len().is_multiple_of(4) || body.is_empty() || !body.chars().all(is_digit) {
        return None;
    }
    match text.len() - body.len() {
        1 => Some((body.len() - 1, LAST_OF_TWO, "=")),
        2 => Some((body.len() - 1, LAST_OF_ONE, "==")),
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Numbers that look random, the same ones each time.
    pub fn picks(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    #[test]
    fn a_text_keeps_its_shape_and_nothing_else() {
        let is =
            |set: &'static [u8]| move |text: &str| text.bytes().all(|byte| set.contains(&byte));
        let mut pick = picks(1);
        type IsAlike<'a> = &'a dyn Fn(&str) -> bool;
        let cases: [(&str, IsAlike<'_>); 9] = [
            ("0123456789abcdef", &is(LOWER_HEX)),
            ("DEADBEEFDEADBEEF", &is(UPPER_HEX)),
            ("4711", &is(DIGITS)),
            ("hunter2", &is(LETTERS)),
            ("p@ss wörd/:#", &is(LETTERS)),
            ("123e4567-e89b-42d3-a456-426614174000", &|text: &str| {
                is_uuid(text) && text[14..15] == *"4" && text[19..20] == *"a"
            }),
            ("aGVsbG8gd29ybGQ=", &|text: &str| {
                text.ends_with('=') && LAST_OF_TWO.contains(&text.as_bytes()[14])
            }),
            ("base64:aGVsbG8gd29ybA==", &|text: &str| {
                text.starts_with("base64:") && text.ends_with("==") && base64(&text[7..]).is_some()
            }),
            ("AAAA", &is(LETTERS)),
        ];
        for (text, is_alike) in cases {
            for _ in 0..20 {
                let other = like(text, &mut pick);
                assert!(is_alike(&other) && other != text, "{text} {other}");
                assert_eq!(other.chars().count(), text.chars().count(), "{other}");
            }
        }
        assert_eq!(like("A", &mut |_| 10), "B");
        assert_eq!(like("", &mut pick), "");
    }
}
