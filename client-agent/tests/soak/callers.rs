//! What tests share whose callers call until they are told that it is over.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the callers that it is over once it is dropped, also where an assertion ends the test
/// early: nobody calls for ever.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Marsaglia's xorshift: moments differ from one to the next, and chance has no part in the test.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
