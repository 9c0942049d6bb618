//! Quoted values and their escapes.

/// The text between quotes at the start of `text`, and how many bytes it takes there, both quotes
/// counted; nothing where the quote is never closed. An escaped quote is the quote; any other
/// escape stays for [`escapes`].
pub fn quoted(text: &str, quote: char) -> Option<(usize, String)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((at + c.len_utf8(), out));
        }
        if c == '\\' {
            let (_, next) = chars.next()?;
            if next != quote {
                out.push(c);
            }
            out.push(next);
        } else {
            out.push(c);
        }
    }
    None
}

/// Resolves the escapes of a double-quoted value into a template for interpolation: `\$` becomes
/// `$$` there. What is no escape stays as it is. Nothing where an escape makes a NUL.
pub fn escapes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let (put, taken): (&str, usize) = match c {
            'a' => ("\x07", 1),
            'b' => ("\x08", 1),
            'f' => ("\x0C", 1),
            'n' => ("\n", 1),
            'r' => ("\r", 1),
            't' => ("\t", 1),
            'v' => ("\x0B", 1),
            '"' => ("\"", 1),
            '\\' => ("\\", 1),
            '$' => ("$$", 1),
            '0' => match octal(rest) {
                Some(0) => return None,
                Some(byte) => {
                    out.push(char::from(byte));
                    ("", 4)
                }
                None => ("\\0", 1),
            },
            _ => ("\\", 0),
        };
        out.push_str(put);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Some(out)
}

/// `0` and three octal digits of an ASCII character.
fn octal(text: &str) -> Option<u8> {
    let digits = text.get(1..4)?;
    if !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u8::from_str_radix(digits, 8).ok().filter(u8::is_ascii)
}
