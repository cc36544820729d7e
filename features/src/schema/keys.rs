//! Taking a table of a document apart, key by key: each value is checked as it is taken, and a key
//! that nobody took is refused. Which keys a table has is `language.rs`.

use toml::Value;

use super::SchemaError;
use super::feature::Missing;

/// The keys of one table, taken one by one; what is left at the end is unknown.
pub(super) struct Keys {
    place: String,
    table: toml::Table,
}

impl Keys {
    pub(super) fn new(place: &str, table: toml::Table) -> Self {
        Self {
            place: place.to_owned(),
            table,
        }
    }

    pub(super) fn wrong(&self, key: &str, found: &str, expected: &str) -> SchemaError {
        SchemaError::field(&format!("{}: {key}", self.place), found, expected)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    pub(super) fn required(&mut self, key: &str) -> Result<Value, SchemaError> {
        self.take(key)
            .ok_or_else(|| self.wrong(key, "nothing", "a value"))
    }

    /// Refuses a table without this key, which is left for others to take.
    pub(super) fn require(&self, key: &str, expected: &str) -> Result<(), SchemaError> {
        match self.table.contains_key(key) {
            true => Ok(()),
            false => Err(self.wrong(key, "nothing", expected)),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String, SchemaError> {
        let value = self.required(key)?;
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| self.wrong(key, &show(&value), "a text"))
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, SchemaError> {
        let value = self.required(key)?;
        let listed = value.as_array().map(|values| {
            let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        });
        listed
            .flatten()
            .ok_or_else(|| self.wrong(key, &show(&value), "a list of texts"))
    }

    /// False where it is left out.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, SchemaError> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Boolean(flag)) => Ok(flag),
            Some(other) => Err(self.wrong(key, &show(&other), "true or false")),
        }
    }

    pub(super) fn name(&mut self) -> Result<String, SchemaError> {
        let name = self.text("name")?;
        match is_name(&name) {
            true => Ok(name),
            false => Err(self.wrong("name", &quoted(&name), NAME_EXPECTED)),
        }
    }

    pub(super) fn missing(&mut self, is_ratio: bool) -> Result<Missing, SchemaError> {
        let value = self.required("missing")?;
        match (value.as_str(), real(&value)) {
            (Some("flag"), _) => Ok(Missing::Flag),
            (Some("center"), _) => Ok(Missing::Center),
            (_, Some(stated)) if !is_ratio || stated > 0.0 => Ok(Missing::Stated(stated)),
            _ => {
                let expected = match is_ratio {
                    true => "flag, center, or a ratio above 0",
                    false => "flag, center, or a number",
                };
                Err(self.wrong("missing", &show(&value), expected))
            }
        }
    }

    /// A pair of centre and scale.
    pub(super) fn scaling(&mut self, key: &str) -> Result<(f32, f32), SchemaError> {
        let value = self.required(key)?;
        match value.as_array().map(Vec::as_slice) {
            Some([center, scale]) => Ok((self.center(key, center)?, self.scale(key, scale)?)),
            Some(_) | None => Err(self.wrong(key, &show(&value), "a centre and a scale")),
        }
    }

    pub(super) fn center(&self, key: &str, value: &Value) -> Result<f32, SchemaError> {
        let center = real(value).filter(|center| center.abs() <= CENTER_MAX);
        let expected = "a number from -1e9 to 1e9";
        center
            .map(|center| match center.abs() < CENTER_MIN {
                true => 0.0,
                false => center as f32,
            })
            .ok_or_else(|| self.wrong(key, &show(value), expected))
    }

    pub(super) fn scale(&self, key: &str, value: &Value) -> Result<f32, SchemaError> {
        let scale = real(value).filter(|scale| (SCALE_MIN..=CENTER_MAX).contains(scale));
        scale
            .map(|scale| scale as f32)
            .ok_or_else(|| self.wrong(key, &show(value), "a number from 1e-6 to 1e9"))
    }

    pub(super) fn bound(&self, key: &str, value: &Value) -> Result<f64, SchemaError> {
        real(value).ok_or_else(|| self.wrong(key, &show(value), "a number from -1e15 to 1e15"))
    }

    pub(super) fn finish(self) -> Result<(), SchemaError> {
        match self.table.keys().next() {
            Some(key) => Err(self.wrong(&named(key), "an unknown key", "no such key here")),
            None => Ok(()),
        }
    }
}

/// A number, whole or not, that a field could hold.
fn real(value: &Value) -> Option<f64> {
    let whole = value.as_integer().map(|whole| whole as f64);
    whole
        .or_else(|| value.as_float())
        .filter(|real| real.abs() <= 1e15)
        .map(|real| real + 0.0) // One zero, not two.
}

/// A name, or a word: codes begin with a digit.
pub(super) fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_of_name)
}

pub(super) fn quoted(text: &str) -> String {
    show(&Value::String(text.to_owned()))
}

/// A name of the document's own as an error shows it: in quotes where it is none, or long.
pub(super) fn named(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match name.len() <= SHOWN_MAX && name.bytes().all(is_plain) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// A value as an error shows it.
pub(super) fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

pub(super) const NAME_EXPECTED: &str = "up to 48 of a to z, 0 to 9 and _";
const NAME_BYTES_MAX: usize = 48;
const SHOWN_MAX: usize = 60;
const CENTER_MAX: f64 = 1e9;
/// Nearer to 0 it is 0: a single float so small does not always come back from its digits.
const CENTER_MIN: f64 = 1e-9;
const SCALE_MIN: f64 = 1e-6;
