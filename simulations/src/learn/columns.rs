//! The results as Parquet: one row for each seed, week, share of labels, setting and bank, and one
//! without a bank for all payments together.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;

use super::Failed;
use super::measures::Measures;
use super::summary::Trial;

/// One row.
struct Line<'a> {
    trial: &'a Trial,
    /// From 1, as banks are named; none for all together.
    bank: Option<i32>,
    payments: i64,
    frauds: i64,
    measures: Measures,
}

/// Writes the trials to `path`.
pub(super) fn write(path: &Path, trials: &[Trial]) -> Result<(), Failed> {
    let lines: Vec<Line<'_>> = trials.iter().flat_map(lines).collect();
    let required = |name, kind| Field::new(name, kind, false);
    let optional = |name, kind| Field::new(name, kind, true);
    let schema = Arc::new(Schema::new(vec![
        required("seed", DataType::Int64),
        required("train_from", DataType::Int32),
        required("labels", DataType::Float64),
        required("setting", DataType::Utf8),
        optional("bank", DataType::Int32),
        required("payments", DataType::Int64),
        required("frauds", DataType::Int64),
        optional("auc", DataType::Float64),
        optional("ap", DataType::Float64),
        optional("cp100", DataType::Float64),
        optional("f1", DataType::Float64),
    ]));
    let measure = |value: fn(&Measures) -> Option<f64>| -> ArrayRef {
        let values = lines.iter().map(|line| value(&line.measures));
        Arc::new(values.collect::<Float64Array>())
    };
    let whole = |value: fn(&Line<'_>) -> i64| -> ArrayRef {
        Arc::new(
            lines
                .iter()
                .map(|line| Some(value(line)))
                .collect::<Int64Array>(),
        )
    };
    let settings = lines.iter().map(|line| Some(line.trial.setting.name()));
    let labels = lines.iter().map(|line| Some(line.trial.labels));
    let columns: Vec<ArrayRef> = vec![
        whole(|line| i64::try_from(line.trial.seed).unwrap_or(i64::MAX)),
        Arc::new(
            lines
                .iter()
                .map(|line| Some(line.trial.train_from))
                .collect::<Int32Array>(),
        ),
        Arc::new(labels.collect::<Float64Array>()),
        Arc::new(settings.collect::<StringArray>()),
        Arc::new(lines.iter().map(|line| line.bank).collect::<Int32Array>()),
        whole(|line| line.payments),
        whole(|line| line.frauds),
        measure(|of| of.auc),
        measure(|of| of.ap),
        measure(|of| of.cp100),
        measure(|of| of.f1),
    ];
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), None)?;
    writer.write(&RecordBatch::try_new(schema, columns)?)?;
    writer.close()?;
    Ok(())
}

/// All payments together, then bank by bank.
fn lines(trial: &Trial) -> Vec<Line<'_>> {
    let banks = &trial.outcome.banks;
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let all = Line {
        trial,
        bank: None,
        payments: signed(banks.iter().map(|bank| bank.payments).sum()),
        frauds: signed(banks.iter().map(|bank| bank.frauds).sum()),
        measures: trial.outcome.all,
    };
    let of_banks = banks.iter().map(|bank| Line {
        trial,
        bank: Some(i32::from(bank.bank) + 1),
        payments: signed(bank.payments),
        frauds: signed(bank.frauds),
        measures: bank.measures,
    });
    std::iter::once(all).chain(of_banks).collect()
}
