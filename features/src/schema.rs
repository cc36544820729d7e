//! The columns of a vector: names, roles, order, fixed centre and scale. A consortium declares
//! them in a TOML document; plans carry its canonical text and consent files name its digest. The
//! encoder that fills the columns is in `encoder.rs`. Nothing is fitted per bank, and nothing is
//! clipped unless the document says so: heavy tails carry the signal (learning.md §6).
//!
//! Reading order: `ops/config/schemas` (what a document says), `schema/language.rs` (how it is
//! read), `schema/feature.rs` (what it means), `schema/columns.rs` (what comes of it).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::transaction::{FieldError, Transaction};

mod columns;
mod feature;
mod field;
mod fit;
mod keys;
mod language;
mod needs;
mod render;
mod source;

pub use fit::Fit;

pub(crate) use columns::{Part, Past, Reading, Windows};
pub(crate) use feature::{Entity, FieldAt, Figure, Length, Transform, Unit, signed_exp};
pub(crate) use language::LENGTHS_MAX;
pub(crate) use needs::Need;

use columns::Columns;
use feature::Feature;
use field::Field;

/// A consortium's features, and the columns they make, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSchema {
    groups: Vec<String>,
    fields: Vec<Field>,
    features: Vec<Feature>,
    columns: Vec<Column>,
    windows: Vec<Windows>,
}

/// One column: `value = (natural - center) / scale`, less the bank's trailing mean of that where
/// `detrend` is set. A missing natural value gives exactly 0. Only a schema makes columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name of the natural value, unique in the schema.
    pub name: String,
    /// What the column is to the model.
    pub role: Role,
    /// Subtracted from the natural value.
    pub center: f32,
    /// Divides what is left; positive.
    pub scale: f32,
    /// Whether the bank's trailing seven-day mean is subtracted.
    pub detrend: bool,
    /// Whether it is one of a category's columns, or says that a figure is missing: 0 or 1.
    pub is_flag: bool,
    /// Whether the pretext task shifts it by noise as well as replacing it.
    pub is_shifted: bool,
    pub(crate) reading: Reading,
}

/// What a column is to the model.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// A rolling window of an entity.
    Window,
    /// The outlet's risk from the bank's own labels (r).
    OwnRisk,
    /// The outlet's risk from the federation's table; what that has not counted yet, and all where
    /// it knows nothing of the outlet, from the bank's own labels, if some column reads them (r).
    SharedRisk,
}

/// Fields that are perturbed together: a place among [`FeatureSchema::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldGroup(u8);

impl FieldGroup {
    /// The place, from 0.
    #[must_use]
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

/// Why a document is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not TOML.
    #[error("schema, line {line}: {message}")]
    Syntax {
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A field, a feature or a key of one that cannot be.
    #[error("{field}: found {found}, expected {expected}")]
    Field {
        /// Which.
        field: String,
        /// What was found there.
        found: String,
        /// What was expected.
        expected: String,
    },
}

impl SchemaError {
    fn field(field: &str, found: &str, expected: &str) -> Self {
        Self::Field {
            field: field.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }
}

/// One difference between two schemas, in the words of their documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, or the feature and its key.
    pub field: String,
    /// What this schema says of it.
    pub here: Option<String>,
    /// What the other one says.
    pub there: Option<String>,
}

impl FeatureSchema {
    /// Reads a document, as a person writes it or as [`Self::canonical`] does.
    ///
    /// # Errors
    /// [`SchemaError`] names the place, what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let declared = language::parse(text)?;
        let Columns { columns, windows } = Columns::of(&declared)?;
        let schema = Self {
            groups: declared.groups,
            fields: declared.fields,
            features: declared.features,
            columns,
            windows,
        };
        // The canonical text is what plans carry, and says every default.
        let canonical = schema.canonical().len();
        if canonical > SCHEMA_BYTES_MAX {
            let found = format!("{canonical} bytes in canonical form");
            let expected = format!("at most {SCHEMA_BYTES_MAX}");
            return Err(SchemaError::field("schema", &found, &expected));
        }
        Ok(schema)
    }

