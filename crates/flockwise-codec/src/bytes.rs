//! Little-endian numbers in and out, for the binary records.

/// Bytes end too early, or say something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record is cut short or not one of Flockwise's")]
pub struct Malformed;

/// Takes numbers off the front of a slice.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn f64s(&mut self, count: usize) -> Result<Vec<f64>, Malformed> {
        let mut numbers = Vec::new();
        self.f64s_into(count, &mut numbers)?;
        Ok(numbers)
    }

    /// Appends so many numbers.
    pub(crate) fn f64s_into(&mut self, count: usize, to: &mut Vec<f64>) -> Result<(), Malformed> {
        let bytes = count.checked_mul(8).ok_or(Malformed)?;
        let (head, rest) = self.0.split_at_checked(bytes).ok_or(Malformed)?;
        to.extend(
            head.as_chunks()
                .0
                .iter()
                .map(|number| f64::from_le_bytes(*number)),
        );
        self.0 = rest;
        Ok(())
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

pub(crate) fn put_f64s(out: &mut Vec<u8>, numbers: &[f64]) {
    let start = out.len();
    out.resize(start + 8 * numbers.len(), 0);
    let places = out[start..].as_chunks_mut().0;
    for (place, number) in places.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
}
