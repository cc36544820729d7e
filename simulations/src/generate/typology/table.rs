//! The columns of a file of single payments: both parties as their bank knows them, then the
//! truth and what the bank's books say.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::errors::ParquetError;

use crate::generate::table::{CURRENCY, bank_name};
use crate::population::Date;
use crate::population::typology::{Party, SinglePayment};

pub(super) fn schema() -> SchemaRef {
    let required = |name: &str, kind| Field::new(name, kind, false);
    let optional = |name, kind| Field::new(name, kind, true);
    let mut fields = vec![
        required("payment_id", DataType::Utf8),
        required("timestamp", DataType::Utf8),
        required("amount", DataType::Float64),
        required("currency", DataType::Utf8),
    ];
    for party in ["debtor", "creditor"] {
        let of = |column, kind| required(&format!("{party}_{column}"), kind);
        fields.extend([
            of("account", DataType::Utf8),
            of("account_type", DataType::Utf8),
            of("opened_at", DataType::Utf8),
            of("last_active_at", DataType::Utf8),
            of("home_lat", DataType::Float32),
            of("home_lon", DataType::Float32),
            of("tower_lat", DataType::Float32),
            of("tower_lon", DataType::Float32),
            of("activity_24h", DataType::UInt32),
        ]);
    }
    fields.extend([
        required("bank", DataType::Utf8),
        required("split", DataType::Utf8),
        optional("label_fraud", DataType::Boolean),
        required("is_fraud", DataType::Boolean),
        optional("fraud_type", DataType::Utf8),
    ]);
    Arc::new(Schema::new(fields))
}

/// One group of rows, in the order of [`schema`].
pub(super) fn batch(
    schema: &SchemaRef,
    rows: &[SinglePayment],
) -> Result<RecordBatch, ParquetError> {
    let mut columns: Vec<ArrayRef> = vec![
        text(rows, |row| Some(token("pay", row))),
        text(rows, |row| Some(time(row.ts))),
        Arc::new(
            rows.iter()
                .map(|row| row.amount_minor as f64 / 100.0)
                .collect::<Float64Array>(),
        ),
        text(rows, |_| Some(CURRENCY.to_owned())),
    ];
    columns.extend(party(rows, "deb", |row| &row.debtor));
    columns.extend(party(rows, "cre", |row| &row.creditor));
    columns.extend([
        text(rows, |row| Some(bank_name(row.bank))),
        text(rows, |row| Some(row.split.name().to_owned())),
        Arc::new(rows.iter().map(|row| row.label).collect::<BooleanArray>()),
        Arc::new(
            rows.iter()
                .map(|row| Some(row.fraud.is_some()))
                .collect::<BooleanArray>(),
        ),
        text(rows, |row| row.fraud.map(|kind| kind.name().to_owned())),
    ]);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The columns of one side, whose account occurs in no other row.
fn party(
    rows: &[SinglePayment],
    prefix: &str,
    side: fn(&SinglePayment) -> &Party,
) -> [ArrayRef; 9] {
    let degrees = |axis: fn(&Party) -> f64| -> ArrayRef {
        let degrees = rows.iter().map(|row| axis(side(row)) as f32);
        Arc::new(Float32Array::from_iter_values(degrees))
    };
    let activity = rows.iter().map(|row| side(row).activity_24h);
    [
        text(rows, |row| Some(token(prefix, row))),
        text(rows, |row| Some(side(row).account_type.name().to_owned())),
        text(rows, |row| Some(time(side(row).opened_at))),
        text(rows, |row| Some(time(side(row).last_active_at))),
        degrees(|party| party.home.lat),
        degrees(|party| party.home.lon),
        degrees(|party| party.tower.lat),
        degrees(|party| party.tower.lon),
        Arc::new(UInt32Array::from_iter_values(activity)),
    ]
}

fn text(rows: &[SinglePayment], column: impl Fn(&SinglePayment) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(column).collect::<StringArray>())
}

fn token(prefix: &str, row: &SinglePayment) -> String {
    format!("{prefix}-{}-{:09}", row.bank + 1, row.number)
}

/// A time as RFC 3339 text. As a bare number of milliseconds one time in ten would pass for a
/// card number, and the door would refuse the row.
pub(super) fn time(ms: i64) -> String {
    let (day, second) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) / 1_000);
    let date = Date::of(i32::try_from(day).expect("the process ends before the year 5,000,000"));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year,
        date.month,
        date.day,
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}
