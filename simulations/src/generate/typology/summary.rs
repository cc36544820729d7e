//! The account of what was generated: who knows what, and how often each typology strikes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::generate::summary::Written;
use crate::generate::table::bank_name;
use crate::population::typology::{SinglePayment, Split, Typology, known_to};

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
    knows: Vec<&'static str>,
    splits: BTreeMap<&'static str, Counts>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    transactions: u64,
    frauds: u64,
    /// What the bank's books call fraud.
    labelled: u64,
    frauds_by_type: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(super) fn new(preset: &'static str, seed: u64, banks: u16) -> Self {
        let bank = |bank| Bank {
            name: bank_name(bank),
            knows: known_to(bank).iter().map(|kind| kind.name()).collect(),
            splits: BTreeMap::new(),
        };
        Self {
            preset,
            seed,
            transactions: 0,
            frauds: 0,
            banks: (0..banks).map(bank).collect(),
            files: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, payment: &SinglePayment) {
        let bank = &mut self.banks[usize::from(payment.bank)];
        let counts = bank.splits.entry(payment.split.name()).or_default();
        self.transactions += 1;
        counts.transactions += 1;
        counts.labelled += u64::from(payment.label == Some(true));
        if let Some(kind) = payment.fraud {
            self.frauds += 1;
            counts.frauds += 1;
            *counts.frauds_by_type.entry(kind.name()).or_default() += 1;
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
        write!(
            out,
            "{:<8} {:<10} {:>12} {:>8} {:>8}",
            "bank", "split", "transactions", "frauds", "labelled"
        )?;
        for kind in Typology::ALL {
            write!(out, "  {}", kind.name())?;
        }
        writeln!(out)?;
        for bank in &self.banks {
            bank.write_lines(out)?;
        }
        writeln!(
            out,
            "{:<19} {:>12} {:>8}",
            "all", self.transactions, self.frauds
        )?;
        for file in &self.files {
            file.write_line(out)?;
        }
        Ok(())
    }
}

impl Bank {
    fn write_lines(&self, out: &mut impl Write) -> io::Result<()> {
        let none = Counts::default();
        for split in Split::ALL {
            let counts = self.splits.get(split.name()).unwrap_or(&none);
            write!(
                out,
                "{:<8} {:<10} {:>12} {:>8} {:>8}",
                self.name,
                split.name(),
                counts.transactions,
                counts.frauds,
                counts.labelled
            )?;
            for kind in Typology::ALL {
                let name = kind.name();
                let count = counts.frauds_by_type.get(name).copied().unwrap_or(0);
                write!(out, "  {count:>width$}", width = name.len())?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
