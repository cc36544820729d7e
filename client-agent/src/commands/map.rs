//! `map check`: a feed through its map, as a table for people or as JSON. The report is made in
//! `features::check`; here files are opened and words are found.

use std::path::PathBuf;

use clap::Args;
use features::CheckReport;

use super::{CommandError, Said, json, token_key};
use crate::config::schema;
use crate::history::Feed;

/// What `map check` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mapping file.
    map: PathBuf,
    /// The feed: CSV or NDJSON, plain or packed, or Parquet.
    file: PathBuf,
    /// The consortium's feature schema, which says what the feed must provide; the standard one
    /// where it is left out.
    #[arg(long)]
    schema: Option<PathBuf>,
    /// Read so many rows only.
    #[arg(long)]
    sample: Option<u64>,
    /// The token key; without one, tokens in the sample rows are throw-away ones.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn check(arguments: &Arguments) -> Result<Said, CommandError> {
    let key = token_key(arguments.key.as_deref())?;
    let schema = schema::read(arguments.schema.as_deref())?;
    let feed = Feed::with_key(&arguments.map, key, &arguments.file)?;
    let report = feed.check(&schema, arguments.sample.unwrap_or(u64::MAX))?;
    let text = if arguments.json {
        json(&report)?
    } else {
        table(&report)
    };
    let verdict = match &report.stopped {
        Some(why) => Err(CommandError::Feed(why.clone())),
        None if report.rows == report.rejected => Err(CommandError::Feed(format!(
            "{} rows read, none accepted",
            report.rows
        ))),
        None => Ok(()),
    };
    Ok(Said { text, verdict })
}

fn table(report: &CheckReport) -> String {
    let mut text = format!("feed {}\n", report.feed);
    let mut line = |name: &str, value: String| text += &format!("  {name:<22} {value}\n");
    line(
        "rows",
        format!("{} read, {} refused", report.rows, report.rejected),
    );
    line("duplicates", report.duplicates.to_string());
    line(
        "out of order",
        format!("{:.2} %", 100.0 * report.out_of_order_share),
    );
    if let Some((from, to)) = report.time_range {
        line(
            "time",
            format!(
                "{from} to {to} ms UTC, {:.1} days",
                (to - from) as f64 / DAY_MS
            ),
        );
    }
    line(
        "labels",
        format!(
            "{} labelled, {} of them frauds",
            report.labelled, report.frauds
        ),
    );
    line("card numbers refused", report.pan_refusals.to_string());
    for (column, hits) in &report.luhn_hits {
        line(
            "looks like card numbers",
            format!("column {column}: {hits} values"),
        );
    }
    for (field, share) in &report.coverage {
        line(
            &format!("field {field}"),
            format!("{:.1} % of rows", 100.0 * share),
        );
    }
    for column in &report.unmapped_columns {
        line("column not mapped", column.clone());
    }
    for provision in &report.provisions {
        let name = match provision.is_provided {
            true => "schema",
            false => "schema lacks",
        };
        line(name, provision.to_string());
    }
    for (field, count) in &report.failures_by_field {
        line(&format!("refused for {field}"), count.to_string());
    }
    for failure in &report.failures {
        line(&format!("line {}", failure.line), failure.message.clone());
    }
    if let Some(why) = &report.stopped {
        line("stopped", why.clone());
    }
    text
}

const DAY_MS: f64 = 86_400_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::write;

    fn arguments(dir: &tempfile::TempDir) -> Arguments {
        let config = write(dir.path(), 5, 20);
        Arguments {
            map: config.map,
            file: config.file,
            schema: None,
            sample: None,
            key: None,
            json: false,
        }
    }

    #[test]
    fn a_good_feed_is_described() {
        let dir = tempfile::tempdir().unwrap();
        let mut arguments = arguments(&dir);
        let said = check(&arguments).unwrap();
        assert!(said.verdict.is_ok());
        assert!(said.text.contains("100 read, 0 refused"), "{}", said.text);
        assert!(said.text.contains("field mcc"), "{}", said.text);
        assert!(!said.text.contains("schema lacks"), "{}", said.text);
        (arguments.json, arguments.sample) = (true, Some(7));
        let report: serde_json::Value =
            serde_json::from_str(&check(&arguments).unwrap().text).unwrap();
        assert_eq!(
            (report["rows"].as_u64(), report["rejected"].as_u64()),
            (Some(7), Some(0))
        );
    }

    #[test]
    fn what_the_schema_needs_and_the_map_lacks_is_named_by_field() {
        let dir = tempfile::tempdir().unwrap();
        let mut arguments = arguments(&dir);
        let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/config/schemas");
        arguments.schema = Some(PathBuf::from(schemas).join("single-payment.toml"));
        let said = check(&arguments).unwrap();
        assert!(said.verdict.is_ok());
        let lacks = said
            .text
            .lines()
            .filter(|line| line.contains("schema lacks"));
        assert_eq!(lacks.count(), 16, "{}", said.text);
        let expected = "field ext.debtor_home_lat: found no rule, expected degrees from -90 to 90 \
                        for debtor_away";
        assert!(said.text.contains(expected), "{}", said.text);

        arguments.schema = Some(arguments.map.clone());
        let error = check(&arguments).unwrap_err();
        assert!(
            error.to_string().contains("schema: language: nothing"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 78);
    }

    #[test]
    fn malformed_rows_are_named_by_line_without_their_digits() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = arguments(&dir);
        let text = std::fs::read_to_string(&arguments.file).unwrap();
        let text = text
            .replacen("acc0,", "4111111111111111,", 1)
            .replacen("JPY", "y€n", 1);
        std::fs::write(&arguments.file, text).unwrap();
        let said = check(&arguments).unwrap();
        assert!(said.verdict.is_ok());
        assert!(said.text.contains("100 read, 2 refused"), "{}", said.text);
        assert!(
            said.text.contains("line 2") && said.text.contains("line 3"),
            "{}",
            said.text
        );
        assert!(said.text.contains("refused for currency"), "{}", said.text);
        assert!(!said.text.contains("4111"), "{}", said.text);
    }

    #[test]
    fn a_feed_that_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = arguments(&dir);
        for feed in [
            "",
            "id,amount\n1,2\n",
            "PAR1 and nothing else",
            "\u{0}\u{1}\u{2}",
        ] {
            std::fs::write(&arguments.file, feed).unwrap();
            let error = check(&arguments).unwrap().verdict.unwrap_err();
            assert_eq!(error.exit_code(), 78, "{feed:?}: {error}");
        }
        std::fs::write(&arguments.map, "[feed]\nname = \"x\"\nformat = \"xml\"\n").unwrap();
        let error = check(&arguments).unwrap_err();
        assert!(error.to_string().contains("map.toml"), "{error}");
        std::fs::remove_file(&arguments.file).unwrap();
        assert!(check(&arguments).is_err());
    }
}
