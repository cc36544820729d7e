//! Who banks where: by a column of the feed, by a table of customers, or by a seeded rule that
//! makes banks of unlike sizes.

use std::collections::BTreeMap;

use features::Row;

use super::StageError;

/// Deals rows to banks.
pub(super) enum Dealer {
    /// By a carried column.
    Column(String),
    /// By the carried `customer`, through a table.
    Table(BTreeMap<String, String>),
    /// By a seeded draw per customer; cumulative shares.
    Draw { seed: u64, shares: Vec<f64> },
}

impl Dealer {
    pub(super) fn new(
        split_by: Option<&str>,
        deal: Option<u64>,
        banks: Option<u16>,
    ) -> Result<Self, StageError> {
        match (split_by, deal, banks) {
            (Some(split), None, _) => match split.split_once(".csv:") {
                Some((file, column)) => table(&format!("{file}.csv"), column).map(Self::Table),
                None => Ok(Self::Column(split.to_owned())),
            },
            (None, Some(seed), Some(banks)) => Ok(Self::Draw {
                seed,
                shares: cumulative(&shares(banks)),
            }),
            _ => Err(StageError::Request(
                "found neither --split-by nor --deal with --banks, expected one".to_owned(),
            )),
        }
    }

    /// The bank of a row.
    pub(super) fn bank(&self, row: &Row) -> Result<String, StageError> {
        match self {
            Self::Column(name) => carried(row, name),
            Self::Table(banks) => {
                let customer = carried(row, "customer")?;
                let bank = banks.get(&customer).cloned();
                bank.ok_or_else(|| {
                    StageError::Request("a customer has no bank in the table".into())
                })
            }
            Self::Draw { seed, shares } => {
                let account = row.transaction.account_tok.as_bytes();
                let drawn = crypto::tagged("csa1/deal", &[&seed.to_be_bytes(), account]);
                let mut head = [0; 8];
                head.copy_from_slice(&drawn.0[..8]);
                let at = u64::from_be_bytes(head) as f64 / 2f64.powi(64);
                let bank = shares
                    .iter()
                    .position(|upto| at < *upto)
                    .unwrap_or(shares.len() - 1);
                Ok(format!("{bank:03}"))
            }
        }
    }
}

fn carried(row: &Row, name: &str) -> Result<String, StageError> {
    let value = row.extra.get(name).cloned();
    value.ok_or_else(|| {
        StageError::Request(format!(
            "the mapping file carries no column {name:?}: add it under [carry]"
        ))
    })
}

/// Each customer's bank, by the carried `customer`.
pub(crate) fn table(path: &str, column: &str) -> Result<BTreeMap<String, String>, StageError> {
    let file = |error| StageError::File {
        path: path.into(),
        error,
    };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(',').collect();
    let find = |name: &str| {
        header
            .iter()
            .position(|found| *found == name)
            .ok_or_else(|| {
                StageError::Request(format!(
                    "{path}: found columns {header:?}, expected {name:?}"
                ))
            })
    };
    let (customer, bank) = (find("customer_id")?, find(column)?);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Some((
            cells.get(customer)?.to_string(),
            format!("{:0>3}", cells.get(bank)?),
        ))
    };
    Ok(lines.filter_map(row).collect())
}

/// Shares of the banks: those of the published splits (baselines.md 5.1), else halving.
pub(crate) fn shares(banks: u16) -> Vec<f64> {
    match banks {
        5 => vec![45.0, 25.0, 15.0, 10.0, 5.0],
        10 => vec![30.0, 20.0, 14.0, 10.0, 8.0, 6.0, 5.0, 3.0, 2.5, 1.5],
        _ => (0..banks.max(1))
            .map(|bank| 0.7_f64.powi(i32::from(bank)))
            .collect(),
    }
}

fn cumulative(shares: &[f64]) -> Vec<f64> {
    let whole: f64 = shares.iter().sum();
    let mut upto = 0.0;
    let add = |share: &f64| {
        upto += share / whole;
        upto
    };
    shares.iter().map(add).collect()
}
