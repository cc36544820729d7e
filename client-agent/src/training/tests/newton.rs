//! Plans whose server solves for its steps: a bank says slope and curvature, and steps nothing.

use protocol::ledger::Optimizer;
use protocol::plan::Newton;
use protocol::terms;

use super::*;

pub(super) fn newton() -> Work {
    let size = NetworkSize {
        width: 8,
        frequencies: 2,
        head: 0,
    };
    let mut training = training(&[Part::Head]);
    training.model.layout = network::layout(&FeatureSchema::standard(), size);
    training.range = 1.0;
    training.server = ServerRule::Newton(Newton {
        radius: 0.5,
        ridge: 1e-2,
    });
    Work::Finetune(training)
}

fn terms_of(work: &Work) -> &Training {
    let Work::Finetune(training) = work else {
        panic!("it fine-tunes");
    };
    training
}

// As the ledger steps a federation of one bank, until there is nothing left to gain.
#[test]
fn the_steps_of_slope_and_curvature_lead_to_the_lowest_loss() {
    let work = newton();
    let training = terms_of(&work);
    let (mut trainer, board) = trainer(Baseline::Off);
    let mut order = order(work.clone());
    order.plan.rounds = 12;
    let places = genesis::ranges(&training.model.layout, &training.parts);
    let (mut moved, mut optimizer) = (Vec::new(), Optimizer::default());
    for step in 0..12 {
        order.step = step;
        let (values, examples) = delta(trainer.contribute(&order).unwrap());
        assert_eq!(Some(values.len() as u64), terms::values(training));
        assert_eq!(examples, trained_on());
        let mut parameters = order.parameters.to_vec();
        optimizer.step(&training.server, &values, &places, &mut parameters);
        let change = parameters.iter().zip(order.parameters.iter());
        let squares: f32 = change.clone().map(|(new, old)| (new - old).powi(2)).sum();
        moved.push(squares.sqrt());
        let encoder = places[0].start;
        assert_eq!(parameters[..encoder], order.parameters[..encoder]);
        order.parameters = Arc::new(parameters);
    }
    let status = board.read().training;
    let losses: Vec<f32> = status.iter().map(|step| step.loss).collect();
    assert!(losses[11] < 0.8 * losses[0], "{losses:?}");
    assert!(moved[11] < 1e-3 * moved[0], "{moved:?}");
    assert_eq!(status[0].frauds.map(|frauds| frauds > 0), Some(true));
}

// There is no moment to know, no row to draw and no unit to drop.
#[test]
fn the_same_model_has_the_same_curvature_whatever_came_before() {
    let (mut trainer, _) = trainer(Baseline::Off);
    let mut order = order(newton());
    let first = trainer.contribute(&order).unwrap();
    (order.step, order.seed) = (1, 10);
    assert_eq!(first, trainer.contribute(&order).unwrap());
}

#[test]
fn a_bank_without_labels_sends_as_many_zeros() {
    let board = Board::default();
    let own = config::Own {
        baseline: Baseline::Off,
        head: config::Head::Federation,
    };
    let history = History::new(FeatureSchema::standard(), Verdict::Unknown);
    let mut trainer = Trainer::new(history, own, board);
    let work = newton();
    let (values, examples) = delta(trainer.contribute(&order(work.clone())).unwrap());
    assert_eq!(Some(values.len() as u64), terms::values(terms_of(&work)));
    assert!(examples == 0 && values.iter().all(|value| *value == 0.0));
}

// The bank alone takes as many steps of the same rule: its head moves, by no rate and from no draw.
#[test]
fn the_baseline_is_solved_for_too() {
    let baseline = |rate: f32| {
        let mut work = newton();
        let Work::Finetune(training) = &mut work else {
            panic!("it fine-tunes");
        };
        training.rate = rate;
        let (mut trainer, board) = trainer(Baseline::Local);
        trainer.install(&result(work, 1, &[]));
        let mut bundle = None;
        while trainer.has_solo_work() {
            bundle = trainer.advance_solo().pop();
        }
        let Some(Product::Model(bundle)) = bundle else {
            panic!("the last advance gives a model")
        };
        let losses = board.read().training;
        let losses: Vec<f32> = losses.iter().map(|step| step.loss).collect();
        (bundle.parameters.to_vec(), losses)
    };
    let (parameters, losses) = baseline(3e-3);
    assert!(losses.len() == 2 && losses[1] < losses[0], "{losses:?}");
    let work = newton();
    let model = &terms_of(&work).model;
    let start = genesis::parameters(model);
    let head = genesis::ranges(&model.layout, &[Part::Head])[0].start;
    assert_eq!(parameters[..head], start[..head]);
    let moved = parameters[head..].iter().zip(&start[head..]);
    assert!(moved.filter(|(new, old)| new != old).count() > 10);
    assert_eq!(baseline(0.1).0, parameters);
}
