//! Ledgers: replayed, tampered with, forked.

use std::cmp::Ordering;

use super::*;
use crate::fixture;
use crate::limits::HEADER_WORDS;
use crate::plan::{Adaptive, ServerRule};
use crate::signed::Signed;

mod newton;
mod releases;

fn finetune(server: ServerRule, rounds: u32) -> Plan {
    let mut training = fixture::training();
    training.server = server;
    fixture::plan(Work::Finetune(training), rounds)
}

const ADAPTIVE: Adaptive = Adaptive {
    rate: 0.1,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-3,
};

const FEDADAM: ServerRule = ServerRule::FedAdam(ADAPTIVE);

/// The next result of a training plan: five banks whose updates differ by bank and by step.
fn trained(ledger: &Ledger, plan: &Plan) -> RoundResult {
    let (Work::Finetune(training) | Work::Pretrain(training)) = &plan.work else {
        panic!("a training plan");
    };
    let bits = terms::value_bits(plan, 5);
    let step = ledger.step(&plan.id()) as f32;
    let vectors = (0..5_u16).map(|bank| {
        let delta = (0..23).map(|k| (k as f32 - 11.0) * 1e-3 * (f32::from(bank) + step + 1.0));
        let seed = crypto::Seed::from_entropy([bank as u8; 32]);
        let examples = 100 + 300 * u64::from(bank);
        vector::encode_update(&delta.collect::<Vec<_>>(), examples, training, bits, &seed).unwrap()
    });
    fixture::result(ledger, plan, &vectors.collect::<Vec<_>>())
}

fn counted(ledger: &Ledger, plan: &Plan) -> RoundResult {
    let words = usize::try_from(terms::words(plan).unwrap()).unwrap() - 6;
    let counts = vec![2; words];
    let vectors = vec![vector::encode_counts(&counts, 27).unwrap(); 5];
    fixture::result(ledger, plan, &vectors)
}

/// Such a sum is no bank's to read, whoever signed it.
#[test]
fn a_sum_of_payments_below_zero_is_refused_and_one_of_frauds_is_not() {
    let plan = fixture::plan(fixture::risk(), 1);
    for (index, is_taken) in [(2, false), (3, true), (22, false)] {
        let mut ledger = Ledger::new(fixture::session());
        let mut vectors = vec![vector::encode_counts(&[0; 25], 27).unwrap(); 5];
        vectors[1][HEADER_WORDS + index] = u32::MAX;
        let result = fixture::result(&ledger, &plan, &vectors);
        match ledger.apply(&result) {
            Ok(_) => assert!(is_taken, "{index}"),
            Err(error) => {
                let expected = SumError::BelowZero { index, found: -1 };
                assert_eq!(error, LedgerError::Sum(expected));
                assert!(!is_taken, "{index}");
            }
        }
        assert_eq!(ledger.length(), u64::from(is_taken));
    }
}

/// A history of every kind: two plans on one model, counts between them.
fn history(ledger: &mut Ledger) -> Vec<RoundResult> {
    let first = finetune(FEDADAM, 3);
    let mut second = finetune(ServerRule::FedAvg { rate: 0.7 }, 2);
    second.nonce = 2;
    let risk = fixture::plan(fixture::risk(), 1);
    let evaluate = fixture::plan(fixture::evaluate(), 1);
    let mut results = Vec::new();
    for plan in [&first, &risk, &first, &second, &first, &evaluate, &second] {
        let result = match plan.work {
            Work::Pretrain(_) | Work::Finetune(_) => trained(ledger, plan),
            Work::Risk(_) | Work::Evaluate(_) => counted(ledger, plan),
        };
        ledger.apply(&result).unwrap();
        results.push(result);
    }
    results
}

/// Whoever replays the same results has the same head and the same model, bit for bit: that is
/// why no model ever travels.
#[test]
fn replay_gives_the_same_model_and_head_bit_for_bit() {
    let mut ledger = Ledger::new(fixture::session());
    let results = history(&mut ledger);
    let mut replayed = Ledger::new(fixture::session());
    for result in &results {
        let travelled = crate::wire::decode(&crate::wire::encode(result)).unwrap();
        replayed.apply(&travelled).unwrap();
    }
    assert_eq!((replayed.length(), replayed.head()), (7, ledger.head()));
    let bits = |ledger: &Ledger| {
        let (parameters, root) = ledger.model(&fixture::model()).unwrap();
        let bits = parameters
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>();
        (bits, root)
    };
    assert_eq!(bits(&replayed), bits(&ledger));
    assert_ne!(
        ledger.model(&fixture::model()).unwrap().1,
        Ledger::new(fixture::session())
            .model(&fixture::model())
            .unwrap()
            .1
    );
}

