//! The one pass over a document, led by the projection's tree: what is wanted goes to the sink, the rest
//! is skipped, all of it is checked.

mod cursor;
mod escape;
mod nesting;
mod number;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub(crate) use cursor::{Raw, head};
pub(crate) use escape::unescape;
pub(crate) use number::Number;

use crate::projection::Node;
use crate::sink::{JsonValue, Sink};
use cursor::Cursor;
use escape::check_pairs;

/// The document is not JSON, or not one object. What is wrong with it, [`crate::json_error`] finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Objects and arrays around a wanted value, at most, with the outermost; serde_json's bound.
const DEEPEST: usize = 127;

/// Fills the sink with what the tree wants from a document, which must be one object.
pub(crate) fn scan(root: &Node, document: &str, sink: &mut Sink<'_>) -> Result<(), Invalid> {
    let rest = document.as_bytes();
    let mut cursor = Cursor { rest };
    cursor.expect(b'{')?;
    // All of it is kept, so that a text without escapes is but a range of it.
    let end = sink.event.keep(document).end as usize;
    let mut scan = Scan { end, sink };
    let rest = scan.object(root, cursor.rest, 1)?;
    Cursor { rest }.end()
}

struct Scan<'s, 'e> {
    /// Of the document, where the event keeps it.
    end: usize,
    sink: &'s mut Sink<'e>,
}

impl<'t> Scan<'_, '_> {
    /// Takes a value that the tree knows, with `depth` objects and arrays around it.
    #[inline(always)]
    fn value(&mut self, node: &Node, cursor: &mut Cursor<'t>, depth: usize) -> Result<(), Invalid> {
        let found = match cursor.token() {
            b'"' => {
                let raw = cursor.text()?;
                return self.text(node, &raw);
            }
            b'{' | b'[' => {
                cursor.rest = self.composite(node, cursor.rest, depth)?;
                return Ok(());
            }
            b't' => cursor.literal(b"true").map(|()| JsonValue::Bool(true))?,
            b'f' => cursor.literal(b"false").map(|()| JsonValue::Bool(false))?,
            b'n' => cursor.literal(b"null").map(|()| JsonValue::Null)?,
            _ => JsonValue::Number(cursor.number()?),
        };
        self.sink.take(&node.targets, &found);
        Ok(())
    }

    #[inline(always)]
    fn text(&mut self, node: &Node, raw: &Raw<'t>) -> Result<(), Invalid> {
        let range = if raw.has_escapes {
            self.sink.keep(raw.bytes())?
        } else {
            raw.range(self.end)
        };
        self.sink.take(&node.targets, &JsonValue::Text(range));
        Ok(())
    }

    fn composite(
        &mut self,
        node: &Node,
        rest: &'t [u8],
        depth: usize,
    ) -> Result<&'t [u8], Invalid> {
        self.sink.take(&node.targets, &JsonValue::Composite);
        match rest {
            _ if depth == DEEPEST => Err(Invalid),
            [b'{', rest @ ..] => self.object(node, rest, depth + 1),
            [_, rest @ ..] => self.array(node, rest, depth + 1),
            [] => Err(Invalid),
        }
    }

    /// Members up to the closing brace; the opening one is taken.
    fn object(&mut self, node: &Node, rest: &'t [u8], depth: usize) -> Result<&'t [u8], Invalid> {
        let mut cursor = Cursor { rest };
        if cursor.takes(b'}') {
            return Ok(cursor.rest);
        }
        loop {
            let name = cursor.text()?;
            if name.has_escapes {
                check_pairs(name.bytes())?;
            }
            cursor.expect(b':')?;
            match node.member(&name) {
                Some(child) => self.value(child, &mut cursor, depth)?,
                None => cursor.skip()?,
            }
            if !cursor.takes(b',') {
                cursor.expect(b'}')?;
                return Ok(cursor.rest);
            }
        }
    }

    /// Elements up to the closing bracket; the opening one is taken.
    fn array(&mut self, node: &Node, rest: &'t [u8], depth: usize) -> Result<&'t [u8], Invalid> {
        let mut cursor = Cursor { rest };
        if cursor.takes(b']') {
            return Ok(cursor.rest);
        }
        for place in 0.. {
            match node.element(place) {
                Some(child) => self.value(child, &mut cursor, depth)?,
                None => cursor.skip()?,
            }
            if !cursor.takes(b',') {
                break;
            }
        }
        cursor.expect(b']')?;
        Ok(cursor.rest)
    }
}
