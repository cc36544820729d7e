//! The one call to the operating system's randomness. Everything below it is derived from the
//! seed it returns, which is why the rest can be replayed in a simulator.

use crypto::Seed;

/// A fresh seed from the operating system.
///
/// # Errors
/// [`EntropyError`] where the operating system has none to give.
pub fn seed() -> Result<Seed, EntropyError> {
    Ok(Seed::from_entropy(bytes()?))
}

/// 32 fresh bytes: for long-lived keys that are stored as bytes.
///
/// # Errors
/// [`EntropyError`] where the operating system has none to give.
pub fn bytes() -> Result<[u8; 32], EntropyError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| EntropyError(error.to_string()))?;
    Ok(bytes)
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness: {0}")]
pub struct EntropyError(String);
