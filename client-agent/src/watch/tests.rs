//! What watching says of a bank with a weekly rhythm, and of one with rents besides: nothing in a
//! quiet month, and within two days what was done to its payments. The public set's own months are
//! shown where it is at hand.

use std::fs::File;
use std::path::Path;

use features::{
    Channel, CounterpartyKind, FeatureEncoder, FeedMap, Rail, RawTransaction, RiskSettings, Source,
    TokenKey, Transaction, read,
};

use super::alarm::{Alarms, Event, Rule};
use super::prices::Price;
use super::*;
use crate::scoring::Slot;
use crate::scoring::tests::bundle;

const DAY_MS: i64 = 86_400_000;

/// Days until there is a reference: the first does not count, and fourteen more do.
const WARM_UP: i32 = 15;

/// Days until there is a whole one, which has seen each day of the month.
const MONTH_SEEN: i32 = 36;

/// Payments of a day, all of which a day's sample keeps.
const PAYMENTS: i64 = 1_000;

/// Sebastiano Vigna's splitmix64: the same numbers on every machine.
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// Of mean 0 and deviation 1, as a sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// A bank, and who watches it.
#[derive(Clone)]
struct Bank {
    chance: Chance,
    encoder: FeatureEncoder,
    watch: Watch,
    alarms: Alarms,
    day: i32,
}

impl Bank {
    fn new() -> Self {
        let schema = FeatureSchema::standard();
        Self {
            chance: Chance(11),
            encoder: FeatureEncoder::new(schema.clone(), RiskSettings::default()),
            watch: Watch::new(schema),
            alarms: Alarms::default(),
            day: 20_000,
        }
    }

    /// A bank whose reference was just made, at the first payment of the day to come.
    fn watched() -> Self {
        let mut bank = Self::new();
        assert!(bank.live(WARM_UP, |_, _| ()).is_empty());
        bank
    }

    /// Lives through some days of payments, to each of which `change` is done; what came of it,
    /// with the number of days that were over then.
    fn live(
        &mut self,
        days: i32,
        change: impl Fn(&mut Transaction, &mut Chance),
    ) -> Vec<(i32, Event)> {
        let (first, mut events) = (self.day, Vec::new());
        for day in first..first + days {
            for nth in 0..PAYMENTS {
                let mut payment = payment(day, nth, &mut self.chance);
                change(&mut payment, &mut self.chance);
                let told = self.pay(&payment);
                events.extend(told.into_iter().map(|event| (day - first, event)));
            }
            self.day += 1;
        }
        // The first payment of the next day ends the last one.
        let mut next = self.clone();
        let told = next.pay(&payment(self.day, 0, &mut next.chance.clone()));
        events.extend(told.into_iter().map(|event| (days, event)));
        events
    }

    fn pay(&mut self, payment: &Transaction) -> Vec<Event> {
        let mut present = vec!["ts"];
        present.extend(payment.channel.map(|_| "channel"));
        present.extend(payment.mcc.map(|_| "mcc"));
        let vector = self.encoder.encode(payment).0;
        let seen = Seen {
            day: payment.day(),
            vector: &vector,
            model: None,
            filled: Filled {
                present,
                words: Filled::words(payment),
                price: Some(Price::of(payment)),
            },
        };
        let figures = self.watch.see(seen).unwrap_or_default();
        self.alarms.weigh(payment.day(), &figures)
    }
}

/// A payment of a bank where weekends are dearer, later and more often at a distance.
pub(crate) fn payment(day: i32, nth: i64, chance: &mut Chance) -> Transaction {
    let is_weekend = matches!((day + 4).rem_euclid(7), 0 | 6);
    let (dearer, late, far) = match is_weekend {
        true => (0.3, 0.6, 0.45),
        false => (0.0, 0.8, 0.3),
    };
    let through = (nth as f64 + chance.uniform()) / PAYMENTS as f64;
    let in_day = (through.powf(late) * DAY_MS as f64) as i64;
    let mut payment = blank();
    payment.txn_id = format!("{day}-{nth}");
    payment.ts = i64::from(day) * DAY_MS + in_day.min(DAY_MS - 1);
    payment.amount_minor = ((3.4 + dearer + 0.8 * chance.normal()).exp() * 100.0) as i64;
    payment.account_tok = format!("a{}", chance.next() % 300);
    let outlet = chance.next() % 60;
    payment.terminal_tok = Some(format!("o{outlet}"));
    payment.mcc = Some([5_411, 5_541, 5_812, 5_732, 4_722][outlet as usize % 5]);
    payment.channel = Some(match chance.is(far) {
        true => Channel::Ecom,
        false => Channel::Pos,
    });
    payment
}

