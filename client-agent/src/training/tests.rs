//! Orders on a small past: what comes out has the right length, is finite, and repeats; results
//! are put to use; the baseline goes second.

use std::ops::Range;
use std::sync::Arc;

use crypto::{Digest, SigningKey};
use features::{FeatureEncoder, FeatureSchema, RiskSettings};
use model::NetworkSize;
use protocol::bucket::BucketKey;
use protocol::client::{Contribution, Installed, Order};
use protocol::credential::{Credential, Role};
use protocol::id::{Attempt, ClientId, Context, EpochId, RoundId, Seats};
use protocol::message::{Due, Manifest, RoundOutcome, RoundResult};
use protocol::plan::{
    EvaluateTerms, Evaluated, Kind, ModelTerms, Part, Plan, RiskTerms, SchemaText, ServerRule,
    SignedPlan, Training, Work,
};
use protocol::signed::Signed;
use protocol::time::Time;
use protocol::{genesis, limits};

use super::*;
use crate::config::{self, Baseline};
use crate::history::tests::sample;
use crate::history::{History, Verdict};
use crate::network;
use crate::scoring::{Head, Slot};
use crate::status::{BaselineStatus, Board};

mod courtesy;
mod live;
mod month;
mod newton;
mod parity;
mod patience;
mod plan;
mod pretrained;
mod promotion;
mod reasons;
mod released;
mod resumed;
mod rivals;

fn model_terms() -> ModelTerms {
    model_terms_of(&FeatureSchema::standard())
}

fn model_terms_of(schema: &FeatureSchema) -> ModelTerms {
    let size = NetworkSize {
        width: 8,
        frequencies: 2,
        head: 8,
    };
    let layout = network::layout(schema, size);
    ModelTerms {
        schema: SchemaText(schema.canonical()),
        layout,
        genesis_seed: 1,
        base: None,
    }
}

fn training(parts: &[Part]) -> Training {
    Training {
        model: model_terms(),
        parts: parts.to_vec(),
        from_day: 17_010,
        to_day: 17_017,
        label_delay_days: 7,
        steps: 5,
        batch: 32,
        rate: 3e-3,
        rate_encoder: 1e-3,
        rate_end: 0.02,
        proximal: 0.0,
        examples_cap: 1_000,
        clip_norm: 10.0,
        range: 0.5,
        value_bits: 20,
        server: ServerRule::FedAvg { rate: 1.0 },
    }
}

fn pretrain() -> Work {
    Work::Pretrain(training(&[Part::Encoder, Part::Energy]))
}

fn finetune() -> Work {
    Work::Finetune(training(&[Part::Encoder, Part::Head]))
}

fn plan(work: Work) -> Plan {
    let rounds = if work.model().is_some() { 2 } else { 1 };
    plan::plan(work, rounds)
}

fn order(work: Work) -> Order {
    let parameters = work.model().map(genesis::parameters).unwrap_or_default();
    Order {
        context: Context(Digest([1; 32])),
        round: RoundId(4),
        plan: plan(work),
        step: 0,
        parameters: Arc::new(parameters),
        seed: 9,
        bucket_key: None,
    }
}

fn bucket_key() -> BucketKey {
    BucketKey::new(&Digest([0; 32]), [1; 32])
}

fn manifest(plan: &Plan, step: u32, payload: usize) -> Manifest {
    let none = Digest([0; 32]);
    Manifest {
        version: limits::PROTOCOL_VERSION,
        session: none,
        epoch: EpochId(1),
        roster: none,
        round: RoundId(5),
        attempt: Attempt(0),
        plan: plan.id(),
        step,
        base: none,
        head: none,
        words: payload as u64 + 6,
        word_bits: 32,
        value_bits: 20,
        cohort: Seats::default(),
        colluders: 1,
        threshold: 3,
        honest_min: 3,
        degree: 2,
        graph_seed: none,
        due: Due {
            escrow: Time(0),
            collection: Time(0),
            end: Time(0),
        },
        bucket_key: (plan.work.kind() == Kind::Risk).then(|| bucket_key().commitment()),
    }
}

fn result(work: Work, step: u32, payload: &[i32]) -> Installed {
    result_of(plan(work), step, payload)
}

