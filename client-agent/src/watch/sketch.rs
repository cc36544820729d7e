//! One number's values in a reference, day by day, and how far other values lie from them: the
//! population stability index over quantile bins, and the distance of the means. Which numbers are
//! watched is in `reference.rs`, which days are held against which in `yardstick.rs`.

use std::collections::BTreeMap;

use super::yardstick::Yardstick;

/// The values of a reference.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    edges: Edges,
    deviation: f64,
    days: BTreeMap<i32, Tally>,
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
    /// Mean that was expected of the reference.
    pub(super) expected: f64,
    /// What chance makes of the square of the shift.
    pub(super) chance: f64,
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
    /// The profile of a reference's values, each with its day; those that are not finite are left
    /// out.
    pub(super) fn new(values: &[(i32, f32)]) -> Self {
        let edges = Edges::of(values);
        let days = tally(&edges, values);
        let count: f64 = days.values().map(|day| day.count).sum();
        let mean = days.values().map(|day| day.sum).sum::<f64>() / count.max(1.0);
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

    /// How far other values lie from it, or from what was odd of it so many days back. Nothing
    /// where one of the two has no value on such days.
    pub(super) fn distance(&self, values: &[(i32, f32)], back: Option<i32>) -> Option<Distance> {
        let found = tally(&self.edges, values);
        let yardstick = Yardstick::new(&counts(&found), &counts(&self.days), back)?;
        let bins = |at: usize| {
            let share = |day: i32| self.days[&day].bins[at] / self.days[&day].count;
            let here = found.values().map(|day| day.bins[at]).sum::<f64>();
            (yardstick.of(share), here / yardstick.found)
        };
        let shares: Vec<(f64, f64)> = (0..self.edges.bins()).map(bins).collect();
        let expected = yardstick.of(|day| self.days[&day].sum / self.days[&day].count);
        let mean = found.values().map(|day| day.sum).sum::<f64>() / yardstick.found;
        Some(Distance {
            psi: index(&shares, &yardstick),
            shift: (mean - expected) / self.deviation,
            mean,
            expected,
            chance: yardstick.chance(),
        })
    }
}