    /// The schema for cards with histories, `ops/config/schemas/standard.toml`: x(8), c(6), d(4),
    /// own r(8), shared r(8), category(14), windows of card (20) and outlet (12); 80 columns.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse(STANDARD).expect("the shipped document is a schema, as a test shows")
    }

    /// The same schema as a document that has one form: whatever order and defaults it was
    /// written with, equal meaning is equal text.
    #[must_use]
    pub fn canonical(&self) -> String {
        render::canonical(self)
    }

    /// SHA-256 of the canonical text: what consent files name.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical().as_bytes()).into()
    }

    /// What this schema and another do not agree on; nothing where their digests are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        render::differences(self, other)
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Names of the field groups, in the order of the energies.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The field groups, in the same order.
    pub fn field_groups(&self) -> impl Iterator<Item = FieldGroup> {
        (0..).zip(&self.groups).map(|(at, _)| FieldGroup(at))
    }

    /// The name of one of this schema's field groups.
    #[must_use]
    pub fn group_name(&self, group: FieldGroup) -> &str {
        self.groups.get(group.at()).map_or("", String::as_str)
    }

    /// Number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True where there is no column, which no document can say.
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

    /// What whole rows would have been to a bank alone: the federation's risk gives way to the
    /// bank's own, or to none where the schema does not read it.
    pub fn hide_federation(&self, rows: &mut [f32]) {
        let own = self.indices(|role| matches!(role, Role::OwnRisk));
        let shared = self.indices(|role| matches!(role, Role::SharedRisk));
        for row in rows.chunks_exact_mut(self.len()) {
            for (at, &column) in shared.iter().enumerate() {
                row[column] = own.get(at).map_or(0.0, |&own| row[own]);
            }
        }
    }

    /// Whether a row's columns of the federation's risk say what the bank itself knows.
    #[must_use]
    pub fn is_own_risk(&self, row: &[f32]) -> bool {
        let mut alone = row.to_vec();
        self.hide_federation(&mut alone);
        alone == row
    }

    /// Checks a payment's extras against the fields declared here. Fields that are missing pass:
    /// each feature states what stands for them.
    ///
    /// # Errors
    /// [`FieldError`] names the first field whose value is of another kind.
    pub fn check(&self, transaction: &Transaction) -> Result<(), FieldError> {
        let mut fields = self.fields.iter();
        fields.try_for_each(|field| field.check(transaction))
    }

    /// How many numbers a payment's declared fields are kept as, see [`Self::keep`].
    #[must_use]
    pub fn kept_len(&self) -> usize {
        self.fields.len()
    }

    /// Appends the payment's declared fields, one number each, for [`Self::restore`].
    pub fn keep(&self, transaction: &Transaction, into: &mut Vec<f64>) {
        into.extend(self.fields.iter().map(|field| field.keep(transaction)));
    }

    /// Puts kept fields into a payment: an encoder of this schema reads what it read before.
    pub fn restore(&self, kept: &[f64], transaction: &mut Transaction) {
        for (field, kept) in self.fields.iter().zip(kept) {
            field.restore(transaction, *kept);
        }
    }

    /// The value of a field in a payment.
    pub(crate) fn value(&self, field: FieldAt, transaction: &Transaction) -> Option<f64> {
        match field {
            FieldAt::Amount => Some(transaction.amount_major()),
            FieldAt::Now => Some(transaction.ts as f64),
            FieldAt::Declared(at) => self.fields.get(usize::from(at))?.value(transaction),
        }
    }

    pub(crate) fn field_name(&self, field: FieldAt) -> &str {
        match field {
            FieldAt::Amount => "amount",
            FieldAt::Now => "ts",
            FieldAt::Declared(at) => {
                let field = self.fields.get(usize::from(at));
                field.map_or("", |field| field.name.as_str())
            }
        }
    }

    /// Whether windows follow others than the card and the outlet: then a payment is not known by
    /// these two alone, but by account, terminal, merchant and payee.
    #[must_use]
    pub fn reads_parties(&self) -> bool {
        self.windows.iter().any(|windows| match windows.of {
            Entity::Card | Entity::Outlet => false,
            Entity::Account | Entity::Terminal | Entity::Merchant | Entity::Payee => true,
        })
    }

    /// Windows, each over another entity.
    pub(crate) fn windows(&self) -> &[Windows] {
        &self.windows
    }

    /// Whether some column reads the card's history, its pace or its visits.
    pub(crate) fn reads_card(&self) -> bool {
        self.columns.iter().any(|column| match column.reading {
            Reading::Gap | Reading::Visits | Reading::VisitGap | Reading::History(_) => true,
            Reading::Amount
            | Reading::HourSin
            | Reading::HourCos
            | Reading::Weekend
            | Reading::Night
            | Reading::Derived
            | Reading::OwnRisk(_)
            | Reading::SharedRisk(_)
            | Reading::Category(_)
            | Reading::Window { .. }
            | Reading::Figure(..)
            | Reading::FigureMissing(_)
            | Reading::Word { .. }
            | Reading::WordMissing(_) => false,
        })
    }
}

/// As the canonical text.
impl Serialize for FeatureSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.canonical())
    }
}

impl<'de> Deserialize<'de> for FeatureSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Longest document. The standard one takes two kilobytes, and travels in every plan.
pub const SCHEMA_BYTES_MAX: usize = 32 << 10;
const STANDARD: &str = include_str!("../../ops/config/schemas/standard.toml");
/// Floor of a derived column's divisor, in natural units.
const DIVISOR_MIN: f32 = 0.05;

#[cfg(test)]
mod tests;