fn result_of(plan: Plan, step: u32, payload: &[i32]) -> Installed {
    let key = SigningKey::from_seed([3; 32]);
    let none = Digest([0; 32]);
    let model = plan.work.model();
    let parameters = model.map(|terms| Arc::new(genesis::parameters(terms)));
    let manifest = manifest(&plan, step, payload.len());
    let outcome = RoundOutcome {
        context: manifest.context(),
        round: RoundId(5),
        sequence: 17,
        previous: none,
        escrowed: none,
        survivors: none,
        masked: none,
        revealed: none,
        sum: none,
    };
    let operator = Credential {
        role: Role::Operator,
        name: "operator".to_owned(),
        id: ClientId(none),
        key: key.verify_key(),
        serial: 1,
        expires: Time(u64::MAX),
    };
    let sum = [0, 0, 0, 0, 3, 0]
        .into_iter()
        .chain(payload.iter().copied())
        .collect();
    let result = RoundResult {
        outcome: Signed::sign(outcome, &key),
        manifest: Signed::sign(manifest, &key),
        plan: SignedPlan {
            plan: Signed::sign(plan, &key),
            operator: Signed::sign(operator, &key),
        },
        acks: Vec::new(),
        survivors: Seats::default(),
        sum,
    };
    Installed {
        result: Arc::new(result),
        parameters,
        banks: 3,
        step,
    }
}

fn trainer(wanted: Baseline) -> (Trainer, Board) {
    model::threads(1);
    let own = config::Own {
        baseline: wanted,
        head: config::Head::Federation,
    };
    trainer_of(own)
}

fn trainer_of(own: config::Own) -> (Trainer, Board) {
    model::threads(1);
    let board = Board::default();
    (Trainer::new(sample(25, 20), own, board.clone()), board)
}

fn delta(contribution: Contribution) -> (Vec<f32>, u64) {
    match contribution {
        Contribution::Update { delta, examples } => (delta, examples),
        Contribution::Counts(_) => panic!("an update was ordered"),
    }
}

#[test]
fn training_changes_the_plans_parts_and_nothing_else() {
    for (work, parts, kind) in [
        (pretrain(), [Part::Encoder, Part::Energy], "pretrain"),
        (finetune(), [Part::Encoder, Part::Head], "finetune"),
    ] {
        let (mut trainer, board) = trainer(Baseline::Off);
        let (delta, examples) = delta(trainer.contribute(&order(work)).unwrap());
        assert_eq!(delta.len(), genesis::count(&model_terms().layout, &parts));
        assert!(delta.iter().all(|value| value.is_finite()));
        assert!(delta.iter().filter(|value| **value != 0.0).count() > delta.len() / 2);
        assert_eq!(
            examples,
            if kind == "pretrain" {
                140
            } else {
                trained_on()
            }
        );
        let status = board.read().training;
        assert_eq!(
            (status.len(), status[0].kind, status[0].round),
            (1, kind, Some(4))
        );
        assert_eq!(status[0].held_out.is_some(), kind == "pretrain");
    }
}

/// Payments of the plan's days that have a label and whose card is not held out.
fn trained_on() -> u64 {
    let history = sample(25, 20);
    let held_out = calibration::HeldOut::new(history.cards());
    let mut count = 0;
    let replayed = history.replay(|payment, _| {
        let is_shown = payment.verdict != Verdict::Unknown && !held_out.holds(payment.card);
        count += u64::from((17_010..17_017).contains(&payment.day()) && is_shown);
    });
    replayed.unwrap();
    count
}

// Whole rounds by hand, as the coordinator steps a model with one bank: whatever is wrong with
// an update's sign, its place or the rates shows in the loss.
#[test]
fn applying_the_updates_lowers_the_loss() {
    for work in [pretrain(), finetune()] {
        let (mut trainer, board) = trainer(Baseline::Off);
        let mut order = order(work.clone());
        order.plan.rounds = 30;
        let (Work::Pretrain(training) | Work::Finetune(training)) = work else {
            panic!("both train")
        };
        for step in 0..30 {
            order.step = step;
            let (delta, _) = delta(trainer.contribute(&order).unwrap());
            let places = genesis::ranges(&training.model.layout, &training.parts);
            let mut parameters = order.parameters.to_vec();
            for (at, change) in places.into_iter().flatten().zip(delta) {
                parameters[at] += change;
            }
            order.parameters = Arc::new(parameters);
        }
        let losses: Vec<f32> = board.read().training.iter().map(|t| t.loss).collect();
        assert!(losses[29] < 0.95 * losses[0], "{losses:?}");
    }
}

