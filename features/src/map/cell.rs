//! One value of one row, whichever format it came from. What it becomes is the rules' affair.

use serde_json::Value;

/// A value as the feed holds it.
#[derive(Clone, PartialEq)]
pub(crate) enum Cell {
    Missing,
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    /// A typed time in milliseconds; without a zone it counts from 1970 at the feed's offset.
    Time {
        ms: i64,
        is_zoned: bool,
    },
    /// A typed date in days since 1970-01-01.
    Date(i32),
    /// An array or an object, which no field can hold.
    Nested,
}

impl Cell {
    /// The cell as text, for tokens, labels and carried columns; `None` where it has no text.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Missing | Self::Nested => None,
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Whole(number) => Some(number.to_string()),
            // A column of whole numbers with gaps arrives as floating point from many tools.
            Self::Real(real) if real.fract() == 0.0 && real.abs() < 9e15 => {
                Some((*real as i64).to_string())
            }
            Self::Real(real) => Some(real.to_string()),
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Time { ms, .. } => Some(ms.to_string()),
            Self::Date(day) => Some(day.to_string()),
        }
    }

    /// The cell as the door takes it, times as epoch milliseconds.
    pub(crate) fn into_value(self, offset_ms: i64) -> Value {
        match self {
            Self::Missing => Value::Null,
            Self::Flag(flag) => flag.into(),
            Self::Whole(number) => number.into(),
            Self::Real(real) => real.into(),
            Self::Text(text) => text.into(),
            Self::Time { ms, is_zoned: true } => ms.into(),
            Self::Time {
                ms,
                is_zoned: false,
            } => ms.saturating_sub(offset_ms).into(),
            Self::Date(day) => day.into(),
            Self::Nested => Value::Array(Vec::new()),
        }
    }

    /// A cell of a JSON value; an empty text is a missing one.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Whole(whole),
                // Above i64 but below u64: too large for any field, kept exact as text.
                None if number.is_u64() => Self::Text(number.to_string()),
                None => number.as_f64().map_or(Self::Missing, Self::Real),
            },
            Value::String(text) => Self::from_text(text),
            Value::Array(_) | Value::Object(_) => Self::Nested,
        }
    }

    /// A cell of a text; an empty one is missing.
    pub(crate) fn from_text(text: &str) -> Self {
        match text.trim().is_empty() {
            true => Self::Missing,
            false => Self::Text(text.to_owned()),
        }
    }
}
