//! The door: turns a raw transaction into a checked one, field by field, or says which field was
//! refused, what was found and what was expected. Nothing past this file checks a payment again.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::names::Places;
use super::vocabulary::Vocabulary;
use super::{ExtValue, FieldError, FieldErrorKind, Label, RawTransaction, Transaction};
use crate::map::time::{self, TIME_EXPECTED, TS_END_MS};
use crate::pan;

/// Checks a label's fields; the first refusal ends it. Fields that no label has are not read.
pub(super) fn label(now_ms: i64, raw: RawTransaction) -> Result<Label, FieldError> {
    let mut door = Door::open(raw)?;
    Ok(Label {
        txn_id: required("txn_id", door.text("txn_id", Transaction::ID_BYTES_MAX)?)?,
        fraud: required("fraud", door.flag("fraud")?)?,
        known_at: door.time("known_at")?.unwrap_or(now_ms),
        source: Some(required(
            "source",
            door.text("source", Label::SOURCE_BYTES_MAX)?,
        )?),
    })
}

/// Takes the fields out of a raw transaction, each once; a field is `None` where it is missing or
/// null. What reads which field is in the table of `transaction.rs`.
pub(super) struct Door {
    raw: RawTransaction,
    places: Places,
}

impl Door {
    /// Judges the names at the top level; those of `ext` are judged where `ext` is read. A name
    /// that `txn.v1` knows is none that is refused.
    pub(super) fn open(raw: RawTransaction) -> Result<Self, FieldError> {
        let mut names = raw.unknown_fields().keys();
        names.try_for_each(|name| refuse_sensitive(name))?;
        Ok(Self {
            raw,
            places: Places::default(),
        })
    }

    fn value(&mut self, field: &str) -> Option<Value> {
        let value = self.raw.take(&mut self.places, field);
        (!value.is_null()).then_some(value)
    }

    pub(super) fn text(
        &mut self,
        field: &str,
        bytes_max: usize,
    ) -> Result<Option<String>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let text = text_of(value).map_err(|other| mistyped(field, &other, "text"))?;
        if pan::is_pan_like(&text) {
            return Err(FieldError::pan(field));
        }
        let is_fit =
            !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control);
        if !is_fit {
            let expected = format!("1 to {bytes_max} bytes of text without control characters");
            return Err(FieldError::new(
                field,
                FieldErrorKind::Schema,
                &text,
                &expected,
            ));
        }
        Ok(Some(text))
    }

    /// An alphabetic code of `length` letters, in capitals.
    pub(super) fn letters(
        &mut self,
        field: &str,
        length: usize,
    ) -> Result<Option<String>, FieldError> {
        let Some(mut text) = self.text(field, TOKEN_MAX)? else {
            return Ok(None);
        };
        if text.len() != length || !text.bytes().all(|b| b.is_ascii_alphabetic()) {
            let expected = format!("{length} letters");
            return Err(FieldError::new(
                field,
                FieldErrorKind::Schema,
                &text,
                &expected,
            ));
        }
        text.make_ascii_uppercase();
        Ok(Some(text))
    }

    pub(super) fn word<E: Vocabulary>(&mut self, field: &str) -> Result<Option<E>, FieldError> {
        let Some(text) = self.text(field, WORD_MAX)? else {
            return Ok(None);
        };
        let word = match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => E::from_word(&text.to_ascii_lowercase()),
            false => E::from_word(&text),
        };
        word.map(Some).ok_or_else(|| {
            let expected = format!("one of {}", E::WORDS.join(", "));
            FieldError::new(field, FieldErrorKind::Schema, &text, &expected)
        })
    }

    pub(super) fn word_or<E: Vocabulary>(
        &mut self,
        field: &str,
        otherwise: E,
    ) -> Result<E, FieldError> {
        Ok(self.word(field)?.unwrap_or(otherwise))
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<Option<bool>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        if let Value::Bool(flag) = value {
            return Ok(Some(flag));
        }
        let text = text_of(value.clone()).map(|text| text.to_ascii_lowercase());
        match text.as_deref() {
            Ok("true" | "1" | "y" | "yes") => Ok(Some(true)),
            Ok("false" | "0" | "n" | "no") => Ok(Some(false)),
            _ => Err(mistyped(field, &value, "true or false")),
        }
    }

    /// Text keeps its leading zeros, as those of merchant categories, so both forms are read.
    pub(super) fn whole<T: TryFrom<i64>>(
        &mut self,
        field: &str,
        min: i64,
        max: i64,
    ) -> Result<Option<T>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let expected = || format!("a whole number from {min} to {max}");
        let Some(number) = whole_of(&value) else {
            return Err(mistyped(field, &value, &expected()));
        };
        if pan::is_pan_number(number) {
            return Err(FieldError::pan(field));
        }
        let fit = (min..=max)
            .contains(&number)
            .then(|| T::try_from(number).ok())
            .flatten();
        match fit {
            Some(number) => Ok(Some(number)),
            None => Err(mistyped(field, &value, &expected())),
        }
    }

    pub(super) fn time(&mut self, field: &str) -> Result<Option<i64>, FieldError> {
        let value = self.value(field);
        value.map(|value| time_of(field, &value)).transpose()
    }

    /// `YYYY-MM-DD`, or days since 1970-01-01.
    pub(super) fn date(&mut self, field: &str) -> Result<Option<i32>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let day = match &value {
            Value::String(text) => time::date_day(text),
            Value::Number(_) => whole_of(&value).and_then(|day| i32::try_from(day).ok()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match day.filter(|day| DAYS.contains(day)) {
            Some(day) => Ok(Some(day)),
            None => Err(mistyped(field, &value, "a date as YYYY-MM-DD")),
        }
    }

    pub(super) fn degrees(&mut self, field: &str, max: f64) -> Result<Option<f32>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match real_of(&value).filter(|degrees| degrees.abs() <= max) {
            Some(degrees) => Ok(Some(((degrees * 10.0).round() / 10.0) as f32)),
            None => Err(mistyped(
                field,
                &value,
                &format!("degrees from -{max} to {max}"),
            )),
        }
    }

    pub(super) fn ext(&mut self, field: &str) -> Result<BTreeMap<String, ExtValue>, FieldError> {
        let Some(value) = self.value(field) else {
            return Ok(BTreeMap::new());
        };
        let map = match value {
            Value::Object(map) => map,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)) => {
                return Err(mistyped(field, &other, "an object of numbers and texts"));
            }
        };
        if map.len() > EXT_MAX {
            let (found, expected) = (
                format!("{} keys", map.len()),
                format!("at most {EXT_MAX} keys"),
            );
            return Err(FieldError::new(
                field,
                FieldErrorKind::Schema,
                &found,
                &expected,
            ));
        }
        let present = map.into_iter().filter(|(_, value)| !value.is_null());
        present
            .map(|(name, value)| ext_value(&name, value).map(|value| (name, value)))
            .collect()
    }
}

