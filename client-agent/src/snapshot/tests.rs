//! A snapshot and what came after it are the whole journal, bit for bit; the worker that scored
//! live has the same; and what is no snapshot of this journal is refused by what is wrong with it.

use features::{Limits, RawTransaction, RiskSettings, Transaction};
use host::clock::Clock;
use host::telemetry::Telemetry;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::history::tests::write;
use crate::journal::{Entry, Journal};
use crate::scoring::Scoring;
use crate::scoring::tests::{open, settings};

const HOUR_MS: i64 = 3_600_000;
const ORIGIN: Origin = Origin {
    schema: Digest([1; 32]),
    past: Digest([2; 32]),
};

#[derive(Clone, Debug)]
enum Event {
    Payment {
        card: u8,
        outlet: u8,
        hours: u8,
        cents: u32,
    },
    Label {
        of: usize,
        fraud: bool,
        hours: u8,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let payment = (0_u8..6, 0_u8..4, 0_u8..40, 1_u32..90_000);
    let payment = payment.prop_map(|(card, outlet, hours, cents)| Event::Payment {
        card,
        outlet,
        hours,
        cents,
    });
    let label = (0_usize..60, any::<bool>(), 0_u8..250);
    let label = label.prop_map(|(of, fraud, hours)| Event::Label { of, fraud, hours });
    prop::collection::vec(prop_oneof![3 => payment, 1 => label], 4..50)
}

/// Few are remembered, and not for long: what is forgotten must be the same ones.
fn encoder() -> FeatureEncoder {
    let limits = Limits {
        cards_max: 4,
        outlets_max: 2,
        unseen_days_max: 20,
    };
    FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default()).with_limits(limits)
}

/// Time and payments so far.
struct Play {
    now: i64,
    payments: Vec<i64>,
}

impl Play {
    fn new() -> Self {
        Self {
            now: 1_470_000_000_000,
            payments: Vec::new(),
        }
    }

    fn go(&mut self, scoring: &Scoring, events: &[Event]) {
        for event in events {
            match *event {
                Event::Payment {
                    card,
                    outlet,
                    hours,
                    cents,
                } => {
                    self.now += i64::from(hours) * HOUR_MS;
                    let payment = self.payment(card, outlet, cents);
                    let body = json!({ "txn": payment }).to_string();
                    scoring.score(body.as_bytes()).unwrap();
                    self.payments.push(self.now);
                }
                Event::Label { of, fraud, hours } => {
                    let Some(ts) = self.payments.get(of) else {
                        continue;
                    };
                    let known_at = ts + i64::from(hours) * HOUR_MS;
                    let label = json!({"txn_id": format!("t{of}"), "fraud": fraud,
                        "known_at": known_at, "source": "analyst"});
                    let answers = scoring.label(label.to_string().as_bytes()).unwrap();
                    assert!(answers[0].problem.is_none(), "{answers:?}");
                }
            }
        }
    }

    /// The next payment.
    fn payment(&self, card: u8, outlet: u8, cents: u32) -> serde_json::Value {
        json!({
            "txn_id": format!("t{}", self.payments.len()), "ts": self.now, "rail": "card",
            "amount_minor": cents, "currency": "EUR", "account_tok": format!("a{card}"),
            "terminal_tok": format!("o{outlet}"), "mcc": 5_411,
        })
    }
}

/// What is remembered of a whole journal.
pub(super) fn whole(journal: &Follower) -> Remembered {
    let mut whole = Remembered::new(encoder());
    whole.catch_up(journal.clone()).unwrap();
    whole
}

fn bytes(remembered: &Remembered, journal: &Follower) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::new(folder.path(), ORIGIN);
    snapshots.save(remembered, journal).unwrap();
    std::fs::read(snapshots.path()).unwrap()
}

