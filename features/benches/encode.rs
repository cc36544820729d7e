//! What one vector costs: nanoseconds a payment on one core, over the handbook set where it is at
//! hand and over a made-up stream otherwise. `-- --columns` prints the mean and standard deviation
//! of every column in natural units, from which the constants of the standard schema come.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use features::{
    FeatureEncoder, FeatureSchema, FeatureVector, FeedMap, RawTransaction, RiskSettings, Role, Row,
    Source, TokenKey, Transaction, read,
};

#[expect(
    clippy::disallowed_methods,
    reason = "a bench reads the clock and its arguments"
)]
fn main() {
    let is_columns = std::env::args().any(|argument| argument == "--columns");
    let count = if is_columns { usize::MAX } else { 400_000 };
    let started = Instant::now();
    let rows = handbook(count).unwrap_or_else(made_up);
    report("read", rows.len(), started);
    let mut schema = FeatureSchema::standard();
    if is_columns {
        let level = schema
            .canonical()
            .replace("detrend = true", "detrend = false");
        schema = FeatureSchema::parse(&level).unwrap_or(schema);
    }
    let mut encoder = FeatureEncoder::new(schema.clone(), RiskSettings::default());
    let mut moments = vec![(0.0_f64, 0.0_f64); schema.len()];
    let started = Instant::now();
    let mut first_seen = 0.0;
    for row in &rows {
        let FeatureVector(values) = encoder.encode(&row.transaction);
        first_seen += values[0];
        if is_columns {
            let columns = schema.columns().iter().zip(&values);
            for ((sum, squares), (column, value)) in moments.iter_mut().zip(columns) {
                let natural = f64::from(value * column.scale + column.center);
                *sum += natural;
                *squares += natural.powi(2);
            }
        }
        if let Some(label) = &row.label {
            encoder.add_label(&row.transaction, label);
        }
    }
    report("encode", rows.len(), started);
    std::hint::black_box(first_seen);
    if is_columns {
        print_columns(&schema, &moments, rows.len() as f64);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#[expect(clippy::print_stdout, reason = "a bench reports on its output")]
fn report(what: &str, count: usize, started: Instant) {
    let elapsed = started.elapsed();
    let each = elapsed.as_nanos() as f64 / count.max(1) as f64;
    println!("{what}: {count} payments, {each:.0} ns each");
}

#[expect(clippy::print_stdout, reason = "a bench reports on its output")]
fn print_columns(schema: &FeatureSchema, moments: &[(f64, f64)], count: f64) {
    for (column, (sum, squares)) in schema.columns().iter().zip(moments) {
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        let role = match column.role {
            Role::Event(group) => schema.group_name(group).to_owned(),
            Role::Context => "Context".to_owned(),
            Role::Derived { .. } => "Derived".to_owned(),
            Role::Window => "Window".to_owned(),
            Role::OwnRisk => "OwnRisk".to_owned(),
            Role::SharedRisk => "SharedRisk".to_owned(),
        };
        println!(
            "{:24} {role:10} mean {mean:9.4} sd {deviation:9.4}",
            column.name
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench opens its data")]
fn handbook(count: usize) -> Option<Vec<Row>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../ops/config/maps/handbook.toml")).ok()?;
    let map = FeedMap::parse(&text).ok()?;
    let data = root.join("../../shared/data/handbook/transactions.parquet");
    let file = File::open(data).ok()?;
    let key = TokenKey::new(b"a key that is only used in benches").ok()?;
    read(&map, &key, Source::File(file))
        .take(count)
        .collect::<Result<_, _>>()
        .ok()
}

/// 200,000 payments of 5,000 cards at 10,000 terminals over half a year.
fn made_up() -> Vec<Row> {
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let payment = |id: u64| {
        let value = serde_json::json!({
            "txn_id": id.to_string(), "ts": 1_522_540_800_000_u64 + id * 78_000,
            "rail": "card", "amount_minor": 100 + draw(20_000), "currency": "EUR",
            "account_tok": format!("account{}", draw(5_000)),
            "terminal_tok": format!("terminal{}", draw(10_000)),
        });
        let raw: RawTransaction = serde_json::from_value(value).ok()?;
        let transaction = Transaction::try_from(raw).ok()?;
        Some(Row {
            transaction,
            label: None,
            extra: std::collections::BTreeMap::new(),
        })
    };
    (0..200_000).filter_map(payment).collect()
}
