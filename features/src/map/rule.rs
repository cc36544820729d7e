//! Applying a mapping file's rules to one row of cells. A rule takes its columns, looks the text
//! up, then tokenises, parses or scales it; the canonical checks come after, at the door.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cell::Cell;
use super::time::TimeFormat;
use super::token::{TokenKey, TokenKind};
use super::{FeedMap, Row};
use crate::pan;
use crate::transaction::{FieldError, FieldErrorKind, Label, RawTransaction, Transaction};

/// How one field is made.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) field: String,
    pub(crate) columns: Vec<usize>,
    pub(crate) constant: Option<Value>,
    pub(crate) lookup: Option<BTreeMap<String, String>>,
    pub(crate) join: String,
    pub(crate) tokenise: Option<TokenKind>,
    pub(crate) parse: Option<TimeFormat>,
    pub(crate) scale: Option<u32>,
    pub(crate) offset_ms: i64,
}

/// How the label is made.
#[derive(Clone, Debug)]
pub(crate) struct LabelRule {
    pub(crate) column: usize,
    pub(crate) fraud: Vec<String>,
    pub(crate) unlabelled: Vec<String>,
    pub(crate) known_at: Option<Rule>,
    pub(crate) known_after_ms: Option<i64>,
    pub(crate) source: Option<Rule>,
}

impl FeedMap {
    /// The canonical row of `cells`, which stand in the order of `columns`.
    pub(crate) fn row(&self, key: &TokenKey, cells: &[Cell]) -> Result<Row, FieldError> {
        let raw = self.raw(key, cells)?;
        let transaction = Transaction::try_from(raw)?;
        let label = match &self.label {
            Some(rule) => rule.label(key, cells, &transaction)?,
            None => None,
        };
        let mut extra = BTreeMap::new();
        for (name, column) in &self.carried {
            let Some(text) = cells.get(*column).and_then(Cell::text) else {
                continue;
            };
            if pan::is_pan_like(&text) {
                return Err(FieldError::pan(name));
            }
            extra.insert(name.clone(), text);
        }
        Ok(Row {
            transaction,
            label,
            extra,
        })
    }

    fn raw(&self, key: &TokenKey, cells: &[Cell]) -> Result<RawTransaction, FieldError> {
        let mut raw = RawTransaction::default();
        let mut ext = serde_json::Map::new();
        for rule in &self.rules {
            let value = rule.value(key, cells)?;
            match rule.field.strip_prefix("ext.") {
                Some(name) => drop(ext.insert(name.to_owned(), value)),
                None => raw.insert(rule.field.as_str(), value),
            }
        }
        if !ext.is_empty() {
            raw.insert("ext", Value::Object(ext));
        }
        Ok(raw)
    }
}

impl Rule {
    /// The field's value, null where the row has none.
    fn value(&self, key: &TokenKey, cells: &[Cell]) -> Result<Value, FieldError> {
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        let mut cell = self.cell(cells)?;
        if let (Some(lookup), Some(text)) = (&self.lookup, cell.text()) {
            let found = lookup.get(&text).or_else(|| lookup.get("*"));
            let found = found.ok_or_else(|| self.fault(&text, "a value listed under map"))?;
            cell = Cell::from_text(found);
        }
        if cell == Cell::Missing {
            return Ok(Value::Null);
        }
        if cell == Cell::Nested {
            return Err(self.fault("an array or an object", "one value"));
        }
        if let Some(kind) = self.tokenise {
            let text = cell
                .text()
                .ok_or_else(|| self.fault("no text", "an identifier"))?;
            return Ok(kind.token(key, &text).into());
        }
        if let Some(format) = &self.parse {
            return self.time(format, cell);
        }
        match self.scale {
            Some(scale) => self.scaled(&cell, scale),
            None => Ok(cell.into_value(self.offset_ms)),
        }
    }

    /// The one cell of the rule, or its cells' texts joined.
    fn cell(&self, cells: &[Cell]) -> Result<Cell, FieldError> {
        let mut own = self
            .columns
            .iter()
            .map(|&column| cells.get(column).unwrap_or(&Cell::Missing));
        if self.columns.len() == 1 {
            return Ok(own.next().cloned().unwrap_or(Cell::Missing));
        }
        let texts: Option<Vec<String>> = own.map(Cell::text).collect();
        Ok(texts.map_or(Cell::Missing, |texts| Cell::Text(texts.join(&self.join))))
    }

