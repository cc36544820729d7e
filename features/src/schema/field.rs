//! Fields of a payment that a schema declares: those of `txn.v1` that no feature reads by itself,
//! and the consortium's extras (`ext.NAME`). How a value is read, why one is refused, and how it
//! is kept as one number, so that a past can be stored small and read again bit for bit.

use std::borrow::Cow;

use crate::map::time::{TS_END_MS, rfc3339_ms};
use crate::transaction::vocabulary::Vocabulary;
use crate::transaction::{
    AuthMethod, AuthResult, Channel, CounterpartyKind, Direction, EntryMode, PriorDecision, Rail,
    TxnType, VopResult,
};
use crate::transaction::{DAY_MS, ExtValue, FieldError, FieldErrorKind, Transaction};

/// A declared field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    /// The name in `txn.v1`, or `ext.` and the extra's name.
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
}

/// What values a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldKind {
    /// A number within [`NUMBER_MAX`].
    Number,
    /// A moment.
    Time,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// One of these words; every other is read as one more, `other`.
    Words(Vec<String>),
}

impl FieldKind {
    /// The kind as a schema names it; words have none, since they are listed.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "number" => Some(Self::Number),
            "time" => Some(Self::Time),
            "latitude" => Some(Self::Latitude),
            "longitude" => Some(Self::Longitude),
            _ => None,
        }
    }

    /// The kind in an error's words.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::Number => "a number from -1e15 to 1e15",
            Self::Time => "a time from 1900 to 2096, as RFC 3339 text or epoch milliseconds",
            Self::Latitude => "degrees from -90 to 90",
            Self::Longitude => "degrees from -180 to 180",
            Self::Words(_) => "a word",
        }
    }
}

impl Field {
    /// The kinds a field of this name may be declared as; none where there is no such field.
    pub(crate) fn kinds_of(name: &str) -> Option<&'static str> {
        if name.strip_prefix(EXTRA).is_some() {
            return Some("number, time, latitude, longitude or a list of words");
        }
        canonical_kind(name)
    }

    /// Whether a field of this name can be of this kind.
    pub(crate) fn fits(name: &str, kind: &FieldKind) -> bool {
        match canonical_kind(name) {
            Some("a list of words") => matches!(kind, FieldKind::Words(_)),
            Some("number") => *kind == FieldKind::Number,
            Some("time") => *kind == FieldKind::Time,
            Some("latitude") => *kind == FieldKind::Latitude,
            Some("longitude") => *kind == FieldKind::Longitude,
            Some(_) | None => name.starts_with(EXTRA),
        }
    }

    /// The value an encoder reads: a number, milliseconds, degrees, or the word's place in the
    /// list, which is its length for a word that is not listed. None where it is missing.
    pub(crate) fn value(&self, transaction: &Transaction) -> Option<f64> {
        let Some(name) = self.name.strip_prefix(EXTRA) else {
            return match (&self.kind, canonical(&self.name, transaction)?) {
                (FieldKind::Words(words), Read::Word(word)) => Some(place(words, word)),
                (FieldKind::Words(_), Read::Number(_)) => None,
                (_, Read::Number(number)) => Some(number),
                (_, Read::Word(_)) => None,
            };
        };
        let value = transaction.ext.get(name)?;
        match &self.kind {
            FieldKind::Number => number_of(value),
            FieldKind::Time => time_of(value),
            FieldKind::Latitude => number_of(value).filter(|degrees| degrees.abs() <= 90.0),
            FieldKind::Longitude => number_of(value).filter(|degrees| degrees.abs() <= 180.0),
            FieldKind::Words(words) => Some(place(words, &word_of(value)?)),
        }
    }

    /// Refuses an extra whose value is of another kind. Fields of `txn.v1` were checked before.
    pub(crate) fn check(&self, transaction: &Transaction) -> Result<(), FieldError> {
        let extra = self.name.strip_prefix(EXTRA);
        let Some(value) = extra.and_then(|name| transaction.ext.get(name)) else {
            return Ok(());
        };
        if self.value(transaction).is_some() {
            return Ok(());
        }
        let found = match value {
            ExtValue::Number(number) => number.to_string(),
            ExtValue::Text(text) => text.clone(),
        };
        let (kind, expected) = (FieldErrorKind::Schema, self.kind.expected());
        Err(FieldError::new(&self.name, kind, &found, expected))
    }

    /// The field as one number, not a number where it is missing; [`Self::restore`] takes it back.
    pub(crate) fn keep(&self, transaction: &Transaction) -> f64 {
        let kept = match (&self.kind, canonical(&self.name, transaction)) {
            // A word outside the list must come back as itself: it is kept by its whole vocabulary.
            (FieldKind::Words(_), Some(Read::Word(word))) => {
                let words = canonical_words(&self.name);
                let place = words.iter().position(|listed| *listed == word);
                place.map(|place| place as f64)
            }
            (_, Some(Read::Word(_) | Read::Number(_)) | None) => self.value(transaction),
        };
        kept.unwrap_or(f64::NAN)
    }

    /// Puts a kept value back; what an encoder reads is what it was.
    pub(crate) fn restore(&self, transaction: &mut Transaction, kept: f64) {
        let kept = Some(kept).filter(|kept| !kept.is_nan());
        let Some(name) = self.name.strip_prefix(EXTRA) else {
            return restore_canonical(&self.name, transaction, kept);
        };
        let Some(kept) = kept else {
            transaction.ext.remove(name);
            return;
        };
        let value = match &self.kind {
            FieldKind::Number | FieldKind::Time | FieldKind::Latitude | FieldKind::Longitude => {
                ExtValue::Number(kept)
            }
            FieldKind::Words(words) => {
                let word = words.get(kept as usize).map_or(OTHER, String::as_str);
                ExtValue::Text(word.to_owned())
            }
        };
        match transaction.ext.get_mut(name) {
            Some(place) => *place = value,
            None => drop(transaction.ext.insert(name.to_owned(), value)),
        }
    }
}

