//! The canonical transaction (schema `txn.v1`), the raw form it is made from, and its label.
//! The only type that holds a payment. The raw form is in `transaction/raw.rs`, the checks of the
//! door in `transaction/door.rs`, the closed vocabularies in `transaction/vocabulary.rs`, what is
//! made of the table of fields in `transaction/fields.rs`; feeds become raw transactions in `map`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

mod door;
mod fields;
mod names;
mod raw;
pub(crate) mod vocabulary;

pub use vocabulary::{
    AuthMethod, AuthResult, Channel, CounterpartyKind, Direction, EntryMode, PriorDecision, Rail,
    TxnType, VopResult,
};

pub(crate) use door::EXT_MAX;
pub use fields::{Field, Form};
pub use raw::{RawTransaction, Told};

use door::{AGE_MAX, AMOUNT_MAX, ASN_MAX, Door, TOKEN_MAX, required};
use fields::transaction;

transaction! {
    /// One validated payment. Every optional field is missing where the bank has none: nothing is
    /// filled in. The encoder reads the fields up to `mcc`; the rest is kept for the bank's own
    /// use.
    #[derive(Clone, PartialEq, Serialize)]
    pub struct Transaction {
        /// Unique at the bank: the idempotency key.
        pub txn_id: String => required text(Transaction::ID_BYTES_MAX),
        /// When the payment was authorised, milliseconds since 1970-01-01 UTC.
        pub ts: i64 => required time(),
        /// What carries the money.
        pub rail: Rail => required word::<Rail>(),
        /// Seen from the account; debit unless told otherwise.
        pub direction: Direction => word_or::<Direction>(Direction::Debit),
        /// Amount in minor units of `currency`.
        pub amount_minor: i64 => required whole(0, AMOUNT_MAX),
        /// ISO 4217 alphabetic code.
        pub currency: String => required letters(3),
        /// Amount in minor units of the bank's reference currency.
        pub amount_ref_minor: Option<i64> => whole(0, AMOUNT_MAX),
        /// Token of the payer's account.
        pub account_tok: String => required text(TOKEN_MAX),
        /// Token of the card.
        pub card_tok: Option<String> => text(TOKEN_MAX),
        /// Token of the merchant.
        pub merchant_tok: Option<String> => text(TOKEN_MAX),
        /// Token of the terminal.
        pub terminal_tok: Option<String> => text(TOKEN_MAX),
        /// Token of the payee or merchant account.
        pub counterparty_tok: Option<String> => text(TOKEN_MAX),
        /// Merchant category code, ISO 18245.
        pub mcc: Option<u16> => whole(0, 9_999),
        /// What the payment is for.
        pub txn_type: Option<TxnType> => word::<TxnType>(),
        /// Where the payer acted.
        pub channel: Option<Channel> => word::<Channel>(),
        /// Hour of day at the payer, 0 to 23; the UTC hour of `ts` stands in where missing.
        pub local_hour: Option<u8> => whole(0, 23),
        /// Whether the day is a holiday at the payer.
        pub is_holiday: Option<bool> => flag(),
        /// Day the account was opened, days since 1970-01-01.
        pub account_opened: Option<i32> => date(),
        /// Token of the customer.
        pub customer_tok: Option<String> => text(TOKEN_MAX),
        /// The bank's segment of the customer.
        pub customer_segment: Option<String> => text(64),
        /// Product of the card.
        pub card_product: Option<String> => text(64),
        /// Brand of the card.
        pub card_brand: Option<String> => text(64),
        /// Country of the issuer, ISO 3166 alpha-2.
        pub issuer_country: Option<String> => letters(2),
        /// First eight digits of the card number.
        pub bin8: Option<String> => text(8),
        /// Whether the card was there.
        pub card_present: Option<bool> => flag(),
        /// How the card was read.
        pub entry_mode: Option<EntryMode> => word::<EntryMode>(),
        /// How the payer was authenticated.
        pub auth_method: Option<AuthMethod> => word::<AuthMethod>(),
        /// How the authentication ended.
        pub auth_result: Option<AuthResult> => word::<AuthResult>(),
        /// Who is on the other side.
        pub counterparty_kind: Option<CounterpartyKind> => word::<CounterpartyKind>(),
        /// BIC or institution id of the other side.
        pub counterparty_bank: Option<String> => text(64),
        /// Country of the other side, ISO 3166 alpha-2.
        pub counterparty_country: Option<String> => letters(2),
        /// Whether the payer meets this counterparty for the first time.
        pub counterparty_first_seen: Option<bool> => flag(),
        /// Verification of payee.
        pub vop_result: Option<VopResult> => word::<VopResult>(),
        /// Token of the merchant's name.
        pub merchant_name_hash: Option<String> => text(TOKEN_MAX),
        /// Country of the merchant, ISO 3166 alpha-2.
        pub merchant_country: Option<String> => letters(2),
        /// Token of the remittance text; the text itself is never accepted.
        pub remittance_hash: Option<String> => text(TOKEN_MAX),
        /// Token of the device.
        pub device_tok: Option<String> => text(TOKEN_MAX),
        /// Days since the device was first seen.
        pub device_age_days: Option<u32> => whole(0, AGE_MAX),
        /// Operating system family.
        pub os_family: Option<String> => text(64),
        /// Version of the bank's app.
        pub app_version: Option<String> => text(64),
        /// Whether the device is rooted.
        pub rooted: Option<bool> => flag(),
        /// Whether the device is emulated.
        pub emulator: Option<bool> => flag(),
        /// Whether the connection comes through a VPN.
        pub vpn: Option<bool> => flag(),
        /// Token of the /24 or /48 prefix.
        pub ip_prefix_tok: Option<String> => text(TOKEN_MAX),
        /// Country of the address, ISO 3166 alpha-2.
        pub ip_country: Option<String> => letters(2),
        /// Autonomous system number.
        pub asn: Option<u32> => whole(0, ASN_MAX),
        /// Latitude, rounded to 0.1 degree at the door.
        pub geo_lat: Option<f32> => degrees(90.0),
        /// Longitude, rounded to 0.1 degree at the door.
        pub geo_lon: Option<f32> => degrees(180.0),
        /// Token of the session.
        pub session_tok: Option<String> => text(TOKEN_MAX),
        /// Age of the session in seconds.
        pub session_age_s: Option<u32> => whole(0, AGE_MAX),
        /// Failed logins in the last hour.
        pub login_failures_1h: Option<u32> => whole(0, AGE_MAX),
        /// Seconds since the payee was added.
        pub beneficiary_added_age_s: Option<u32> => whole(0, AGE_MAX),
        /// Balance before the payment, minor units; may be negative.
        pub balance_before_minor: Option<i64> => whole(-AMOUNT_MAX, AMOUNT_MAX),
        /// Limit left, minor units; may be negative.
        pub available_limit_minor: Option<i64> => whole(-AMOUNT_MAX, AMOUNT_MAX),
        /// What was decided upstream.
        pub prior_decision: Option<PriorDecision> => word::<PriorDecision>(),
        /// The bank's extras, which its schema may name.
        pub ext: BTreeMap<String, ExtValue> => ext(),
    }
}