#[test]
fn the_same_order_gives_the_same_bytes() {
    for work in [pretrain(), finetune()] {
        let once = || {
            let (mut trainer, _) = trainer(Baseline::Off);
            delta(trainer.contribute(&order(work.clone())).unwrap())
        };
        assert_eq!(once(), once());
    }
}

// Adam's moments make the second of two equal orders differ from the first.
#[test]
fn moments_outlive_a_round() {
    let (mut trainer, _) = trainer(Baseline::Off);
    let first = trainer.contribute(&order(finetune())).unwrap();
    let second = trainer.contribute(&order(finetune())).unwrap();
    assert_ne!(first, second);
}

#[test]
fn a_bank_without_data_takes_part_with_zeros() {
    let board = Board::default();
    let mut trainer = Trainer::new(
        History::new(FeatureSchema::standard(), Verdict::Unknown),
        config::Own {
            baseline: Baseline::Local,
            head: config::Head::Personal,
        },
        board.clone(),
    );
    for work in [pretrain(), finetune()] {
        let (delta, examples) = delta(trainer.contribute(&order(work)).unwrap());
        assert!(examples == 0 && !delta.is_empty() && delta.iter().all(|value| *value == 0.0));
    }
    let evaluate = order(evaluate());
    let counts = trainer.contribute(&evaluate).unwrap();
    assert_eq!(counts, Contribution::Counts(vec![0; 128]));
    // A model still arrives, uncalibrated, and there is nothing to make a baseline from, nor to
    // check its arithmetic on.
    assert!(matches!(
        trainer.install(&result(finetune(), 1, &[])),
        Some(Product::Model(_))
    ));
    let model = board.read().model.unwrap();
    assert_eq!((model.parity_rows, model.parity_max_abs), (0, None));
    assert!(!trainer.has_solo_work());
}

fn evaluate() -> Work {
    let (from_day, to_day, label_delay_days) = (17_010, 17_017, 7);
    Work::Evaluate(EvaluateTerms {
        model: model_terms(),
        of: Evaluated::Scores { bins: 64 },
        from_day,
        to_day,
        label_delay_days,
    })
}

#[test]
fn an_evaluation_counts_every_labelled_payment_once() {
    let (mut trainer, board) = trainer(Baseline::Off);
    let Contribution::Counts(counts) = trainer.contribute(&order(evaluate())).unwrap() else {
        panic!("counts were ordered")
    };
    let (mut labelled, mut frauds) = (0, 0);
    let replayed = sample(25, 20).replay(|payment, _| {
        if (17_010..17_017).contains(&payment.day()) {
            labelled += u32::from(payment.verdict != Verdict::Unknown);
            frauds += u32::from(matches!(payment.verdict, Verdict::Fraud { .. }));
        }
    });
    replayed.unwrap();
    assert_eq!(counts.iter().sum::<u32>(), labelled);
    assert_eq!(counts[64..].iter().sum::<u32>(), frauds);
    assert!(frauds > 5);

    let sum = counts
        .iter()
        .map(|count| count.cast_signed())
        .collect::<Vec<_>>();
    assert!(trainer.install(&result(evaluate(), 0, &sum)).is_none());
    let evaluation = &board.read().evaluation[0];
    assert_eq!(
        (evaluation.banks, evaluation.measures.frauds),
        (3, u64::from(frauds))
    );
}

fn moments(columns: u32) -> Work {
    let Work::Evaluate(terms) = evaluate() else {
        panic!("it evaluates")
    };
    Work::Evaluate(EvaluateTerms {
        of: Evaluated::Moments { columns },
        ..terms
    })
}

