//! What the fuzzer does to the door of payments and labels in `features`: bytes in, a panic if a
//! promise is broken. Apart from this folder's library, since `protocol` knows no payment:
//! libFuzzer calls it from `fuzz_targets/door.rs`, and `features/tests/door.rs` over the corpus and
//! over chance. The rest of a request's form is the agent's: the target `request`.

use features::{
    FeatureEncoder, FeatureSchema, Label, RawTransaction, RiskSettings, Transaction, redact,
};

/// Bytes as a payment, and as a label.
///
/// # Panics
/// If a payment that is taken is not taken again in its canonical form, which is what a journal
/// keeps; if it has numbers that are none; or if a refusal repeats what it redacts.
pub(crate) fn door(bytes: &[u8]) {
    let Ok(raw) = RawTransaction::from_json(bytes) else {
        return;
    };
    let _ = raw.unknown_fields().len() + raw.present_fields().count();
    if let Ok(label) = Label::read(NOW_MS, raw.clone()) {
        assert!(label.txn_id.len() <= 64 && label.known_at >= 0);
    }
    let payment = match Transaction::try_from(raw) {
        Ok(payment) => payment,
        Err(error) => {
            assert_eq!(redact(&error.found), error.found);
            return;
        }
    };
    let canonical = payment.canonical();
    let plain = serde_json::to_string(&payment);
    let plain = plain.expect("a checked payment has text keys and finite numbers");
    assert_eq!(canonical, plain);
    let raw = RawTransaction::from_json(canonical.as_bytes());
    let raw = raw.expect("a payment is a JSON object");
    let again = Transaction::try_from(raw).expect("a payment that was taken is taken again");
    assert!(again == payment, "it says something else");
    ENCODER.with(|encoder| {
        if encoder.schema().check(&payment).is_ok() {
            let vector = encoder.preview(&payment);
            assert!(vector.0.iter().all(|value| value.is_finite()));
        }
    });
}

thread_local! {
    static ENCODER: FeatureEncoder =
        FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
}

/// A day in November 2016.
const NOW_MS: i64 = 1_480_000_000_000;