/// A value of `ext`.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExtValue {
    /// A finite number.
    Number(f64),
    /// At most 128 bytes of text.
    Text(String),
}

impl Transaction {
    /// Bytes of a payment's id.
    pub const ID_BYTES_MAX: usize = 64;

    /// Whose habits the windows follow: the card, or the account where there is no card.
    #[must_use]
    pub fn card(&self) -> &str {
        self.card_tok.as_deref().unwrap_or(&self.account_tok)
    }

    /// Where the money goes: the terminal, else the merchant, else the counterparty.
    #[must_use]
    pub fn outlet(&self) -> Option<&str> {
        let outlet = self.terminal_tok.as_ref().or(self.merchant_tok.as_ref());
        outlet
            .or(self.counterparty_tok.as_ref())
            .map(String::as_str)
    }

    /// Days since 1970-01-01 UTC.
    #[must_use]
    pub fn day(&self) -> i32 {
        day_of(self.ts)
    }

    /// The amount in major units: of the reference currency where it is given, else of the
    /// transaction's own, with the decimals of ISO 4217.
    #[must_use]
    pub fn amount_major(&self) -> f64 {
        match self.amount_ref_minor {
            Some(amount) => amount as f64 / 100.0,
            None => self.amount_minor as f64 / minor_per_major(&self.currency),
        }
    }
}

