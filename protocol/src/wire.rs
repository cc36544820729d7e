//! Bytes to messages and back: the only file that names bincode. Fixed-width integers, an explicit
//! limit, nothing left over; what a peer claims is never allocated before it has come. What is
//! hashed or signed is not this encoding (`message/canonical.rs`).
//!
//! A frame is four bytes of length, big-endian, and one message of exactly that length.

use std::fmt;
use std::io::{self, Read, Write};

use bincode::config::{self, Config};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{CONTROL_BYTES_MAX, FRAME_BYTES_MAX};
use crate::message::Bulk;

#[cfg(test)]
mod tests;

/// Bytes of a frame before its message.
pub const HEADER_BYTES: usize = 4;

/// The bytes of a message or record.
///
/// # Panics
/// Never for this crate's types: they hold nothing that cannot be encoded.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, layout().with_no_limit())
        .expect("messages and records are plain data of known length")
}

/// A message or record from exactly these bytes.
///
/// # Errors
/// [`WireError`]: too many bytes, not this type, or bytes left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(WireError::TooLong { found: bytes.len() });
    }
    // A claimed length is believed up to the limit, so a short frame gets a short limit.
    if bytes.len() <= CONTROL_BYTES_MAX {
        decode_with(bytes, layout().with_limit::<CONTROL_BYTES_MAX>())
    } else {
        decode_with(bytes, layout().with_limit::<FRAME_BYTES_MAX>())
    }
}

/// Writes what [`encode`] gives, piece by piece as it comes: for what is too large to hold twice.
///
/// # Errors
/// Where `into` refuses.
pub fn encode_into<T: Serialize>(value: &T, into: &mut impl Write) -> io::Result<()> {
    bincode::serde::encode_into_std_write(value, into, layout().with_no_limit())
        .map(|_| ())
        .map_err(|error| io::Error::other(error.to_string()))
}

/// Reads what [`encode_into`] wrote, and not a byte more. Claimed lengths are believed: only for
/// bytes of our own whose digest was checked, never for a peer's.
///
/// # Errors
/// [`WireError::Malformed`]: not this type, or `from` refuses.
pub fn decode_from<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, WireError> {
    bincode::serde::decode_from_std_read(from, layout().with_no_limit())
        .map_err(|error| WireError::Malformed(error.to_string()))
}

/// The header of a frame that holds `message`.
///
/// # Errors
/// If the message is longer than a frame may be.
pub fn header(message: &[u8]) -> Result<[u8; HEADER_BYTES], WireError> {
    let found = message.len();
    match u32::try_from(found) {
        Ok(bytes) if found <= FRAME_BYTES_MAX => Ok(bytes.to_be_bytes()),
        Ok(_) | Err(_) => Err(WireError::TooLong { found }),
    }
}

/// The length that a frame's header announces: check it before making room.
///
/// # Errors
/// If it is longer than a frame may be.
pub fn length(header: [u8; HEADER_BYTES]) -> Result<usize, WireError> {
    let found = u32::from_be_bytes(header) as usize;
    if found > FRAME_BYTES_MAX {
        return Err(WireError::TooLong { found });
    }
    Ok(found)
}

fn layout() -> config::Configuration<config::BigEndian, config::Fixint> {
    config::standard()
        .with_big_endian()
        .with_fixed_int_encoding()
}

fn decode_with<T: DeserializeOwned>(bytes: &[u8], config: impl Config) -> Result<T, WireError> {
    let (value, read) = bincode::serde::borrow_decode_from_slice(bytes, config)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    if read != bytes.len() {
        return Err(WireError::LeftOver {
            bytes: bytes.len() - read,
        });
    }
    Ok(value)
}

impl Serialize for Bulk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bulk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Borrowed, so that only bytes that came are copied.
        deserializer.deserialize_bytes(BulkVisitor)
    }
}

struct BulkVisitor;

impl Visitor<'_> for BulkVisitor {
    type Value = Bulk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block of bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bulk, E> {
        Ok(Bulk(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bulk, E> {
        Ok(Bulk(bytes))
    }
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than a frame may hold.
    #[error("frame of {found} bytes, expected at most {FRAME_BYTES_MAX}")]
    TooLong {
        /// Bytes found or announced.
        found: usize,
    },
    /// Not the type that was expected.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A message, and then more.
    #[error("{bytes} bytes left over after the message")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
}
