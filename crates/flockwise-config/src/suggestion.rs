//! Suggestions for misspelt names.

/// The name in `known` that is nearest to `text`; `None` if none is near enough.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain_text = plain(text);
    let slips_allowed = 1 + plain_text.chars().count() / 4;
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&plain_text, &plain(name)), name))
        .filter(|(slips, _)| *slips <= slips_allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// ``did you mean `nearest`?``, or the list of all known names.
pub(crate) fn hint<'a>(text: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(known)),
    }
}

/// Lists names: `a`, or `one of a, b, c`.
pub(crate) fn one_of<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = known.into_iter().collect();
    match names.as_slice() {
        [only] => (*only).to_owned(),
        _ => format!("one of {}", names.join(", ")),
    }
}

/// Removes case and separators, which users mix up most often: `bootstrapServers`.
fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_find_none() {
        let known = ["half_life", "window", "bootstrap_servers"];
        for (text, expected) in [
            ("half_lfe", Some("half_life")),
            ("halfLife", Some("half_life")),
            ("windwo", Some("window")),
            ("bootstrap.server", Some("bootstrap_servers")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(text, known), expected, "{text}");
        }
    }
}
