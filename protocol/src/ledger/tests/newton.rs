//! Newton's method in a federation: what the banks' sums come to is what all their rows together
//! would.

use super::*;
use crate::ledger::newton;

/// A payment's four columns and a 1 for the bias, and whether it was a fraud.
type Row = ([f64; 5], bool);

/// Rows of one bank, drawn from its number: one in four is a fraud, more where columns are high.
fn rows(bank: u16, count: usize) -> Vec<Row> {
    let mut stream = crypto::Seed::from_entropy([bank as u8; 32]).stream("rows", 0);
    let mut uniform = || {
        let mut bytes = [0; 4];
        stream.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0
    };
    let row = |_| {
        let columns = [uniform(), 2.0 * uniform(), uniform() - 0.5, uniform(), 1.0];
        let is_fraud = uniform() < 0.5 * columns[0] + 0.25 * columns[2];
        (columns, is_fraud)
    };
    (0..count).map(row).collect()
}

/// Downward slope and upper triangle of curvature of the mean logistic loss.
fn of_rows(rows: &[Row], weights: &[f32]) -> Vec<f32> {
    let (mut slope, mut curvature) = (vec![0.0; 5], vec![0.0; 15]);
    for (columns, is_fraud) in rows {
        let logit: f64 = columns
            .iter()
            .zip(weights)
            .map(|(x, w)| x * f64::from(*w))
            .sum();
        let probability = 1.0 / (1.0 + (-logit).exp());
        let wanted = f64::from(u8::from(*is_fraud)) - probability;
        let steep = probability * (1.0 - probability);
        let places = (0..5).flat_map(|row| (row..5).map(move |column| (row, column)));
        for ((row, column), value) in places.zip(&mut curvature) {
            *value += steep * columns[row] * columns[column] / rows.len() as f64;
        }
        for (value, column) in slope.iter_mut().zip(columns) {
            *value += wanted * column / rows.len() as f64;
        }
    }
    slope.extend(curvature);
    slope.into_iter().map(|value| value as f32).collect()
}

// Banks of 100 to 500 rows, which weigh as their rows. The end is the optimum of everybody's rows:
// there the ridge pulls as the slope does.
#[test]
fn banks_step_as_all_their_rows_together_would() {
    let mut training = fixture::newton();
    (training.range, training.clip_norm, training.examples_cap) = (1.0, 1e3, 500);
    let ServerRule::Newton(terms) = training.server else {
        panic!("Newton's method");
    };
    let plan = fixture::plan(Work::Finetune(training.clone()), 12);
    let mut ledger = Ledger::new(fixture::session());
    let banks: Vec<Vec<Row>> = (0..5)
        .map(|bank| rows(bank, 100 + 100 * usize::from(bank)))
        .collect();
    let everybody = banks.concat();
    let place = genesis::ranges(&training.model.layout, &training.parts)[0].clone();
    let head = |ledger: &Ledger| ledger.model(&training.model).unwrap().0[place.clone()].to_vec();
    let others = |ledger: &Ledger| {
        let mut all = ledger.model(&training.model).unwrap().0.to_vec();
        all.drain(place.clone());
        all
    };
    let untouched = others(&ledger);
    for _ in 0..12 {
        let before = head(&ledger);
        let vectors = banks.iter().zip(0..).map(|(rows, bank)| {
            let seed = crypto::Seed::from_entropy([bank; 32]);
            let update = of_rows(rows, &before);
            vector::encode_update(&update, rows.len() as u64, &training, 20, &seed).unwrap()
        });
        let result = fixture::result(&ledger, &plan, &vectors.collect::<Vec<_>>());
        ledger.apply(&result).unwrap();
        let pooled = newton::step(&terms, &of_rows(&everybody, &before), &before);
        for ((after, before), step) in head(&ledger).iter().zip(&before).zip(&pooled) {
            let found = f64::from(after - before);
            assert!(
                (found - step).abs() < 1e-3 * (1.0 + step.abs()),
                "{found} {step}"
            );
        }
    }
    let end = head(&ledger);
    let slope = of_rows(&everybody, &end);
    for (at, (slope, weight)) in slope.iter().zip(&end).enumerate() {
        let pull = if at < 4 { terms.ridge * weight } else { 0.0 };
        assert!((slope - pull).abs() < 1e-4, "{at}: {slope} {pull}");
    }
    assert!(end[0] > 1.0, "{end:?}");
    assert_eq!(others(&ledger), untouched);
}

#[test]
fn a_round_in_which_nobody_had_a_row_leaves_the_head() {
    let plan = fixture::plan(Work::Finetune(fixture::newton()), 2);
    let training = fixture::newton();
    let mut ledger = Ledger::new(fixture::session());
    let before = ledger.model(&training.model).unwrap().1;
    let seed = crypto::Seed::from_entropy([1; 32]);
    let nothing = vector::encode_update(&[0.0; 20], 0, &training, 20, &seed).unwrap();
    ledger
        .apply(&fixture::result(&ledger, &plan, &vec![nothing; 5]))
        .unwrap();
    assert_eq!(ledger.model(&training.model).unwrap().1, before);
}