#[test]
fn moments_count_what_is_there_and_nothing_else() {
    let (mut trainer, board) = trainer(Baseline::Off);
    let columns = FeatureSchema::standard().len();
    let all = moments(u32::try_from(columns).unwrap());
    let Contribution::Counts(counts) = trainer.contribute(&order(all.clone())).unwrap() else {
        panic!("counts were ordered")
    };
    let (mut encoder, mut rows) = (
        FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default()),
        Vec::new(),
    );
    let history = sample(25, 20);
    let replayed = history.replay(|payment, transaction| {
        let vector = encoder.encode(transaction);
        if (17_010..17_017).contains(&payment.day()) {
            rows.push((vector.0, transaction.terminal_tok.is_some()));
        }
    });
    replayed.unwrap();
    let sum: Vec<i32> = counts.iter().map(|count| count.cast_signed()).collect();
    let found = protocol::moments::moments(&sum);
    let near = |found: f64, expected: f32| (found - f64::from(expected)).abs() < 1e-3;
    let amount = found[0].unwrap();
    let mean = rows.iter().map(|(row, _)| row[0]).sum::<f32>() / rows.len() as f32;
    let square = rows
        .iter()
        .map(|(row, _)| (row[0] - mean).powi(2))
        .sum::<f32>();
    assert_eq!(amount.count, rows.len() as u64);
    assert!(near(amount.mean, mean), "{} {mean}", amount.mean);
    let deviation = (square / rows.len() as f32).sqrt();
    assert!(near(amount.deviation, deviation), "{deviation}");
    // A payment without an outlet has no visits, which is not the same as an average number.
    let visits = FeatureSchema::standard().position("visits").unwrap();
    let there = rows.iter().filter(|(_, has_outlet)| *has_outlet).count();
    assert!(there < rows.len());
    assert_eq!(found[visits].unwrap().count, there as u64);
    assert!(trainer.install(&result(all, 0, &sum)).is_none());
    assert!(board.read().evaluation.is_empty());

    let error = trainer.contribute(&order(moments(7))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("plan measures 7 columns, expected the schema's {columns}")
    );
}

#[test]
fn a_plan_about_another_network_is_declined_in_a_sentence() {
    let (mut trainer, _) = trainer(Baseline::Off);
    let mut strange = order(finetune());
    if let Work::Finetune(training) = &mut strange.plan.work {
        training.model.schema.0.clear();
    }
    let error = trainer.contribute(&strange).unwrap_err().to_string();
    assert!(error.contains("schema"), "{error}");
    let mut crooked = order(finetune());
    crooked.parameters = Arc::new(vec![0.0; 3]);
    let error = trainer.contribute(&crooked).unwrap_err().to_string();
    assert!(error.contains("3 parameters"), "{error}");
}

#[test]
fn only_a_fine_tuned_model_scores() {
    let (mut trainer, board) = trainer(Baseline::Off);
    assert!(trainer.install(&result(pretrain(), 1, &[])).is_none());
    assert_eq!(board.read().model, None);
    let Some(Product::Model(bundle)) = trainer.install(&result(finetune(), 1, &[])) else {
        panic!("a model was installed")
    };
    assert_eq!((bundle.slot, bundle.version), (Slot::Live, 17));
    let model = board.read().model.unwrap();
    assert_eq!(model.parameters, Digest(bundle.digest).to_hex());
    assert!(model.calibrated_on > 0 && bundle.calibration.a > 0.0);
    // The week of the plan, whatever the cards and labels.
    assert_eq!(model.parity_rows, 140);
    assert!(model.parity_max_abs.unwrap() <= model::PARITY_MAX);
    assert!(!trainer.has_solo_work());
}

// Energies as they were drawn at first would say what chance says. The past ends with day 17,024.
#[test]
fn a_model_that_was_pretrained_comes_with_what_is_usual() {
    let (mut trainer, _) = trainer(Baseline::Off);
    let mut usual = |installed: &Installed| match trainer.install(installed) {
        Some(Product::Model(bundle)) => bundle.usual,
        Some(Product::Risk(_)) | None => panic!("a model was installed"),
    };
    let mut installed = result(finetune(), 1, &[]);
    assert!(usual(&installed).is_none());
    let mut parameters = genesis::parameters(&model_terms());
    for range in genesis::ranges(&model_terms().layout, &[Part::Energy]) {
        parameters[range].iter_mut().for_each(|value| *value *= 2.0);
    }
    installed.parameters = Some(Arc::new(parameters));
    let energies = vec![0.0; FeatureSchema::standard().groups().len()];
    let surprises = usual(&installed).unwrap().surprises(17_025, &energies);
    assert!(surprises.len() == energies.len() && surprises.iter().all(Option::is_some));
}

fn risk_terms(from_day: u32, label_delay_days: u16) -> RiskTerms {
    RiskTerms {
        buckets: 16,
        salt: Digest([5; 32]),
        from_day,
        days: 1,
        label_delay_days,
        banks_min: 1,
    }
}

/// One released day: four payments, four frauds, four banks in every bucket.
fn released_day(from_day: u32) -> Installed {
    result(Work::Risk(risk_terms(from_day, 2)), 0, &[4; 16 * 3])
}