/// Another processor must get these too. Printed by this code on x86-64.
#[test]
fn history_has_these_bits_everywhere() {
    let mut ledger = Ledger::new(fixture::session());
    history(&mut ledger);
    assert_eq!(ledger.model(&fixture::model()).unwrap().1.to_hex(), MODEL);
    assert_eq!(ledger.head().to_hex(), HEAD);
}

const MODEL: &str = "2ca4940a65d421eecc187e87c58def897947e376acf769426225fc136174304e";
const HEAD: &str = "88292b641a5670308dbfa563c6eade17e978cb0f04c289c625df06aaa1865839";

#[test]
fn results_in_another_order_are_refused_and_change_nothing() {
    let mut ledger = Ledger::new(fixture::session());
    let results = history(&mut ledger);
    let mut late = Ledger::new(fixture::session());
    let found = late.apply(&results[1]).unwrap_err();
    assert_eq!(
        found,
        LedgerError::Sequence {
            found: 2,
            expected: 1
        }
    );
    late.apply(&results[0]).unwrap();
    let again = late.apply(&results[0]).unwrap_err();
    assert_eq!(
        again,
        LedgerError::Sequence {
            found: 1,
            expected: 2
        }
    );
    let before = (
        late.head(),
        late.length(),
        late.model(&fixture::model()).unwrap().1,
    );
    assert!(late.apply(&results[3]).is_err());
    assert_eq!(
        (
            late.head(),
            late.length(),
            late.model(&fixture::model()).unwrap().1
        ),
        before
    );
    late.apply(&results[1]).unwrap();
}

/// Two histories of the same length do not mix.
#[test]
fn result_of_another_history_is_refused_by_its_head() {
    let plan = finetune(FEDADAM, 5);
    let (mut one, mut other) = (
        Ledger::new(fixture::session()),
        Ledger::new(fixture::session()),
    );
    one.apply(&trained(&one, &plan)).unwrap();
    other
        .apply(&counted(&other, &fixture::plan(fixture::risk(), 1)))
        .unwrap();
    let found = one.apply(&trained(&other, &plan)).unwrap_err();
    assert!(
        matches!(
            found,
            LedgerError::Differs {
                what: "previous head",
                ..
            }
        ),
        "{found}"
    );
}

