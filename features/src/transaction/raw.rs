//! What arrives at the door: JSON objects of named values that nobody checked. The door itself is
//! `door.rs`; which names it knows is written in `transaction.rs`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::names::Places;
use super::{CANONICAL, FieldError, FieldErrorKind, door, json_fault};

/// What arrives at the door: named values that nobody checked. `Debug` shows names alone.
#[derive(Clone, PartialEq)]
pub struct RawTransaction {
    /// Values of the fields of `txn.v1`, by their places; null where there is none. On the heap,
    /// so that a payment on its way through a reader is a pointer.
    known: Box<[Value; CANONICAL.len()]>,
    /// What `txn.v1` does not know.
    unknown: Map<String, Value>,
}

impl RawTransaction {
    /// Reads one JSON object. Unlike an error of the JSON reader, the error repeats no input.
    ///
    /// # Errors
    /// [`FieldErrorKind::Schema`] where the bytes are no JSON object.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FieldError> {
        serde_json::from_slice(bytes).map_err(|error| {
            let found = json_fault(&error);
            FieldError::new(
                "transaction",
                FieldErrorKind::Schema,
                &found,
                "a JSON object",
            )
        })
    }

    /// Sets one field; a JSON null unsets it.
    pub fn insert(&mut self, field: impl AsRef<str>, value: Value) {
        let field = field.as_ref();
        match Places::default().find(field) {
            Some(at) => self.known[at] = value,
            None => drop(self.unknown.insert(field.to_owned(), value)),
        }
    }

    /// Fields that `txn.v1` does not know; they are ignored by the door, but for their names.
    #[must_use]
    pub fn unknown_fields(&self) -> &Map<String, Value> {
        &self.unknown
    }

    /// Names of the fields that hold a value.
    pub fn present_fields(&self) -> impl Iterator<Item = &str> {
        let known = CANONICAL.iter().copied().zip(self.known.iter());
        let unknown = self.unknown.iter();
        known
            .chain(unknown.map(|(name, value)| (name.as_str(), value)))
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name)
    }

    /// Takes a time out, milliseconds since 1970-01-01 UTC, read as the door reads a payment's;
    /// nothing where there is none.
    ///
    /// # Errors
    /// [`FieldError`] where the value is no time that the door takes.
    pub fn take_time(&mut self, field: &str) -> Result<Option<i64>, FieldError> {
        let value = self.take(&mut Places::default(), field);
        let value = (!value.is_null()).then_some(value);
        value.map(|value| door::time_of(field, &value)).transpose()
    }

    /// Takes a field's value out; null where there is none.
    pub(super) fn take(&mut self, places: &mut Places, field: &str) -> Value {
        match places.find(field) {
            Some(at) => std::mem::take(&mut self.known[at]),
            None => self.unknown.remove(field).unwrap_or_default(),
        }
    }
}

impl Default for RawTransaction {
    fn default() -> Self {
        Self {
            known: Box::new([const { Value::Null }; CANONICAL.len()]),
            unknown: Map::new(),
        }
    }
}

impl fmt::Debug for RawTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.present_fields().map(crate::pan::redact))
            .finish()
    }
}

impl<'de> Deserialize<'de> for RawTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Told::<Members>::deserialize(deserializer)? {
            Told::Object(Members(raw)) => Ok(raw),
            Told::Other(_) => Err(de::Error::custom("expected a JSON object")),
        }
    }
}

/// A JSON object, read as `T` reads one, or another value as it came: who asks says what was found.
pub enum Told<T> {
    /// An object.
    Object(T),
    /// Anything else.
    Other(Value),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form::<T>(PhantomData))
    }
}

struct Form<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
    type Value = Told<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Told<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Told::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Told<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Told::Other(Value::Array(values)))
    }

    fn visit_unit<E>(self) -> Result<Told<T>, E> {
        Ok(Told::Other(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Told<T>, E> {
        Ok(Told::Other(flag.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Told<T>, E> {
        Ok(Told::Other(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Told<T>, E> {
        Ok(Told::Other(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Told<T>, E> {
        Ok(Told::Other(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Told<T>, E> {
        Ok(Told::Other(text.into()))
    }
}

/// The members of an object that should be a payment; of equal names the last one counts.
struct Members(RawTransaction);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(Places::default()))
    }
}

struct Reader(Places);

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Members, A::Error> {
        let mut raw = RawTransaction::default();
        while let Some(name) = map.next_key_seed(Names(&mut self.0))? {
            match name {
                Name::Known("ext", at) => raw.known[at] = extras(map.next_value()?),
                Name::Known(_, at) => raw.known[at] = map.next_value()?,
                Name::Unknown(name) => drop(raw.unknown.insert(name, map.next_value()?)),
            }
        }
        Ok(Members(raw))
    }
}

/// `serde_json` has a name of its own inside, and reads an object that begins with it as something
/// else. Extras may have any name: one that was let in has to be there when it is read again.
fn extras(told: Told<Map<String, Value>>) -> Value {
    match told {
        Told::Object(extras) => Value::Object(extras),
        Told::Other(other) => other,
    }
}

/// A field's name; one that is known is not copied.
enum Name {
    Known(&'static str, usize),
    Unknown(String),
}

struct Names<'a>(&'a mut Places);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Names<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match self.0.find(name) {
            Some(at) => Name::Known(CANONICAL[at], at),
            None => Name::Unknown(name.to_owned()),
        })
    }
}
