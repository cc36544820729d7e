//! The columns of a file of histories: those of the canonical transaction, then the truth.
//!
//! Rows are written in groups of 65,536 with fixed metadata, so that equal payments make
//! equal bytes.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::population::{EntryMode, Payee, Payment, Place};

/// A payment with its number at its bank.
pub(super) struct Row<'a> {
    pub(super) payment: &'a Payment,
    number: u32,
}

const GROUP_ROWS: usize = 65_536;
pub(super) const CURRENCY: &str = "EUR";

/// Numbers payments in their order, each bank by itself from 1.
pub(super) fn number(payments: &[Payment], banks: u16) -> Vec<Row<'_>> {
    let mut numbers = vec![0; usize::from(banks)];
    payments
        .iter()
        .map(|payment| {
            let number = &mut numbers[usize::from(payment.bank)];
            *number += 1;
            Row {
                payment,
                number: *number,
            }
        })
        .collect()
}

/// The name of a bank, from 1.
pub(super) fn bank_name(bank: u16) -> String {
    format!("bank-{}", bank + 1)
}

/// Writes the rows and returns how many; `progress` hears of each group's size.
pub(super) fn write<'a>(
    file: File,
    rows: impl Iterator<Item = &'a Row<'a>>,
    progress: &dyn Fn(u64),
) -> Result<u64, ParquetError> {
    write_groups(file, schema(), rows, batch, progress)
}

/// Writes rows of any kind in groups, each a batch of these columns, and returns how many.
pub(super) fn write_groups<R>(
    file: File,
    schema: SchemaRef,
    rows: impl Iterator<Item = R>,
    batch: impl Fn(&SchemaRef, &[R]) -> Result<RecordBatch, ParquetError>,
    progress: &dyn Fn(u64),
) -> Result<u64, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("phalanx-sim".to_owned())
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
    let mut rows = rows.peekable();
    let mut written = 0;
    while rows.peek().is_some() {
        let group: Vec<R> = rows.by_ref().take(GROUP_ROWS).collect();
        writer.write(&batch(&schema, &group)?)?;
        written += group.len() as u64;
        progress(group.len() as u64);
    }
    writer.close()?;
    Ok(written)
}

fn schema() -> SchemaRef {
    let required = |name, kind| Field::new(name, kind, false);
    let optional = |name, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        required("txn_id", DataType::Utf8),
        required("ts", DataType::Int64),
        required("rail", DataType::Utf8),
        required("txn_type", DataType::Utf8),
        required("amount_minor", DataType::Int64),
        required("currency", DataType::Utf8),
        required("account_tok", DataType::Utf8),
        optional("card_tok", DataType::Utf8),
        optional("merchant_tok", DataType::Utf8),
        optional("terminal_tok", DataType::Utf8),
        optional("counterparty_tok", DataType::Utf8),
        required("counterparty_kind", DataType::Utf8),
        optional("counterparty_bank", DataType::Utf8),
        optional("mcc", DataType::Int32),
        required("channel", DataType::Utf8),
        optional("card_present", DataType::Boolean),
        optional("entry_mode", DataType::Utf8),
        optional("merchant_country", DataType::Utf8),
        optional("geo_lat", DataType::Float32),
        optional("geo_lon", DataType::Float32),
        required("is_fraud", DataType::Boolean),
        optional("fraud_type", DataType::Utf8),
        required("label_fraud", DataType::Boolean),
        required("label_known_at", DataType::Int64),
        required("bank", DataType::Utf8),
    ]))
}