/// Makes one payment in ten of the first five days of a month a rent.
fn rents(payment: &mut Transaction, chance: &mut Chance) {
    // The first of November and December 2024, of January and February 2025.
    let firsts = [20_028, 20_058, 20_089, 20_120];
    let is_due = |first: i32| (first..first + 5).contains(&payment.day());
    if firsts.into_iter().any(is_due) && chance.is(0.1) {
        payment.rail = Rail::Sct;
        payment.amount_minor = ((6.5 + 0.3 * chance.normal()).exp() * 100.0) as i64;
        payment.counterparty_kind = Some(CounterpartyKind::Unknown);
        (payment.terminal_tok, payment.mcc) = (None, None);
        payment.channel = Some(Channel::Web);
    }
}

fn dearer(payment: &mut Transaction, _: &mut Chance) {
    payment.amount_minor = (payment.amount_minor as f64 * 1.3) as i64;
}

fn blank() -> Transaction {
    let bare = br#"{"txn_id":"0","ts":0,"rail":"card","amount_minor":0,"currency":"EUR",
        "account_tok":"a"}"#;
    RawTransaction::from_json(bare).unwrap().try_into().unwrap()
}

/// The days that were over when an alarm of this rule and subject rose.
fn rose(events: &[(i32, Event)], rule: Rule, subject: &str) -> Option<i32> {
    let mut events = events.iter();
    events.find_map(|(day, event)| match event {
        Event::Raised(alarm) if alarm.rule == rule && alarm.subject == subject => Some(*day),
        Event::Raised(_) | Event::Cleared(_) => None,
    })
}

// Histories grow, weeks turn, and nothing has changed. That the bank is seen at all, the next tests
// show.
#[test]
fn a_quiet_month_raises_nothing() {
    let mut bank = Bank::watched();
    let events = bank.live(30, |_, _| ());
    assert!(events.is_empty(), "{events:?}");
}

// Rents are due on a Friday, on a Sunday and on a Wednesday, and their first days raise alarms.
// Planted faults: with a reference of two weeks, or held against days of the week alone, those of
// December and January raise six alarms each.
#[test]
fn a_month_with_rents_raises_nothing_once_one_was_seen() {
    let mut bank = Bank::new();
    let before = bank.live(MONTH_SEEN, rents);
    let unseen = rose(&before, Rule::Unseen, "category_unknown");
    assert_eq!(unseen, Some(30), "{before:?}");
    let open: Vec<_> = bank.alarms.open().collect();
    assert!(open.is_empty(), "{open:?} {before:?}");
    let events = bank.live(60, rents);
    assert!(events.is_empty(), "{events:?}");
}

// On days with rents, and on days without.
#[test]
fn dearer_payments_are_told_beside_rents() {
    for quiet_days in [22, 31] {
        let mut bank = Bank::new();
        bank.live(MONTH_SEEN, rents);
        let quiet = bank.live(quiet_days, rents);
        assert!(quiet.is_empty(), "{quiet:?}");
        let events = bank.live(3, |payment, chance| {
            rents(payment, chance);
            dearer(payment, chance);
        });
        assert_eq!(rose(&events, Rule::Amount, "amount"), Some(2), "{events:?}");
        assert_eq!(events.len(), 1, "{events:?}");
    }
}

#[test]
fn dearer_payments_are_told_after_two_days_and_forgotten_after_two() {
    let mut bank = Bank::watched();
    let events = bank.live(5, dearer);
    assert_eq!(rose(&events, Rule::Amount, "amount"), Some(2), "{events:?}");
    let events = bank.live(5, |_, _| ());
    let is_cleared = |(day, event): &(i32, Event)| {
        *day <= 3 && matches!(event, Event::Cleared(alarm) if alarm.rule == Rule::Amount)
    };
    assert!(events.iter().any(is_cleared), "{events:?}");
    assert_eq!(bank.alarms.open().count(), 0);
}

#[test]
fn a_channel_that_vanishes_is_told_after_two_days() {
    let mut bank = Bank::watched();
    let events = bank.live(3, |payment, _| payment.channel = Some(Channel::Pos));
    assert_eq!(rose(&events, Rule::Feature, "channel"), Some(2));
    let mut bank = Bank::watched();
    let events = bank.live(3, |payment, _| payment.channel = None);
    assert_eq!(rose(&events, Rule::Missing, "channel"), Some(2));
}

#[test]
fn a_category_that_is_new_is_told_after_two_days_and_so_is_one_that_nobody_lists() {
    let mut bank = Bank::watched();
    let events = bank.live(3, |payment, chance| {
        if chance.is(0.05) {
            payment.mcc = Some(7_995);
        }
    });
    let new = rose(&events, Rule::Feature, "category_money");
    assert_eq!(new, Some(2), "{events:?}");
    let mut bank = Bank::watched();
    let events = bank.live(3, |payment, chance| {
        if chance.is(0.06) {
            payment.mcc = None;
        }
    });
    let unseen = rose(&events, Rule::Unseen, "category_unknown");
    assert_eq!(unseen, Some(2), "{events:?}");
}

