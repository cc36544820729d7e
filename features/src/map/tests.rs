//! Mapping files and readers: what is read, what is refused and how, and malformed feeds of
//! every kind, which end in an error and never in a panic.

use std::fmt::Write as _;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::schema::FeatureSchema;

const MAP: &str = r#"
[feed]
name = "cards-auth"
format = "csv"
timezone = "+02:00"
drop = ["cvv"]

[tokens]
key_file = "/etc/agent/token.key"
key_id = "2026a"
algorithm = "hmac-sha256-128"

[fields]
txn_id = "auth_id"
ts = { from = "auth_dt", parse = "%Y%m%d%H%M%S", tz = "feed" }
amount_minor = { from = "amount", scale = 100 }
currency = { from = "ccy", map = { "978" = "EUR", "840" = "USD" } }
rail = { const = "card" }
account_tok = { from = "acct", tokenise = "account" }
card_tok = { from = "pan", tokenise = "pan" }
mcc = "de18"
merchant_tok = { from = ["merchant_id", "terminal_id"], join = "|", tokenise = "merchant" }

[ext]
colour = "colour"

[labels]
fraud = { from = "fraud_flag", true = ["Y", "1"], unknown = ["?"] }
known_at = { from = "report_date", parse = "%Y-%m-%d" }
source = { const = "chargeback" }

[carry]
bank = "bank"
"#;

const HEADER: &str = "auth_id,auth_dt,amount,ccy,acct,pan,cvv,de18,merchant_id,terminal_id,\
                      colour,fraud_flag,report_date,bank\n";

fn line(id: &str) -> String {
    format!(
        "{id},20180401020031,57.16,978,DE89,4111 1111 1111 1111,123,5411,m1,t9,red,Y,\
         2018-04-20,3\n"
    )
}

fn key() -> TokenKey {
    TokenKey::new(&[7; 32]).unwrap()
}

fn rows(map: &FeedMap, bytes: impl Into<Vec<u8>>) -> Vec<Result<Row, RowError>> {
    let stream = std::io::Cursor::new(bytes.into());
    read(map, &key(), Source::Stream(Box::new(stream))).collect()
}

fn ndjson_map() -> FeedMap {
    let text = r#"
        [feed]
        name = "stream"
        format = "ndjson"
        [fields]
        txn_id = "id"
        ts = "ts"
        amount_minor = { from = "payment.amount", scale = 100 }
        currency = "payment.currency"
        rail = "rail"
        account_tok = { from = "account", tokenise = "account" }
    "#;
    FeedMap::parse(text).unwrap()
}

const OBJECT: &str = concat!(
    r#"{"id":1,"ts":1522540831000,"payment":{"amount":57.16,"currency":"EUR"},"#,
    r#""rail":"sct","account":"DE89"}"#
);

#[test]
fn a_row_becomes_a_transaction_a_label_and_extras() {
    let map = FeedMap::parse(MAP).unwrap();
    let found = rows(&map, format!("{HEADER}{}", line("a1")));
    let row = found[0].as_ref().unwrap();
    let t = &row.transaction;
    assert_eq!(
        (t.txn_id.as_str(), t.ts, t.amount_minor),
        ("a1", 1_522_540_831_000, 5_716)
    );
    assert_eq!((t.currency.as_str(), t.mcc), ("EUR", Some(5_411)));
    assert!(
        t.card_tok
            .as_ref()
            .unwrap()
            .bytes()
            .all(|b| b.is_ascii_lowercase())
    );
    let label = row.label.as_ref().unwrap();
    // Midnight at the feed's offset of two hours.
    assert_eq!(
        (label.fraud, label.known_at),
        (true, 1_524_182_400_000 - 7_200_000)
    );
    assert_eq!(label.source.as_deref(), Some("chargeback"));
    assert_eq!(row.extra["bank"], "3");
    assert_eq!(found.len(), 1);
}

