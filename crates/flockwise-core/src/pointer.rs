use std::fmt;

/// A JSON pointer (RFC 6901) in which `*` stands for every element of an array, and `[key=uid]` for the element whose
/// member `key` is `uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Vec<PointerStep>);

/// One step of a [`Pointer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PointerStep {
    /// A member of an object, or the decimal index of an element.
    Name(String),
    /// Every element of an array.
    Every,
    /// The element of an array whose member `name` is this text.
    Where {
        /// Name of the member.
        name: String,
        /// The member's value.
        text: String,
    },
}

/// Why a text is not a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not start with a slash.
    #[error("`{0}` is not a JSON pointer: it must start with `/`, as in `/properties/revenue`")]
    NoSlash(String),
    /// It has a `~` outside of `~0` and `~1`.
    #[error("`{0}` is not a JSON pointer: `~` is written `~0` and `/` inside a name `~1`")]
    BadEscape(String),
    /// It has more than one `[name=value]`.
    #[error("`{0}` has more than one `[name=value]`, only one is possible")]
    TwoKeys(String),
}

impl Pointer {
    /// Parses `/a/b`, `/a/*/b` or `/a[key=uid]/b`. Inside a name, `~1` is a slash and `~0` a tilde.
    ///
    /// # Errors
    /// If the text does not start with a slash, has a stray tilde, or more than one key of an element.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| PointerError::NoSlash(text.to_owned()))?;
        let mut steps = Vec::new();
        for token in rest.split('/') {
            let bad_escape = || PointerError::BadEscape(text.to_owned());
            let (token, key) = key_of_element(token);
            steps.push(step(token).ok_or_else(bad_escape)?);
            if let Some((name, value)) = key {
                let unescaped = |text| unescape(text).ok_or_else(bad_escape);
                steps.push(PointerStep::Where {
                    name: unescaped(name)?,
                    text: unescaped(value)?,
                });
            }
        }
        let is_key = |step: &&PointerStep| matches!(step, PointerStep::Where { .. });
        match steps.iter().filter(is_key).count() {
            0 | 1 => Ok(Self(steps)),
            _ => Err(PointerError::TwoKeys(text.to_owned())),
        }
    }

    /// The steps from the root, at least one.
    #[must_use]
    pub fn steps(&self) -> &[PointerStep] {
        &self.0
    }

    /// The pointer up to its last `*`: to the elements in which it finds its values.
    #[must_use]
    pub fn elements(&self) -> Option<Self> {
        let last = self
            .0
            .iter()
            .rposition(|step| *step == PointerStep::Every)?;
        Some(Self(self.0[..=last].to_vec()))
    }

    /// Whether it contains a `*`, and so stands for any number of values.
    #[must_use]
    pub fn is_many(&self) -> bool {
        self.0.contains(&PointerStep::Every)
    }
}

fn step(token: &str) -> Option<PointerStep> {
    match token {
        "*" => Some(PointerStep::Every),
        name => unescape(name).map(PointerStep::Name),
    }
}

/// Splits `params[key=uid]` into the name, and the key of the element with its value.
fn key_of_element(token: &str) -> (&str, Option<(&str, &str)>) {
    let split = || {
        let (name, key) = token.strip_suffix(']')?.split_once('[')?;
        let (key, value) = key.split_once('=')?;
        (!key.is_empty()).then_some((name, Some((key, value))))
    };
    split().unwrap_or((token, None))
}

fn unescape(token: &str) -> Option<String> {
    let mut name = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(letter) = rest.next() {
        name.push(match letter {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(name)
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            PointerStep::Every => out.write_str("/*"),
            PointerStep::Name(name) => write!(out, "/{}", escape(name)),
            PointerStep::Where { name, text } => {
                write!(out, "[{}={}]", escape(name), escape(text))
            }
        })
    }
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_stars_come_back_as_written() {
        for text in [
            "/a",
            "/properties/products/*/category",
            "/a~1b/~0c",
            "/",
            "/0/x",
            "/event_params[key=ga_session_id]/value/int_value",
            "/a/*/b[name=x~1y=z]/c",
            "/a[0]",
        ] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_pointer_needs_its_slash_and_sound_escapes() {
        assert!(matches!(Pointer::parse("a"), Err(PointerError::NoSlash(_))));
        assert!(matches!(Pointer::parse(""), Err(PointerError::NoSlash(_))));
        assert!(matches!(
            Pointer::parse("/a[k=1]/b[k=2]"),
            Err(PointerError::TwoKeys(_))
        ));
        assert!(matches!(
            Pointer::parse("/a~2"),
            Err(PointerError::BadEscape(_))
        ));
    }
}
