//! One pass over a document, guided by the projection's tree. Wanted values go to the sink and other values are
//! skipped. The pass checks the syntax of all of them.

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

/// The document is not JSON, or not one object. [`crate::json_error`] finds out what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// How many objects and arrays may lie around a wanted value, the outermost included. The limit of serde_json.
const DEEPEST: usize = 127;

/// Fills the sink with the values that the tree wants. The document must be one object.
pub(crate) fn scan(root: &Node, document: &str, sink: &mut Sink<'_>) -> Result<(), Invalid> {
    let rest = document.as_bytes();
    let mut cursor = Cursor { rest };
    cursor.expect(b'{')?;
    // The event keeps the whole document, so that a text without escapes is just a range of it.
    let end = sink.event.keep(document).end as usize;
    let mut scan = Scan { end, sink };
    let rest = scan.object(root, cursor.rest, 1)?;
    Cursor { rest }.end()
}

struct Scan<'s, 'e> {
    /// The end of the document in the event's text buffer.
    end: usize,
    sink: &'s mut Sink<'e>,
}

impl<'t> Scan<'_, '_> {
    /// Takes a wanted value that has `depth` objects and arrays around it.
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

    /// Takes an object's members and its closing brace. The opening brace is already taken.
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

    /// Takes an array's elements and its closing bracket. The opening bracket is already taken.
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
