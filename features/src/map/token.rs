//! Tokens: what stands for an account, a card or a merchant. Payers' identifiers are keyed with
//! the bank's own secret (PCI DSS 3.5.1.1), so no two banks can compare customers; outlets'
//! identifiers are not, so that all banks count frauds of one terminal in one place.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The bank's key of HMAC-SHA-256. It has no `Debug`, and is wiped when dropped.
pub struct TokenKey(Zeroizing<Vec<u8>>);

impl TokenKey {
    /// Takes the key as the bank keeps it.
    ///
    /// # Errors
    /// Where it has fewer than 16 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, TokenKeyError> {
        if secret.len() < KEY_BYTES_MIN {
            return Err(TokenKeyError {
                found: secret.len(),
            });
        }
        Ok(Self(Zeroizing::new(secret.to_vec())))
    }
}

/// A key too short to keep card numbers from being guessed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("token key: found {found} bytes, expected at least 16")]
pub struct TokenKeyError {
    found: usize,
}

/// Whose identifier is tokenised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Account,
    Card,
    Customer,
    Device,
    Session,
    Text,
    Merchant,
    Terminal,
}

impl TokenKind {
    /// The kind that a mapping file names; `pan` and `card` are one kind.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "account" | "counterparty" => Self::Account,
            "card" | "pan" => Self::Card,
            "customer" => Self::Customer,
            "device" => Self::Device,
            "session" => Self::Session,
            "text" => Self::Text,
            "merchant" => Self::Merchant,
            "terminal" => Self::Terminal,
            _ => return None,
        })
    }

    fn label(self) -> &'static [u8] {
        match self {
            Self::Account => b"phalanx/token/1/account\0",
            Self::Card => b"phalanx/token/1/card\0",
            Self::Customer => b"phalanx/token/1/customer\0",
            Self::Device => b"phalanx/token/1/device\0",
            Self::Session => b"phalanx/token/1/session\0",
            Self::Text => b"phalanx/token/1/text\0",
            Self::Merchant => b"phalanx/token/1/merchant\0",
            Self::Terminal => b"phalanx/token/1/terminal\0",
        }
    }

    /// The token of `value`: 128 bits as 32 letters from a to p. Letters alone, so that no token
    /// can pass for a card number. A card's value counts by its digits, however it is grouped.
    pub(crate) fn token(self, key: &TokenKey, value: &str) -> String {
        let value = match self {
            Self::Card => {
                let kept = value.chars().filter(|c| !matches!(c, ' ' | '-'));
                Zeroizing::new(kept.collect::<String>())
            }
            Self::Account
            | Self::Customer
            | Self::Device
            | Self::Session
            | Self::Text
            | Self::Merchant
            | Self::Terminal => Zeroizing::new(value.trim().to_owned()),
        };
        let digest: [u8; 32] = match self {
            Self::Merchant | Self::Terminal => {
                let hash = Sha256::new().chain_update(self.label());
                hash.chain_update(value.as_bytes()).finalize().into()
            }
            Self::Account
            | Self::Card
            | Self::Customer
            | Self::Device
            | Self::Session
            | Self::Text => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
                mac.update(self.label());
                mac.update(value.as_bytes());
                mac.finalize().into_bytes().into()
            }
        };
        let nibbles = digest[..16].iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.map(|nibble| char::from(b'a' + nibble)).collect()
    }
}

const KEY_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(&[byte; 32]).unwrap()
    }

    // Python: hmac.new(b'\x07'*32, b'phalanx/token/1/card\0' + b'4111111111111111', 'sha256'),
    // and sha256(b'phalanx/token/1/terminal\0' + b'3156'), first 16 bytes, nibbles as a..p.
    #[test]
    fn tokens_equal_the_reference() {
        assert_eq!(
            TokenKind::Card.token(&key(7), "4111 1111-11111111"),
            CARD_TOKEN
        );
        assert_eq!(TokenKind::Terminal.token(&key(7), " 3156 "), TERMINAL_TOKEN);
    }

    const CARD_TOKEN: &str = "dedegmilpkajgmkgppmhpajmbfhnndmm";
    const TERMINAL_TOKEN: &str = "pffgpnddncjghlkofobedglkgeeblgfj";

    #[test]
    fn outlets_have_one_token_at_every_bank_and_payers_have_not() {
        for kind in [TokenKind::Merchant, TokenKind::Terminal] {
            assert_eq!(kind.token(&key(1), "3156"), kind.token(&key(2), "3156"));
        }
        for kind in [TokenKind::Account, TokenKind::Card, TokenKind::Customer] {
            assert_ne!(kind.token(&key(1), "3156"), kind.token(&key(2), "3156"));
        }
        let one = TokenKind::Account.token(&key(1), "3156");
        assert_ne!(one, TokenKind::Card.token(&key(1), "3156"));
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(TokenKey::new(b"hunter2").is_err());
    }
}