#[test]
fn labels_may_be_absent_or_undecided() {
    let map = FeedMap::parse(MAP).unwrap();
    let text = format!(
        "{HEADER}{}{}{}",
        line("a").replace(",Y,", ",N,"),
        line("b").replace(",Y,", ",?,"),
        line("c").replace(",Y,", ",,")
    );
    let labels: Vec<_> = rows(&map, text)
        .into_iter()
        .map(|row| row.unwrap().label)
        .collect();
    assert!(labels[0].as_ref().is_some_and(|label| !label.fraud));
    assert_eq!((&labels[1], &labels[2]), (&None, &None));
}

#[test]
fn packed_feeds_read_alike() {
    let map = FeedMap::parse(MAP).unwrap();
    let text = format!("{HEADER}{}{}", line("a"), line("b"));
    let plain = rows(&map, text.clone());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    assert_eq!(rows(&map, gzip.finish().unwrap()), plain);
    assert_eq!(
        rows(&map, zstd::encode_all(text.as_bytes(), 1).unwrap()),
        plain
    );
    assert_eq!(plain.iter().filter(|row| row.is_ok()).count(), 2);
}

#[test]
fn a_bad_row_names_its_line_and_the_next_row_is_read() {
    let map = FeedMap::parse(MAP).unwrap();
    let text = format!(
        "{HEADER}{}{}too,short\n{}\"quoted\nid\"{}",
        line("a"),
        line("b").replace("57.16", "a lot"),
        line("c").replace("978", "XXX"),
        line(""),
    );
    let found = rows(&map, text);
    let errors: Vec<String> = found
        .iter()
        .filter_map(|row| row.as_ref().err())
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(
        errors[0].contains("line 3: field amount_minor: found a lot"),
        "{errors:?}"
    );
    assert!(
        errors[1].contains("line 4: found 2 columns, expected 14"),
        "{errors:?}"
    );
    assert!(
        errors[2].contains("line 5: field currency: found XXX"),
        "{errors:?}"
    );
    assert!(errors[3].contains("line 6: field txn_id"), "{errors:?}");
    assert_eq!(found.iter().filter(|row| row.is_ok()).count(), 1);
}

#[test]
fn card_numbers_outside_a_token_are_refused_without_their_digits() {
    let map = FeedMap::parse(MAP).unwrap();
    for text in [
        line("4111111111111111"),
        line("a").replace("red", "4111-1111-1111-1111"),
        line("a").replace(",3\n", ",4111111111111111\n"),
        line("a").replace("57.16", "4111111111111111"),
        line("a").replace("978", "4111111111111111"),
        line("a").replace("20180401020031", "4111111111111111"),
    ] {
        let error = rows(&map, format!("{HEADER}{text}")).remove(0).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("PanDetected") && !shown.contains("1111"),
            "{shown}"
        );
        assert!(shown.contains("tokenise"), "{shown}");
    }
    let row = rows(&map, format!("{HEADER}{}", line("a")))
        .remove(0)
        .unwrap();
    assert!(!format!("{row:?}").contains("1111"));
}

#[test]
fn sensitive_columns_are_tokenised_dropped_or_refused() {
    let refused = |text: &str| FeedMap::parse(text).unwrap_err();
    let plain = MAP.replace("tokenise = \"pan\"", "tokenise = \"card\"");
    assert!(matches!(refused(&plain), MapError::Sensitive { .. }));
    let carried = MAP.replace("bank = \"bank\"", "bank = \"cvv2\"");
    assert!(matches!(refused(&carried), MapError::Sensitive { .. }));
    let map = FeedMap::parse(&MAP.replace("drop = [\"cvv\"]", "")).unwrap();
    let found = rows(&map, format!("{HEADER}{}", line("a")));
    assert!(found[0].as_ref().is_err_and(|error| error.is_fatal()));
    let json = rows(
        &ndjson_map(),
        OBJECT.replace("\"id\"", "\"card\":{\"cvv\":123},\"id\""),
    );
    assert!(
        json[0]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("card.cvv")
    );
}

