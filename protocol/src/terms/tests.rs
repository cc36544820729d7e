//! The rules of plans and manifests, each broken alone.

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::id::{Attempt, Seat};
use crate::ledger::Ledger;
use crate::plan::{Adaptive, Evaluated, Init, Newton, ServerRule};
use crate::time::{Duration, Time};

/// secagg.md 3.6: n, c, t, missing banks tolerated.
const TABLE: [(u16, u16, u16, u16); 11] = [
    (3, 0, 2, 1),
    (5, 1, 4, 1),
    (10, 3, 7, 3),
    (20, 6, 14, 6),
    (30, 9, 20, 10),
    (50, 16, 34, 16),
    (100, 20, 61, 39),
    (100, 33, 67, 33),
    (300, 60, 181, 119),
    (300, 99, 200, 100),
    (1000, 333, 667, 333),
];

#[test]
fn thresholds_are_those_of_the_specification() {
    for (members, colluders, expected, missing) in TABLE {
        assert_eq!(
            threshold(members, colluders),
            expected,
            "{members} {colluders}"
        );
        assert_eq!(members - expected, missing);
    }
}

#[test]
fn colluders_are_the_tables_unless_the_plan_says_otherwise() {
    for (members, colluders) in [
        (3, 0),
        (5, 1),
        (10, 3),
        (20, 6),
        (30, 9),
        (50, 16),
        (1000, 333),
    ] {
        assert_eq!(default_colluders(members), colluders);
    }
}

/// With three banks the threshold is 2, but three honest ones must be in every sum.
#[test]
fn three_members_may_not_miss_any() {
    let cohort = CohortTerms {
        members_min: 3,
        colluders: None,
        honest_min: 3,
    };
    let terms = for_cohort(&cohort, 3).unwrap();
    assert_eq!((terms.threshold, terms.needed()), (2, 3));
    assert!(terms.suffice(&fixture::seats(0..3)));
    assert!(!terms.suffice(&fixture::seats(0..2)));
}

proptest! {
    /// The inequality that the protocol's safety rests on, and room for somebody to be missing.
    #[test]
    fn threshold_is_the_least_above_half_of_members_and_colluders(
        members in 3_u16..=1000,
        share in 0_u16..=1000,
    ) {
        let colluders = share % members;
        let (n, c) = (u32::from(members), u32::from(colluders));
        let t = u32::from(threshold(members, colluders));
        prop_assert!(2 * t > n + c);
        prop_assert!(2 * (t - 1) <= n + c);
        prop_assert!(t <= n);
    }

    /// Honest sums stay within a quarter of the ring, whatever the cohort and the width.
    #[test]
    fn values_of_a_cohort_use_a_quarter_of_the_ring(
        members in 3_u16..=1000,
        width in prop::sample::select(&fixture::WIDTHS[..]),
    ) {
        let mut plan = fixture::plan(fixture::risk(), 1);
        plan.width = width;
        let bits = value_bits(&plan, members);
        let most = i64::from(crate::vector::value_max(bits)) * i64::from(members);
        let quarter = 1_i64 << (width.bits() - 2);
        prop_assert!(most < quarter);
        // What is lost is the last value of each, and the cohort up to a power of two.
        let lost = i64::from(members);
        prop_assert!((most + lost) * 4 > quarter, "{bits} bits waste the ring");
    }
}

#[test]
fn training_keeps_its_bits_in_every_cohort() {
    let mut training = fixture::training();
    training.value_bits = 20;
    let plan = fixture::plan(Work::Finetune(training), 1);
    assert_eq!(value_bits(&plan, 3), 20);
    assert_eq!(value_bits(&plan, 1000), 20);
}

