//! Paths of keys, as in `kafka.properties`.

/// Appends a key to a path: `kafka.properties."sasl.password"`.
pub(crate) fn join(path: &str, key: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let key = if !key.is_empty() && key.chars().all(is_bare) {
        key.to_owned()
    } else {
        format!("\"{key}\"")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
