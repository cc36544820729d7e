//! One number's values in a reference, day of the week by day of the week, and how far other
//! values lie from them: the population stability index over quantile bins, and the distance of
//! the means. Which numbers are watched is in `reference.rs`.

/// Days of a week, since payments have a rhythm of that length.
pub(super) const WEEK: usize = 7;

/// The values of a reference.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    edges: Edges,
    deviation: f64,
    days: [Tally; WEEK],
}

/// How far values lie from a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Distance {
    /// The index, as [`index`] says.
    pub(super) psi: f64,
    /// Distance of the means in the reference's standard deviations, signed.
    pub(super) shift: f64,
    /// Mean of the values.
    pub(super) mean: f64,
    /// Mean that the reference has on the same days of the week.
    pub(super) expected: f64,
}

#[derive(Clone, Debug)]
struct Tally {
    bins: Vec<f64>,
    count: f64,
    sum: f64,
}

/// Where bins begin: deciles of the reference's values other than 0, which has a bin of its own. In
/// a vector 0 stands for a missing value and for a flag that is not set.
#[derive(Clone, Debug)]
struct Edges(Vec<f32>);

impl Profile {
    /// The profile of a reference's values, each with its day of the week; those that are not
    /// finite are left out.
    pub(super) fn new(values: &[(usize, f32)]) -> Self {
        let edges = Edges::of(values);
        let days = tally(&edges, values);
        let count: f64 = days.iter().map(|day| day.count).sum();
        let mean = days.iter().map(|day| day.sum).sum::<f64>() / count.max(1.0);
        let finite = values.iter().filter(|(_, value)| value.is_finite());
        let squares: f64 = finite
            .map(|(_, value)| (f64::from(*value) - mean).powi(2))
            .sum();
        Self {
            edges,
            deviation: (squares / count.max(1.0)).sqrt().max(DEVIATION_MIN),
            days,
        }
    }

    /// How far other values lie from it, held against the same mix of days of the week. Nothing
    /// where one of the two has no value on these days.
    pub(super) fn distance(&self, values: &[(usize, f32)]) -> Option<Distance> {
        let found = tally(&self.edges, values);
        let counts = found.each_ref().map(|day| day.count);
        let mix = Mix::new(counts, self.days.each_ref().map(|day| day.count))?;
        let bins = |at: usize| {
            let shares = |day: usize| self.days[day].bins[at] / self.days[day].count;
            let here = found.iter().map(|day| day.bins[at]).sum::<f64>();
            (mix.of(shares), here / mix.found)
        };
        let shares: Vec<(f64, f64)> = (0..self.edges.bins()).map(bins).collect();
        let expected = mix.of(|day| self.days[day].sum / self.days[day].count);
        let mean = found.iter().map(|day| day.sum).sum::<f64>() / mix.found;
        Some(Distance {
            psi: index(&shares, &mix),
            shift: (mean - expected) / self.deviation,
            mean,
            expected,
        })
    }
}

impl Edges {
    fn of(values: &[(usize, f32)]) -> Self {
        let present = values.iter().map(|(_, value)| *value);
        let mut sorted: Vec<f32> = present
            .filter(|value| value.is_finite() && *value != 0.0)
            .collect();
        sorted.sort_by(f32::total_cmp);
        let deciles = (1..DECILES).filter_map(|at| sorted.get(at * sorted.len() / DECILES));
        let mut edges: Vec<f32> = deciles.copied().collect();
        edges.dedup();
        Self(edges)
    }

    fn bins(&self) -> usize {
        self.0.len() + 2
    }

    fn bin(&self, value: f32) -> usize {
        match value == 0.0 {
            true => 0,
            false => 1 + self.0.partition_point(|edge| *edge <= value),
        }
    }
}

fn tally(edges: &Edges, values: &[(usize, f32)]) -> [Tally; WEEK] {
    let mut days: [Tally; WEEK] = std::array::from_fn(|_| Tally {
        bins: vec![0.0; edges.bins()],
        count: 0.0,
        sum: 0.0,
    });
    for (day, value) in values.iter().filter(|(_, value)| value.is_finite()) {
        let tally = &mut days[*day];
        tally.bins[edges.bin(*value)] += 1.0;
        tally.count += 1.0;
        tally.sum += f64::from(*value);
    }
    days
}

/// What a reference would be on other days: each day of the week counts as often as it is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    weights: [f64; WEEK],
    /// Values found.
    pub(super) found: f64,
    /// Values of the reference that say as much as the mixture does.
    pub(super) expected: f64,
}

impl Mix {
    /// The mixture for these counts a day of the week, of a reference with those. Nothing where
    /// nothing is found, or on a day that the reference lacks.
    pub(super) fn new(found: [f64; WEEK], reference: [f64; WEEK]) -> Option<Self> {
        let total: f64 = found.iter().sum();
        let is_known = |(found, known): (&f64, &f64)| *found == 0.0 || *known > 0.0;
        if total == 0.0 || !found.iter().zip(&reference).all(is_known) {
            return None;
        }
        let weights = found.map(|count| count / total);
        // Of independent means, weighted.
        let variance: f64 = weights
            .iter()
            .zip(&reference)
            .map(|(weight, count)| weight * weight / count.max(1.0))
            .sum();
        Some(Self {
            weights,
            found: total,
            expected: 1.0 / variance,
        })
    }

