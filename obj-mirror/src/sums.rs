//! The `SHA256SUMS` that plain `sha256sum -c` reads.

/// One line: hash, two spaces, path; in sha256sum's own escaping where the path needs it.
#[must_use]
pub fn line(sha256: &str, path: &str) -> String {
    if path.contains(['\\', '\n', '\r']) {
        let path = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        format!("\\{sha256}  {path}\n")
    } else {
        format!("{sha256}  {path}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_sha256sum_does() {
        assert_eq!(line("00", "a b"), "00  a b\n");
        assert_eq!(line("00", "a\\b\n"), "\\00  a\\\\b\\n\n");
    }
}
