//! Names like one that is not there: what somebody may have meant.

/// At most so many are told.
const MOST: usize = 3;

/// Of `names` those most like `wanted`; none where they are all far from it.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let far = 1 + wanted.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = names
        .map(|name| (distance(wanted, name), name.as_str()))
        .filter(|(distance, _)| *distance <= far)
        .collect();
    near.sort_unstable();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// Characters to be put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = change.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_little_changed_are_near() {
        let names =
            ["public", "tenant_0001", "tenant_0010", "tenant_0101", "tenant_2"].map(String::from);
        for (wanted, expected) in [
            ("tenant_001", "tenant_0001 tenant_0010 tenant_0101"),
            ("Tenant_0010", "tenant_0010 tenant_0001 tenant_0101"),
            ("pubic", "public"),
            ("customers", ""),
            ("", ""),
        ] {
            assert_eq!(nearest(wanted, names.iter()).join(" "), expected, "{wanted}");
        }
    }
}
