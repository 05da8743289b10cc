//! Ids that stand for no id.

/// What programs write where they have no id, compared without regard to case: JavaScript, Python, Go, templates, GA4, shop
/// systems.
const PLACEHOLDERS: [&str; 11] = [
    "0",
    "nil",
    "nan",
    "null",
    "none",
    "<nil>",
    "(null)",
    "undefined",
    "(not set)",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
];

/// What a template that was not filled in begins and ends with.
const TEMPLATES: [(&str, &str); 3] = [("{{", "}}"), ("${", "}"), ("<%", "%>")];

/// Whether an id is a placeholder: one of those that programs write, or one of `more`, exactly.
#[inline]
pub(crate) fn is_placeholder(id: &str, more: &[String]) -> bool {
    // Most ids begin otherwise than every placeholder, and need no comparison.
    let begins = id.as_bytes().first();
    let is_suspect = begins.is_some_and(|byte| b"0nNuU<([{$".contains(byte));
    is_suspect && is_known(id) || more.iter().any(|known| known == id)
}

fn is_known(id: &str) -> bool {
    PLACEHOLDERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(id))
        || TEMPLATES
            .iter()
            .any(|(start, end)| id.starts_with(start) && id.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_ids() {
        let more = ["guest".to_owned()];
        for id in [
            "0",
            "NULL",
            "Undefined",
            "NaN",
            "None",
            "[object Object]",
            "{{user.id}}",
            "{{ user_id }}",
            "${customer.id}",
            "<%= id %>",
            "00000000-0000-0000-0000-000000000000",
            "(not set)",
            "guest",
        ] {
            assert!(is_placeholder(id, &more), "{id}");
        }
        for id in [
            "1",
            "00",
            "nullable",
            "Guest",
            "{user}",
            "00000000-0000-0000-0000-000000000001",
            "none of the above",
        ] {
            assert!(!is_placeholder(id, &more), "{id}");
        }
    }
}
