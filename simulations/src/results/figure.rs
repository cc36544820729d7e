//! What tables are made of: cells of the objects, and figures made of cells, each with how far it
//! spreads from seed to seed. Two settings of one seed have the same banks and first parameters, so
//! a difference is paired where both sides' values are kept by seed.

use serde_json::Value;

use super::Results;

/// A measure of a setting; over several experiments, all their seeds together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// By name.
    pub(super) experiments: &'static [&'static str],
    setting: &'static str,
    measure: &'static str,
    /// Share of the customers that have labels; the experiment's first without it.
    labels: Option<f64>,
}

/// A measure of a setting.
pub(super) const fn cell(
    experiments: &'static [&'static str],
    setting: &'static str,
    measure: &'static str,
) -> Cell {
    Cell {
        experiments,
        setting,
        measure,
        labels: None,
    }
}

impl Cell {
    /// The same where this share of the customers has labels.
    pub(super) const fn at(self, labels: f64) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }
}

/// One number made of cells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    /// A cell.
    Of(Cell),
    /// One less another.
    Less(Cell, Cell),
    /// One over another.
    Over(Cell, Cell),
    /// One less another, as a multiple of how far that spreads.
    InSpreads(Cell, Cell),
    /// The bank that gains least: its AP in one setting less that in another.
    LeastBank(Cell, Cell),
}

/// What a figure comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// Its mean.
    pub(super) value: f64,
    /// Its sample standard deviation; none where nothing says.
    pub(super) spread: Option<f64>,
    /// Whether that is of values, or of pairs of values, of one seed.
    pub(super) is_paired: bool,
    /// Over how many seeds and weeks.
    pub(super) seeds: usize,
}

impl Figure {
    fn cells(&self) -> Vec<Cell> {
        match *self {
            Self::Of(cell) => vec![cell],
            Self::Less(one, other)
            | Self::Over(one, other)
            | Self::InSpreads(one, other)
            | Self::LeastBank(one, other) => vec![one, other],
        }
    }

    /// The experiments it is made of, each once.
    pub(super) fn experiments(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for name in self.cells().iter().flat_map(|cell| cell.experiments) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }

    /// What it comes to; none where a cell is not there.
    pub(super) fn found(&self, results: &Results) -> Option<Found> {
        match *self {
            Self::Of(cell) => {
                let sample = Sample::new(results, cell)?;
                Some(Found {
                    value: sample.mean,
                    spread: Some(sample.deviation),
                    is_paired: true,
                    seeds: sample.count,
                })
            }
            Self::Less(one, other) => {
                let (one, other) = (Sample::new(results, one)?, Sample::new(results, other)?);
                let apart = one.deviation.hypot(other.deviation);
                Some(
                    one.with(&other, one.mean - other.mean, apart, |one, other| {
                        one - other
                    }),
                )
            }
            Self::Over(one, other) => {
                let (one, other) = (Sample::new(results, one)?, Sample::new(results, other)?);
                let ratio = one.mean / other.mean;
                let apart =
                    ratio.abs() * (one.deviation / one.mean).hypot(other.deviation / other.mean);
                Some(one.with(&other, ratio, apart, |one, other| one / other))
            }
            Self::InSpreads(one, other) => {
                let less = Self::Less(one, other).found(results)?;
                let spread = less.spread.filter(|spread| *spread > 0.0)?;
                Some(Found {
                    value: less.value / spread,
                    spread: Some(1.0),
                    ..less
                })
            }
            Self::LeastBank(one, other) => least_bank(results, one, other),
        }
    }
}

impl Found {
    /// Half the width of its 95 % interval by Student's t; none with one seed.
    pub(super) fn half_width(&self) -> Option<f64> {
        let quantile = QUANTILES.get(self.seeds.checked_sub(2)?);
        let quantile = quantile.or_else(|| QUANTILES.last())?;
        Some(quantile * self.spread? / (self.seeds as f64).sqrt())
    }
}

/// Values of one cell.
struct Sample {
    mean: f64,
    deviation: f64,
    count: usize,
    /// By seed and week; none where the object does not keep them.
    values: Option<Vec<f64>>,
}

