//! The columns of a vector: names, roles, order, fixed centre and scale. Plans agree on the
//! schema by its digest; the encoder that fills the columns is in `encoder.rs`. Nothing is
//! fitted per bank and nothing is clipped: heavy tails carry the signal (learning.md §6).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod standard;

/// The columns of a vector, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSchema {
    /// One entry a column.
    pub columns: Vec<Column>,
}

/// One column: `value = (natural - center) / scale`, less the bank's trailing mean of that where
/// `detrend` is set. A missing natural value gives exactly 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the natural value, one of [`FeatureSchema::standard`].
    pub name: String,
    /// What the column is to the model.
    pub role: Role,
    /// Subtracted from the natural value.
    pub center: f32,
    /// Divides what is left; positive.
    pub scale: f32,
    /// Whether the bank's trailing seven-day mean is subtracted.
    pub detrend: bool,
}

/// What a column is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// A field of the payment itself (x of learning.md §6).
    Event(FieldGroup),
    /// The card's history strictly before the payment (c).
    Context,
    /// A function of other columns (d), recomputed after one of them is perturbed:
    /// `factor * (v[minuend] - v[subtrahend]) / max(v[divisor] * scale + center, 0.05)`, without
    /// the quotient where there is no divisor; scale and center are the divisor column's.
    Derived {
        /// Column on the left of the minus.
        minuend: u16,
        /// Column on the right of the minus.
        subtrahend: u16,
        /// Column whose natural value divides.
        divisor: Option<u16>,
        /// Multiplies the difference.
        factor: f32,
    },
    /// A rolling window of card or outlet.
    Window,
    /// The outlet's risk from the bank's own labels (r).
    OwnRisk,
    /// The outlet's risk from the federation's table (r).
    SharedRisk,
}

/// Fields that are perturbed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FieldGroup {
    /// The amount.
    Amount,
    /// Time since the card's previous payment.
    Gap,
    /// Hour, weekend, night.
    Time,
    /// The card's acquaintance with the outlet.
    Visit,
    /// The merchant's category.
    Category,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A name that no encoder fills.
    #[error("column {0}: no such feature")]
    UnknownColumn(String),
    /// A centre or scale that is not finite, or a scale that is not positive.
    #[error("column {0}: expected a finite center and a positive, finite scale")]
    BadScale(String),
    /// A derived column whose operands are not plain columns of the schema.
    #[error("column {0}: expected operands among the columns that are not derived")]
    BadOperand(String),
}

impl FeatureSchema {
    /// The schema of `features/1`: x(8), c(6), d(4), own r(8), shared r(8), category(14),
    /// windows of card (20) and outlet (12); 80 columns.
    #[must_use]
    pub fn standard() -> Self {
        standard::schema()
    }

    /// Number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True where there is no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Places of the columns whose role `is_wanted`, ascending.
    pub fn indices(&self, is_wanted: impl Fn(&Role) -> bool) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns
            .filter(|(_, column)| is_wanted(&column.role))
            .map(|(at, _)| at)
            .collect()
    }

    /// Place of the column called `name`.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The value of a derived column from a vector's other values; `None` where the column is
    /// not derived or the vector too short. The encoder and the model use this one function.
    #[must_use]
    pub fn derive(&self, column: usize, values: &[f32]) -> Option<f32> {
        let Role::Derived {
            minuend,
            subtrahend,
            divisor,
            factor,
        } = self.columns.get(column)?.role
        else {
            return None;
        };
        let value = |at: u16| values.get(usize::from(at)).copied();
        let difference = factor * (value(minuend)? - value(subtrahend)?);
        let Some(divisor) = divisor else {
            return Some(difference);
        };
        let by = self.columns.get(usize::from(divisor))?;
        Some(difference / (value(divisor)? * by.scale + by.center).max(DIVISOR_MIN))
    }

    /// SHA-256 of the canonical bytes: what the columns mean, independent of any serialiser.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"phalanx/feature-schema/1\0");
        hash.update((self.columns.len() as u64).to_le_bytes());
        for column in &self.columns {
            hash.update((column.name.len() as u64).to_le_bytes());
            hash.update(column.name.as_bytes());
            hash.update(column.role.canonical());
            hash.update(column.center.to_le_bytes());
            hash.update(column.scale.to_le_bytes());
            hash.update([u8::from(column.detrend)]);
        }
        hash.finalize().into()
    }

    /// Checks that every column can be filled.
    ///
    /// # Errors
    /// [`SchemaError`] names the first column that cannot.
    pub fn check(&self) -> Result<(), SchemaError> {
        let is_plain = |at: u16| {
            let column = self.columns.get(usize::from(at));
            column.is_some_and(|column| !matches!(column.role, Role::Derived { .. }))
        };
        for column in &self.columns {
            let name = || column.name.clone();
            if slot(&column.name).is_none() {
                return Err(SchemaError::UnknownColumn(name()));
            }
            if !(column.center.is_finite() && column.scale.is_finite() && column.scale > 0.0) {
                return Err(SchemaError::BadScale(name()));
            }
            if let Role::Derived {
                minuend,
                subtrahend,
                divisor,
                factor,
            } = column.role
            {
                let operands = [Some(minuend), Some(subtrahend), divisor];
                if !operands.into_iter().flatten().all(is_plain) || !factor.is_finite() {
                    return Err(SchemaError::BadOperand(name()));
                }
            }
        }
        Ok(())
    }
}