/// RFC 3339 text or epoch milliseconds. A 13-digit time is no card number: the range ends in 2096,
/// below every number the schemes issue with 13 digits.
pub(super) fn time_of(field: &str, value: &Value) -> Result<i64, FieldError> {
    let ms = match value {
        Value::String(text) => time::rfc3339_ms(text).or_else(|| text.parse().ok()),
        Value::Number(number) => number.as_i64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    ms.filter(|ms| (0..TS_END_MS).contains(ms))
        .ok_or_else(|| mistyped(field, value, TIME_EXPECTED))
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::new(field, FieldErrorKind::Missing, "nothing", "a value"))
}

fn ext_value(name: &str, value: Value) -> Result<ExtValue, FieldError> {
    let field = || format!("ext.{name}");
    refuse_sensitive(name)?;
    if pan::is_pan_like(name) {
        return Err(FieldError::pan("ext"));
    }
    if let Some(number) = value.as_f64().filter(|number| number.is_finite()) {
        // What came, and what is kept: from 2^53 on that may be another number, which has to pass
        // again when the journal is read.
        let told = whole_of(&value).is_some_and(pan::is_pan_number);
        // It is written by its shortest digits, and read again as the whole number that it is.
        let is_long = number.abs() >= 1e12;
        let written = is_long && pan::is_pan_like(&format!("{}", number.trunc()));
        let kept = written || (number.abs() < 9e18 && pan::is_pan_number(number as i64));
        // Extras hold times too: the schema's features make ages of them.
        let is_time = number.fract() == 0.0 && pan::is_time_ms(number as i64);
        return match !is_time && (told || kept) {
            true => Err(FieldError::pan(&field())),
            false => Ok(ExtValue::Number(number)),
        };
    }
    let text = match value {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => return Err(mistyped(&field(), &other, "a number or a text")),
    };
    let is_time = text.parse().is_ok_and(pan::is_time_ms);
    if !is_time && pan::is_pan_like(&text) {
        return Err(FieldError::pan(&field()));
    }
    if text.len() > TOKEN_MAX || name.len() > EXT_NAME_MAX || text.chars().any(char::is_control) {
        let expected = format!("a name up to {EXT_NAME_MAX} and a text up to {TOKEN_MAX} bytes");
        return Err(FieldError::new(
            &field(),
            FieldErrorKind::Schema,
            &text,
            &expected,
        ));
    }
    Ok(ExtValue::Text(text))
}

fn refuse_sensitive(name: &str) -> Result<(), FieldError> {
    if !pan::is_sensitive_name(name) {
        return Ok(());
    }
    let found = "a name that stands for a card number, verification value, track or PIN";
    let expected = "no such field: send `card_tok`, or map the column with `tokenise = \"pan\"`";
    Err(FieldError::new(
        name,
        FieldErrorKind::Forbidden,
        found,
        expected,
    ))
}

/// A refusal that names what was found; a card-like number is called so, without its digits.
fn mistyped(field: &str, value: &Value, expected: &str) -> FieldError {
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    match pan::is_pan_like(&found) {
        true => FieldError::pan(field),
        false => FieldError::new(field, FieldErrorKind::Schema, &found, expected),
    }
}

/// Text, or a whole number as text; a fraction is no name of anything. Anything else is given back.
fn text_of(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) if text.trim().len() == text.len() => Ok(text),
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => Err(other),
    }
}

/// A whole number, also as text or as a fraction that has none.
fn whole_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| {
            let real = number
                .as_f64()
                .filter(|r| r.fract() == 0.0 && r.abs() < 9e18)?;
            Some(real as i64)
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn real_of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|real: &f64| real.is_finite())
}

pub(super) const TOKEN_MAX: usize = 128;
pub(super) const WORD_MAX: usize = 64;
/// Extras of one payment.
pub(crate) const EXT_MAX: usize = 32;
/// Bytes of an extra's name.
pub(super) const EXT_NAME_MAX: usize = 64;
/// Days since 1970-01-01 on which accounts are opened.
pub(super) const DAYS: Range<i32> = -50_000..50_000;
pub(super) const AGE_MAX: i64 = i32::MAX as i64;
pub(super) const ASN_MAX: i64 = u32::MAX as i64;
/// Amounts end below 16 digits. Those of 13 and more that happen to pass Luhn are refused like
/// any other number that does: a misplaced card number costs more than a resubmitted payment.
pub(super) const AMOUNT_MAX: i64 = 999_999_999_999_999;