    /// Epoch milliseconds, or days since 1970 for a field that is a date.
    fn time(&self, format: &TimeFormat, cell: Cell) -> Result<Value, FieldError> {
        let is_typed = matches!(cell, Cell::Time { .. } | Cell::Date(_));
        let value = match is_typed {
            true => cell.into_value(self.offset_ms),
            false => {
                let text = cell.text().unwrap_or_default();
                let ms = format.read(&text, self.offset_ms);
                let ms = ms.ok_or_else(|| self.fault(&text, &format!("a time as {format:?}")))?;
                match self.field.as_str() {
                    "account_opened" => crate::transaction::day_of(ms + self.offset_ms).into(),
                    _ => ms.into(),
                }
            }
        };
        Ok(value)
    }

    /// The number times `scale`, rounded half away from zero to a whole number.
    fn scaled(&self, cell: &Cell, scale: u32) -> Result<Value, FieldError> {
        let number = match cell {
            Cell::Whole(number) => number.checked_mul(i64::from(scale)),
            Cell::Real(real) => {
                let scaled = (real * f64::from(scale)).round();
                (scaled.abs() < 9e15).then_some(scaled as i64)
            }
            Cell::Text(text) => scaled_decimal(text.trim(), scale),
            Cell::Missing | Cell::Flag(_) | Cell::Time { .. } | Cell::Date(_) | Cell::Nested => {
                None
            }
        };
        let found = || cell.text().unwrap_or_default();
        let number = number.ok_or_else(|| self.fault(&found(), "a decimal number as 1234.56"))?;
        Ok(number.into())
    }

    fn fault(&self, found: &str, expected: &str) -> FieldError {
        match pan::is_pan_like(found) {
            true => FieldError::pan(&self.field),
            false => FieldError::new(&self.field, FieldErrorKind::Schema, found, expected),
        }
    }
}

impl LabelRule {
    fn label(
        &self,
        key: &TokenKey,
        cells: &[Cell],
        transaction: &Transaction,
    ) -> Result<Option<Label>, FieldError> {
        let Some(verdict) = cells.get(self.column).and_then(Cell::text) else {
            return Ok(None);
        };
        if self.unlabelled.contains(&verdict) {
            return Ok(None);
        }
        let word = verdict.to_ascii_lowercase();
        let fraud = self
            .fraud
            .iter()
            .any(|listed| listed.to_ascii_lowercase() == word);
        let known_at = match (&self.known_at, self.known_after_ms) {
            (Some(rule), _) => instant(rule, rule.value(key, cells)?)?,
            (None, Some(after)) => Some(transaction.ts.saturating_add(after)),
            (None, None) => None,
        };
        // A verdict of unknown date cannot be used: nothing tells when it may be.
        let Some(known_at) = known_at else {
            return Ok(None);
        };
        let source = match &self.source {
            Some(rule) => rule.value(key, cells)?.as_str().map(str::to_owned),
            None => None,
        };
        if source.as_deref().is_some_and(pan::is_pan_like) {
            return Err(FieldError::pan("labels.source"));
        }
        Ok(Some(Label {
            txn_id: transaction.txn_id.clone(),
            fraud,
            known_at,
            source,
        }))
    }
}

/// Epoch milliseconds of a rule's value, read as the door reads `ts`.
fn instant(rule: &Rule, value: Value) -> Result<Option<i64>, FieldError> {
    let text = value.as_str().and_then(super::time::rfc3339_ms);
    match (value.is_null(), value.as_i64().or(text)) {
        (true, _) => Ok(None),
        (false, Some(ms)) => Ok(Some(ms)),
        (false, None) => Err(rule.fault("another form", super::time::TIME_EXPECTED)),
    }
}

/// A decimal text times `scale` in whole numbers, so that no cent is lost to floating point.
fn scaled_decimal(text: &str, scale: u32) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && whole.len() <= 18
        && whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let ten = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let part: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let scaled = (whole * ten + part) * i128::from(scale);
    let rounded = (scaled + ten / 2) / ten;
    i64::try_from(if is_negative { -rounded } else { rounded }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_survive_scaling() {
        for (text, scale, minor) in [
            ("57.16", 100, Some(5_716)),
            ("0.29", 100, Some(29)),
            (".5", 100, Some(50)),
            ("-1.005", 100, Some(-101)),
            ("1234", 1, Some(1_234)),
            ("12,5", 100, None),
            ("", 100, None),
            (".", 100, None),
            ("1e3", 100, None),
            ("999999999999999999", 100, None),
        ] {
            assert_eq!(scaled_decimal(text, scale), minor, "{text}");
        }
    }
}
