//! The account of what was generated: a table for people, JSON for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;

use super::table::bank_name;
use crate::population::{FraudType, Payment};

/// What was generated.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    preset: &'static str,
    seed: u64,
    transactions: u64,
    frauds: u64,
    banks: Vec<Bank>,
    files: Vec<Written>,
}

/// One bank's part.
#[derive(Debug, Serialize)]
struct Bank {
    name: String,
    customers: u64,
    transactions: u64,
    frauds: u64,
    frauds_never_reported: u64,
    frauds_by_type: BTreeMap<&'static str, u64>,
}

/// A file, written to its end.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Summary {
    pub(super) fn new(preset: &'static str, seed: u64, payments: &[Payment], banks: u16) -> Self {
        let banks: Vec<Bank> = (0..banks).map(|bank| Bank::new(bank, payments)).collect();
        Self {
            preset,
            seed,
            transactions: payments.len() as u64,
            frauds: banks.iter().map(|bank| bank.frauds).sum(),
            banks,
            files: Vec::new(),
        }
    }

    pub(super) fn add_file(&mut self, written: Written) {
        self.files.push(written);
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    pub(super) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let kinds: Vec<&str> = FraudType::ALL
            .iter()
            .map(|kind| kind.name())
            .filter(|kind| self.banks.iter().any(|bank| bank.of(kind) > 0))
            .collect();
        write!(
            out,
            "{:<8} {:>9} {:>12} {:>7} {:>7}",
            "bank", "customers", "transactions", "frauds", "share"
        )?;
        for kind in &kinds {
            write!(out, "  {kind}")?;
        }
        writeln!(out)?;
        for bank in &self.banks {
            bank.write_line(out, &kinds)?;
        }
        let share = percent(self.frauds, self.transactions);
        writeln!(
            out,
            "{:<18} {:>12} {:>7} {share:>6.2}%",
            "all", self.transactions, self.frauds
        )?;
        for file in &self.files {
            file.write_line(out)?;
        }
        Ok(())
    }
}

impl Written {
    pub(super) fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "wrote {} ({} rows, {} bytes)",
            self.path, self.rows, self.bytes
        )
    }
}

impl Bank {
    fn new(bank: u16, payments: &[Payment]) -> Self {
        let own = || payments.iter().filter(move |payment| payment.bank == bank);
        let customers: BTreeSet<u32> = own().map(|payment| payment.customer).collect();
        let mut frauds_by_type = BTreeMap::new();
        for kind in own().filter_map(|payment| payment.fraud) {
            *frauds_by_type.entry(kind.name()).or_default() += 1;
        }
        let is_hidden =
            |payment: &&Payment| payment.fraud.is_some() && payment.reported_at.is_none();
        Self {
            name: bank_name(bank),
            customers: customers.len() as u64,
            transactions: own().count() as u64,
            frauds: frauds_by_type.values().sum(),
            frauds_never_reported: own().filter(is_hidden).count() as u64,
            frauds_by_type,
        }
    }

    fn of(&self, kind: &str) -> u64 {
        self.frauds_by_type.get(kind).copied().unwrap_or(0)
    }

    fn write_line(&self, out: &mut impl Write, kinds: &[&str]) -> io::Result<()> {
        let share = percent(self.frauds, self.transactions);
        write!(
            out,
            "{:<8} {:>9} {:>12}",
            self.name, self.customers, self.transactions
        )?;
        write!(out, " {:>7} {share:>6.2}%", self.frauds)?;
        for kind in kinds {
            write!(out, "  {:>width$}", self.of(kind), width = kind.len())?;
        }
        writeln!(out)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