impl TryFrom<RawTransaction> for Transaction {
    type Error = FieldError;

    fn try_from(raw: RawTransaction) -> Result<Self, FieldError> {
        checked(&mut Door::open(raw)?)
    }
}

/// Shows neither token, amount nor extra: a payment is never logged.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Transaction");
        shown
            .field("ts", &self.ts)
            .field("rail", &self.rail)
            .finish_non_exhaustive()
    }
}

/// Shows the kind, never the value.
impl fmt::Debug for ExtValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Number",
            Self::Text(_) => "Text",
        })
    }
}

/// What a transaction turned out to be, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The labelled transaction.
    pub txn_id: String,
    /// Fraud, or genuine.
    pub fraud: bool,
    /// When it became known, milliseconds since 1970-01-01 UTC; nothing reads the label before.
    pub known_at: i64,
    /// Who says so, for instance `chargeback` or `analyst`.
    pub source: Option<String>,
}

impl Label {
    /// Bytes of a word for who says so.
    pub const SOURCE_BYTES_MAX: usize = 32;

    /// Reads a label as the door reads a payment: `txn_id`, `fraud`, `known_at` (`now_ms` where it
    /// is not told) and `source`, at most 32 bytes of text.
    ///
    /// # Errors
    /// [`FieldError`] of the first field that is missing or has another form.
    pub fn read(now_ms: i64, raw: RawTransaction) -> Result<Self, FieldError> {
        door::label(now_ms, raw)
    }
}

/// Why the door refused a field. The message repeats no digit of what may be a card number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: found {found}, expected {expected}")]
pub struct FieldError {
    /// The canonical field.
    pub field: String,
    /// What is wrong with it.
    pub kind: FieldErrorKind,
    /// What was found, redacted.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldErrorKind {
    /// A required field has no value.
    Missing,
    /// The value has the wrong form or is out of range.
    Schema,
    /// The value passes for a card number.
    PanDetected,
    /// The name says that the field carries a card number, verification value, track or PIN.
    Forbidden,
}

impl FieldError {
    pub(crate) fn new(field: &str, kind: FieldErrorKind, found: &str, expected: &str) -> Self {
        let field = crate::pan::redact(field);
        Self {
            field,
            kind,
            found: crate::pan::redact(found),
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn pan(field: &str) -> Self {
        Self::new(
            field,
            FieldErrorKind::PanDetected,
            "a card-like number (13 to 19 digits that pass the Luhn check)",
            "a token: map the column with `tokenise`",
        )
    }

    /// The refusal without the field's name, as one sentence.
    #[must_use]
    pub fn message(&self) -> String {
        format!("found {}, expected {}", self.found, self.expected)
    }
}

/// Days since 1970-01-01 UTC of a time in milliseconds.
pub(crate) fn day_of(ts: i64) -> i32 {
    i32::try_from(ts.div_euclid(DAY_MS)).unwrap_or(if ts < 0 { i32::MIN } else { i32::MAX })
}

/// A JSON reader's complaint as a place and a class: its own text may repeat the input.
pub(crate) fn json_fault(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Io => "an unreadable stream",
        serde_json::error::Category::Syntax => "malformed JSON",
        serde_json::error::Category::Data => "JSON of another shape",
        serde_json::error::Category::Eof => "JSON that ends early",
    };
    format!("{class} at character {}", error.column())
}

/// Minor units in one major unit, ISO 4217; two decimals unless listed.
#[must_use]
pub fn minor_per_major(currency: &str) -> f64 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 1.0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 1_000.0,
        _ => 100.0,
    }
}

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests;
