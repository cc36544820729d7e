//! A mask's keystream, added to or subtracted from words while it is made: what `crypto::mask`
//! does with a library in two passes, in one, with two or four AES blocks an instruction.
//!
//! The project's only `unsafe` lives here: loads and stores of vectors, and the call of code for
//! instructions that were seen to be there. `crypto::mask` says what the bytes are and holds this
//! crate against the library, at the first use and in its tests; on a machine without the
//! instructions [`Schedule::new`] gives nothing, and the library does the work.

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub use x86::Schedule;

#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::Schedule;

/// How wide the machine's AES instructions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Two blocks an instruction: AVX2 with VAES.
    Two,
    /// Four: AVX-512 with VAES.
    Four,
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use super::Width;

    /// No such instructions are known of this processor.
    pub enum Schedule {}

    impl Schedule {
        /// Nothing.
        #[must_use]
        pub fn new(_key: &[u8; 32]) -> Option<Self> {
            None
        }

        /// Nothing.
        #[must_use]
        pub fn with_width(_key: &[u8; 32], _width: Width) -> Option<Self> {
            None
        }

        /// Cannot be called.
        pub fn add(&self, _tile: u64, _words: &mut [u32]) {
            match *self {}
        }

        /// Cannot be called.
        pub fn subtract(&self, _tile: u64, _words: &mut [u32]) {
            match *self {}
        }
    }
}