/// secagg.md 3.7: q of packed words is 12 for a thousand banks. A plan's own bits are the most.
#[test]
fn packed_words_leave_fewer_bits_the_more_banks_there_are() {
    let mut plan = fixture::plan(fixture::risk(), 1);
    plan.width = Width::Packed;
    let room = |members| value_bits(&plan, members);
    let found = [3, 4, 5, 10, 64, 65, 100, 128, 1000].map(room);
    assert_eq!(found, [20, 20, 19, 18, 16, 15, 15, 15, 12]);
    let mut training = fixture::training();
    training.value_bits = 16;
    plan.work = Work::Finetune(training);
    assert_eq!([5, 100].map(|members| value_bits(&plan, members)), [16, 15]);
}

/// Bits that no cohort of the plan leaves room for are the operator's mistake, and named as such.
#[test]
fn training_bits_that_fit_no_cohort_are_refused() {
    let mut plan = fixture::plan(Work::Finetune(fixture::training()), 1);
    plan.width = Width::Packed;
    plan.cohort.members_min = 64;
    assert_eq!(validate(&plan), Ok(()));
    plan.cohort.members_min = 65;
    let found = validate(&plan).unwrap_err();
    let expected =
        "training.value_bits is 16, expected 8 to 15: words of 24 bits and members_min 65";
    assert_eq!(found, expected);
    plan.width = Width::Full;
    assert_eq!(validate(&plan), Ok(()));
}

#[test]
fn cohorts_that_protect_nobody_are_refused() {
    let cohort = |members_min, colluders, honest_min| CohortTerms {
        members_min,
        colluders,
        honest_min,
    };
    let refused = [
        (cohort(2, None, 3), 2, "fewer than 3"),
        (cohort(5, None, 3), 1001, "more than 1000"),
        (cohort(5, None, 3), 4, "members_min"),
        (cohort(5, None, 2), 5, "honest_min is below"),
        (cohort(5, Some(6), 3), 5, "more colluders"),
        (cohort(5, Some(3), 3), 5, "fewer honest"),
        (cohort(5, Some(50), 3), 140, "a third"),
        (cohort(5, None, 11), 140, "at most 10"),
    ];
    for (cohort, members, rule) in refused {
        let found = for_cohort(&cohort, members).unwrap_err().rule();
        assert!(found.contains(rule), "{found}");
    }
}

#[test]
fn words_count_headers_and_payload() {
    let words_of = |work| words(&fixture::plan(work, 1)).unwrap();
    assert_eq!(
        words_of(Work::Finetune(fixture::training())),
        6 + 12 + 4 + 5 + 2
    );
    assert_eq!(words_of(fixture::risk()), 6 + 2 * 5 * 2 + 5);
    assert_eq!(words_of(fixture::evaluate()), 6 + 2 * 16);
    let mut moments = fixture::evaluate();
    if let Work::Evaluate(terms) = &mut moments {
        terms.of = Evaluated::Moments { columns: 80 };
    }
    assert_eq!(words_of(moments), 6 + 80 * 11);
}

#[test]
fn shapes_whose_product_overflows_are_too_large_not_small() {
    let mut training = fixture::training();
    training.model.layout.0[0].shape = vec![u32::MAX; 8];
    let plan = fixture::plan(Work::Finetune(training), 1);
    assert!(words(&plan).is_err());
    assert!(
        validate(&plan)
            .unwrap_err()
            .contains("model.layout.parameters")
    );
}

