//! Names similar to one that does not exist, as a hint for the operator.

const MAX_HINTS: usize = 3;

/// The names most similar to `wanted`; none if even these differ too much.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let limit = 1 + wanted.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = names
        .map(|name| (strsim::levenshtein(wanted, name), name.as_str()))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter().take(MAX_HINTS).map(|(_, name)| name).collect()
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