/// One group of rows, in the order of [`schema`].
fn batch(schema: &SchemaRef, rows: &[&Row<'_>]) -> Result<RecordBatch, ParquetError> {
    let of = |column: fn(&Payment) -> Option<String>| text(rows, |row| column(row.payment));
    let place = |axis: fn(Place) -> f32| -> ArrayRef {
        let degrees = rows.iter().map(|row| row.payment.place.map(axis));
        Arc::new(degrees.collect::<Float32Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        text(rows, |row| {
            Some(format!("b{}-{:08}", row.payment.bank + 1, row.number))
        }),
        integers(rows, |payment| Some(payment.ts)),
        of(|payment| Some(payment.rail.name().to_owned())),
        of(|payment| Some(payment.kind().to_owned())),
        integers(rows, |payment| Some(payment.amount_minor)),
        of(|_| Some(CURRENCY.to_owned())),
        of(|payment| Some(account_token(payment.customer))),
        of(card_token),
        of(merchant_token),
        of(terminal_token),
        of(counterparty_token),
        of(|payment| Some(counterparty_kind(payment.payee).to_owned())),
        of(counterparty_bank),
        Arc::new(
            rows.iter()
                .map(|row| row.payment.mcc.map(i32::from))
                .collect::<Int32Array>(),
        ),
        of(|payment| Some(payment.channel.name().to_owned())),
        truths(rows, card_present),
        of(|payment| payment.entry_mode.map(|mode| mode.name().to_owned())),
        of(|payment| payment.merchant_country.map(str::to_owned)),
        place(|place| place.degrees().0),
        place(|place| place.degrees().1),
        truths(rows, |payment| Some(payment.fraud.is_some())),
        of(|payment| payment.fraud.map(|fraud| fraud.name().to_owned())),
        truths(rows, |payment| Some(payment.verdict().is_fraud)),
        integers(rows, |payment| Some(payment.verdict().known_at)),
        of(|payment| Some(bank_name(payment.bank))),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn text(rows: &[&Row<'_>], column: impl Fn(&Row<'_>) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| column(row)).collect::<StringArray>())
}

fn integers(rows: &[&Row<'_>], column: fn(&Payment) -> Option<i64>) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| column(row.payment))
            .collect::<Int64Array>(),
    )
}

fn truths(rows: &[&Row<'_>], column: fn(&Payment) -> Option<bool>) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| column(row.payment))
            .collect::<BooleanArray>(),
    )
}

fn account_token(customer: u32) -> String {
    format!("acc-{customer:06}")
}

fn card_token(payment: &Payment) -> Option<String> {
    payment
        .is_by_card()
        .then(|| format!("card-{:06}", payment.customer))
}

fn merchant_token(payment: &Payment) -> Option<String> {
    match payment.payee {
        Payee::Terminal { merchant, .. } | Payee::Site { merchant } => {
            Some(format!("mer-{merchant:06}"))
        }
        Payee::Account { .. } | Payee::Organisation(_) => None,
    }
}

fn terminal_token(payment: &Payment) -> Option<String> {
    match payment.payee {
        Payee::Terminal { terminal, .. } => Some(format!("ter-{terminal:06}")),
        Payee::Site { .. } | Payee::Account { .. } | Payee::Organisation(_) => None,
    }
}

fn counterparty_token(payment: &Payment) -> Option<String> {
    match payment.payee {
        Payee::Account { customer, .. } => Some(account_token(customer)),
        Payee::Organisation(organisation) => Some(format!("org-{organisation:06}")),
        Payee::Terminal { .. } | Payee::Site { .. } => None,
    }
}

fn counterparty_kind(payee: Payee) -> &'static str {
    match payee {
        Payee::Account { .. } => "person",
        Payee::Organisation(_) => "unknown",
        Payee::Terminal { .. } | Payee::Site { .. } => "merchant",
    }
}

fn counterparty_bank(payment: &Payment) -> Option<String> {
    match payment.payee {
        Payee::Account { bank, .. } => Some(bank_name(bank)),
        Payee::Organisation(_) | Payee::Terminal { .. } | Payee::Site { .. } => None,
    }
}

fn card_present(payment: &Payment) -> Option<bool> {
    payment.is_by_card().then_some(match payment.entry_mode {
        Some(EntryMode::Ecom | EntryMode::CardOnFile) => false,
        Some(EntryMode::Chip | EntryMode::Contactless | EntryMode::Magstripe) | None => true,
    })
}
