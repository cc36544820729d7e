//! The encoding of everything hashed or signed: one byte string per value, and one value per
//! byte string.
//!
//! A type tag, then the fields in a fixed order: integers big-endian at their full width, variable
//! fields with their length in 32 bits before them, nothing optional. It is never decoded; what
//! travels is the wire's affair, and a receiver encodes what it decoded to check a signature.

use crate::digest::{Digest, tagged};

/// Appends fields, in the one order its type prescribes.
#[derive(Clone, Debug)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// Begins a value of the type that `tag` stands for.
    pub fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.fixed(&[value])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Eight bytes, two's complement, big-endian.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// The four bytes of the IEEE 754 representation, big-endian: -0 and 0 differ, as do NaNs.
    pub fn f32(&mut self, value: f32) -> &mut Self {
        self.u32(value.to_bits())
    }

    /// A field of variable length, its length before it.
    ///
    /// # Panics
    /// If it exceeds 4 GiB.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.list(value.len()).fixed(value)
    }

    /// A field whose length the type fixes.
    pub fn fixed(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// A digest: 32 bytes.
    pub fn digest(&mut self, value: &Digest) -> &mut Self {
        self.fixed(&value.0)
    }

    /// Announces `count` elements, which the caller appends next.
    ///
    /// # Panics
    /// If `count` does not fit 32 bits.
    pub fn list(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("what is signed is bounded far below 2^32"))
    }

    /// The encoding so far.
    pub fn finish(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// The tagged digest of the encoding so far.
    pub fn hash(&self, label: &str) -> Digest {
        tagged(label, &[&self.0])
    }
}

/// A value with a canonical encoding.
pub trait ToCanonical {
    /// The bytes to hash or sign.
    fn canonical(&self) -> Vec<u8>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use crate::vectors;

    #[test]
    fn fields_are_encoded_as_struct_pack_does() {
        let file = vectors::parse(include_str!("../vectors/digest.json"));
        let mut value = Canonical::new(9);
        value
            .u8(1)
            .u16(2)
            .u32(3)
            .u64(4)
            .i64(-5)
            .f32(-1.5)
            .bytes(b"abc")
            .fixed(b"xy");
        value.digest(&sha256(&[])).list(2).u16(6).u16(7);
        assert_eq!(value.finish(), vectors::hex(&file["canonical"]["bytes"]));
        assert_eq!(
            value.hash("csa1/test").0,
            vectors::array(&file["canonical"]["hash"])
        );
    }

    #[test]
    fn neighbouring_fields_do_not_run_together() {
        let split = Canonical::new(1).bytes(b"ab").bytes(b"c").finish();
        assert_ne!(split, Canonical::new(1).bytes(b"a").bytes(b"bc").finish());
        assert_ne!(split, Canonical::new(2).bytes(b"ab").bytes(b"c").finish());
    }
}
