//! A step of Newton's method from summed slopes and curvatures: what everybody's rows together
//! would take, since both are means over rows. With a ridge on the weights (Hoerl and Kennard
//! 1970), more of it where rounding has left a curvature that bends both ways (Levenberg 1944), and
//! no further than a trust region (Conn, Gould and Toint 2000), measured by the curvature itself.

use crate::plan::Newton;

/// The step of the parameters `weights`, of which the last is the bias. `mean` is their downward
/// slope, one value each, and then the upper triangle of their curvature, row by row. No step where
/// nobody had a row, or the curvature cannot be solved for.
pub(super) fn step(terms: &Newton, mean: &[f32], weights: &[f32]) -> Vec<f64> {
    let nothing = vec![0.0; weights.len()];
    let (slope, upper) = mean.split_at(weights.len().min(mean.len()));
    let ridge = f64::from(terms.ridge);
    let Some((_, of_weights)) = weights.split_last() else {
        return nothing;
    };
    if mean.iter().all(|value| *value == 0.0) {
        return nothing;
    }
    let mut wanted: Vec<f64> = slope.iter().copied().map(f64::from).collect();
    for (wanted, weight) in wanted.iter_mut().zip(of_weights) {
        *wanted -= ridge * f64::from(*weight);
    }
    let curvature = matrix(upper, weights.len());
    let raised = std::iter::successors(Some(0.0), |more: &f64| {
        Some(if *more > 0.0 { 10.0 * more } else { ridge })
    });
    let solved = raised.take(TRIES).find_map(|more| {
        let mut lower = curvature.clone();
        for (at, row) in lower.iter_mut().enumerate() {
            let ridge = if at < of_weights.len() { ridge } else { 0.0 };
            row[at] += ridge + more;
        }
        decompose(&mut lower).then(|| solve(&lower, &wanted))
    });
    let whole = solved.unwrap_or(nothing);
    let length = moved(&curvature, &whole);
    let share = match length > f64::from(terms.radius) {
        true => f64::from(terms.radius) / length,
        false => 1.0,
    };
    whole.into_iter().map(|step| share * step).collect()
}

/// How far a step moves logits, in root mean square over payments weighted by their p(1 - p). The
/// bias reads 1 of every payment, so its curvature is the sum of those weights.
fn moved(lower: &[Vec<f64>], step: &[f64]) -> f64 {
    let of_row = |(at, row): (usize, &Vec<f64>)| {
        let below = row[..at].iter().zip(step);
        let below: f64 = below.map(|(value, other)| 2.0 * value * other).sum();
        step[at] * (below + row[at] * step[at])
    };
    let squares: f64 = lower.iter().enumerate().map(of_row).sum();
    let weight = lower.last().and_then(|row| row.last()).copied();
    // Rounding may leave either at or below nothing: then nothing is known of how far it goes.
    let mean = squares.max(0.0) / weight.unwrap_or(0.0).max(SMALLEST);
    mean.sqrt()
}

/// How often the ridge is raised tenfold: beyond what a curvature of f32 can need.
const TRIES: usize = 64;

/// The lower triangle, row by row, of the symmetric matrix whose upper one this is.
fn matrix(upper: &[f32], size: usize) -> Vec<Vec<f64>> {
    let mut lower: Vec<Vec<f64>> = (0..size).map(|at| vec![0.0; at + 1]).collect();
    let places = (0..size).flat_map(|row| (row..size).map(move |column| (row, column)));
    for ((row, column), value) in places.zip(upper) {
        lower[column][row] = f64::from(*value);
    }
    lower
}

/// Cholesky's factor in place of the matrix; false where it is not positive definite.
fn decompose(lower: &mut [Vec<f64>]) -> bool {
    for at in 0..lower.len() {
        let (above, below) = lower.split_at_mut(at);
        let row = &mut below[0];
        for column in 0..=at {
            let other = above.get(column).unwrap_or(row);
            let known: f64 = (0..column).map(|k| row[k] * other[k]).sum();
            let left = row[column] - known;
            match above.get(column) {
                Some(other) => row[column] = left / other[column],
                None if left.is_finite() && left > SMALLEST => row[column] = left.sqrt(),
                None => return false,
            }
        }
    }
    true
}

/// A square below this is rounding.
const SMALLEST: f64 = 1e-12;