/// One spoiled field at a time: each rule of secagg.md 3.4 that is public stands alone.
#[test]
fn manifest_that_breaks_a_rule_is_refused_for_that_rule() {
    type Spoil = (fn(&mut Manifest), &'static str);
    let spoils: [Spoil; 14] = [
        (|it| it.version += 1, "version"),
        (|it| it.plan.0.0[0] ^= 1, "plan is not"),
        (|it| it.step = 3, "step"),
        (|it| it.cohort = fixture::seats([]), "fewer than 3"),
        (|it| it.cohort = fixture::seats(0..4), "members_min"),
        (|it| it.colluders = 0, "colluders"),
        (|it| it.threshold -= 1, "threshold"),
        (|it| it.honest_min -= 1, "honest_min"),
        (|it| it.degree -= 1, "degree"),
        (|it| it.word_bits = Width::Packed.bits(), "word_bits"),
        (|it| it.value_bits += 1, "value_bits"),
        (|it| it.words += 1, "words"),
        (|it| it.due.escrow = Time(21), "due"),
        (|it| it.due.end = Time(19), "due"),
    ];
    let plan = fixture::plan(Work::Finetune(fixture::training()), 3);
    let manifest = fixture::manifest(&Ledger::new(fixture::session()), &plan, 10);
    assert_eq!(check(&manifest, &plan), Ok(()));
    for (spoil, rule) in spoils {
        let mut spoiled = manifest.clone();
        spoil(&mut spoiled);
        let found = check(&spoiled, &plan).unwrap_err();
        assert!(found.contains(rule), "{found} for {rule}");
    }
}

/// A set out of order cannot be built here, but it can arrive.
#[test]
fn cohort_out_of_order_is_refused() {
    let plan = fixture::plan(fixture::risk(), 1);
    let mut manifest = fixture::manifest(&Ledger::new(fixture::session()), &plan, 5);
    let unsorted = vec![Seat(1), Seat(0), Seat(2), Seat(3), Seat(4)];
    manifest.cohort = crate::wire::decode(&crate::wire::encode(&unsorted)).unwrap();
    assert_eq!(check(&manifest, &plan), Err("cohort is not ascending"));
}

/// Everything in a manifest is in the context: a change nobody checks would change every key.
#[test]
fn every_field_of_a_manifest_changes_the_context() {
    let plan = fixture::plan(fixture::risk(), 1);
    let manifest = fixture::manifest(&Ledger::new(fixture::session()), &plan, 5);
    let spoils: [fn(&mut Manifest); 22] = [
        |it| it.version += 1,
        |it| it.session.0[0] ^= 1,
        |it| it.epoch.0 += 1,
        |it| it.roster.0[0] ^= 1,
        |it| it.round.0 += 1,
        |it| it.attempt = Attempt(1),
        |it| it.plan.0.0[0] ^= 1,
        |it| it.step += 1,
        |it| it.base.0[0] ^= 1,
        |it| it.head.0[0] ^= 1,
        |it| it.words += 1,
        |it| it.word_bits += 1,
        |it| it.value_bits += 1,
        |it| it.cohort = fixture::seats(0..6),
        |it| it.colluders += 1,
        |it| it.threshold += 1,
        |it| it.honest_min += 1,
        |it| it.degree += 1,
        |it| it.graph_seed.0[0] ^= 1,
        |it| it.due.escrow.0 += 1,
        |it| it.due.collection.0 += 1,
        |it| it.due.end.0 += 1,
    ];
    let mut contexts = vec![manifest.context()];
    for spoil in spoils {
        let mut spoiled = manifest.clone();
        spoil(&mut spoiled);
        contexts.push(spoiled.context());
    }
    contexts.sort_unstable();
    contexts.dedup();
    assert_eq!(contexts.len(), 23);
}

#[test]
fn valid_plans_of_all_kinds_are_accepted() {
    let works = [
        Work::Pretrain(fixture::training()),
        Work::Finetune(fixture::training()),
        Work::Finetune(fixture::newton()),
        fixture::risk(),
        fixture::evaluate(),
    ];
    for work in works {
        assert_eq!(validate(&fixture::plan(work, 1)), Ok(()));
    }
}

fn training_of(plan: &mut Plan) -> &mut Training {
    match &mut plan.work {
        Work::Pretrain(training) | Work::Finetune(training) => training,
        Work::Risk(_) | Work::Evaluate(_) => panic!("a training plan"),
    }
}

/// What an operator mistypes is answered with the field's name.
#[test]
fn plan_out_of_range_is_refused_by_field() {
    type Spoil = (fn(&mut Plan), &'static str);
    let spoils: [Spoil; 28] = [
        (|it| it.name = String::new(), "name is 0"),
        (|it| it.name = "a\nb".into(), "name holds"),
        (|it| it.name = "a".repeat(129), "name is 129"),
        (|it| it.rounds = 0, "rounds is 0"),
        (|it| it.cohort.members_min = 2, "cohort.members_min is 2"),
        (|it| it.cohort.honest_min = 1, "honest_min"),
        (|it| it.cohort.colluders = Some(5), "cohort: fewer honest"),
        (
            |it| it.deadlines.reveal = Duration(0),
            "deadlines.reveal is 0",
        ),
        (|it| training_of(it).rate = 0.0, "training.rate is 0.0"),
        (|it| training_of(it).rate = f32::NAN, "training.rate is NaN"),
        (
            |it| training_of(it).rate_encoder = -1.0,
            "training.rate_encoder",
        ),
        (
            |it| training_of(it).rate_end = 1.5,
            "training.rate_end is 1.5",
        ),
        (
            |it| training_of(it).proximal = f32::INFINITY,
            "training.proximal",
        ),
        (
            |it| training_of(it).examples_cap = 0,
            "training.examples_cap",
        ),
        (|it| training_of(it).clip_norm = 0.0, "training.clip_norm"),
        (|it| training_of(it).range = f32::INFINITY, "training.range"),
        (
            |it| training_of(it).value_bits = 21,
            "training.value_bits is 21",
        ),
        (|it| training_of(it).value_bits = 7, "expected 8 to 20"),
        (|it| training_of(it).steps = 0, "training.steps"),
        (|it| training_of(it).to_day = 100, "from_day is 100"),
        (|it| training_of(it).parts.clear(), "training.parts is []"),
        (|it| training_of(it).parts.reverse(), "ascending"),
        (
            |it| training_of(it).model.schema.0.clear(),
            "model.schema is 0, expected 1 to 32768 bytes",
        ),
        (
            |it| training_of(it).model.layout.0.clear(),
            "model.layout.tensors is 0",
        ),
        (
            |it| training_of(it).model.layout.0[1].name = "head".into(),
            "repeats \"head\"",
        ),
        (
            |it| training_of(it).model.layout.0[1].shape = vec![0],
            "model.layout.size is 0",
        ),
        (
            |it| training_of(it).model.layout.0[1].init = Init::Normal(-1.0),
            "model.layout.init",
        ),
        (
            |it| {
                let (rate, beta1, beta2, epsilon) = (0.1, 1.0, 0.9, 1e-3);
                training_of(it).server = ServerRule::FedYogi(Adaptive {
                    rate,
                    beta1,
                    beta2,
                    epsilon,
                });
            },
            "training.server.beta1 is 1.0",
        ),
    ];
    for (spoil, field) in spoils {
        let mut plan = fixture::plan(Work::Finetune(fixture::training()), 3);
        spoil(&mut plan);
        let found = validate(&plan).unwrap_err();
        assert!(found.contains(field), "{found} for {field}");
    }
}

/// Slope and curvature of five parameters: 5 and 5 · 6 / 2.
#[test]
fn newtons_method_sums_curvature_of_a_linear_head_alone() {
    let plan = fixture::plan(Work::Finetune(fixture::newton()), 3);
    assert_eq!(words(&plan), Ok(6 + 5 + 15));
    let pretraining = fixture::plan(Work::Pretrain(fixture::newton()), 3);
    let found = validate(&pretraining).unwrap_err();
    assert!(
        found.contains("Newton, expected that in fine-tuning alone"),
        "{found}"
    );
    type Spoil = (fn(&mut Training), &'static str);
    let spoils: [Spoil; 6] = [
        (
            |it| it.parts = vec![Part::Encoder, Part::Head],
            "training.parts is [Encoder, Head], expected the head alone",
        ),
        (
            |it| it.model.layout.0[3].shape = vec![2, 4],
            "model.layout has a head of [[2, 4], [1]], expected [1, weights] and [1]",
        ),
        (
            |it| it.model.layout.0[4].part = Part::Energy,
            "model.layout has a head of [[1, 4]], expected",
        ),
        (
            |it| it.model.layout.0[3].shape = vec![1, 1_025],
            "head weights is 1025, expected 1 to 1024",
        ),
        (
            |it| it.server = newton(-0.5, 1.0),
            "training.server.radius is -0.5",
        ),
        (
            |it| it.server = newton(0.5, 0.0),
            "training.server.ridge is 0.0",
        ),
    ];
    for (spoil, expected) in spoils {
        let mut training = fixture::newton();
        spoil(&mut training);
        let found = validate(&fixture::plan(Work::Finetune(training), 3)).unwrap_err();
        assert!(found.contains(expected), "{found} for {expected}");
    }
}

#[test]
fn counts_are_planned_once() {
    for work in [fixture::risk(), fixture::evaluate()] {
        assert!(
            validate(&fixture::plan(work, 2))
                .unwrap_err()
                .contains("rounds is 2")
        );
    }
}

#[test]
fn part_without_a_tensor_is_refused() {
    let mut plan = fixture::plan(Work::Finetune(fixture::training()), 1);
    training_of(&mut plan).model.layout.0.remove(3);
    assert!(
        validate(&plan)
            .unwrap_err()
            .contains("training.parts holds Head")
    );
}

fn newton(radius: f32, ridge: f32) -> ServerRule {
    ServerRule::Newton(Newton { radius, ridge })
}

/// The plan's identity is over every field: an unsigned field would be the coordinator's to choose.
#[test]
fn every_field_of_a_plan_changes_its_identity() {
    let spoils: [fn(&mut Plan); 35] = [
        |it| it.name.push('!'),
        |it| it.rounds += 1,
        |it| it.cohort.members_min += 1,
        |it| it.cohort.colluders = Some(0),
        |it| it.cohort.honest_min += 1,
        |it| it.deadlines.selection.0 += 1,
        |it| it.deadlines.agreement.0 += 1,
        |it| it.deadlines.escrow.0 += 1,
        |it| it.deadlines.collection.0 += 1,
        |it| it.deadlines.acknowledgement.0 += 1,
        |it| it.deadlines.reveal.0 += 1,
        |it| it.nonce += 1,
        |it| it.expires.0 += 1,
        |it| it.width = Width::Packed,
        |it| training_of(it).model.schema.0.push('#'),
        |it| training_of(it).model.genesis_seed += 1,
        |it| training_of(it).model.layout.0[0].shape.reverse(),
        |it| training_of(it).model.base = Some(fixture::base(&[Part::Encoder])),
        |it| training_of(it).model.base = Some(fixture::base(&[Part::Encoder, Part::Head])),
        |it| {
            let mut base = fixture::base(&[Part::Encoder]);
            base.root.0[31] ^= 1;
            training_of(it).model.base = Some(base);
        },
        |it| training_of(it).parts.push(Part::Energy),
        |it| training_of(it).from_day += 1,
        |it| training_of(it).to_day += 1,
        |it| training_of(it).label_delay_days += 1,
        |it| training_of(it).rate *= 2.0,
        |it| training_of(it).rate_encoder *= 2.0,
        |it| training_of(it).rate_end *= 2.0,
        |it| training_of(it).proximal += 1.0,
        |it| training_of(it).examples_cap += 1,
        |it| training_of(it).clip_norm *= 2.0,
        |it| training_of(it).range *= 2.0,
        |it| training_of(it).server = ServerRule::FedAvg { rate: 0.5 },
        |it| training_of(it).server = newton(0.5, 1.0),
        |it| training_of(it).server = newton(1.0, 1.0),
        |it| training_of(it).server = newton(1.0, 0.5),
    ];
    let plan = fixture::plan(Work::Finetune(fixture::training()), 3);
    let mut ids = vec![plan.id()];
    for spoil in spoils {
        let mut spoiled = plan.clone();
        spoil(&mut spoiled);
        ids.push(spoiled.id());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 36);
}