// A bank that was closed on weekends opens on one: its payments are left out, and those of the
// Friday before, which are judged again beside them, say what they said. Planted fault: with the
// fields of all days the channel has no figure, and its alarm goes on Monday.
#[test]
fn days_of_the_week_that_the_reference_lacks_take_no_alarm_away() {
    let mut bank = Bank::new();
    let is_weekend = |day: i32| matches!((day + 4).rem_euclid(7), 0 | 6);
    while bank.watch.reference.is_none() {
        if is_weekend(bank.day) {
            bank.day += 1;
        } else {
            bank.live(1, |_, _| ());
        }
    }
    let is_one_channel = |payment: &mut Transaction, _: &mut Chance| {
        payment.channel = Some(Channel::Pos);
    };
    // A Wednesday: the first payment of the day before made the reference.
    assert_eq!(bank.day, 20_019);
    let events = bank.live(3, is_one_channel);
    assert_eq!(
        rose(&events, Rule::Feature, "channel"),
        Some(2),
        "{events:?}"
    );
    let events = bank.live(3, is_one_channel);
    let is_gone = events.iter().any(|(_, event)| match event {
        Event::Cleared(alarm) => alarm.subject == "channel",
        Event::Raised(_) => false,
    });
    assert!(!is_gone, "{events:?}");
    let open: Vec<&str> = bank.alarms.open().map(|of| of.subject.as_str()).collect();
    assert!(open.contains(&"channel"), "{open:?}");
}

// Where every kind of payment is new, nothing says what payments cost; that columns' means are told
// is no word on it. Planted fault: with figures that are only told the alarm goes after two days.
#[test]
fn a_rail_of_another_name_takes_no_alarm_of_prices_away() {
    let mut bank = Bank::watched();
    let events = bank.live(3, dearer);
    assert_eq!(rose(&events, Rule::Amount, "amount"), Some(2), "{events:?}");
    let events = bank.live(4, |payment, _| payment.rail = Rail::Sct);
    let is_of_prices = |(_, event): &(i32, Event)| match event {
        Event::Raised(alarm) | Event::Cleared(alarm) => alarm.rule == Rule::Amount,
    };
    assert!(!events.iter().any(is_of_prices), "{events:?}");
    assert!(bank.alarms.open().any(|alarm| alarm.rule == Rule::Amount));
}

/// Days of vectors that a model scored, all of whose values lie around `level`.
fn rows(watch: &mut Watch, chance: &mut Chance, days: Range<i32>, (model, level): (&str, f64)) {
    let columns = watch.schema.len();
    for day in days {
        for _ in 0..600 {
            let vector = (0..columns).map(|_| (level + chance.normal()) as f32);
            let vector: Vec<f32> = vector.collect();
            let seen = Seen {
                day,
                vector: &vector,
                model: Some(model.to_owned()),
                filled: Filled::default(),
            };
            watch.see(seen);
        }
    }
}

/// What is told of the days before this one.
fn figures(watch: &Watch, day: i32) -> Vec<Figure> {
    watch.clone().end_days(0, day).unwrap()
}

fn change(figures: &[Figure], rule: Rule) -> f64 {
    let mut figures = figures.iter();
    figures.find(|of| of.rule == rule).unwrap().change
}

#[test]
fn an_encoder_that_places_payments_elsewhere_is_told() {
    let (mut watch, mut chance) = (Watch::new(FeatureSchema::standard()), Chance(3));
    rows(&mut watch, &mut chance, 0..17, ("one", 0.0));
    assert!(figures(&watch, 17).iter().all(|of| of.rule != Rule::Score));
    let model = bundle(Slot::Live, 1);
    let schema = FeatureSchema::standard();
    let scorer = Scorer::new(&schema, model.size, &model.parameters, model.calibration);
    watch.install(Arc::new(scorer.unwrap()));
    let quiet = figures(&watch, 17);
    assert!(change(&quiet, Rule::Embedding) < 0.02, "{quiet:?}");
    assert!(change(&quiet, Rule::Score) < 0.05, "{quiet:?}");
    rows(&mut watch, &mut chance, 17..18, ("one", 2.0));
    let moved = figures(&watch, 18);
    assert!(change(&moved, Rule::Embedding) > 0.1, "{moved:?}");
}

