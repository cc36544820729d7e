//! Files of single payments, written while they are made: memory holds a group of rows and an
//! hour's payments, however long the file.
//!
//! The columns are in `typology/table`, the printed account in `typology/summary`.

mod summary;
mod table;

use std::cell::RefCell;
use std::io::Write;
use std::ops::Range;

use super::table::{bank_name, write_groups};
use super::{Args, GenerateError, create_folder, spinner, write};
use crate::population::typology::Typologies;

use summary::Summary;

/// Makes and writes the payments of this process, and says what was written.
pub(super) fn generate(
    args: &Args,
    process: &Typologies,
    out: &mut impl Write,
) -> Result<(), GenerateError> {
    create_folder(&args.out)?;
    let progress = spinner();
    let summary = Summary::new(args.preset.name(), args.seed, process.banks);
    let summary = RefCell::new(summary);
    let files: Vec<(String, Range<u16>)> = if args.per_bank {
        let banks = 0..process.banks;
        banks
            .map(|bank| (bank_name(bank), bank..bank + 1))
            .collect()
    } else {
        vec![("transactions".to_owned(), 0..process.banks)]
    };
    for (name, banks) in files {
        let path = args.out.join(format!("{name}.parquet"));
        let payments = process.payments(banks, args.seed);
        let counted = payments.inspect(|payment| summary.borrow_mut().add(payment));
        let written = write(&progress, &path, |file, wrote| {
            write_groups(file, table::schema(), counted, table::batch, wrote)
        })?;
        summary.borrow_mut().add_file(written);
    }
    progress.finish_and_clear();
    let summary = summary.into_inner();
    if args.json {
        summary.write_json(out)?
    } else {
        summary.write_table(out)?
    }
    Ok(())
}

#[cfg(test)]
mod tests;
