//! The unread rest of a value, and how Avro encodes numbers, lengths and blocks.

use crate::invalid_datum::Fault;

/// How deeply values may be nested. JSON has the same limit.
pub(crate) const DEEPEST: usize = 127;

/// How many elements arrays and maps of a value may have beyond its length in bytes. An element may be zero bytes long, so
/// the length does not bound their number.
pub(crate) const MOST_EMPTY_ELEMENTS: usize = 1 << 16;

/// What is not yet read of a value.
pub(crate) struct AvroCursor<'t> {
    pub(crate) rest: &'t [u8],
    /// How many more elements of arrays and maps are accepted.
    elements: u64,
}

/// The head of a block of an array or a map.
pub(crate) struct Block {
    pub(crate) count: u64,
    /// Its length in bytes, if it was written.
    pub(crate) length: Option<i64>,
}

impl<'t> AvroCursor<'t> {
    pub(crate) fn new(value: &'t [u8]) -> Self {
        Self {
            rest: value,
            elements: (value.len() + MOST_EMPTY_ELEMENTS) as u64,
        }
    }

    /// Takes `length` bytes.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'t [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Fault::End)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::End)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes an int or a long: zigzag code in LEB128.
    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Fault> {
        let code = match *self.rest {
            [byte @ ..0x80, ref rest @ ..] => {
                self.rest = rest;
                u64::from(byte)
            }
            _ => self.long_code()?,
        };
        Ok((code >> 1).cast_signed() ^ -(code & 1).cast_signed())
    }

    fn long_code(&mut self) -> Result<u64, Fault> {
        let mut code = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(Fault::Integer);
            }
            code |= bits << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(code);
            }
        }
        Err(if self.rest.len() < 10 {
            Fault::End
        } else {
            Fault::Integer
        })
    }

    /// Takes the bytes of a `bytes` or a `string`, with their length in front.
    #[inline(always)]
    pub(crate) fn sized(&mut self) -> Result<&'t [u8], Fault> {
        let length = self.long()?;
        self.bytes_of_length(length)
    }

    #[inline(always)]
    pub(crate) fn bytes_of_length(&mut self, length: i64) -> Result<&'t [u8], Fault> {
        let wanted = usize::try_from(length).map_err(|_| Fault::Length(length))?;
        self.bytes(wanted).map_err(|_| Fault::Length(length))
    }

    /// Takes the head of the next block of an array or a map. `None` at its end.
    #[inline(always)]
    pub(crate) fn block(&mut self) -> Result<Option<Block>, Fault> {
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        let length = match count < 0 {
            true => Some(self.long()?),
            false => None,
        };
        let count = count.unsigned_abs();
        self.elements = self.elements.checked_sub(count).ok_or(Fault::TooMany)?;
        Ok(Some(Block { count, length }))
    }
}
