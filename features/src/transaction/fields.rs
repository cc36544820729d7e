//! What each field of `txn.v1` means and what the door takes for it, as it is written beside the
//! field: the door reads this table, and whoever describes the door to others reads it too.

use super::door::{DAYS, EXT_MAX, EXT_NAME_MAX, TOKEN_MAX, WORD_MAX};
use super::vocabulary::Vocabulary;
use crate::map::time::TS_END_MS;

/// A field of `txn.v1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// Whether a payment without it is refused.
    pub is_required: bool,
    /// What is taken for it.
    pub form: Form,
}

/// What the door takes for a field. Where it is not required, null is a missing field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Text of 1 to so many bytes, or a whole number, which is read as its digits.
    Text(usize),
    /// So many letters.
    Letters(usize),
    /// A word.
    Word {
        /// Those that are listed.
        listed: &'static [&'static str],
        /// What any other counts as; nothing where it is refused.
        rest: Option<&'static str>,
        /// Bytes of any other.
        bytes_max: usize,
    },
    /// Yes or no.
    Flag,
    /// A whole number from one to another, or a text of its digits.
    Whole(i64, i64),
    /// RFC 3339 text, or milliseconds since 1970-01-01 UTC, up to so many.
    Time(i64),
    /// `YYYY-MM-DD`, or days since 1970-01-01, from one to another.
    Day(i32, i32),
    /// Degrees, at most so many to either side.
    Degrees(f64),
    /// An object of numbers and texts.
    Extras {
        /// How many.
        count_max: usize,
        /// Bytes of a name.
        name_bytes_max: usize,
        /// Bytes of a text.
        text_bytes_max: usize,
    },
}

/// Named as what reads the form in `door.rs`.
impl Form {
    pub(super) const fn text(bytes_max: usize) -> Self {
        Self::Text(bytes_max)
    }

    pub(super) const fn letters(length: usize) -> Self {
        Self::Letters(length)
    }

    pub(super) const fn word<E: Vocabulary>() -> Self {
        Self::Word {
            listed: E::WORDS,
            rest: E::REST,
            bytes_max: WORD_MAX,
        }
    }

    pub(super) const fn word_or<E: Vocabulary>(_: E) -> Self {
        Self::word::<E>()
    }

    pub(super) const fn flag() -> Self {
        Self::Flag
    }

    pub(super) const fn whole(min: i64, max: i64) -> Self {
        Self::Whole(min, max)
    }

    pub(super) const fn time() -> Self {
        Self::Time(TS_END_MS - 1)
    }

    pub(super) const fn date() -> Self {
        Self::Day(DAYS.start, DAYS.end - 1)
    }

    pub(super) const fn degrees(max: f64) -> Self {
        Self::Degrees(max)
    }

    pub(super) const fn ext() -> Self {
        Self::Extras {
            count_max: EXT_MAX,
            name_bytes_max: EXT_NAME_MAX,
            text_bytes_max: TOKEN_MAX,
        }
    }
}

/// Makes of one table the type, its fields' names and what they take, what checks them, and what
/// writes them. Behind each field's type is what reads it in `door.rs`.
macro_rules! transaction {
    (
        $(#[$of:meta])*
        pub struct Transaction {
            $(
                $(#[doc = $meaning:literal])+
                pub $field:ident: $kind:ty => $($form:ident)+ $(::<$words:ty>)? ($($bound:expr),*),
            )*
        }
    ) => {
        $(#[$of])*
        pub struct Transaction {
            $($(#[doc = $meaning])+ pub $field: $kind,)*
        }

        /// Every field of `txn.v1`.
        pub const CANONICAL: &[&str] = &[$(stringify!($field)),*];

        /// What every field of `txn.v1` means and takes, in the order of [`CANONICAL`].
        pub const FIELDS: &[Field] = &[$(transaction!(@field $field, concat!($($meaning),+),
            $($form)+ $(::<$words>)? ($($bound),*))),*];

        /// Checks every field; the first refusal ends it.
        fn checked(door: &mut Door) -> Result<Transaction, FieldError> {
            Ok(Transaction {
                $($field: transaction!(@take door, $field,
                    $($form)+ $(::<$words>)? ($($bound),*)),)*
            })
        }

        /// Writes every member with a comma before it.
        fn write_members(payment: &Transaction, out: &mut Vec<u8>) -> serde_json::Result<()> {
            let Transaction { $($field),* } = payment;
            $(
                out.extend_from_slice(concat!(",\"", stringify!($field), "\":").as_bytes());
                serde_json::to_writer(&mut *out, $field)?;
            )*
            Ok(())
        }
    };
    (@field $field:ident, $meaning:expr, required $($form:tt)+) => {
        Field {
            is_required: true,
            ..transaction!(@field $field, $meaning, $($form)+)
        }
    };
    (@field $field:ident, $meaning:expr, $($form:tt)+) => {
        Field {
            name: stringify!($field),
            meaning: $meaning.trim_ascii(),
            is_required: false,
            form: Form::$($form)+,
        }
    };
    (@take $door:ident, $field:ident, required $($form:tt)+) => {
        required(stringify!($field), transaction!(@take $door, $field, $($form)+))?
    };
    (@take $door:ident, $field:ident, $form:ident $(::<$words:ty>)? ($($bound:expr),*)) => {
        $door.$form$(::<$words>)?(stringify!($field) $(, $bound)*)?
    };
}

pub(super) use transaction;
