//! The promises of the encoder: replay equals live bit for bit, labels wait for their time, late
//! and wild times do no harm, a seasonal drop does not move the columns, memory is bounded.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::risk::{KnownFraud, RiskCounts, RiskKey, RiskTerms};
use crate::transaction::HOUR_MS;
use crate::transaction::RawTransaction;

const START: i64 = 1_522_540_800_000;
const DAY: i32 = 17_622;

#[derive(Clone, Debug)]
struct Event {
    step_ms: i64,
    late_ms: i64,
    card: u8,
    outlet: u8,
    cents: u32,
    fraud_known_after: Option<u8>,
}

fn payment(id: usize, ts: i64, card: u8, outlet: u8, cents: u32) -> Transaction {
    let terminal = (outlet > 0).then(|| format!("t{outlet}"));
    let raw: RawTransaction = serde_json::from_value(json!({
        "txn_id": format!("x{id}"), "ts": ts, "rail": "card", "amount_minor": cents,
        "currency": "EUR", "account_tok": format!("a{card}"), "terminal_tok": terminal,
        "mcc": 5_411 + u32::from(outlet),
    }))
    .unwrap();
    Transaction::try_from(raw).unwrap()
}

fn encoder() -> FeatureEncoder {
    FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default())
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let late = prop_oneof![4 => Just(0), 1 => 0..3 * DAY_MS];
    let known = prop::option::weighted(0.3, 0_u8..20);
    let event = (0..DAY_MS / 2, late, 0_u8..5, 0_u8..4, 1_u32..90_000, known);
    let event = event.prop_map(
        |(step_ms, late_ms, card, outlet, cents, fraud_known_after)| Event {
            step_ms,
            late_ms,
            card,
            outlet,
            cents,
            fraud_known_after,
        },
    );
    prop::collection::vec(event, 2..150)
}

fn stream(events: &[Event]) -> (Vec<Transaction>, Vec<Option<Label>>) {
    let mut clock = START;
    let enter = |(id, event): (usize, &Event)| {
        clock += event.step_ms;
        let ts = clock - event.late_ms;
        let t = payment(id, ts, event.card, event.outlet, event.cents);
        let label = event.fraud_known_after.map(|days| Label {
            txn_id: t.txn_id.clone(),
            fraud: true,
            known_at: ts + i64::from(days) * DAY_MS,
            source: None,
        });
        (t, label)
    };
    events.iter().enumerate().map(enter).unzip()
}

fn bits(vector: &FeatureVector) -> Vec<u32> {
    vector.0.iter().map(|value| value.to_bits()).collect()
}

/// One alone, and one that reads a federation's table, which lacks all days but the first.
fn encoders() -> [FeatureEncoder; 2] {
    [encoder(), with_table(1_024, 1)]
}

/// Labels added as they become known, before the first payment at or past that time.
fn live(
    mut encoder: FeatureEncoder,
    (transactions, labels): (&[Transaction], &[Option<Label>]),
) -> Vec<Vec<u32>> {
    let mut waiting: Vec<usize> = Vec::new();
    let mut vectors = Vec::new();
    for (at, t) in transactions.iter().enumerate() {
        waiting.retain(|&of| {
            let label = labels[of].as_ref().expect("only labelled ones wait");
            let is_known = label.known_at <= t.ts;
            if is_known {
                encoder.add_label(&transactions[of], label);
            }
            !is_known
        });
        vectors.push(bits(&encoder.encode(t)));
        if labels[at].is_some() {
            waiting.push(at);
        }
    }
    vectors
}