// A reference that came with each of the models, which is the planted fault, would take up a change
// with the first of them.
#[test]
fn models_that_come_daily_leave_the_reference_for_a_week() {
    let (mut watch, mut chance) = (Watch::new(FeatureSchema::standard()), Chance(5));
    rows(&mut watch, &mut chance, 0..16, ("model 15", 0.0));
    let until = |watch: &Watch| watch.reference.as_ref().unwrap().until();
    assert_eq!(until(&watch), WARM_UP);
    for day in 16..30 {
        let model = format!("model {day}");
        rows(&mut watch, &mut chance, day..day + 1, (&model, 0.0));
        let expected = match day {
            ..22 => 15,
            22..29 => 22,
            _ => 29,
        };
        assert_eq!(until(&watch), expected, "{day}");
    }
    // The same model goes on: its reference stays, but for the first that can be a whole one.
    rows(&mut watch, &mut chance, 30..36, ("model 28", 0.0));
    assert_eq!(until(&watch), 29);
    rows(&mut watch, &mut chance, 36..60, ("model 28", 0.0));
    assert_eq!(until(&watch), MONTH_SEEN);
    assert_eq!(watch.reference.as_ref().unwrap().span(), REFERENCE_DAYS);
}

#[test]
fn few_payments_are_gathered_over_days_and_vectors_of_another_schema_left_out() {
    let (mut watch, mut chance) = (Watch::new(FeatureSchema::standard()), Chance(8));
    for day in 0..30 {
        for _ in 0..100 {
            let vector = (0..watch.schema.len()).map(|_| chance.normal() as f32);
            let vector: Vec<f32> = vector.collect();
            let told = watch.see(Seen {
                day,
                vector: &vector,
                model: None,
                filled: Filled::default(),
            });
            // Five days of a hundred are enough to say something.
            assert!(told.is_none() || day >= WARM_UP + 5, "{day}");
        }
        let short = Seen {
            day: day + 1,
            vector: &[0.0; 3],
            model: None,
            filled: Filled::default(),
        };
        assert!(watch.see(short).is_none());
        assert_eq!(watch.newest, Some(day));
    }
    assert!(watch.clone().end_days(0, 30).is_some());
    assert!(watch.fields.len() <= DAYS_KEPT);
    rows(&mut watch, &mut chance, 30..90, ("one", 0.0));
    assert_eq!(watch.fields.len(), DAYS_KEPT);
    assert_eq!(watch.recent.days().count(), DAYS_KEPT);
}

/// The first days of the public set, of every tenth customer; nothing where it is not at hand.
fn handbook(days: i32) -> Option<Vec<Transaction>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("../ops/config/maps/handbook.toml")).unwrap();
    let data = root.join("../../shared/data/handbook/transactions.parquet");
    let Ok(file) = File::open(data) else {
        eprintln!("skipped: handbook/transactions.parquet is not at hand");
        return None;
    };
    let key = TokenKey::new(b"a key that is only used in tests").unwrap();
    let map = FeedMap::parse(&map).unwrap();
    let rows = read(&map, &key, Source::File(file)).map(Result::unwrap);
    // It begins on 2018-04-01.
    let rows = rows.take_while(|row| row.transaction.day() < 17_622 + days);
    let of_tenth = rows.filter(|row| row.extra["customer"].ends_with('7'));
    Some(of_tenth.map(|row| row.transaction).collect())
}

// Shows the curve of the amount with `--nocapture`. The set's payments do not change by themselves;
// from the fortieth day on they are made dearer by three tenths.
#[test]
fn the_public_sets_months_are_quiet_until_payments_get_dearer() {
    let Some(payments) = handbook(45) else {
        return;
    };
    for dearer_from in [i32::MAX, 17_622 + 40] {
        let mut bank = Bank::new();
        let (mut events, mut newest) = (Vec::new(), i32::MIN);
        for mut payment in payments.iter().cloned() {
            if payment.day() >= dearer_from {
                payment.amount_minor = (payment.amount_minor as f64 * 1.3) as i64;
            }
            let day = payment.day();
            let told = bank.pay(&payment);
            events.extend(told.into_iter().map(|event| (day - dearer_from, event)));
            if newest.max(day) > newest {
                newest = day;
                show(&bank.watch, day);
            }
        }
        let expected = (dearer_from < i32::MAX).then_some(2);
        let rose = rose(&events, Rule::Amount, "amount");
        assert_eq!(rose, expected, "{events:?}");
        if expected.is_none() {
            assert!(events.is_empty(), "{events:?}");
        }
    }
}

fn show(watch: &Watch, day: i32) {
    let mut watch = watch.clone();
    for figure in watch.end_days(17_622, day).unwrap_or_default() {
        if figure.subject == "amount" {
            let (word, told) = (figure.rule.word(), figure.told);
            println!("day {day}: {word} of the amount {told:+.3}");
        }
    }
}