/// What the matrix of Cholesky's factor `lower` takes to `wanted`.
fn solve(lower: &[Vec<f64>], wanted: &[f64]) -> Vec<f64> {
    let mut found = wanted.to_vec();
    for at in 0..lower.len() {
        let known: f64 = (0..at).map(|k| lower[at][k] * found[k]).sum();
        found[at] = (found[at] - known) / lower[at][at];
    }
    for at in (0..lower.len()).rev() {
        let known: f64 = (at + 1..lower.len()).map(|k| lower[k][at] * found[k]).sum();
        found[at] = (found[at] - known) / lower[at][at];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Newton = Newton {
        radius: 1e3,
        ridge: 0.5,
    };

    // (2 + .5) a + 1 b = 4 - .5 · 2 and 1 a + 1 b = 2 for a weight of 2 and a bias of 7: a = 2/3,
    // b = 4/3. Logits move by 2a² + 2ab + b² = 40/9 in square, over the bias's curvature of 1.
    #[test]
    fn a_step_solves_for_slope_and_ridge_and_ends_at_the_radius() {
        let mean = [4.0, 2.0, 2.0, 1.0, 1.0];
        let found = step(&WHOLE, &mean, &[2.0, 7.0]);
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-12 && (found[1] - 4.0 / 3.0).abs() < 1e-12);
        let length = (40.0_f64 / 9.0).sqrt();
        for share in [0.25_f32, 0.999] {
            let radius = share * length as f32;
            let short = step(&Newton { radius, ..WHOLE }, &mean, &[2.0, 7.0]);
            for (short, whole) in short.iter().zip(&found) {
                assert!(
                    (short - f64::from(share) * whole).abs() < 1e-6,
                    "{short} {whole}"
                );
            }
        }
        let radius = 1.001 * length as f32;
        assert_eq!(step(&Newton { radius, ..WHOLE }, &mean, &[2.0, 7.0]), found);
    }

    // The radius is in logits, not in units of the loss: half the weight of every payment, which
    // is half of slope and curvature, leaves the step where there is no ridge to speak of.
    #[test]
    fn the_radius_does_not_depend_on_how_decided_payments_are() {
        let terms = Newton {
            radius: 0.3,
            ridge: 1e-9,
        };
        let mean = [4.0, 2.0, 2.0, 1.0, 1.0];
        let found = step(&terms, &mean, &[0.0, 0.0]);
        let half = step(&terms, &mean.map(|value| 0.5 * value), &[0.0, 0.0]);
        assert!(found.iter().any(|step| step.abs() > 0.1));
        for (half, found) in half.iter().zip(&found) {
            assert!((half - found).abs() < 1e-6, "{half} {found}");
        }
    }

    // A quadratic -slope·x + x·C·x/2 + ridge/2·x² without the bias: the minimum is one step away
    // from anywhere, and then no step is left.
    #[test]
    fn the_lowest_point_of_a_quadratic_is_one_step_away() {
        let (size, ridge) = (5, WHOLE.ridge);
        let value = |row: usize, column: usize| match row == column {
            true => 3.0 + row as f32,
            false => 1.0 / (1.0 + (row + column) as f32),
        };
        let slope = |at: &[f32]| -> Vec<f32> {
            let pulled = |row: usize| (0..size).map(|k| value(row, k) * at[k]).sum::<f32>();
            let of_row = |row| 1.0 + row as f32 - pulled(row);
            (0..size).map(of_row).collect()
        };
        let upper = (0..size).flat_map(|row| (row..size).map(move |column| value(row, column)));
        let upper: Vec<f32> = upper.collect();
        let start = [1.0_f32, -2.0, 0.5, 3.0, -1.0];
        let first = step(&WHOLE, &[slope(&start), upper.clone()].concat(), &start);
        let moved = start.iter().zip(&first).map(|(x, step)| x + *step as f32);
        let there: Vec<f32> = moved.collect();
        let rest = step(&WHOLE, &[slope(&there), upper].concat(), &there);
        assert!(first.iter().any(|step| step.abs() > 1.0));
        assert!(rest.iter().all(|step| step.abs() < 1e-5), "{rest:?}");
        // With the ridge the slope at the lowest point is its pull, and none at the bias.
        for (at, (slope, weight)) in slope(&there).iter().zip(&there).enumerate() {
            let pull = if at + 1 < size { ridge * weight } else { 0.0 };
            assert!((slope - pull).abs() < 1e-5, "{at}: {slope} {pull}");
        }
    }

    // Curvature -3 of the one weight: raised by .5 and by 5 it is 2.5.
    #[test]
    fn a_curvature_that_bends_down_is_raised_until_it_does_not() {
        let found = step(&WHOLE, &[5.0, 0.0, -3.0, 0.0, 1.0], &[0.0, 0.0]);
        assert!((found[0] - 2.0).abs() < 1e-12, "{found:?}");
        assert_eq!(step(&WHOLE, &[0.0; 5], &[2.0, 3.0]), [0.0, 0.0]);
    }

    // What a lying bank can bring into the sum: no value of a step may stop being a number.
    #[test]
    fn no_sum_makes_a_step_that_is_no_number() {
        let worst = [f32::MAX, f32::MIN, 1.0, -1.0, 0.0, f32::MIN_POSITIVE];
        let of = |digits: usize| -> Vec<f32> {
            (0..5_u32)
                .map(|place| worst[digits / worst.len().pow(place) % worst.len()])
                .collect()
        };
        for digits in 0..worst.len().pow(5) {
            let mean = of(digits);
            let found = step(&WHOLE, &mean, &[1.0, -4.0]);
            assert!(
                found.iter().all(|step| step.is_finite()),
                "{mean:?}: {found:?}"
            );
        }
    }
}