/// All labels added before the first payment.
fn replay(
    mut encoder: FeatureEncoder,
    (transactions, labels): (&[Transaction], &[Option<Label>]),
) -> Vec<Vec<u32>> {
    for (t, label) in transactions.iter().zip(labels) {
        if let Some(label) = label {
            encoder.add_label(t, label);
        }
    }
    transactions
        .iter()
        .map(|t| bits(&encoder.encode(t)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn replay_equals_live_bit_for_bit(events in events()) {
        let (transactions, labels) = stream(&events);
        for encoder in encoders() {
            let told = (transactions.as_slice(), labels.as_slice());
            prop_assert_eq!(live(encoder.clone(), told), replay(encoder, told));
        }
    }

    #[test]
    fn state_that_was_stored_goes_on_bit_for_bit(events in events(), at in 0_usize..150) {
        let (transactions, _) = stream(&events);
        let at = at.min(transactions.len());
        let mut whole = encoder();
        for t in &transactions[..at] {
            whole.encode(t);
        }
        let stored = serde_json::to_string(&whole).unwrap();
        let mut restored: FeatureEncoder = serde_json::from_str(&stored).unwrap();
        for t in &transactions[at..] {
            let preview = whole.preview(t);
            let vector = whole.encode(t);
            prop_assert_eq!(bits(&preview), bits(&vector));
            prop_assert_eq!(bits(&restored.encode(t)), bits(&vector));
        }
    }

    #[test]
    fn what_was_only_read_is_not_remembered(events in events(), refused in 0_usize..150) {
        let (transactions, _) = stream(&events);
        let (mut whole, mut two_steps) = (encoder(), encoder());
        for (at, t) in transactions.iter().enumerate() {
            let read = two_steps.read_first(t);
            if at == refused {
                continue;
            }
            two_steps.remember(t, &read);
            prop_assert_eq!(bits(&whole.encode(t)), bits(&read.vector));
        }
    }

    // Whatever becomes known later than a payment, and whatever was known of days within the
    // delay, leaves the payment's vector as it is.
    #[test]
    fn labels_known_later_change_no_earlier_vector(events in events(), cut in 0_usize..150) {
        let (transactions, labels) = stream(&events);
        let cut = cut.min(transactions.len() - 1);
        let now = &transactions[cut];
        let mut changed = labels.clone();
        for (t, label) in transactions.iter().zip(&mut changed) {
            let is_later = label.as_ref().is_some_and(|label| label.known_at > now.ts);
            let is_recent = t.ts > now.ts - 7 * DAY_MS;
            if is_later {
                *label = None;
            } else if is_recent && label.is_none() {
                let (txn_id, known_at) = (t.txn_id.clone(), t.ts);
                *label = Some(Label { txn_id, fraud: true, known_at, source: None });
            }
        }
        for encoder in encoders() {
            let vector = |labels: &[Option<Label>]| {
                replay(encoder.clone(), (&transactions[..=cut], labels)).pop()
            };
            prop_assert_eq!(vector(&labels), vector(&changed));
        }
    }

    #[test]
    fn wild_times_never_panic(times in prop::collection::vec(0_i64..4_000_000_000_000, 1..60)) {
        let mut encoder = encoder();
        for (id, ts) in times.into_iter().enumerate() {
            let vector = encoder.encode(&payment(id, ts, (id % 3) as u8, 1, 500));
            prop_assert!(vector.0.iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn own_risk_appears_after_the_delay_and_not_before() {
    let mut encoder = encoder();
    let fraud = payment(0, START, 1, 1, 500);
    encoder.encode(&fraud);
    let label = Label {
        txn_id: "x0".into(),
        fraud: true,
        known_at: START + 1,
        source: None,
    };
    encoder.add_label(&fraud, &label);
    let at = encoder.schema().position("own_rate_1d").unwrap();
    for day in 1..=9 {
        let vector = encoder.preview(&payment(1, START + day * DAY_MS, 2, 1, 500));
        let expected = if day == 7 { 3.0 } else { 0.0 };
        assert_eq!(vector.0[at], expected, "day {day}");
    }
    // Known half a day later than the delay: then it is read only from that time on.
    let mut encoder = self::encoder();
    encoder.encode(&fraud);
    let known_at = START + 15 * DAY_MS / 2;
    encoder.add_label(&fraud, &Label { known_at, ..label });
    let rate = |ts: i64| encoder.preview(&payment(1, ts, 2, 1, 500)).0[at];
    assert_eq!((rate(known_at - 1), rate(known_at)), (0.0, 3.0));
}

// Where labels are trusted at once, a payment does not meet its own that came ahead of it, and
// yesterday's is read.
#[test]
fn without_a_delay_own_risk_is_a_day_old() {
    let settings = RiskSettings {
        label_delay_days: 0,
    };
    let mut encoder = FeatureEncoder::new(FeatureSchema::standard(), settings);
    let fraud = payment(0, START, 1, 1, 500);
    let label = Label {
        txn_id: "x0".into(),
        fraud: true,
        known_at: START,
        source: None,
    };
    encoder.add_label(&fraud, &label);
    let at = encoder.schema().position("own_frauds_21d").unwrap();
    let read = |ts: i64| encoder.preview(&payment(0, ts, 1, 1, 500)).0[at];
    assert_eq!([read(START), read(START + DAY_MS - 1)], [0.0; 2]);
    assert_eq!(read(START + DAY_MS), 2_f64.ln() as f32);
}

/// An encoder with a federation's table of one day, which counted outlet 1: a fraud, and so many
/// other payments.
fn with_table(buckets: u32, others: usize) -> FeatureEncoder {
    let key = RiskKey::new([1; 32]);
    let terms = RiskTerms {
        buckets,
        key: key.clone(),
        from_day: DAY,
        days: 1,
        label_delay_days: 7,
        banks_min: 1,
    };
    let mut counts = RiskCounts::new(terms.clone());
    let fraud = [KnownFraud::since(START)];
    counts.add(&payment(0, START, 1, 1, 500), &fraud);
    for id in 1..=others {
        counts.add(&payment(id, START, 1, 1, 500), &[]);
    }
    let words: Vec<i64> = counts.into_words().into_iter().map(i64::from).collect();
    let mut table = RiskTable::new(buckets, key);
    table.absorb(&terms, &words).unwrap();
    let mut encoder = encoder();
    encoder.install_risk(Arc::new(table));
    encoder
}

#[test]
fn shared_risk_is_read_from_the_table_with_its_delay() {
    let encoder = with_table(64, 1);
    let at = encoder.schema().position("shared_rate_1d").unwrap();
    for day in 0..12 {
        let vector = encoder.preview(&payment(2, START + day * DAY_MS, 2, 1, 500));
        let expected = if day == 8 { 1.5 } else { 0.0 };
        assert_eq!(vector.0[at], expected, "day {day}");
    }
}

// The table of one day knows outlet 1 and not outlet 2, where this bank has seen a fraud.
#[test]
fn where_the_federation_knows_nothing_its_columns_say_what_the_bank_knows() {
    let mut encoder = with_table(1_024, 0);
    for (id, outlet) in [(0, 1), (1, 1), (2, 2)] {
        encoder.encode(&payment(id, START, 1, outlet, 500));
    }
    let fraud = Label {
        txn_id: "x2".into(),
        fraud: true,
        known_at: START + 1,
        source: None,
    };
    encoder.add_label(&payment(2, START, 1, 2, 500), &fraud);
    let schema = FeatureSchema::standard();
    let at = |name: &str| schema.position(name).unwrap();
    let (own, shared) = (at("own_rate_1d"), at("shared_rate_1d"));
    // The federation's day is read on the eighth day, and of the bank's own what is a week old.
    let known = encoder.preview(&payment(3, START + 8 * DAY_MS, 2, 1, 500));
    assert_eq!((known.0[own], known.0[shared]), (0.0, 3.0));
    let unknown = encoder.preview(&payment(3, START + 15 * DAY_MS / 2, 2, 2, 500));
    assert_eq!((unknown.0[own], unknown.0[shared]), (3.0, 3.0));
    assert!(schema.is_own_risk(&unknown.0) && !schema.is_own_risk(&known.0));
    let mut alone = known.0.clone();
    schema.hide_federation(&mut alone);
    assert_eq!(alone[shared], 0.0);
    let same = |column: usize| alone[column] == known.0[column];
    let shared = schema.indices(|role| matches!(role, Role::SharedRisk));
    assert!((0..schema.len()).all(|column| shared.contains(&column) || same(column)));
}

// The table of one day has a fraud and another payment at outlet 1. The bank has one more of each
// there a day later, of which the table says nothing before it has counted that day.
#[test]
fn what_the_federation_has_not_counted_yet_is_added_as_the_bank_knows_it() {
    let mut encoder = with_table(1_024, 1);
    let noon = START + DAY_MS + DAY_MS / 2;
    for id in [0, 1] {
        encoder.encode(&payment(id, noon, 1, 1, 500));
    }
    let at = encoder.schema().position("shared_rate_1d").unwrap();
    let rate = |encoder: &FeatureEncoder, ts| encoder.preview(&payment(2, ts, 2, 1, 500)).0[at];
    let due = noon + 7 * DAY_MS;
    // As long as the bank knows no fraud anywhere, its payments say nothing of an outlet.
    assert_eq!(rate(&encoder, due), 1.5);
    let known_at = noon - 1;
    let (fraud, source) = (true, None);
    for (id, ts, outlet) in [(3, START, 2), (0, noon, 1)] {
        let txn_id = format!("x{id}");
        let label = Label {
            txn_id,
            fraud,
            known_at,
            source: source.clone(),
        };
        encoder.add_label(&payment(id, ts, 1, outlet, 500), &label);
    }
    assert_eq!(rate(&encoder, START + 8 * DAY_MS), 1.5);
    // Before the fraud is due its day has two halves of a payment in it.
    let before = rate(&encoder, due - 1);
    assert!((before - 1.0).abs() < 1e-6, "{before}");
    assert_eq!(rate(&encoder, due), 2.0);
    // On the day after, the window of a day is the bank's alone.
    assert_eq!(rate(&encoder, START + 9 * DAY_MS), 1.5);
}

/// Forty cards pay three times a day; from day 60 on they pay once every two days. Without the
/// trend the count of the last week falls for good; with it, it returns within nine days.
#[test]
fn a_seasonal_drop_fades_within_nine_days() {
    let plain_text = FeatureSchema::standard().canonical();
    let plain_text = plain_text.replace("detrend = true", "detrend = false");
    let plain_schema = FeatureSchema::parse(&plain_text).unwrap();
    let mut trended = encoder();
    let mut plain = FeatureEncoder::new(plain_schema, RiskSettings::default());
    let at = |name: &str| FeatureSchema::standard().position(name).unwrap();
    let columns = [at("card_count_1d"), at("gap"), at("outlet_count_1d")];
    let mut means = BTreeMap::new();
    for day in 0_i64..75 {
        for hour in [8, 13, 19] {
            for card in 0..40_u8 {
                if day >= 60 && (hour != 13 || (day + i64::from(card)) % 2 == 0) {
                    continue;
                }
                let ts = START + day * DAY_MS + hour * HOUR_MS + i64::from(card) * 1_000;
                let t = payment(0, ts, card, card % 4 + 1, 2_000 + 10 * u32::from(card));
                let pair = [trended.encode(&t), plain.encode(&t)];
                let sums = means.entry(day).or_insert([[0.0_f32; 3]; 2]);
                for (sums, vector) in sums.iter_mut().zip(pair) {
                    for (sum, at) in sums.iter_mut().zip(columns) {
                        *sum += vector.0[at] / if day >= 60 { 20.0 } else { 120.0 };
                    }
                }
            }
        }
    }
    let (before, after) = (means[&55], means[&74]);
    for column in 0..columns.len() {
        let shift = |which: usize| (after[which][column] - before[which][column]).abs();
        assert!(
            shift(1) > 0.5,
            "column {column} does not show the drop: {}",
            shift(1)
        );
        assert!(
            shift(0) < 0.25 * shift(1),
            "column {column} keeps the drop: {}",
            shift(0)
        );
    }
}

#[test]
fn a_payment_without_outlet_has_neutral_outlet_columns() {
    let mut encoder = encoder();
    for id in 0..50 {
        encoder.encode(&payment(id, START + id as i64 * HOUR_MS, 1, 1, 900));
    }
    let vector = encoder.encode(&payment(99, START + 3 * DAY_MS, 1, 0, 900));
    for (column, value) in encoder.schema().columns().iter().zip(&vector.0) {
        let is_outlets = ["visit", "outlet_", "own_", "shared_"]
            .iter()
            .any(|prefix| column.name.starts_with(prefix));
        assert!(!is_outlets || *value == 0.0, "{} is {value}", column.name);
    }
}

#[test]
fn memory_is_bounded_and_the_longest_unseen_goes_first() {
    let limits = Limits {
        cards_max: 64,
        outlets_max: 2,
        unseen_days_max: 400,
    };
    let mut encoder = encoder().with_limits(limits);
    for id in 0..250_u8 {
        encoder.encode(&payment(
            id.into(),
            START + i64::from(id) * 1_000,
            id,
            id % 9 + 1,
            500,
        ));
        let (cards, outlets) = encoder.remembered();
        assert!(cards <= 64 && outlets <= 2);
        let (cards_gone, outlets_gone) = encoder.forgotten();
        assert_eq!(cards + cards_gone, u64::from(id) + 1);
        assert_eq!(outlets + outlets_gone, u64::from(id) + 1);
    }
    let gap = encoder.schema().position("visits").unwrap();
    let known = |card: u8| encoder.preview(&payment(0, START + 9 * HOUR_MS, card, 250 % 9, 5));
    assert_ne!(known(249).0, known(1).0);
    assert!(gap < encoder.schema().len());
}

#[test]
fn who_is_unseen_for_long_is_forgotten_and_a_wild_time_forgets_nobody() {
    let mut encoder = encoder();
    encoder.encode(&payment(0, START, 1, 1, 500));
    encoder.encode(&payment(1, 3_900_000_000_000, 2, 1, 500));
    encoder.encode(&payment(2, START + HOUR_MS, 3, 1, 500));
    assert_eq!(encoder.remembered().0, 3);
    for day in 1..=430 {
        encoder.encode(&payment(3, START + day * DAY_MS, 4, 1, 500));
    }
    assert_eq!(encoder.remembered().0, 1);
}

#[test]
fn columns_follow_the_recipe_by_hand() {
    let mut encoder = encoder();
    let schema = FeatureSchema::standard();
    encoder.encode(&payment(0, START, 1, 1, 1_000));
    encoder.encode(&payment(1, START + HOUR_MS, 1, 2, 3_000));
    let vector = encoder.encode(&payment(2, START + 30 * HOUR_MS, 1, 1, 8_000));
    let natural = |name: &str| {
        let at = schema.position(name).unwrap();
        let column = &schema.columns()[at];
        vector.0[at] * column.scale + column.center
    };
    let near = |name: &str, expected: f64| {
        let found = f64::from(natural(name));
        assert!(
            (found - expected).abs() < 1e-4,
            "{name}: {found} for {expected}"
        );
    };
    near("amount", 81.0_f64.ln());
    near("visits", 2.0_f64.ln());
    near("history_count", 3.0_f64.ln());
    near("history_mean", 21.0_f64.ln());
    near("history_max", 31.0_f64.ln());
    near(
        "history_median",
        f64::midpoint(11.0_f64.ln(), 31.0_f64.ln()),
    );
    near("hour_sin", (6.0 / 24.0 * std::f64::consts::TAU).sin());
    near("weekend", 0.0);
    near("category_grocery", 1.0);
    let scale = f64::from(schema.columns()[0].scale);
    near("amount_over_mean", (81.0_f64 / 21.0).ln() / scale);
    let (mean, sd) = (natural("history_log_mean"), natural("history_log_sd"));
    near(
        "amount_deviation",
        (81.0_f64.ln() - f64::from(mean)) / f64::from(sd) / 2.0,
    );
    // The day before had two payments; beside twenty at the centre their trend is small.
    let trended = |name: &str, expected: f64, slack: f64| {
        let found = f64::from(natural(name));
        assert!(
            (found - expected).abs() < slack,
            "{name}: {found} for {expected}"
        );
    };
    trended("gap", 30.0_f64.ln(), 0.2);
    trended("card_count_7d", 3.0_f64.ln(), 0.2);
    trended("card_sum_30d", 41.0_f64.ln(), 0.2);
    trended("card_outlets_7d", 3.0_f64.ln(), 0.2);
    trended("card_count_1h", 0.0, 0.2);
    trended("outlet_count_7d", 2.0_f64.ln(), 0.2);
}