impl Role {
    /// Eleven bytes: a tag and its operands, little endian.
    fn canonical(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        match self {
            Self::Event(group) => {
                bytes[1] = match group {
                    FieldGroup::Amount => 0,
                    FieldGroup::Gap => 1,
                    FieldGroup::Time => 2,
                    FieldGroup::Visit => 3,
                    FieldGroup::Category => 4,
                };
            }
            Self::Context => bytes[0] = 1,
            Self::Derived {
                minuend,
                subtrahend,
                divisor,
                factor,
            } => {
                bytes[0] = 2;
                bytes[1..3].copy_from_slice(&minuend.to_le_bytes());
                bytes[3..5].copy_from_slice(&subtrahend.to_le_bytes());
                bytes[5] = u8::from(divisor.is_some());
                bytes[6..8].copy_from_slice(&divisor.unwrap_or(0).to_le_bytes());
                bytes[8..12].copy_from_slice(&factor.to_le_bytes());
            }
            Self::Window => bytes[0] = 3,
            Self::OwnRisk => bytes[0] = 4,
            Self::SharedRisk => bytes[0] = 5,
        }
        bytes
    }
}

pub(crate) use standard::{Slot, slot};

/// Floor of a derived column's divisor, in natural units.
const DIVISOR_MIN: f32 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_schema_has_the_columns_of_the_recipe() {
        let schema = FeatureSchema::standard();
        schema.check().unwrap();
        let count = |is_wanted: fn(&Role) -> bool| schema.indices(is_wanted).len();
        assert_eq!(schema.len(), 80);
        assert_eq!(
            count(|role| matches!(role, Role::Event(g) if *g != FieldGroup::Category)),
            8
        );
        assert_eq!(
            count(|role| matches!(role, Role::Event(FieldGroup::Category))),
            14
        );
        assert_eq!(count(|role| matches!(role, Role::Context)), 6);
        assert_eq!(count(|role| matches!(role, Role::Derived { .. })), 4);
        assert_eq!(count(|role| matches!(role, Role::OwnRisk)), 8);
        assert_eq!(count(|role| matches!(role, Role::SharedRisk)), 8);
        assert_eq!(count(|role| matches!(role, Role::Window)), 32);
        let names: std::collections::BTreeSet<_> =
            schema.columns.iter().map(|column| &column.name).collect();
        assert_eq!(names.len(), schema.len());
    }

    #[test]
    fn every_part_of_a_column_reaches_the_digest() {
        let schema = FeatureSchema::standard();
        let changes: [fn(&mut FeatureSchema); 7] = [
            |s| s.columns[3].name.push('x'),
            |s| s.columns[3].role = Role::Context,
            |s| s.columns[3].center += 1.0,
            |s| s.columns[3].scale *= 2.0,
            |s| s.columns[3].detrend ^= true,
            |s| s.columns.swap(0, 1),
            |s| drop(s.columns.pop()),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut changed = schema.clone();
            change(&mut changed);
            assert_ne!(changed.digest(), schema.digest(), "change {at}");
        }
        let text = serde_json::to_string(&schema).unwrap();
        let read: FeatureSchema = serde_json::from_str(&text).unwrap();
        assert_eq!(read.digest(), schema.digest());
    }

    #[test]
    fn a_schema_that_cannot_be_filled_is_refused() {
        let broken = |change: fn(&mut Column)| {
            let mut schema = FeatureSchema::standard();
            change(&mut schema.columns[14]);
            schema.check().unwrap_err()
        };
        assert!(matches!(
            broken(|c| c.name.push('x')),
            SchemaError::UnknownColumn(_)
        ));
        assert!(matches!(
            broken(|c| c.scale = 0.0),
            SchemaError::BadScale(_)
        ));
        let itself = |c: &mut Column| {
            c.role = Role::Derived {
                minuend: 14,
                subtrahend: 0,
                divisor: None,
                factor: 1.0,
            };
        };
        assert!(matches!(broken(itself), SchemaError::BadOperand(_)));
    }
}