type Spoil = (fn(&mut RoundResult), &'static str);

fn outcome(result: &mut RoundResult, spoil: fn(&mut crate::message::RoundOutcome)) {
    let mut body = result.outcome.unverified().clone();
    spoil(&mut body);
    result.outcome = fixture::signed(body);
}

fn manifest(result: &mut RoundResult, spoil: fn(&mut Manifest)) {
    let mut body = result.manifest.unverified().clone();
    spoil(&mut body);
    let context = body.context();
    result.manifest = fixture::signed(body);
    let mut body = result.outcome.unverified().clone();
    body.context = context;
    body.round = result.manifest.unverified().round;
    result.outcome = fixture::signed(body);
}

/// Days counted under two keys are two tables, and neither may be counted again: the first result
/// says under which key the consortium counts.
#[test]
fn risk_counts_stand_under_one_bucket_key() {
    let mut ledger = Ledger::new(fixture::session());
    let first = fixture::plan(fixture::risk(), 1);
    let mut unnamed = counted(&ledger, &first);
    manifest(&mut unnamed, |it| it.bucket_key = None);
    let found = ledger.apply(&unnamed).unwrap_err().to_string();
    assert!(found.contains("under no bucket key"), "{found}");
    assert_eq!(ledger.bucket_key(), None);
    ledger.apply(&counted(&ledger, &first)).unwrap();
    let under = fixture::bucket_key(&fixture::session()).commitment();
    assert_eq!(ledger.bucket_key(), Some(under));
    let second = Plan { nonce: 2, ..first };
    let mut other = counted(&ledger, &second);
    manifest(&mut other, |it| it.bucket_key = Some(Digest([1; 32])));
    let found = ledger.apply(&other).unwrap_err().to_string();
    assert!(found.contains("bucket key is"), "{found}");
    ledger.apply(&counted(&ledger, &second)).unwrap();
    assert_eq!(ledger.bucket_key(), Some(under));
}

/// Attack A20 and its relatives: a result that was changed is refused for what was changed, even
/// where the coordinator signed the change.
#[test]
fn tampered_result_is_refused_by_name() {
    let spoils: [Spoil; 18] = [
        (|it| outcome(it, |it| it.sequence = 9), "result number 9"),
        (
            |it| outcome(it, |it| it.previous.0[0] ^= 1),
            "previous head",
        ),
        (|it| outcome(it, |it| it.context.0.0[0] ^= 1), "context"),
        (|it| outcome(it, |it| it.round.0 += 1), "round"),
        (|it| outcome(it, |it| it.survivors.0[0] ^= 1), "survivors"),
        (|it| outcome(it, |it| it.sum.0[0] ^= 1), "sum is"),
        (|it| it.sum[10] += 1, "sum is"),
        (|it| it.sum.truncate(20), "sum of 20 words"),
        (|it| it.survivors = fixture::seats(0..4), "survivors is"),
        (|it| manifest(it, |it| it.session.0[0] ^= 1), "session"),
        (|it| manifest(it, |it| it.head.0[0] ^= 1), "manifest's head"),
        (|it| manifest(it, |it| it.base.0[0] ^= 1), "base"),
        (|it| manifest(it, |it| it.step += 1), "step 1 of its plan"),
        (|it| manifest(it, |it| it.threshold -= 1), "threshold"),
        (|it| manifest(it, |it| it.round = RoundId(0)), "round"),
        (
            |it| manifest(it, |it| it.bucket_key = Some(Digest([1; 32]))),
            "bucket_key is for risk counts alone",
        ),
        (
            |it| {
                let mut plan = it.plan.plan.unverified().clone();
                plan.expires.0 += 1;
                it.plan.plan = fixture::signed(plan);
            },
            "plan is not the one shown",
        ),
        (
            |it| {
                it.sum[0] = 1;
                let root = vector::sum_root(&it.sum);
                let mut body = it.outcome.unverified().clone();
                body.sum = root;
                it.outcome = Signed::sign(body, &fixture::key(1));
            },
            "canary word 0",
        ),
    ];
    let mut ledger = Ledger::new(fixture::session());
    ledger
        .apply(&counted(&ledger, &fixture::plan(fixture::risk(), 1)))
        .unwrap();
    let result = trained(&ledger, &finetune(FEDADAM, 3));
    for (spoil, name) in spoils {
        let mut spoiled = result.clone();
        spoil(&mut spoiled);
        let mut copy = ledger.clone();
        let found = copy.apply(&spoiled).unwrap_err().to_string();
        assert!(found.contains(name), "{found} for {name}");
        assert_eq!(copy.head(), ledger.head());
        copy.apply(&result).unwrap();
    }
}

#[test]
fn survivors_too_few_to_open_are_refused() {
    let mut ledger = Ledger::new(fixture::session());
    let mut result = counted(&ledger, &fixture::plan(fixture::risk(), 1));
    result.survivors = fixture::seats(0..3);
    let mut body = result.outcome.unverified().clone();
    body.survivors = seats_digest(&result.survivors);
    result.outcome = fixture::signed(body);
    let found = ledger.apply(&result).unwrap_err();
    assert_eq!(
        found,
        LedgerError::Survivors("they are too few to be opened")
    );
}

#[test]
fn plan_has_as_many_rounds_as_it_says() {
    let mut ledger = Ledger::new(fixture::session());
    let plan = finetune(FEDADAM, 1);
    let applied = ledger.apply(&trained(&ledger, &plan)).unwrap();
    assert_eq!((applied.step, applied.banks), (0, 5));
    let found = ledger.apply(&trained(&ledger, &plan)).unwrap_err();
    assert_eq!(
        found,
        LedgerError::Manifest("step is beyond the plan's rounds")
    );
}

/// Once per base: a plan's base moves with the model and with nothing else, and kinds differ.
#[test]
fn base_follows_the_model_or_the_days() {
    let mut ledger = Ledger::new(fixture::session());
    let (plan, other) = (
        finetune(FEDADAM, 2),
        finetune(ServerRule::FedAvg { rate: 1.0 }, 2),
    );
    let pretrain = fixture::plan(Work::Pretrain(fixture::training()), 1);
    let risk = fixture::plan(fixture::risk(), 1);
    let before = [
        ledger.base(&plan),
        ledger.base(&pretrain),
        ledger.base(&risk),
    ];
    assert_eq!(ledger.base(&other), before[0]);
    assert_ne!(before[0], before[1]);
    ledger.apply(&trained(&ledger, &plan)).unwrap();
    assert_ne!(ledger.base(&plan), before[0]);
    assert_ne!(ledger.base(&pretrain), before[1]);
    assert_eq!(ledger.base(&risk), before[2]);
}

/// FedAvg adds `rate * mean` to the plan's parts and leaves the others alone.
#[test]
fn training_moves_its_parts_only() {
    let mut ledger = Ledger::new(fixture::session());
    let plan = finetune(ServerRule::FedAvg { rate: 0.5 }, 1);
    let result = trained(&ledger, &plan);
    let before = ledger.model(&fixture::model()).unwrap().0;
    let mean = vector::mean_update(&result.sum, &fixture::training());
    let after = ledger.apply(&result).unwrap().parameters.unwrap();
    let moved = (0..16).chain(19..26).zip(mean);
    for (index, update) in moved {
        let expected = (f64::from(before[index]) + 0.5 * f64::from(update)) as f32;
        assert_eq!(after[index].to_bits(), expected.to_bits());
    }
    assert_eq!(after[16..19], before[16..19]);
}

/// Steps by hand (Reddi et al. 2021, algorithm 2, which corrects no bias). The updates are such
/// that Yogi's second moment rises, falls and stands.
#[test]
fn fedadam_and_fedyogi_are_the_papers() {
    let adam = |second: f64, square: f64| 0.99 * second + 0.01 * square;
    let yogi = |second: f64, square: f64| match second.total_cmp(&square) {
        Ordering::Less => second + 0.01 * square,
        Ordering::Equal => second,
        Ordering::Greater => second - 0.01 * square,
    };
    let mut ends = Vec::new();
    for rule in [ServerRule::FedAdam(ADAPTIVE), ServerRule::FedYogi(ADAPTIVE)] {
        let mut optimizer = Optimizer::default();
        let mut parameters = [1.0_f32];
        let (mut first, mut second, mut expected) = (0.0_f64, 0.0_f64, 1.0_f64);
        for update in [0.5_f32, -0.03, 0.04, 0.0] {
            let all = std::slice::from_ref(&(0..1));
            optimizer.step(&rule, &[update], all, &mut parameters);
            let update = f64::from(update);
            first = 0.9 * first + 0.1 * update;
            second = match rule {
                ServerRule::FedYogi(_) => yogi(second, update * update),
                ServerRule::FedAdam(_) | ServerRule::FedAvg { .. } | ServerRule::Newton(_) => {
                    adam(second, update * update)
                }
            };
            expected += 0.1 * first / (second.sqrt() + 1e-3);
            let found = f64::from(parameters[0]);
            assert!(
                (found - expected).abs() < 1e-6,
                "{rule:?}: {found} {expected}"
            );
        }
        ends.push(expected);
    }
    assert!((ends[0] - ends[1]).abs() > 1e-4, "they are two rules");
}

/// A model that overflows is refused by everybody alike, before anything changed.
#[test]
fn model_that_would_not_be_finite_is_refused() {
    let mut ledger = Ledger::new(fixture::session());
    let mut training = fixture::training();
    training.range = f32::MAX;
    training.clip_norm = f32::MAX;
    training.server = ServerRule::FedAvg { rate: f32::MAX };
    let plan = fixture::plan(Work::Finetune(training.clone()), 1);
    let delta = vec![1e37; 23];
    let seed = crypto::Seed::from_entropy([1; 32]);
    let vector = vector::encode_update(&delta, 1_000, &training, 16, &seed).unwrap();
    let result = fixture::result(&ledger, &plan, &vec![vector; 5]);
    let before = ledger.head();
    assert_eq!(
        ledger.apply(&result),
        Err(LedgerError::NotFinite { index: 0 })
    );
    assert_eq!(ledger.head(), before);
}

/// A schema's columns are measured once, whatever is trained meanwhile.
#[test]
fn moments_have_one_base_for_a_schema() {
    let mut ledger = Ledger::new(fixture::session());
    let Work::Evaluate(mut terms) = fixture::evaluate() else {
        panic!("the fixture evaluates");
    };
    terms.of = Evaluated::Moments { columns: 4 };
    let mut later = terms.clone();
    later.to_day += 1;
    later.model.genesis_seed += 1;
    let mut other = terms.clone();
    other.model.schema.0.push('#');
    let [moments, later, other] =
        [terms, later, other].map(|terms| fixture::plan(Work::Evaluate(terms), 1));
    let before = ledger.base(&moments);
    history(&mut ledger);
    assert_eq!(ledger.base(&moments), before);
    assert_eq!(ledger.base(&later), before);
    assert_ne!(ledger.base(&other), before);
    let scores = fixture::plan(fixture::evaluate(), 1);
    assert_ne!(ledger.base(&scores), before);
}