#[test]
fn a_faulty_map_is_refused_with_its_place() {
    let cases: [(&str, &str, &str); 14] = [
        ("mcc = \"de18\"", "mmc = \"de18\"", "mmc: no such field"),
        ("txn_id = \"auth_id\"", "", "txn_id: found no rule"),
        ("scale = 100", "scale = 0", "scale: found 0"),
        ("scale = 100", "scal = 100", "unknown field `scal`"),
        (
            "tokenise = \"account\"",
            "tokenise = \"accnt\"",
            "tokenise: expected",
        ),
        (
            "tokenise = \"account\"",
            "tokenise = \"account\", scale = 2",
            "at most one of",
        ),
        (
            "{ const = \"card\" }",
            "{ const = \"4111111111111111\" }",
            "card number",
        ),
        ("{ const = \"card\" }", "{ }", "either from"),
        ("join = \"|\", ", "", "expected join"),
        ("\"+02:00\"", "\"Europe/Paris\"", "fixed offset"),
        ("%Y%m%d%H%M%S", "YYYYMMDD", "strftime"),
        ("hmac-sha256-128", "md5", "hmac-sha256-128"),
        ("format = \"csv\"", "format = \"xls\"", "line 4"),
        (
            "drop = [\"cvv\"]",
            "max_reject_ratio = 2.0",
            "share from 0 to 1",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(MAP.contains(from), "{from}");
        let error = FeedMap::parse(&MAP.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(!error.contains("4111"), "{error}");
    }
    assert!(
        FeedMap::parse("[feed")
            .unwrap_err()
            .to_string()
            .contains("line 1")
    );
}

#[test]
fn reading_stops_above_the_allowed_share_of_refusals() {
    let map = FeedMap::parse(&MAP.replace("drop =", "max_reject_ratio = 0.01\ndrop =")).unwrap();
    let mut text = HEADER.to_owned();
    for at in 0..2_000 {
        let good = line(&format!("t{at}"));
        text += &if at % 50 == 0 {
            good.replace("57.16", "?")
        } else {
            good
        };
    }
    let found = rows(&map, text);
    let last = found.last().unwrap().as_ref().unwrap_err();
    assert!(
        matches!(last.kind, RowErrorKind::TooManyRejected { .. }),
        "{last}"
    );
    // Judged from the first refusal past a thousand rows on.
    assert_eq!(found.len(), 1_002);
    let short = format!("{HEADER}{}bad\n", line("a"));
    assert!(
        rows(&map, short)
            .last()
            .unwrap()
            .as_ref()
            .unwrap_err()
            .is_fatal()
    );
}

#[test]
fn unknown_columns_are_listed_or_refused() {
    let header = HEADER.replace("bank\n", "bank,mood\n");
    let text = format!("{header}{}", line("a").replace('\n', ",good\n"));
    let map = FeedMap::parse(MAP).unwrap();
    let source = || Source::Stream(Box::new(std::io::Cursor::new(text.clone().into_bytes())));
    assert_eq!(
        check((&map, &FeatureSchema::standard()), &key(), source(), 10).unmapped_columns,
        ["mood"]
    );
    let strict = MAP.replace("drop =", "unknown_fields = \"reject\"\ndrop =");
    let strict = FeedMap::parse(&strict).unwrap();
    assert!(
        read(&strict, &key(), source())
            .next()
            .unwrap()
            .unwrap_err()
            .is_fatal()
    );
}

#[test]
fn a_check_reports_what_a_feed_is_like() {
    let map = FeedMap::parse(MAP).unwrap();
    let text = format!(
        "{HEADER}{}{}{}{}{}",
        line("a"),
        line("a").replace("20180401", "20180301"),
        line("b").replace(",5411,", ",,").replace(",Y,", ",N,"),
        line("c").replace("57.16", "?"),
        line("d").replace("red", "4111111111111111"),
    );
    let source = Source::Stream(Box::new(std::io::Cursor::new(text.into_bytes())));
    let report = check((&map, &FeatureSchema::standard()), &key(), source, u64::MAX);
    assert_eq!((report.rows, report.rejected, report.duplicates), (5, 2, 1));
    assert!((report.out_of_order_share - 1.0 / 3.0).abs() < 1e-9);
    assert!((report.coverage["mcc"] - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(
        report.failures.iter().map(|f| f.line).collect::<Vec<_>>(),
        [5, 6]
    );
    assert_eq!(
        (report.luhn_hits["pan"], report.luhn_hits["colour"]),
        (5, 1)
    );
    assert_eq!(
        (report.pan_refusals, report.labelled, report.frauds),
        (1, 3, 2)
    );
    let (from, to) = report.time_range.unwrap();
    assert_eq!(to - from, 31 * 86_400_000);
    assert_eq!(report.sample_rows.len(), 3);
    let found: Vec<(&str, &str)> = report
        .provisions
        .iter()
        .map(|of| (of.field.as_str(), of.found.as_str()))
        .collect();
    let outlet = "terminal_tok or merchant_tok or counterparty_tok";
    let expected = [
        (outlet, "a value in 100.0 % of rows"),
        ("mcc", "a value in 66.7 % of rows"),
    ];
    assert_eq!(found, expected);
    let json = serde_json::to_string(&report).unwrap();
    assert!(
        !json.contains("1111111") && !json.contains("DE89"),
        "{json}"
    );
}

const PAYMENTS: &str = r#"
[feed]
name = "payments"
format = "csv"
[fields]
txn_id = "id"
ts = { from = "at", parse = "epoch_ms" }
rail = { const = "sct_inst" }
amount_minor = { from = "amount", scale = 100 }
currency = { const = "EUR" }
account_tok = "debtor"
[ext]
debtor_opened_at = { from = "opened", parse = "%Y-%m-%d" }
debtor_home_lat = "lat"
debtor_home_lon = "lon"
debtor_activity_24h = "activity"
debtor_account_type = { from = "kind", map = { "P" = "personal", "*" = "misc" } }
"#;

const PAYMENTS_SCHEMA: &str = r#"
language = 1
groups = ["payment"]
[fields]
"ext.debtor_opened_at" = "time"
"ext.creditor_opened_at" = "time"
"ext.debtor_home_lat" = "latitude"
"ext.debtor_home_lon" = "longitude"
"ext.debtor_activity_24h" = "number"
"ext.debtor_account_type" = ["personal", "business"]
[[feature]]
kind = "age"
name = "age"
group = "payment"
from = "ext.debtor_opened_at"
until = "ext.creditor_opened_at"
unit = "days"
missing = "flag"
[[feature]]
kind = "distance"
name = "home"
group = "payment"
from = ["ext.debtor_home_lat", "ext.debtor_home_lon"]
to = ["ext.debtor_home_lat", "ext.debtor_home_lon"]
missing = "flag"
[[feature]]
kind = "number"
name = "activity"
group = "payment"
field = "ext.debtor_activity_24h"
transform = "log"
missing = "flag"
[[feature]]
kind = "category"
name = "type"
group = "payment"
field = "ext.debtor_account_type"
missing = "flag"
"#;

// Everything in a CSV feed is text; the schema says what it must be. What the map does not provide
// is said by the field, and so is a value of another kind.
#[test]
fn a_check_holds_map_and_rows_against_the_schema() {
    let (map, schema) = (
        FeedMap::parse(PAYMENTS).unwrap(),
        FeatureSchema::parse(PAYMENTS_SCHEMA).unwrap(),
    );
    let text = "id,at,amount,debtor,opened,lat,lon,activity,kind\n\
                1,1700000000000,5.00,a,2020-02-03,48.85,2.35,7,P\n\
                2,1700000000000,5.00,a,,48.85,2.35,seven,P\n\
                3,1700000000000,5.00,a,1650-01-01,48.85,2.35,7,X\n\
                4,1700000000000,5.00,a,,98.85,2.35,7,P\n\
                5,1700000000000,5.00,a,1950-06-01,-48.85,-179.5,1e3,X\n";
    let source = || Source::Stream(Box::new(std::io::Cursor::new(text)));
    let report = check((&map, &schema), &key(), source(), u64::MAX);
    assert_eq!((report.rows, report.rejected), (5, 3));
    let failures: Vec<&str> = report.failures.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        failures,
        [
            "field ext.debtor_activity_24h: found seven, expected a number from -1e15 to 1e15",
            "field ext.debtor_opened_at: found -##############, expected a time from 1900 to 2096, \
             as RFC 3339 text or epoch milliseconds",
            "field ext.debtor_home_lat: found 98.85, expected degrees from -90 to 90",
        ]
    );
    let lacks: Vec<String> = report
        .provisions
        .iter()
        .filter(|of| !of.is_provided)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lacks,
        [
            "field ext.creditor_opened_at: found no rule, expected a time from 1900 to 2096, as \
             RFC 3339 text or epoch milliseconds for age"
        ]
    );
    assert_eq!(report.provisions.len(), 6);
    assert_eq!(report.provisions, {
        let mut before = provisions(&map, &schema);
        before
            .iter_mut()
            .zip(&report.provisions)
            .for_each(|(before, after)| {
                before.found.clone_from(&after.found);
            });
        before
    });
    let row = read(&map, &key(), source()).next().unwrap().unwrap();
    let mut kept = Vec::new();
    schema.keep(&row.transaction, &mut kept);
    // In the order of names: creditor's opening, type, activity, latitude, longitude, opening.
    assert!(kept[0].is_nan(), "{kept:?}");
    assert_eq!(kept[1..], [0.0, 7.0, 48.85, 2.35, 1_580_688_000_000.0]);
}

#[test]
fn ndjson_reads_paths_and_survives_garbage() {
    let map = ndjson_map();
    let garbage = [
        "[1,2,3]",
        "{\"id\":",
        "nonsense",
        "\u{0}\u{1}",
        r#"{"id":{"a":[{"b":[[[[]]]]}]},"ts":1}"#,
        r#"{"id":1,"ts":1522540831000,"payment":[57.16],"rail":"sct","account":"x"}"#,
        concat!(
            r#"{"id":1,"ts":1522540831000,"payment":{"amount":{"x":1},"currency":"EUR"},"#,
            r#""rail":"sct","account":"x"}"#
        ),
    ];
    let deep = "{\"a\":".repeat(100_000);
    let mut text = String::new();
    for line in garbage.into_iter().chain([deep.as_str(), "", OBJECT]) {
        writeln!(text, "{line}").unwrap();
    }
    let found = rows(&map, text);
    assert_eq!(found.len(), 9);
    for (at, row) in found.iter().enumerate().take(8) {
        assert_eq!(row.as_ref().unwrap_err().line, at as u64 + 1);
    }
    let row = found[8].as_ref().unwrap();
    assert_eq!(row.transaction.amount_minor, 5_716);
    // A carriage return, a byte order mark in CSV and blank lines are no errors.
    let map = FeedMap::parse(MAP).unwrap();
    let text = format!("\u{feff}{HEADER}\n{}", line("a")).replace('\n', "\r\n");
    assert!(rows(&map, text)[0].is_ok());
}

#[test]
fn a_line_of_ten_megabytes_is_skipped() {
    let map = ndjson_map();
    let long = "x".repeat(10 << 20);
    let found = rows(&map, format!("{long}\n{OBJECT}\n{long}"));
    assert_eq!(found.len(), 3);
    assert!(
        found[0]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("line 1: found a longer line")
    );
    assert!(found[1].is_ok());
    assert_eq!(found[2].as_ref().unwrap_err().line, 3);
    let map = FeedMap::parse(MAP).unwrap();
    let found = rows(
        &map,
        format!("{HEADER}{long}\n{}\"{long}\n{}", line("a"), line("b")),
    );
    assert_eq!(found.iter().filter(|row| row.is_ok()).count(), 2);
}

#[test]
fn a_stray_quote_costs_some_rows_and_not_the_feed() {
    let map = FeedMap::parse(MAP).unwrap();
    let mut text = format!("{HEADER}\"{}", line("a"));
    for at in 0..200 {
        text += &line(&format!("t{at}"));
    }
    let found = rows(&map, text);
    assert!(found[0].is_err());
    assert_eq!(found.iter().filter(|row| row.is_ok()).count(), 200 - 63);
}

#[test]
fn truncated_and_garbage_streams_end_in_an_error() {
    let map = FeedMap::parse(MAP).unwrap();
    let mut text = HEADER.to_owned();
    for at in 0..500 {
        text += &line(&format!("t{at}"));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for whole in [gzip, packed] {
        for end in [3, 11, whole.len() / 2, whole.len() - 9] {
            let found = rows(&map, &whole[..end]);
            let last = found.last().expect("an error at least").as_ref();
            assert!(last.is_err_and(RowError::is_fatal), "cut at {end}");
        }
    }
    for empty in ["", "\n\n"] {
        assert!(
            rows(&map, empty)[0]
                .as_ref()
                .is_err_and(|error| error.is_fatal())
        );
    }
    let wrong = rows(&map, "some,other,header\n1,2,3\n");
    assert!(
        wrong[0]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("no column ")
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let csv = FeedMap::parse(MAP).unwrap();
        let mut with_header = HEADER.as_bytes().to_vec();
        with_header.extend(&bytes);
        for (map, bytes) in [(&csv, &with_header), (&csv, &bytes), (&ndjson_map(), &bytes)] {
            for error in rows(map, bytes.clone()).into_iter().filter_map(Result::err) {
                prop_assert!(!pan::is_pan_like(&error.to_string()));
            }
        }
        for magic in [&[0x1f_u8, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd]] {
            let mut packed = magic.to_vec();
            packed.extend(&bytes);
            let _ = rows(&csv, packed);
        }
        let _ = FeedMap::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn broken_parquet_never_panics(
        flips in prop::collection::vec((any::<u16>(), any::<u8>()), 1..8),
        cut in any::<u16>(),
    ) {
        let whole = parquet_bytes();
        let mut bytes = whole.clone();
        for (at, byte) in flips {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= byte;
        }
        bytes.truncate(bytes.len() - usize::from(cut) % 3 * (bytes.len() / 5));
        let _ = parquet_rows(&bytes);
    }
}

#[test]
fn parquet_reads_typed_columns_and_refuses_damage() {
    let whole = parquet_bytes();
    let found = parquet_rows(&whole);
    assert_eq!(found.iter().filter(|row| row.is_ok()).count(), 100);
    let first = &found[0].as_ref().unwrap().transaction;
    assert_eq!(
        (first.ts, first.amount_minor),
        (1_522_540_800_000 - 3_600_000, 29)
    );
    for bytes in [
        &whole[..whole.len() / 2],
        &whole[..7],
        b"PAR1",
        b"garbage",
        b"",
    ] {
        let found = parquet_rows(bytes);
        assert!(
            found
                .last()
                .unwrap()
                .as_ref()
                .is_err_and(RowError::is_fatal)
        );
    }
    let stream = Source::Stream(Box::new(std::io::Cursor::new(whole)));
    let error = read(&parquet_map(), &key(), stream)
        .next()
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("expected a file"));
}

fn parquet_map() -> FeedMap {
    let text = r#"
        [feed]
        name = "typed"
        format = "parquet"
        timezone = "+01:00"
        [fields]
        txn_id = "id"
        ts = "at"
        amount_minor = { from = "amount", scale = 100 }
        currency = { const = "EUR" }
        rail = { const = "card" }
        account_tok = { from = "who", tokenise = "account" }
    "#;
    FeedMap::parse(text).unwrap()
}

fn parquet_rows(bytes: &[u8]) -> Vec<Result<Row, RowError>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    read(&parquet_map(), &key(), Source::File(file)).collect()
}

fn parquet_bytes() -> Vec<u8> {
    use arrow::array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;
    let number = 0..100_i64;
    let at = number.clone().map(|at| (1_522_540_800 + at) * 1_000_000);
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from_iter_values(number.clone()))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(at)),
        ),
        (
            "amount",
            Arc::new(Float64Array::from_iter_values(
                number.map(|n| n as f64 + 0.29),
            )),
        ),
        (
            "who",
            Arc::new(StringArray::from_iter_values(
                (0..100).map(|n| format!("w{n}")),
            )),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