impl Sample {
    /// Of all the experiments of a cell.
    fn new(results: &Results, cell: Cell) -> Option<Self> {
        let of = |name: &&str| Self::of(results.labelled(name, cell.labels)?, cell);
        let all: Vec<Self> = cell.experiments.iter().map(of).collect::<Option<_>>()?;
        let whole = all.len() as f64;
        let mean = all.iter().map(|of| of.mean).sum::<f64>() / whole;
        let squares: f64 = all.iter().map(|of| of.deviation.powi(2)).sum();
        let count = all.iter().map(|of| of.count).sum();
        let values = all.into_iter().map(|of| of.values);
        let values = values.collect::<Option<Vec<_>>>().map(|all| all.concat());
        let deviation = values.as_deref().map(deviation);
        Some(Self {
            mean,
            deviation: deviation.unwrap_or_else(|| (squares / whole).sqrt()),
            count,
            values,
        })
    }

    fn of((object, of): (&Value, &Value), cell: Cell) -> Option<Self> {
        Some(Self {
            mean: of["settings"][cell.setting][cell.measure].as_f64()?,
            deviation: of["spread"][cell.setting][cell.measure].as_f64()?,
            count: runs(object)?,
            values: floats(&of["by_seed"][cell.setting][cell.measure]),
        })
    }

    /// A figure of both, of which `value` is the mean and `apart` the spread where nothing pairs
    /// their values.
    fn with(&self, other: &Self, value: f64, apart: f64, pair: impl Fn(f64, f64) -> f64) -> Found {
        let paired = match (&self.values, &other.values) {
            (Some(one), Some(other)) if one.len() == other.len() => {
                let pairs = one.iter().zip(other);
                let values: Vec<f64> = pairs.map(|(one, other)| pair(*one, *other)).collect();
                Some(deviation(&values))
            }
            _ => None,
        };
        Found {
            value,
            spread: Some(paired.unwrap_or(apart)),
            is_paired: paired.is_some(),
            seeds: self.count.min(other.count),
        }
    }
}

/// The least gain of a bank, by its mean over seeds.
fn least_bank(results: &Results, one: Cell, other: Cell) -> Option<Found> {
    let of = |cell: Cell| results.labelled(cell.experiments.first()?, cell.labels);
    let ((object, with), (_, without)) = (of(one)?, of(other)?);
    let means = |of: &Value, cell: Cell| floats(&of["bank_ap"][cell.setting]);
    let gains = means(with, one)?.into_iter().zip(means(without, other)?);
    let gains = gains.map(|(with, without)| with - without);
    let (bank, value) = gains.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let values = |of: &Value, cell: Cell| -> Option<Vec<f64>> {
        let seeds = of["by_seed"][cell.setting]["bank_ap"].as_array()?;
        seeds.iter().map(|banks| banks[bank].as_f64()).collect()
    };
    let pairs = values(with, one).zip(values(without, other));
    let gains: Option<Vec<f64>> = pairs.map(|(with, without)| {
        let gains = with.into_iter().zip(without);
        gains.map(|(with, without)| with - without).collect()
    });
    Some(Found {
        value,
        spread: gains.as_deref().map(deviation),
        is_paired: gains.is_some(),
        seeds: runs(object)?,
    })
}

/// Seeds times weeks.
fn runs(object: &Value) -> Option<usize> {
    let runs = object["seeds"].as_u64()? * object["weeks"].as_u64().unwrap_or(1);
    usize::try_from(runs).ok()
}

fn floats(of: &Value) -> Option<Vec<f64>> {
    of.as_array()?.iter().map(Value::as_f64).collect()
}

/// Sample standard deviation; 0 of one value.
fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0)).sqrt()
}

