//! What surprises: told once something is usual, which it is by the history, by the journal and by
//! what was scored live; and a reason where it is much.

use model::{Part, parameters};

use super::*;

const DAY: i32 = (START_MS / (24 * HOUR_MS)) as i32;

/// Payments of the day before, one a minute from eight o'clock on.
fn yesterday() -> impl Iterator<Item = Value> {
    (0..150_i64).map(|number| {
        let ts = START_MS - 24 * HOUR_MS + number * 60_000;
        let (id, card) = (format!("y{number}"), format!("c{}", number % 5));
        payment(&id, &card, ts, 1_000 + number % 7 * 900)
    })
}

/// What is usual for a model after [`history`] and [`yesterday`].
fn usual_of(scorer: &Scorer) -> Usual {
    let (mut encoder, mut recent) = (history(), Recent::new(FeatureSchema::standard().len()));
    for payment in yesterday() {
        let transaction = transaction(&payment);
        recent.push(transaction.day(), &encoder.encode(&transaction).0);
    }
    let mut usual = Usual::new(FeatureSchema::standard().groups().len());
    recent.enter(scorer, &mut usual);
    usual
}

/// A model whose score is always the same, and so are all its energies but the amount's: the more
/// a payment stirs the network, the lower that one is.
fn wary() -> Bundle {
    let mut wary = bundle(Slot::Live, 1);
    let layout = layout(&FeatureSchema::standard(), wary.size);
    let mut flat = wary.parameters.to_vec();
    for range in parameters::ranges(&layout, &[Part::Energy, Part::Head]) {
        flat[range].fill(0.0);
    }
    // The weights of one energy lie together, the amount's first.
    let energies = parameters::ranges(&layout, &[Part::Energy]).remove(0);
    flat[energies][..usize::from(wary.size.width)].fill(-1.0);
    wary.parameters = Arc::new(flat);
    wary
}

fn question(payment: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({ "txn": payment, "purpose": "whatif" })).unwrap()
}

/// Whether an answer says what model `version` says of the journaled vector after [`yesterday`].
fn assert_said(bank: &Bank, answer: &Answer, version: u64) {
    let (entry, scorer) = (
        open(bank.folder.path()).find(&answer.txn_id),
        scorer(version),
    );
    let energies = scorer
        .judge(&entry.unwrap().unwrap().vector)
        .unwrap()
        .energies;
    let expected = usual_of(&scorer).surprises(DAY, &energies);
    let groups: Vec<&String> = answer.surprise.iter().map(|told| &told.group).collect();
    assert!(groups.into_iter().eq(FeatureSchema::standard().groups()));
    for (told, expected) in answer.surprise.iter().zip(expected) {
        let off = told.deviations - expected.unwrap();
        assert!(off.abs() < 0.006, "{told:?} {expected:?}");
    }
    assert_eq!(answer.label_free, Some(answer.surprise[0].deviations));
}

#[test]
fn a_model_knows_at_once_what_was_usual_in_the_history() {
    let bank = Bank::new();
    let scoring = bank.start();
    let usual = Some(usual_of(&scorer(1)));
    let seeded = Bundle {
        usual,
        ..bundle(Slot::Live, 1)
    };
    scoring.install(seeded).unwrap();
    let answer = scoring.score(&stream(0)).unwrap();
    drop(scoring);
    assert_said(&bank, &answer, 1);
}

// Nothing is usual on the first day. On the next, the model that was there knows; so does one that
// comes after the payments it is to know; and so does one that comes after a restart.
#[test]
fn payments_scored_live_are_usual_the_next_day() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    for payment in yesterday() {
        let answer = scoring.score(&body(&payment)).unwrap();
        assert!(answer.surprise.is_empty() && answer.label_free.is_none());
    }
    let continued = scoring.score(&stream(0)).unwrap();
    scoring.install(bundle(Slot::Live, 2)).unwrap();
    let fresh = scoring.score(&stream(1)).unwrap();
    drop(scoring);
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 3)).unwrap();
    let restarted = scoring.score(&stream(2)).unwrap();
    drop(scoring);
    for (answer, version) in [(continued, 1), (fresh, 2), (restarted, 3)] {
        assert_said(&bank, &answer, version);
    }
}

#[test]
fn an_outlandish_amount_is_a_reason_whatever_the_score_and_stays_one_in_a_retry() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(wary()).unwrap();
    yesterday().for_each(|payment| drop(scoring.score(&body(&payment)).unwrap()));
    (0..20).for_each(|number| drop(scoring.score(&stream(number)).unwrap()));
    let plain = scoring.score(&stream(20)).unwrap();
    let outlandish = body(&payment("o", "c0", START_MS + HOUR_MS, 900_000_000));
    let strange = scoring.score(&outlandish).unwrap();
    let deviations = strange.label_free.unwrap();
    assert!(deviations > 3.0 + plain.label_free.unwrap());
    assert_eq!(strange.logit, plain.logit);
    let [reason] = strange.reasons.as_slice() else {
        panic!("one fact stands out: {:?}", strange.reasons)
    };
    assert_eq!(
        (reason.code.as_str(), reason.rank),
        ("R60_SURPRISE_AMOUNT", 1)
    );
    let usual = reason.usual.as_deref();
    assert_eq!(
        (reason.weight, usual),
        (None, Some("0.0 standard deviations"))
    );
    assert_eq!(
        reason.observed,
        format!("{deviations:.1} standard deviations")
    );
    let observed = &reason.observed;
    assert_eq!(
        reason.text,
        format!("The amount does not fit this card: {observed} more surprising than usual.")
    );
    let again = scoring.score(&outlandish).unwrap();
    assert!(again.replayed);
    assert_eq!(
        (again.surprise, again.label_free, again.reasons),
        (strange.surprise, strange.label_free, strange.reasons)
    );
}

