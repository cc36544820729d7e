//! The counts of `GET /v1/scores`: asked for by a number of days, one request at a time.

use super::socket::{door, fetch, with_server};
use super::*;

#[test]
fn scores_are_counted_and_a_wrong_number_of_days_is_refused() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    for number in 0..3 {
        scoring.score(&stream(number)).unwrap();
    }
    with_server(door(scoring.clone()).router(), |address| {
        let (head, counts) = fetch(address, "/v1/scores?days=7");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(
            (&counts["days"], &counts["decisions"]),
            (&json!(1), &json!(3))
        );
        let cells = counts["cells"].as_array().unwrap().iter();
        let payments: u64 = cells.filter_map(|cell| cell["payments"].as_u64()).sum();
        assert_eq!(payments, 3);
        for (query, kind) in [
            ("", "missing_field"),
            ("?days=", "missing_field"),
            ("?days=-1", "missing_field"),
            ("?days=1&days=2", "missing_field"),
            ("?days=0", "schema"),
            ("?days=731", "schema"),
        ] {
            let (head, problem) = fetch(address, &format!("/v1/scores{query}"));
            assert!(head.starts_with("HTTP/1.1 400"), "{query}: {head}");
            assert_eq!(problem["type"], kind, "{query}");
        }
        let turn = scoring.0.batches.tally.clone().try_acquire_owned().unwrap();
        let (head, problem) = fetch(address, "/v1/scores?days=7");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(problem["type"], "overloaded");
        drop(turn);
        assert!(
            fetch(address, "/v1/scores?days=7")
                .0
                .starts_with("HTTP/1.1 200")
        );
    });
}
