//! Compose doubles each dollar sign in what it prints: in what it reads, a single one begins a variable.

/// A text as Compose has to read it.
pub fn doubled(text: &str) -> String {
    text.replace('$', "$$")
}

/// A text of Compose's as it is meant.
pub fn single(text: &str) -> String {
    text.replace("$$", "$")
}
