//! One pass over a document, guided by a tree of what is wanted.

use crate::cursor::Cursor;
use crate::escape::check_pairs;
use crate::invalid::Invalid;
use crate::number::Number;
use crate::raw_text::RawText;

/// How many objects and arrays may lie around a wanted value, the outermost included. The limit of serde_json.
const DEEPEST: usize = 127;

/// A place in the document at which, or below which, values are wanted.
pub trait JsonTree {
    /// The place of an object's member; `None` if nothing is wanted there. `name` is as written, escapes included.
    fn member(&self, name: &RawText<'_>) -> Option<&Self>;

    /// As [`Self::member`], by the name itself.
    fn named(&self, name: &str) -> Option<&Self>;

    /// The place of an array's element; `None` if nothing is wanted there.
    fn element(&self, index: usize) -> Option<&Self>;
}

/// A wanted value that is not a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JsonScalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// An object or an array. What is wanted of its content follows.
    Composite,
}

/// Takes the wanted values, in document order.
pub trait JsonSink<T> {
    /// Takes a value that is not a text.
    fn scalar(&mut self, place: &T, value: JsonScalar);

    /// Takes a text.
    ///
    /// # Errors
    /// If it has a surrogate that is not part of a pair: see [`crate::unescape`].
    fn text(&mut self, place: &T, text: &RawText<'_>) -> Result<(), Invalid>;
}

/// Passes the values that the tree wants to the sink. The document must be one object.
///
/// # Errors
/// If it is not. What the sink has taken by then has no meaning.
pub fn scan<T: JsonTree, S: JsonSink<T>>(
    root: &T,
    document: &str,
    sink: &mut S,
) -> Result<(), Invalid> {
    let rest = document.as_bytes();
    let mut cursor = Cursor { rest };
    cursor.expect(b'{')?;
    let rest = object(sink, root, cursor.rest, 1)?;
    Cursor { rest }.end()
}

/// Takes a wanted value that has `depth` objects and arrays around it.
#[inline(always)]
fn value<T: JsonTree, S: JsonSink<T>>(
    sink: &mut S,
    place: &T,
    cursor: &mut Cursor<'_>,
    depth: usize,
) -> Result<(), Invalid> {
    let found = match cursor.token() {
        b'"' => {
            let raw = cursor.text()?;
            return sink.text(place, &raw);
        }
        b'{' | b'[' => {
            cursor.rest = composite(sink, place, cursor.rest, depth)?;
            return Ok(());
        }
        b't' => cursor.literal(b"true").map(|()| JsonScalar::Bool(true))?,
        b'f' => cursor.literal(b"false").map(|()| JsonScalar::Bool(false))?,
        b'n' => cursor.literal(b"null").map(|()| JsonScalar::Null)?,
        _ => JsonScalar::Number(cursor.number()?),
    };
    sink.scalar(place, found);
    Ok(())
}

fn composite<'t, T: JsonTree, S: JsonSink<T>>(
    sink: &mut S,
    place: &T,
    rest: &'t [u8],
    depth: usize,
) -> Result<&'t [u8], Invalid> {
    sink.scalar(place, JsonScalar::Composite);
    match rest {
        _ if depth == DEEPEST => Err(Invalid),
        [b'{', rest @ ..] => object(sink, place, rest, depth + 1),
        [_, rest @ ..] => array(sink, place, rest, depth + 1),
        [] => Err(Invalid),
    }
}

/// Takes an object's members and its closing brace. The opening brace is already taken.
fn object<'t, T: JsonTree, S: JsonSink<T>>(
    sink: &mut S,
    place: &T,
    rest: &'t [u8],
    depth: usize,
) -> Result<&'t [u8], Invalid> {
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
        match place.member(&name) {
            Some(child) => value(sink, child, &mut cursor, depth)?,
            None => cursor.skip()?,
        }
        if !cursor.takes(b',') {
            cursor.expect(b'}')?;
            return Ok(cursor.rest);
        }
    }
}

/// Takes an array's elements and its closing bracket. The opening bracket is already taken.
fn array<'t, T: JsonTree, S: JsonSink<T>>(
    sink: &mut S,
    place: &T,
    rest: &'t [u8],
    depth: usize,
) -> Result<&'t [u8], Invalid> {
    let mut cursor = Cursor { rest };
    if cursor.takes(b']') {
        return Ok(cursor.rest);
    }
    for index in 0.. {
        match place.element(index) {
            Some(child) => value(sink, child, &mut cursor, depth)?,
            None => cursor.skip()?,
        }
        if !cursor.takes(b',') {
            break;
        }
    }
    cursor.expect(b']')?;
    Ok(cursor.rest)
}