#[test]
fn a_risk_plan_of_another_delay_than_the_table_is_declined() {
    let (mut trainer, _) = trainer(Baseline::Off);
    trainer.keep(bucket_key());
    trainer.install(&released_day(17_000));
    let mut counted = |label_delay_days| {
        let mut order = order(Work::Risk(risk_terms(17_001, label_delay_days)));
        order.bucket_key = Some(bucket_key());
        trainer.contribute(&order)
    };
    assert!(counted(2).is_ok());
    let declined = counted(3).unwrap_err().to_string();
    assert!(declined.contains("label delay of 3 days"), "{declined}");
}

#[test]
fn a_risk_result_becomes_the_table_that_training_reads() {
    let (mut without, _) = trainer(Baseline::Off);
    let (plain, _) = delta(without.contribute(&order(finetune())).unwrap());
    let (mut with_table, board) = trainer(Baseline::Off);
    // What came before the key waits for it.
    assert!(with_table.install(&released_day(16_999)).is_none());
    let product = with_table.keep(bucket_key());
    assert!(matches!(product, Some(Product::Risk(_))));
    for from_day in 17_000..17_010 {
        let product = with_table.install(&released_day(from_day));
        assert!(matches!(product, Some(Product::Risk(_))));
    }
    assert_eq!(board.read().risk.newest_day, Some(17_009));
    assert_ne!(
        delta(with_table.contribute(&order(finetune())).unwrap()).0,
        plain
    );
}

#[test]
fn the_baseline_is_trained_for_as_many_rounds_and_lands_in_its_slot() {
    let (mut trainer, board) = trainer(Baseline::Local);
    trainer.install(&result(pretrain(), 1, &[]));
    trainer.install(&result(finetune(), 0, &[]));
    assert!(!trainer.has_solo_work(), "the plan has another round");
    trainer.install(&result(finetune(), 1, &[]));
    let mut advances = 0;
    let mut bundle = None;
    while trainer.has_solo_work() {
        assert_eq!(board.read().baseline, BaselineStatus::Training);
        advances += 1;
        bundle = trainer.advance_solo().pop();
    }
    assert_eq!((advances, board.read().training.len()), (5, 4));
    let Some(Product::Model(bundle)) = bundle else {
        panic!("the last advance gives a model")
    };
    assert_eq!(
        (bundle.slot, board.read().baseline),
        (Slot::Local, BaselineStatus::Ready)
    );
    assert_ne!(*bundle.parameters, genesis::parameters(&model_terms()));
}

/// The model that arrives here never saw a label, so that any head of the bank's own is better.
#[test]
fn a_head_of_the_banks_own_decides_where_held_out_cards_prefer_it() {
    let (mut trainer, board) = trainer_of(config::Own {
        baseline: Baseline::Off,
        head: config::Head::Personal,
    });
    let federation = trainer.install(&result(finetune(), 1, &[]));
    let Some(Product::Model(federation)) = federation else {
        panic!("a model was installed")
    };
    assert_eq!(federation.head, Head::Federation);
    let mut products = Vec::new();
    while trainer.has_solo_work() {
        products.extend(trainer.advance_solo());
    }
    let [Product::Model(own)] = &products[..] else {
        panic!("a head was preferred, found {} products", products.len())
    };
    assert_eq!((own.slot, own.head), (Slot::Live, Head::Personal));
    let status = board.read().model.unwrap();
    assert_eq!(status.head, Head::Personal);
    assert_eq!(status.parameters, Digest(own.digest).to_hex());
    let layout = model_terms().layout.0;
    let encoder = layout.iter().take_while(|spec| spec.part != Part::Head);
    let encoder: u32 = encoder.map(|spec| spec.shape.iter().product::<u32>()).sum();
    let encoder = encoder as usize;
    assert_eq!(own.parameters[..encoder], federation.parameters[..encoder]);
    assert_ne!(own.parameters[encoder..], federation.parameters[encoder..]);
    // The next model of the federation takes its place, and the same head comes of it again.
    trainer.install(&result(finetune(), 0, &[]));
    assert_eq!(board.read().model.unwrap().head, Head::Federation);
    assert!(!trainer.has_solo_work());
    trainer.install(&result(finetune(), 1, &[]));
    let mut again = None;
    while trainer.has_solo_work() {
        again = trainer.advance_solo().pop();
    }
    let Some(Product::Model(again)) = again else {
        panic!("a head was preferred before")
    };
    assert_eq!(again.parameters, own.parameters);
}

