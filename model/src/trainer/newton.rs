//! What Newton's method needs of a bank's rows at the parameters as they are: slope and curvature
//! of the mean loss in a linear head. To solve for the step of all banks' means is the server's.

use tch::{Kind, Tensor, no_grad};

use super::labelled::{Batch, Labelled};
use super::{Curvature, FinetuneReport, Learner, check_step, term};
use crate::error::ModelError;
use crate::examples::Examples;
use crate::forward::Network;
use crate::progress::Progress;

/// Rows at once: memory is bounded by them, whatever the rows are.
const BATCH: usize = 4_096;

pub(super) fn run(
    learner: &Learner,
    examples: &Examples,
    progress: &mut dyn Progress,
) -> Result<Curvature, ModelError> {
    let deep = f32::from(learner.size.head);
    term("head", deep, 0.0..1.0, "0, a linear head")?;
    let Labelled { rows, frauds } = Labelled::of(examples)?;
    let sums = no_grad(|| sums(learner, examples, &rows, progress))?;
    let mean = |sum: &f64| (sum / rows.len() as f64) as f32;
    let values: Vec<f32> = sums.values.iter().map(mean).collect();
    let loss = mean(&sums.loss);
    check_step(0, loss, &values)?;
    Ok(Curvature {
        values,
        report: FinetuneReport {
            loss,
            examples: rows.len() as u32,
            frauds,
            steps: 0,
        },
    })
}

/// Sums over rows.
struct Sums {
    loss: f64,
    /// Slope downwards, then the upper triangle of the curvature.
    values: Vec<f64>,
}

/// In f64: a curvature that rounding has bent the other way has no lowest point.
fn sums(
    learner: &Learner,
    examples: &Examples,
    rows: &[usize],
    progress: &mut dyn Progress,
) -> Result<Sums, ModelError> {
    let flat = Tensor::f_from_slice(&learner.parameters)?;
    let flat = learner.device.hold(flat)?;
    let network = Network::new(&learner.layout, &learner.roles, &flat)?;
    let weights = network.last_layer()?.f_to_kind(Kind::Double)?;
    let size = weights.size1()?;
    let zeros = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Double, weights.device()));
    let (mut slope, mut curvature) = (zeros(&[size])?, zeros(&[size, size])?);
    let mut loss = 0.0;
    let (mut done, batches) = (0, rows.chunks(BATCH));
    let of = batches.len() as u32;
    for rows in batches {
        let batch = Batch::of(learner, examples, rows)?;
        let read = read(&network, &batch)?;
        let labels = batch.labels.f_to_kind(Kind::Double)?;
        let logits = read.f_mv(&weights)?;
        let chance = logits.f_sigmoid()?;
        let across = read.f_transpose(0, 1)?;
        slope = slope.f_add(&across.f_mv(&labels.f_sub(&chance)?)?)?;
        let steep = chance.f_mul(&chance.f_neg()?.f_add_scalar(1.0)?)?;
        let steep = read.f_mul(&steep.f_unsqueeze(1)?)?;
        curvature = curvature.f_add(&across.f_mm(&steep)?)?;
        // log(1 + e^x) - label · x.
        let each = logits.f_softplus()?.f_sub(&labels.f_mul(&logits)?)?;
        let lost = each.f_sum(Kind::Double)?.f_double_value(&[])?;
        loss += lost;
        done += 1;
        progress.step(done, of, (lost / rows.len() as f64) as f32, "");
    }
    let mut values = Vec::<f64>::try_from(slope)?;
    let curvature = Vec::<f64>::try_from(curvature.f_flatten(0, 1)?)?;
    let size = size as usize;
    let rows = curvature.chunks(size).enumerate();
    values.extend(rows.flat_map(|(row, of_row)| &of_row[row..]));
    Ok(Sums { loss, values })
}