/// What stands in a canonical field.
enum Read {
    Number(f64),
    Word(&'static str),
}

fn place(words: &[String], word: &str) -> f64 {
    let place = words.iter().position(|listed| listed == word);
    place.unwrap_or(words.len()) as f64
}

/// A number, also written as text: a CSV column has nothing else.
fn number_of(value: &ExtValue) -> Option<f64> {
    let number = match value {
        ExtValue::Number(number) => *number,
        ExtValue::Text(text) => text.trim().parse().ok()?,
    };
    (number.abs() <= NUMBER_MAX).then_some(number)
}

fn time_of(value: &ExtValue) -> Option<f64> {
    let ms = match value {
        ExtValue::Number(ms) => *ms,
        ExtValue::Text(text) => match rfc3339_ms(text.trim()) {
            Some(ms) => ms as f64,
            None => text.trim().parse().ok()?,
        },
    };
    (TIME_START_MS..TS_END_MS as f64)
        .contains(&ms)
        .then_some(ms)
}

/// A word; a code that arrived as a whole number is one too.
fn word_of(value: &ExtValue) -> Option<Cow<'_, str>> {
    match value {
        ExtValue::Text(text) => Some(Cow::Borrowed(text.trim())),
        ExtValue::Number(code) if code.fract() == 0.0 && code.abs() < 1e15 => {
            Some(Cow::Owned((*code as i64).to_string()))
        }
        ExtValue::Number(_) => None,
    }
}