/// Scores these events from a snapshot on, or from nothing where there is none.
fn play(folder: &Path, play: &mut Play, events: &[Event]) {
    let journal = open(folder);
    let found = Snapshots::new(folder, ORIGIN).load(&journal.follow());
    let mut remembered = found.unwrap().unwrap_or_else(|| Remembered::new(encoder()));
    remembered.catch_up(journal.follow()).unwrap();
    let telemetry = Telemetry::default();
    let clock = Clock::start();
    let scoring = Scoring::resume(clock, settings(), remembered, journal, &telemetry).unwrap();
    play.go(&scoring, events);
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_what_follows_is_the_whole_journal(
        events in events(),
        cuts in [0_usize..50, 0_usize..50],
    ) {
        let (folder, mut played) = (tempfile::tempdir().unwrap(), Play::new());
        let snapshots = Snapshots::new(folder.path(), ORIGIN);
        let mut cuts = cuts.map(|cut| cut.min(events.len()));
        cuts.sort_unstable();
        play(folder.path(), &mut played, &events[..cuts[0]]);
        {
            let journal = open(folder.path()).follow();
            snapshots.save(&whole(&journal), &journal).unwrap();
        }
        play(folder.path(), &mut played, &events[cuts[0]..cuts[1]]);
        let journal = open(folder.path());
        let follower = journal.follow();
        let mut resumed = snapshots.load(&follower).unwrap().unwrap();
        resumed.catch_up(follower.clone()).unwrap();
        prop_assert!(bytes(&resumed, &follower) == bytes(&whole(&follower), &follower));

        // And once more with the journal still growing, beside a worker that scores.
        let (clock, telemetry) = (Clock::start(), Telemetry::default());
        let scoring = Scoring::resume(clock, settings(), resumed, journal, &telemetry).unwrap();
        played.go(&scoring, &events[cuts[1]..]);
        let mut later = snapshots.load(&follower).unwrap().unwrap();
        later.catch_up(follower.clone()).unwrap();
        let whole = whole(&follower);
        prop_assert!(bytes(&later, &follower) == bytes(&whole, &follower));
        let probe = played.payment(1, 1, 777);
        let raw = RawTransaction::from_json(probe.to_string().as_bytes()).unwrap();
        let expected = whole.parts().0.preview(&Transaction::try_from(raw).unwrap());
        scoring.score(json!({ "txn": probe }).to_string().as_bytes()).unwrap();
        drop((scoring, follower));
        let id = format!("t{}", played.payments.len());
        let live = open(folder.path()).find(&id).unwrap().unwrap().vector;
        prop_assert_eq!(bits(&live), bits(&expected.0));
    }
}

/// A store with a snapshot of its journal, and the journal.
pub(super) fn sample(folder: &Path, cents: u32) -> (Snapshots, Journal) {
    let event = |card| Event::Payment {
        card,
        outlet: 1,
        hours: 1,
        cents,
    };
    play(folder, &mut Play::new(), &[event(1), event(2), event(1)]);
    let journal = open(folder);
    let (snapshots, follower) = (Snapshots::new(folder, ORIGIN), journal.follow());
    snapshots.save(&whole(&follower), &follower).unwrap();
    (snapshots, journal)
}

fn refusal(snapshots: &Snapshots, journal: &Journal) -> String {
    let refused = snapshots.load(&journal.follow());
    refused
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

#[test]
fn a_torn_or_turned_file_is_refused_at_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, journal) = sample(folder.path(), 100);
    let whole = std::fs::read(snapshots.path()).unwrap();
    let step = whole.len() / 40;
    for at in (0..whole.len()).step_by(step) {
        std::fs::write(snapshots.path(), &whole[..at]).unwrap();
        assert!(!refusal(&snapshots, &journal).is_empty(), "cut at {at}");
        let mut turned = whole.clone();
        turned[at] ^= 4;
        std::fs::write(snapshots.path(), turned).unwrap();
        assert!(!refusal(&snapshots, &journal).is_empty(), "turned at {at}");
    }
    std::fs::write(snapshots.path(), [whole.as_slice(), &[0]].concat()).unwrap();
    assert!(refusal(&snapshots, &journal).contains("torn"));
    std::fs::write(snapshots.path(), &whole).unwrap();
    assert_eq!(refusal(&snapshots, &journal), "");
    std::fs::remove_file(snapshots.path()).unwrap();
    assert!(snapshots.load(&journal.follow()).unwrap().is_none());
}

#[test]
fn what_is_of_another_time_or_place_is_refused_by_name() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (snapshots, journal) = sample(folder.path(), 100);
    let of = |origin| Snapshots::new(folder.path(), origin);
    let schema = Digest([7; 32]);
    let said = refusal(&of(Origin { schema, ..ORIGIN }), &journal);
    assert!(said.contains("snapshot of schema 01010101"), "{said}");
    let past = Digest([7; 32]);
    let said = refusal(&of(Origin { past, ..ORIGIN }), &journal);
    assert!(said.contains("another history"), "{said}");
    // As many payments, and others; then fewer.
    let (_, stranger) = sample(other.path(), 200);
    assert!(refusal(&snapshots, &stranger).contains("3 payments and 0 labels"));
    drop(stranger);
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(&snapshots, &open(empty.path())).contains("does not hold"));

    let whole = std::fs::read(snapshots.path()).unwrap();
    let mut newer = whole.clone();
    newer[11] += 1;
    std::fs::write(snapshots.path(), newer).unwrap();
    assert_eq!(
        refusal(&snapshots, &journal),
        format!("found snapshot format {}, expected {FORMAT}", FORMAT + 1)
    );
    let mut foreign = whole;
    foreign[0] = b'x';
    std::fs::write(snapshots.path(), foreign).unwrap();
    assert!(refusal(&snapshots, &journal).contains("another kind of file"));
}

