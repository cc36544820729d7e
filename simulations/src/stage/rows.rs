//! A row on stage: the canonical transaction as JSON text, and the little of it that dealing,
//! cutting and judging need. `map_toml` is the mapping file that reads a history back.

use std::collections::BTreeMap;

use features::Row;
use serde_json::{Value, json};

use super::StageError;

/// One dealt row.
pub(super) struct StagedRow {
    pub(super) ts: i64,
    pub(super) day: i32,
    pub(super) bank: String,
    /// A number that stands for the card.
    pub(super) card: u64,
    /// A number that stands for the outlet.
    pub(super) outlet: u64,
    fraud: bool,
    known_at: Option<i64>,
    /// The transaction's fields, without those that are missing.
    json: String,
}

impl StagedRow {
    pub(super) fn new(row: &Row, bank: String) -> Result<Self, StageError> {
        let transaction = &row.transaction;
        let mut fields = serde_json::to_value(transaction)
            .map_err(|error| StageError::Request(error.to_string()))?;
        if let Value::Object(fields) = &mut fields {
            fields.retain(|_, value| !value.is_null() && *value != json!({}));
        }
        Ok(Self {
            ts: transaction.ts,
            day: transaction.day(),
            bank,
            card: number(transaction.card()),
            outlet: number(transaction.outlet().unwrap_or("")),
            fraud: row.label.as_ref().is_some_and(|label| label.fraud),
            known_at: row.label.as_ref().map(|label| label.known_at),
            json: fields.to_string(),
        })
    }

    pub(super) fn is_fraud(&self) -> bool {
        self.fraud
    }

    /// The row as the agent's history feed holds it.
    pub(super) fn history_line(&self) -> String {
        let body = self.json.strip_suffix('}').unwrap_or(&self.json);
        match self.known_at {
            Some(known_at) => format!(
                "{body},\"label_fraud\":{},\"label_known_at\":{known_at}}}\n",
                self.fraud
            ),
            None => format!("{body}}}\n"),
        }
    }

    /// The row as the live week holds it.
    pub(super) fn live_line(&self, eligible: bool) -> String {
        format!(
            "{{\"txn\":{},\"day\":{},\"card\":\"{:016x}\",\"fraud\":{},\"eligible\":{eligible}}}\n",
            self.json, self.day, self.card, self.fraud
        )
    }
}

/// Cards known to be compromised, as the Handbook's protocol leaves them out (baselines.md 2.1):
/// by their first fraud from the training window on.
pub(super) struct Compromised(BTreeMap<u64, i32>);

impl Compromised {
    pub(super) fn new(rows: &[StagedRow], train_from: i32) -> Self {
        let mut first = BTreeMap::new();
        for row in rows.iter().filter(|row| row.fraud && row.day >= train_from) {
            first.entry(row.card).or_insert(row.day);
        }
        Self(first)
    }

    /// Whether a fraud of the card's was known by the end of `day`.
    pub(super) fn is_known(&self, card: u64, day: i32) -> bool {
        self.0.get(&card).is_some_and(|first| *first <= day)
    }
}

/// The mapping file of a staged history: every field keeps its name, labels stand beside them.
pub(super) fn map_toml() -> String {
    let mut text = String::from(
        "# Written by `phalanx-sim stage`: reads a staged history.\n[feed]\nname = \"staged\"\n\
         format = \"ndjson\"\nunknown_fields = \"reject\"\nmax_reject_ratio = 0.0\n\n[fields]\n",
    );
    for field in features::CANONICAL.iter().filter(|field| **field != "ext") {
        text += &format!("{field} = \"{field}\"\n");
    }
    text + "\n[labels]\nfraud = { from = \"label_fraud\", true = [\"true\"] }\n\
            known_at = { from = \"label_known_at\", parse = \"epoch_ms\" }\n"
}

fn number(token: &str) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&crypto::sha256(&[token.as_bytes()]).0[..8]);
    u64::from_be_bytes(head)
}