/// The 97.5 % quantiles of Student's t with 1 to 11 degrees of freedom, `scipy.stats.t.ppf(.975,
/// df)`; with more, an interval is a little wider than it need be.
const QUANTILES: [f64; 11] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201,
];

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::Finding;
    use super::*;

    /// Results with these objects.
    pub(in super::super) fn results(objects: &[(&str, Value)]) -> Results {
        let mut results = Results::default();
        for (name, object) in objects {
            let finding = Finding {
                words: String::new(),
                version: String::new(),
                learn: None,
                object: object.clone(),
            };
            results.0.insert((*name).to_owned(), finding);
        }
        results
    }

    fn object(ap: f64, spread: f64, values: Option<[f64; 3]>) -> Value {
        let by_seed = values.map(|ap| json!({"pooled": {"ap": ap}}));
        json!({
            "seeds": 3, "weeks": 1, "labels": 1.0, "by_seed": by_seed,
            "settings": {"pooled": {"ap": ap}}, "spread": {"pooled": {"ap": spread}},
        })
    }

    const ONE: Cell = cell(&["one"], "pooled", "ap");
    const OTHER: Cell = cell(&["other"], "pooled", "ap");

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    // Values .5 .6 .7 and .4 .5 .6 spread by .1 each, and their difference by nothing.
    #[test]
    fn a_difference_is_paired_where_values_are_kept_by_seed() {
        let kept = |values| object(0.6, 0.1, values);
        let pair = results(&[
            ("one", kept(Some([0.5, 0.6, 0.7]))),
            ("other", object(0.5, 0.1, Some([0.4, 0.5, 0.6]))),
        ]);
        let found = Figure::Less(ONE, OTHER).found(&pair).unwrap();
        near(found.value, 0.1);
        near(found.spread.unwrap(), 0.0);
        assert!(found.is_paired && found.seeds == 3);
        let apart = results(&[("one", kept(None)), ("other", object(0.5, 0.1, None))]);
        let found = Figure::Less(ONE, OTHER).found(&apart).unwrap();
        near(found.spread.unwrap(), 0.02_f64.sqrt());
        assert!(!found.is_paired && found.seeds == 3);
        // 4.303 · .1414 / √3.
        near(found.half_width().unwrap(), 4.303 * (0.02_f64 / 3.0).sqrt());
        let spreads = Figure::InSpreads(ONE, OTHER).found(&apart).unwrap();
        near(spreads.value, 0.1 / 0.02_f64.sqrt());
        let half = results(&[("one", kept(None))]);
        assert_eq!(Figure::Less(ONE, OTHER).found(&half), None);
    }

    #[test]
    fn seeds_of_several_experiments_count_together() {
        let both = results(&[
            ("one", object(0.2, 0.1, Some([0.1, 0.2, 0.3]))),
            ("other", object(0.5, 0.1, Some([0.4, 0.5, 0.6]))),
        ]);
        let all = Figure::Of(cell(&["one", "other"], "pooled", "ap"));
        let found = all.found(&both).unwrap();
        near(found.value, 0.35);
        assert_eq!(found.seeds, 6);
        // The sample standard deviation of .1 to .6, as NumPy prints it with ddof=1.
        assert!((found.spread.unwrap() - 0.187_082_869).abs() < 1e-9);
        assert_eq!(all.experiments(), ["one", "other"]);
    }

    // Bank 1 gains .1 by its mean, by 0 and .2 in the two seeds.
    #[test]
    fn the_bank_that_gains_least_is_found_with_its_own_spread() {
        let of = |banks: Value, seeds: Value| json!({"mean": banks, "seeds": seeds});
        let (with, without) = (
            of(json!([0.9, 0.6]), json!([[0.9, 0.5], [0.9, 0.7]])),
            of(json!([0.3, 0.5]), json!([[0.3, 0.5], [0.3, 0.5]])),
        );
        let object = |labels: f64| {
            json!({
                "labels": labels,
                "bank_ap": {"federated": with["mean"], "local": without["mean"]},
                "by_seed": {
                    "federated": {"bank_ap": with["seeds"]},
                    "local": {"bank_ap": without["seeds"]},
                },
            })
        };
        let mut whole = object(1.0);
        (whole["seeds"], whole["fractions"]) = (json!(2), json!([object(1.0), object(0.1)]));
        let results = results(&[("one", whole)]);
        let pair = |labels: f64| {
            let of = |setting| cell(&["one"], setting, "ap").at(labels);
            Figure::LeastBank(of("federated"), of("local")).found(&results)
        };
        let found = pair(0.1).unwrap();
        near(found.value, 0.1);
        near(found.spread.unwrap(), 0.02_f64.sqrt());
        assert_eq!((found.is_paired, found.seeds), (true, 2));
        assert_eq!(pair(0.5), None);
    }
}