    /// The mean of a figure that each day of the week has.
    pub(super) fn of(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let days = self.weights.iter().enumerate();
        let known = days.filter(|(_, weight)| **weight > 0.0);
        known.map(|(day, weight)| weight * figure(day)).sum()
    }
}

/// The population stability index of shares expected and found, less what chance alone makes of
/// it, `(bins - 1) * (1/n + 1/m)` (Yurdakul and Naranjo 2020): so it does not grow as payments
/// get fewer. Half a payment is added to each bin, so that an empty one has a logarithm.
pub(super) fn index(shares: &[(f64, f64)], mix: &Mix) -> f64 {
    let used = shares.iter().filter(|(here, there)| here + there > 0.0);
    let bins = used.clone().count() as f64;
    let smooth = |share: f64, count: f64| (share * count + 0.5) / (count + 0.5 * bins);
    let raw: f64 = used
        .map(|(expected, found)| {
            let expected = smooth(*expected, mix.expected);
            let found = smooth(*found, mix.found);
            (found - expected) * (found / expected).ln()
        })
        .sum();
    let chance = (bins - 1.0) * (1.0 / mix.expected + 1.0 / mix.found);
    (raw - chance).max(0.0)
}

const DECILES: usize = 10;

/// What varies less does not vary: any other value is far from it, and none infinitely.
const DEVIATION_MIN: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` even quantiles of a logistic distribution around `level`, all on one day.
    fn logistic(day: usize, count: u32, level: f32) -> Vec<(usize, f32)> {
        let quantile = |at: u32| {
            let share = (f64::from(at) + 0.5) / f64::from(count);
            (day, level + (share / (1.0 - share)).ln() as f32)
        };
        (0..count).map(quantile).collect()
    }

    fn psi(reference: &[(usize, f32)], values: &[(usize, f32)]) -> f64 {
        Profile::new(reference).distance(values).unwrap().psi
    }

    #[test]
    fn equal_values_have_no_distance_however_few() {
        for count in [50, 500, 5_000] {
            let values = logistic(2, count, 1.0);
            let found = Profile::new(&values).distance(&values).unwrap();
            assert_eq!((found.psi, found.shift), (0.0, 0.0));
        }
    }

    // By hand: of a flag set in 10 % and then in 20 %, .1 ln 2 + (-.1) ln (.8 / .9) = .0811. The
    // half payments and what chance makes of it change the fourth digit.
    #[test]
    fn index_of_a_flag_is_the_one_by_hand() {
        let flag = |set: usize| -> Vec<(usize, f32)> {
            let value = |at: usize| (0, if at < set { 1.0 } else { 0.0 });
            (0..10_000).map(value).collect()
        };
        let found = psi(&flag(1_000), &flag(2_000));
        assert!((found - 0.0811).abs() < 0.001, "{found}");
    }

    #[test]
    fn a_value_that_goes_missing_and_one_that_is_new_are_far() {
        let reference = logistic(0, 1_000, 0.0);
        let mut values = reference.clone();
        values.iter_mut().step_by(5).for_each(|of| of.1 = 0.0);
        assert!(psi(&reference, &values) > 0.25);
        let every = |nth: u32| -> Vec<(usize, f32)> {
            let value = |at: u32| (0, if at % nth == nth - 1 { 1.0 } else { 0.0 });
            (0..1_000).map(value).collect()
        };
        let (never, sometimes) = (every(5_000), every(20));
        assert!(psi(&never, &sometimes) > 0.15);
        assert!(psi(&sometimes, &never) > 0.15);
    }

    #[test]
    fn shift_is_in_the_references_deviations() {
        let found = Profile::new(&logistic(0, 2_001, 0.0)).distance(&logistic(0, 2_001, 0.5));
        // The deviation of a logistic distribution is pi over the root of 3.
        let expected = 0.5 * 3.0_f64.sqrt() / std::f64::consts::PI;
        assert!((found.unwrap().shift - expected).abs() < 0.01);
    }

    // Mondays are at 0 and Sundays at 5. Three Mondays and a Sunday are nothing unusual; held
    // against the whole week, which is the planted fault, they would be.
    #[test]
    fn days_are_held_against_the_same_days_of_the_week() {
        let both = [logistic(1, 1_000, 0.0), logistic(0, 1_000, 5.0)].concat();
        let profile = Profile::new(&both);
        let found = [logistic(1, 900, 0.0), logistic(0, 300, 5.0)].concat();
        let distance = profile.distance(&found).unwrap();
        assert!(distance.psi < 0.01, "{distance:?}");
        assert!(distance.shift.abs() < 0.01, "{distance:?}");
        let blind = |values: Vec<(usize, f32)>| -> Vec<(usize, f32)> {
            values.into_iter().map(|(_, value)| (0, value)).collect()
        };
        assert!(psi(&blind(both), &blind(found)) > 0.1);
        assert_eq!(profile.distance(&logistic(3, 100, 0.0)), None);
        assert_eq!(profile.distance(&[]), None);
    }

    #[test]
    fn values_that_are_no_number_are_left_out() {
        let values = [
            logistic(0, 100, 0.0),
            vec![(0, f32::NAN), (0, f32::INFINITY)],
        ]
        .concat();
        let found = Profile::new(&values).distance(&values).unwrap();
        assert_eq!((found.psi, found.shift), (0.0, 0.0));
    }
}