/// What the head reads of a batch, and a 1 for its bias: `[rows, weights + 1]` of f64.
fn read(network: &Network, batch: &Batch) -> Result<Tensor, ModelError> {
    let z = network.encode(&batch.inputs)?;
    let ones = Tensor::f_ones([z.size()[0], 1], (Kind::Float, z.device()))?;
    Ok(Tensor::f_cat(&[&z, &batch.beside, &ones], 1)?.f_to_kind(Kind::Double)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkSize, genesis, layout};
    use crate::synthetic;

    const LINEAR: NetworkSize = NetworkSize {
        width: 6,
        frequencies: 3,
        head: 0,
    };

    /// A learner whose head's weights are not zero, so that rows differ in their curvature.
    fn learner(size: NetworkSize, bend: impl Fn(&mut [f32])) -> Learner {
        crate::threads(1);
        let schema = synthetic::schema();
        let mut flat = genesis(&layout(&schema, size), 2);
        bend(&mut flat);
        Learner::new(&schema, size, &flat).unwrap()
    }

    fn head(learner: &Learner) -> usize {
        learner.layout[learner.layout.len() - 2].count() + 1
    }

    // By differences: the slope is that of the loss, and a row of the curvature that of the slope.
    #[test]
    fn slope_and_curvature_equal_differences() {
        let examples = synthetic::population(60, 4, 3);
        let moved = |at: usize, by: f32| {
            learner(LINEAR, |flat| {
                let end = flat.len();
                for (place, weight) in flat[end - 9..end - 1].iter_mut().enumerate() {
                    *weight = 0.3 - 0.1 * place as f32;
                }
                flat[end - 1] = -1.0;
                flat[end - 1 - at] += by;
            })
        };
        let size = head(&moved(0, 0.0));
        let of = |at, by| moved(at, by).curvature(&examples, &mut ()).unwrap();
        let here = of(0, 0.0);
        assert_eq!(here.values.len(), size + size * (size + 1) / 2);
        // Where a row of the upper triangle begins.
        let row = |row: usize| size + row * size - row * row.saturating_sub(1) / 2;
        for from_end in [0, 1, 4, size - 1] {
            let at = size - 1 - from_end;
            let (up, down) = (of(from_end, 1e-2), of(from_end, -1e-2));
            let slope = (up.report.loss - down.report.loss) / 2e-2;
            assert!((slope + here.values[at]).abs() < 2e-4, "{at}: {slope}");
            for other in 0..size {
                let (first, second) = (at.min(other), at.max(other));
                let found = here.values[row(first) + second - first];
                let bent = (down.values[other] - up.values[other]) / 2e-2;
                let error = (found - bent).abs();
                assert!(
                    error < 1e-3 * (1.0 + found.abs()),
                    "{at} {other}: {found} {bent}"
                );
            }
        }
        assert!(here.values[size..].iter().any(|value| value.abs() > 0.01));
    }

    // Rows without a label say nothing, and in batches as in one.
    #[test]
    fn only_labelled_rows_count_and_batches_add_up() {
        let all = synthetic::population(1_100, 4, 3);
        assert!(all.len() > BATCH);
        let learner = learner(LINEAR, |_| ());
        let mut hidden = all.clone();
        let every_other = |at: &usize| at.is_multiple_of(2);
        (0..all.len())
            .filter(every_other)
            .for_each(|at| hidden.label[at] = f32::NAN);
        let mut shown = Examples::new(all.columns);
        for at in (0..all.len()).filter(|at| !every_other(at)) {
            shown
                .push(all.row(at), all.card[at], all.ts[at], all.label[at])
                .unwrap();
        }
        let found = learner.curvature(&hidden, &mut ()).unwrap();
        assert_eq!(found, learner.curvature(&shown, &mut ()).unwrap());
        assert_eq!(found.report.examples as usize, shown.len());
        let frauds = shown.label.iter().filter(|label| **label > 0.5).count();
        assert_eq!(found.report.frauds as usize, frauds);
        assert!(frauds > 0);
        let whole = learner.curvature(&all, &mut ()).unwrap();
        let (first, rest) = (
            all.between(0..all.ts[BATCH]),
            all.between(all.ts[BATCH]..i64::MAX),
        );
        let parts = [&first, &rest].map(|part| learner.curvature(part, &mut ()).unwrap());
        let count = |part: &Curvature| part.report.examples as f32;
        for (at, value) in whole.values.iter().enumerate() {
            let sum: f32 = parts.iter().map(|part| count(part) * part.values[at]).sum();
            let mean = sum / count(&whole);
            assert!(
                (value - mean).abs() < 1e-5 * (1.0 + value.abs()),
                "{at}: {value} {mean}"
            );
        }
    }

    #[test]
    fn a_head_with_layers_and_rows_without_labels_are_refused() {
        let mut examples = synthetic::population(10, 4, 3);
        let deep = learner(NetworkSize::default(), |_| ());
        let error = deep.curvature(&examples, &mut ()).unwrap_err().to_string();
        assert_eq!(error, "term head is 64, expected 0, a linear head");
        examples.label.fill(f32::NAN);
        let error = learner(LINEAR, |_| ())
            .curvature(&examples, &mut ())
            .unwrap_err();
        assert_eq!(error.to_string(), "0 usable rows, expected at least 1");
    }
}