/// Reading, writing and naming canonical fields out of one table each, so that none is forgotten.
macro_rules! canonical {
    (numbers: $($number:ident),*; flags: $($flag:ident),*; words: $($word:ident: $words:ty),*;) => {
        fn canonical(name: &str, t: &Transaction) -> Option<Read> {
            match name {
                $(stringify!($number) => t.$number.map(|value| Read::Number(value as f64)),)*
                $(stringify!($flag) => t.$flag.map(|is| Read::Number(f64::from(u8::from(is)))),)*
                $(stringify!($word) => t.$word.map(|value| Read::Word(value.word())),)*
                "rail" => Some(Read::Word(t.rail.word())),
                "direction" => Some(Read::Word(t.direction.word())),
                "account_opened" => {
                    t.account_opened.map(|day| Read::Number((i64::from(day) * DAY_MS) as f64))
                }
                "geo_lat" => t.geo_lat.map(|degrees| Read::Number(f64::from(degrees))),
                "geo_lon" => t.geo_lon.map(|degrees| Read::Number(f64::from(degrees))),
                _ => None,
            }
        }

        fn restore_canonical(name: &str, t: &mut Transaction, kept: Option<f64>) {
            match name {
                $(stringify!($number) => t.$number = kept.map(|value| value as _),)*
                $(stringify!($flag) => t.$flag = kept.map(|value| value > 0.5),)*
                $(stringify!($word) => t.$word = kept.and_then(listed::<$words>),)*
                "rail" => t.rail = kept.and_then(listed::<Rail>).unwrap_or(t.rail),
                "direction" => {
                    t.direction = kept.and_then(listed::<Direction>).unwrap_or(t.direction);
                }
                "account_opened" => {
                    t.account_opened = kept.map(|ms| (ms as i64).div_euclid(DAY_MS) as i32);
                }
                "geo_lat" => t.geo_lat = kept.map(|degrees| degrees as f32),
                "geo_lon" => t.geo_lon = kept.map(|degrees| degrees as f32),
                _ => {}
            }
        }

        fn canonical_kind(name: &str) -> Option<&'static str> {
            match name {
                $(stringify!($number) => Some("number"),)*
                $(stringify!($flag) => Some("number"),)*
                $(stringify!($word) => Some("a list of words"),)*
                "rail" | "direction" => Some("a list of words"),
                "account_opened" => Some("time"),
                "geo_lat" => Some("latitude"),
                "geo_lon" => Some("longitude"),
                _ => None,
            }
        }

        /// The vocabulary of a canonical field; empty where it has none.
        pub(crate) fn canonical_words(name: &str) -> &'static [&'static str] {
            match name {
                $(stringify!($word) => <$words>::WORDS,)*
                "rail" => Rail::WORDS,
                "direction" => Direction::WORDS,
                _ => &[],
            }
        }
    };
}

canonical! {
    numbers: device_age_days, session_age_s, login_failures_1h, beneficiary_added_age_s,
        balance_before_minor, available_limit_minor;
    flags: is_holiday, card_present, counterparty_first_seen, rooted, emulator, vpn;
    words: txn_type: TxnType, channel: Channel, entry_mode: EntryMode, auth_method: AuthMethod,
        auth_result: AuthResult, counterparty_kind: CounterpartyKind, vop_result: VopResult,
        prior_decision: PriorDecision;
}

fn listed<E: Vocabulary>(place: f64) -> Option<E> {
    E::from_word(E::WORDS.get(place as usize)?)
}