/// Answers to an ordinary payment and to an outlandish one.
fn told(scoring: &Scoring) -> [Answer; 2] {
    yesterday().for_each(|payment| drop(scoring.score(&body(&payment)).unwrap()));
    (0..20).for_each(|number| drop(scoring.score(&stream(number)).unwrap()));
    let outlandish = body(&payment("o", "c0", START_MS + HOUR_MS, 900_000_000));
    [stream(20), outlandish].map(|body| scoring.score(&body).unwrap())
}

// The same payments through the same network, once with a head that decides and once without: the
// same surprises, no score, and a person looks from the policy's mark on.
#[test]
fn a_pretrained_encoder_tells_surprises_until_a_model_scores() {
    let (with_head, bank) = (Bank::new(), Bank::new());
    let scoring = with_head.start();
    scoring.install(wary()).unwrap();
    let expected = told(&scoring);
    let [ordinary, outlandish] = expected.each_ref().map(|answer| answer.label_free.unwrap());
    let mark = f32::midpoint(ordinary, outlandish)
        .clamp(3.0, 1_000.0)
        .ceil();
    assert!(
        ordinary < mark && mark <= outlandish,
        "{ordinary} {outlandish}"
    );

    let label_free = format!("[label_free]\nreview_from = {mark}\n[explain]");
    let scoring = bank.start_with(Settings {
        policy: policy(&[
            ("[explain]", label_free.as_str()),
            ("decision = \"review\"", "decision = \"approve\""),
        ]),
        ..settings()
    });
    let pretrained = || Bundle {
        slot: Slot::Pretrained,
        ..wary()
    };
    scoring.install(pretrained()).unwrap();
    let found = told(&scoring);
    for (answer, expected) in found.iter().zip(&expected) {
        assert_eq!(
            (answer.mode, answer.score, answer.band),
            (Mode::Fallback, None, None)
        );
        assert_eq!((answer.probability, answer.logit), (None, None));
        assert_eq!(answer.surprise, expected.surprise);
        assert_eq!(answer.label_free, expected.label_free);
        assert_eq!(answer.ratio, expected.ratio);
        assert_eq!(answer.model, expected.model);
        assert_eq!(answer.remainder, None);
    }
    let [plain, strange] = found;
    assert_eq!(plain.decision, Decision::Approve);
    assert_eq!(plain.decision_rule, "policy:fallback.decision");
    assert!(plain.reasons.is_empty());
    assert_eq!(strange.decision, Decision::Review);
    let rule = format!("policy:label_free.review_from>={mark}");
    assert_eq!(strange.decision_rule, rule);
    let [reason] = strange.reasons.as_slice() else {
        panic!("one fact stands out: {:?}", strange.reasons)
    };
    assert_eq!(
        (reason.code.as_str(), reason.rank, reason.weight),
        ("R60_SURPRISE_AMOUNT", 1, None)
    );

    scoring.install(bundle(Slot::Live, 2)).unwrap();
    scoring.install(pretrained()).unwrap();
    let scored = scoring.score(&stream(21)).unwrap();
    let version = scored.model.unwrap().version;
    assert_eq!((scored.mode, version), (Mode::Full, 2));
    assert!(scored.score.is_some());
}

// Two hundred outlandish questions a day would make anything usual.
#[test]
fn a_question_is_answered_and_does_not_move_what_is_usual() {
    let (asked, plain) = (Bank::new(), Bank::new());
    let surprises = [&asked, &plain].map(|bank| {
        let scoring = bank.start();
        scoring.install(bundle(Slot::Live, 1)).unwrap();
        for mut payment in yesterday() {
            scoring.score(&body(&payment)).unwrap();
            if std::ptr::eq(bank, &asked) {
                payment["amount_minor"] = json!(900_000_000);
                (0..2).for_each(|_| drop(scoring.score(&question(&payment)).unwrap()));
            }
        }
        let today = payment("t", "c0", START_MS, 2_500);
        let answered = scoring.score(&question(&today)).unwrap().surprise;
        let decided = scoring.score(&body(&today)).unwrap().surprise;
        assert_eq!(answered, decided);
        decided
    });
    assert_eq!(surprises[0], surprises[1]);
    assert!(!surprises[0].is_empty());
}