#[test]
fn a_snapshot_that_cannot_be_made_leaves_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, journal) = sample(folder.path(), 100);
    let before = std::fs::read(snapshots.path()).unwrap();
    let draft = folder.path().join(DRAFT);
    std::fs::create_dir(&draft).unwrap();
    let follower = journal.follow();
    assert!(snapshots.save(&whole(&follower), &follower).is_err());
    assert!(std::fs::read(snapshots.path()).unwrap() == before);
    std::fs::remove_dir(&draft).unwrap();
    // What a crash in the middle of writing leaves.
    std::fs::write(&draft, &before[..before.len() / 2]).unwrap();
    assert_eq!(refusal(&snapshots, &journal), "");
    snapshots.save(&whole(&follower), &follower).unwrap();
    assert!(std::fs::read(snapshots.path()).unwrap() == before);
}

#[test]
fn the_keeper_brings_the_snapshot_up_to_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, journal) = sample(folder.path(), 100);
    drop(journal);
    let mut played = Play {
        now: 1_480_000_000_000,
        payments: vec![0; 3],
    };
    let event = Event::Payment {
        card: 3,
        outlet: 1,
        hours: 1,
        cents: 5,
    };
    play(folder.path(), &mut played, &[event]);
    let journal = open(folder.path());
    let telemetry = Telemetry::default();
    let (follower, meters) = (journal.follow(), Meters::new(&telemetry));
    let hour = Duration::from_secs(3_600);
    let kept = (snapshots.clone(), None);
    let keeper = Keeper::start(hour, kept, follower.clone(), meters).unwrap();
    keeper.end();
    let kept = snapshots.load(&follower).unwrap().unwrap();
    assert_eq!(kept.place().entries, 4);
    assert!(bytes(&kept, &follower) == bytes(&whole(&follower), &follower));
    let text = telemetry.render();
    assert!(
        text.contains("phalanx_state_snapshot_age_seconds"),
        "{text}"
    );
    assert!(!text.contains("phalanx_profile_bytes 0\n"), "{text}");
}

#[test]
fn what_the_start_could_not_save_the_keeper_saves() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshots, journal) = sample(folder.path(), 100);
    std::fs::remove_file(snapshots.path()).unwrap();
    let (follower, meters) = (journal.follow(), Meters::new(&Telemetry::default()));
    let unsaved = Some(Box::new(whole(&follower)));
    let hour = Duration::from_secs(3_600);
    let keeper = Keeper::start(hour, (snapshots.clone(), unsaved), follower.clone(), meters);
    keeper.unwrap().end();
    let kept = snapshots.load(&follower).unwrap().unwrap();
    assert!(bytes(&kept, &follower) == bytes(&whole(&follower), &follower));
}

// Planted fault: where the place is told at the end alone, all before the damage comes in twice.
#[test]
fn what_fails_in_the_middle_of_the_journal_stands_where_it_has_come_to() {
    let folder = tempfile::tempdir().unwrap();
    let payment = |card| Event::Payment {
        card,
        outlet: 1,
        hours: 1,
        cents: 5,
    };
    let label = Event::Label {
        of: 0,
        fraud: true,
        hours: 1,
    };
    let events = [payment(1), label, payment(2)];
    play(folder.path(), &mut Play::new(), &events);
    let mut journal = open(folder.path());
    let expected = bytes(&whole(&journal.follow()), &journal.follow());
    let damaged = Entry {
        txn_id: "damaged".to_owned(),
        digest: [0; 32],
        transaction: "{}".to_owned(),
        answer: "{}".to_owned(),
        vector: Vec::new(),
    };
    journal.append(&damaged).unwrap();
    journal.settle().unwrap();
    let mut remembered = Remembered::new(encoder());
    for _ in 0..2 {
        assert!(remembered.catch_up(journal.follow()).is_err());
        assert!(bytes(&remembered, &journal.follow()) == expected);
    }
}

#[test]
fn the_origin_tells_every_change_of_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), 2, 3);
    let schema = FeatureSchema::standard();
    let origin = || Origin::of(&config, &schema).unwrap();
    let first = origin();
    assert_eq!(origin(), first);
    for path in [&config.file, &config.map, &config.token_key] {
        let text = std::fs::read(path).unwrap();
        std::fs::write(path, [text.as_slice(), b" "].concat()).unwrap();
        assert_ne!(origin(), first);
        std::fs::write(path, text).unwrap();
        assert_eq!(origin(), first);
    }
    let mut narrower = config.clone();
    narrower.days.start = 17_001;
    assert_ne!(Origin::of(&narrower, &schema).unwrap(), first);
    let mut smaller = config.clone();
    smaller.limits.cards_max = 5;
    assert_ne!(Origin::of(&smaller, &schema).unwrap(), first);
}