/// What the names of extras begin with.
pub(crate) const EXTRA: &str = "ext.";
/// The word that stands for every word that is not listed.
pub(crate) const OTHER: &str = "other";
/// Largest number of a field: no amount is larger, and no column made of it outgrows a float.
const NUMBER_MAX: f64 = 1e15;
/// Accounts are older than computers: 1900-01-01.
const TIME_START_MS: f64 = -2_208_988_800_000.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transaction::{CANONICAL, RawTransaction};

    fn payment(more: &serde_json::Value) -> Transaction {
        let mut value = json!({
            "txn_id": "t", "ts": 1_700_000_000_000_i64, "rail": "sct_inst", "amount_minor": 5,
            "currency": "EUR", "account_tok": "a",
        });
        for (name, field) in more.as_object().unwrap() {
            value[name] = field.clone();
        }
        let raw: RawTransaction = serde_json::from_value(value).unwrap();
        Transaction::try_from(raw).unwrap()
    }

    fn field(name: &str, kind: FieldKind) -> Field {
        let name = name.to_owned();
        Field { name, kind }
    }

    fn words(words: &[&str]) -> FieldKind {
        FieldKind::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn every_field_comes_back_as_it_is_read() {
        let full = payment(&json!({
            "device_age_days": 7, "balance_before_minor": -123_456, "vpn": true, "rooted": false,
            "channel": "web", "auth_method": "sca_2fa", "account_opened": "2019-02-03",
            "geo_lat": 48.9, "geo_lon": -2.4, "direction": "credit",
            "ext": {"n": 1.5, "t": "2020-01-01T00:00:00Z", "w": "gold", "v": "tin", "c": 4},
        }));
        let bare = payment(&json!({}));
        let fields = [
            field("device_age_days", FieldKind::Number),
            field("balance_before_minor", FieldKind::Number),
            field("vpn", FieldKind::Number),
            field("rooted", FieldKind::Number),
            field("channel", words(&["pos", "web"])),
            field("auth_method", words(&["pin"])),
            field("rail", words(&["card", "sct_inst"])),
            field("direction", words(&["debit"])),
            field("account_opened", FieldKind::Time),
            field("geo_lat", FieldKind::Latitude),
            field("geo_lon", FieldKind::Longitude),
            field("ext.n", FieldKind::Number),
            field("ext.t", FieldKind::Time),
            field("ext.w", words(&["silver", "gold"])),
            field("ext.v", words(&["silver", "gold"])),
            field("ext.c", words(&["3", "4"])),
            field("ext.none", FieldKind::Number),
        ];
        let expected = [
            Some(7.0),
            Some(-123_456.0),
            Some(1.0),
            Some(0.0),
            Some(1.0),
            Some(1.0),
            Some(1.0),
            Some(1.0),
            Some(1_549_152_000_000.0),
            Some(f64::from(48.9_f32)),
            Some(f64::from(-2.4_f32)),
            Some(1.5),
            Some(1_577_836_800_000.0),
            Some(1.0),
            Some(2.0),
            Some(1.0),
            None,
        ];
        for (field, expected) in fields.iter().zip(expected) {
            assert_eq!(field.value(&full), expected, "{}", field.name);
            assert!(Field::fits(&field.name, &field.kind), "{}", field.name);
            for (from, onto) in [(&full, &bare), (&bare, &full)] {
                let mut back = onto.clone();
                field.restore(&mut back, field.keep(from));
                assert_eq!(field.value(&back), field.value(from), "{}", field.name);
            }
        }
    }

    #[test]
    fn an_extra_of_another_kind_is_refused_by_name() {
        let t = payment(&json!({"ext": {"n": "much", "lat": 91, "t": 9e12, "w": 1.5}}));
        for (name, kind, found) in [
            ("ext.n", FieldKind::Number, "much"),
            ("ext.lat", FieldKind::Latitude, "91"),
            ("ext.t", FieldKind::Time, "#"),
            ("ext.w", words(&["a"]), "1.5"),
        ] {
            let error = field(name, kind.clone()).check(&t).unwrap_err();
            assert_eq!(error.field, name);
            assert!(error.found.contains(found), "{error}");
            assert_eq!(error.expected, kind.expected());
        }
        assert!(field("ext.lat", FieldKind::Longitude).check(&t).is_ok());
        assert!(field("ext.absent", FieldKind::Number).check(&t).is_ok());
    }

    #[test]
    fn canonical_fields_are_those_of_the_transaction() {
        for name in [
            "rail",
            "channel",
            "geo_lat",
            "account_opened",
            "vpn",
            "session_age_s",
        ] {
            assert!(CANONICAL.contains(&name), "{name}");
            assert!(Field::kinds_of(name).is_some(), "{name}");
        }
        assert_eq!(Field::kinds_of("txn_id"), None);
        assert!(!Field::fits("rail", &FieldKind::Number));
        assert!(!Field::fits("txn_id", &FieldKind::Number));
    }
}
