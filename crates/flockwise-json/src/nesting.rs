//! The stack of open objects and arrays around a value, of any depth.

/// One bit for each level, 1 for an object, the innermost lowest. After every 64 levels, the full word is pushed to
/// `outer`.
#[derive(Default)]
pub(crate) struct Nesting {
    bits: u64,
    depth: usize,
    outer: Vec<u64>,
}

impl Nesting {
    /// Opens an object or an array.
    #[inline(always)]
    pub(crate) fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    /// Whether the innermost level is an object; `None` if nothing is open.
    #[inline(always)]
    pub(crate) fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }

    /// Closes the innermost level.
    #[inline(always)]
    pub(crate) fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_stack(steps in prop::collection::vec((0..5_u8, any::<bool>()), 0..400)) {
            let (mut open, mut naive) = (Nesting::default(), Vec::new());
            for (step, is_object) in steps {
                if step == 0 && !naive.is_empty() {
                    open.pop();
                    naive.pop();
                } else {
                    open.push(is_object);
                    naive.push(is_object);
                }
                prop_assert_eq!(open.innermost(), naive.last().copied());
            }
            while naive.pop().is_some() {
                open.pop();
                prop_assert_eq!(open.innermost(), naive.last().copied());
            }
        }
    }
}