// The bank alone has no table: whatever the federation released must not reach its model.
#[test]
fn the_baseline_knows_nothing_of_the_federations_risk() {
    let parameters = |released: bool| {
        let (mut trainer, _) = trainer(Baseline::Local);
        trainer.keep(bucket_key());
        if released {
            (17_000..17_010).for_each(|day| drop(trainer.install(&released_day(day))));
        }
        trainer.install(&result(finetune(), 1, &[]));
        let mut product = None;
        while trainer.has_solo_work() {
            product = trainer.advance_solo().pop();
        }
        match product {
            Some(Product::Model(bundle)) => bundle.parameters.to_vec(),
            Some(Product::Risk(_)) | None => panic!("the last advance gives a model"),
        }
    };
    assert_eq!(parameters(true), parameters(false));
}

#[test]
fn the_worker_answers_orders_in_turn_and_ends_when_dropped() {
    let (trainer, _) = trainer(Baseline::Off);
    let (answers, answered) = channel();
    let (products, delivered) = channel();
    let answer = move |outcome| answers.send(outcome).unwrap();
    let deliver = move |product| products.send(product).unwrap();
    let worker = Worker::start(trainer, Share::Behind, answer, deliver).unwrap();
    assert!(worker.install(result(finetune(), 0, &[])));
    assert!(worker.contribute(Box::new(order(finetune()))));
    let outcome = answered.recv().unwrap();
    assert_eq!(outcome.context, Context(Digest([1; 32])));
    assert!(outcome.contribution.is_ok());
    assert!(matches!(delivered.recv().unwrap(), Product::Model(_)));
    drop(worker);
    assert!(answered.recv().is_err());
}

// Planted faults: it says so at once; it says nothing where the thread is gone.
#[tokio::test]
async fn the_worker_says_when_what_it_got_is_done() {
    let (products, delivered) = channel();
    let deliver = move |product| products.send(product).unwrap();
    let (trainer, _) = trainer(Baseline::Off);
    let worker = Worker::start(trainer, Share::Behind, drop, deliver).unwrap();
    assert!(worker.install(result(finetune(), 0, &[])));
    worker.restored().await;
    assert!(matches!(delivered.try_recv(), Ok(Product::Model(_))));

    let (trainer, _) = self::trainer(Baseline::Off);
    let answer = |_: Outcome| panic!("planted");
    let worker = Worker::start(trainer, Share::Behind, answer, drop).unwrap();
    assert!(worker.contribute(Box::new(order(finetune()))));
    worker.restored().await;
}

// The order lacks its key, so it is answered at once: on a full machine the thread has little time.
// Planted faults: the share is not asked for; it is always asked for; it is asked for at the start;
// the thread stands behind from the start, or never.
#[test]
fn the_training_thread_takes_its_share_once_it_is_restored_and_is_like_any_other_before() {
    let place = || {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        (class_of(&stat), nice_of(&stat))
    };
    let trains_in = |share: Share| {
        let (trainer, _) = trainer(Baseline::Off);
        let (answers, answered) = channel();
        let answer = move |_: Outcome| answers.send(place()).unwrap();
        let worker = Worker::start(trainer, share, answer, drop).unwrap();
        let order = || Box::new(order(Work::Risk(risk_terms(17_010, 2))));
        assert!(worker.contribute(order()));
        let at_first = answered.recv().unwrap();
        drop(worker.restored());
        assert!(worker.contribute(order()));
        (at_first, answered.recv().unwrap())
    };
    let (class, nice) = place();
    let behind = nice.max(10);
    let own = (class, nice);
    assert_eq!(trains_in(Share::Behind), (own, (class, behind)));
    let (at_first, (then, _)) = trains_in(Share::Idle);
    assert_eq!((at_first, then), (own, SCHED_IDLE));
}

/// The niceness of a thread: field 19 of proc_pid_stat(5), the 17th after the name in brackets.
fn nice_of(stat: &str) -> i32 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// The policy of a thread: field 41 of proc_pid_stat(5), the 39th after the name in brackets.
pub(crate) fn class_of(stat: &str) -> u32 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(38).unwrap().parse().unwrap()
}

pub(crate) const SCHED_IDLE: u32 = 5;