impl Edges {
    fn of(values: &[(i32, f32)]) -> Self {
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

fn tally(edges: &Edges, values: &[(i32, f32)]) -> BTreeMap<i32, Tally> {
    let mut days: BTreeMap<i32, Tally> = BTreeMap::new();
    for (day, value) in values.iter().filter(|(_, value)| value.is_finite()) {
        let tally = days.entry(*day).or_insert_with(|| Tally {
            bins: vec![0.0; edges.bins()],
            count: 0.0,
            sum: 0.0,
        });
        tally.bins[edges.bin(*value)] += 1.0;
        tally.count += 1.0;
        tally.sum += f64::from(*value);
    }
    days
}

fn counts(days: &BTreeMap<i32, Tally>) -> BTreeMap<i32, f64> {
    let counts = days.iter().map(|(day, tally)| (*day, tally.count));
    counts.collect()
}

/// The population stability index of shares expected and found, less what chance alone makes of
/// it, `(bins - 1) * (1/n + 1/m)` (Yurdakul and Naranjo 2020): so it does not grow as payments
/// get fewer. Half a payment is added to each bin, so that an empty one has a logarithm. Expected
/// shares need not add up to one, and one below nothing stands for nothing.
pub(super) fn index(shares: &[(f64, f64)], yardstick: &Yardstick) -> f64 {
    let whole: f64 = shares.iter().map(|(expected, _)| expected.max(0.0)).sum();
    let part = |expected: f64| expected.max(0.0) / whole.max(f64::MIN_POSITIVE);
    let shares = shares
        .iter()
        .map(|(expected, found)| (part(*expected), *found));
    let used = shares.filter(|(here, there)| here + there > 0.0);
    let bins = used.clone().count() as f64;
    let smooth = |share: f64, count: f64| (share * count + 0.5) / (count + 0.5 * bins);
    let raw: f64 = used
        .map(|(expected, found)| {
            let expected = smooth(expected, yardstick.expected);
            let found = smooth(found, yardstick.found);
            (found - expected) * (found / expected).ln()
        })
        .sum();
    (raw - (bins - 1.0) * yardstick.chance()).max(0.0)
}

const DECILES: usize = 10;

/// What varies less does not vary: any other value is far from it, and none infinitely.
pub(super) const DEVIATION_MIN: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` even quantiles of a logistic distribution around `level`, all on one day.
    fn logistic(day: i32, count: u32, level: f32) -> Vec<(i32, f32)> {
        let quantile = |at: u32| {
            let share = (f64::from(at) + 0.5) / f64::from(count);
            (day, level + (share / (1.0 - share)).ln() as f32)
        };
        (0..count).map(quantile).collect()
    }

    fn psi(reference: &[(i32, f32)], values: &[(i32, f32)]) -> f64 {
        Profile::new(reference).distance(values, None).unwrap().psi
    }

    #[test]
    fn equal_values_have_no_distance_however_few() {
        for count in [50, 500, 5_000] {
            let values = logistic(2, count, 1.0);
            let found = Profile::new(&values).distance(&values, None).unwrap();
            assert_eq!((found.psi, found.shift), (0.0, 0.0));
        }
    }

    // By hand: of a flag set in 10 % and then in 20 %, .1 ln 2 + (-.1) ln (.8 / .9) = .0811. The
    // half payments and what chance makes of it change the fourth digit.
    #[test]
    fn index_of_a_flag_is_the_one_by_hand() {
        let flag = |set: usize| -> Vec<(i32, f32)> {
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
        let every = |nth: u32| -> Vec<(i32, f32)> {
            let value = |at: u32| (0, if at % nth == nth - 1 { 1.0 } else { 0.0 });
            (0..1_000).map(value).collect()
        };
        let (never, sometimes) = (every(5_000), every(20));
        assert!(psi(&never, &sometimes) > 0.15);
        assert!(psi(&sometimes, &never) > 0.15);
    }

    #[test]
    fn shift_is_in_the_references_deviations() {
        let found = Profile::new(&logistic(0, 2_001, 0.0)).distance(&logistic(7, 2_001, 0.5), None);
        // The deviation of a logistic distribution is pi over the root of 3.
        let expected = 0.5 * 3.0_f64.sqrt() / std::f64::consts::PI;
        assert!((found.unwrap().shift - expected).abs() < 0.01);
    }

    // Mondays are at 0 and Sundays at 5. Three Mondays and a Sunday are nothing unusual; held
    // against the whole week, which is the planted fault, they would be.
    #[test]
    fn days_are_held_against_the_same_days_of_the_week() {
        let both = [logistic(8, 1_000, 0.0), logistic(7, 1_000, 5.0)].concat();
        let profile = Profile::new(&both);
        let found = [logistic(15, 900, 0.0), logistic(14, 300, 5.0)].concat();
        let distance = profile.distance(&found, None).unwrap();
        assert!(distance.psi < 0.01, "{distance:?}");
        assert!(distance.shift.abs() < 0.01, "{distance:?}");
        let blind = |values: Vec<(i32, f32)>| -> Vec<(i32, f32)> {
            values.into_iter().map(|(_, value)| (0, value)).collect()
        };
        assert!(psi(&blind(both), &blind(found)) > 0.1);
        assert_eq!(profile.distance(&logistic(17, 100, 0.0), None), None);
        assert_eq!(profile.distance(&[], None), None);
    }

    // One value in five is 4 higher on day 1, and so it is a month later, on another day of the
    // week. The odd one of three days has no say, and 28 days before is a quiet one.
    #[test]
    fn what_was_odd_a_month_before_is_expected() {
        let odd = |day| [logistic(day, 800, 0.0), logistic(day, 200, 4.0)].concat();
        let quiet = (2..22).map(|day| logistic(day, 1_000, 0.0));
        let reference: Vec<(i32, f32)> = odd(1).into_iter().chain(quiet.flatten()).collect();
        let profile = Profile::new(&reference);
        let is_far = |values: &[(i32, f32)], back| {
            let distance = profile.distance(values, back).unwrap();
            let is_far = distance.psi > 0.1;
            assert_eq!(is_far, distance.shift.abs() > 0.2, "{distance:?}");
            is_far
        };
        assert!(is_far(&odd(31), None) && !is_far(&odd(31), Some(30)));
        assert!(is_far(&odd(31), Some(28)));
        let same = logistic(31, 1_000, 0.0);
        assert!(!is_far(&same, None) && is_far(&same, Some(30)));
    }

    #[test]
    fn values_that_are_no_number_are_left_out() {
        let values = [
            logistic(0, 100, 0.0),
            vec![(0, f32::NAN), (0, f32::INFINITY)],
        ]
        .concat();
        let found = Profile::new(&values).distance(&values, None).unwrap();
        assert_eq!((found.psi, found.shift), (0.0, 0.0));
    }
}
