//! Comments above a statement.

/// How many bytes of blank lines and comments come before the statement.
pub fn length_of_comments(sql: &[u8]) -> usize {
    sql.split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.trim_ascii().is_empty() || line.starts_with(b"--"))
        .map(<[u8]>::len)
        .sum()
}
