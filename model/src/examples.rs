//! The table a learner reads: encoded rows with card, time and label. Rows come from `features`
//! through the journal or a file; nothing is computed here.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::error::ModelError;

/// Whether a card never enters fine-tuning, so that calibration and thresholds may be chosen on
/// it: where the first eight bytes, big endian, of `SHA-256("phalanx/held-out/1" || 0 || token)`
/// leave no remainder by ten. The choice is the token's alone, so it stays from run to run.
pub fn is_held_out(token: &str) -> bool {
    let digest = Sha256::new()
        .chain_update(b"phalanx/held-out/1\0")
        .chain_update(token)
        .finalize();
    let head = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*head).is_multiple_of(HELD_OUT_PARTS)
}

/// One card in so many is held out.
const HELD_OUT_PARTS: u64 = 10;

/// Encoded transactions, row-major, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Columns per row: the schema's length.
    pub columns: usize,
    /// `len() * columns` values, row-major, standardised.
    pub values: Vec<f32>,
    /// Which card, numbered as the caller likes.
    pub card: Vec<u32>,
    /// Event time in milliseconds UTC.
    pub ts: Vec<i64>,
    /// 1 fraud, 0 genuine, NaN unknown.
    pub label: Vec<f32>,
}

impl Examples {
    /// An empty table for rows of `columns` values.
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    /// Appends one row.
    ///
    /// # Errors
    /// [`ModelError::RowLength`] if the row is not `columns` long.
    pub fn push(&mut self, row: &[f32], card: u32, ts: i64, label: f32) -> Result<(), ModelError> {
        if row.len() != self.columns {
            return Err(ModelError::RowLength {
                found: row.len(),
                columns: self.columns,
            });
        }
        self.values.extend_from_slice(row);
        self.card.push(card);
        self.ts.push(ts);
        self.label.push(label);
        Ok(())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// The values of row `index`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// The rows with a time in `span` (milliseconds UTC, end excluded), copied.
    pub fn between(&self, span: Range<i64>) -> Self {
        let mut slice = Self::new(self.columns);
        for index in (0..self.len()).filter(|&i| span.contains(&self.ts[i])) {
            slice.values.extend_from_slice(self.row(index));
            slice.card.push(self.card[index]);
            slice.ts.push(self.ts[index]);
            slice.label.push(self.label[index]);
        }
        slice
    }

    /// Rows whose label is known.
    pub fn labelled(&self) -> Vec<usize> {
        (0..self.len())
            .filter(|&i| !self.label[i].is_nan())
            .collect()
    }

    /// Checks width, equal lengths and finite values against a schema's column names.
    pub(crate) fn check(&self, names: &[String]) -> Result<(), ModelError> {
        if self.columns != names.len() {
            return Err(ModelError::RowLength {
                found: self.columns,
                columns: names.len(),
            });
        }
        let (rows, cards) = (self.values.len() / self.columns, self.card.len());
        let (times, labels) = (self.ts.len(), self.label.len());
        if self.values.len() != rows * self.columns || [cards, times, labels] != [rows; 3] {
            return Err(ModelError::Ragged {
                rows,
                cards,
                times,
                labels,
            });
        }
        check_finite(&self.values, names)
    }
}

/// Refuses values that do not divide into rows, and the first that is not finite.
pub(crate) fn check_rows(rows: &[f32], names: &[String]) -> Result<(), ModelError> {
    let columns = names.len();
    if !rows.len().is_multiple_of(columns) {
        return Err(ModelError::RowLength {
            found: rows.len(),
            columns,
        });
    }
    check_finite(rows, names)
}

/// Refuses the first value that is not finite, by row and column name.
pub(crate) fn check_finite(values: &[f32], names: &[String]) -> Result<(), ModelError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(ModelError::NotFinite {
            row: at / names.len(),
            column: names[at % names.len()].clone(),
            value: values[at],
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_keeps_the_start_and_leaves_the_end() {
        let mut table = Examples::new(1);
        for i in 0..5_u32 {
            table
                .push(&[i as f32], i, i64::from(i) * 10, f32::NAN)
                .unwrap();
        }
        let slice = table.between(10..30);
        assert_eq!(
            (slice.card.clone(), slice.values.clone()),
            (vec![1, 2], vec![1.0, 2.0])
        );
        assert!(slice.labelled().is_empty());
    }

    #[test]
    fn a_value_that_is_no_number_is_refused_by_row_and_column() {
        let names = ["amount".to_owned(), "hour".to_owned()];
        let error = check_finite(&[0.0, 1.0, 2.0, f32::INFINITY], &names).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1, column hour is inf, expected a finite number"
        );
    }

    #[test]
    fn ragged_tables_are_refused() {
        let mut table = Examples::new(1);
        table.push(&[0.0], 0, 0, 0.0).unwrap();
        table.label.clear();
        assert!(matches!(
            table.check(&["a".into()]),
            Err(ModelError::Ragged { .. })
        ));
        assert!(table.push(&[0.0, 1.0], 0, 0, 0.0).is_err());
    }
}
