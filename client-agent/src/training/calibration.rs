//! Honest probabilities: a tenth of the cards never enter fine-tuning, and each installed model
//! is calibrated on them (Platt scaling, `model::calibration`). What scores is also held against
//! what was trained, on the bank's own rows. Whether either is to be relied upon is said here; what
//! follows from it, in `trainer/promotion.rs`.

use features::FeatureSchema;
use model::{
    Calibration, CalibrationError, Device, Logits, ModelError, PARITY_MAX, Parity, Scorer, examples,
};

use super::window::Judged;
use crate::scoring::{Bundle, Head};

/// Which cards are held out, by the numbers that a history gives them.
pub(super) struct HeldOut(Vec<bool>);

impl HeldOut {
    /// Chooses among `tokens`.
    pub(super) fn new(tokens: &[String]) -> Self {
        let mut held_out = Self(Vec::new());
        held_out.extend(tokens);
        held_out
    }

    /// Chooses among those of `tokens` that have come since, too.
    pub(super) fn extend(&mut self, tokens: &[String]) {
        let new = tokens.iter().skip(self.0.len());
        self.0.extend(new.map(|token| examples::is_held_out(token)));
    }

    pub(super) fn holds(&self, card: u32) -> bool {
        self.0.get(card as usize).copied().unwrap_or(false)
    }
}

/// Rows scored at once.
const ROWS: usize = 4_096;

/// A calibration, and the rows held out that it was fitted on.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// The identity where none could be fitted.
    pub(super) calibration: Calibration,
    /// How near the kernel's logits are to libtorch's.
    pub(super) parity: Parity,
    unfitted: Option<CalibrationError>,
    logits: Vec<f32>,
    frauds: Vec<bool>,
}

/// Why scores of a model may mean something else than the scale says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Doubt {
    /// What scores computes something else than what was trained.
    #[error(
        "logits of the kernel and of libtorch lie {found:.1e} apart on {rows} payments, those of \
         large terms in proportion, expected {PARITY_MAX:.0e} or less"
    )]
    Parity {
        /// The largest difference.
        found: f32,
        /// Payments compared.
        rows: usize,
    },
    /// No calibration could be fitted, and the logits are taken at their word.
    #[error("no calibration was fitted: {0}")]
    Unfitted(CalibrationError),
    /// What was fitted hangs on a handful of frauds.
    #[error("{frauds} frauds among the held-out payments, expected {FRAUDS_MIN} or more")]
    Few {
        /// Frauds held out.
        frauds: usize,
    },
    /// Slope and offset do not make up for the model's shape where people look.
    #[error(
        "{came} frauds among the held-out payments from the review threshold on, expected \
         {least:.1} to {most:.1} where {told:.1} were told"
    )]
    Off {
        /// Frauds that came.
        came: usize,
        /// Frauds that the probabilities add up to.
        told: f64,
        /// Fewest and
        least: f64,
        /// most that go with them.
        most: f64,
    },
}

impl Doubt {
    /// The word in metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Parity { .. } => "parity",
            Self::Unfitted(_) => "unfitted",
            Self::Few { .. } => "few_frauds",
            Self::Off { .. } => "off",
        }
    }

    /// Whether a model is not put in place whatever the bank's rule, nor where there is none.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Parity { .. } => true,
            Self::Unfitted(_) | Self::Few { .. } | Self::Off { .. } => false,
        }
    }

    /// Of a model whose kernel says something else than libtorch.
    pub(super) fn of_parity(parity: Parity) -> Option<Self> {
        (!parity.is_kept()).then_some(Self::Parity {
            found: parity.max_abs,
            rows: parity.rows,
        })
    }
}

impl Fit {
    /// Rows that it was fitted on.
    pub(super) fn rows(&self) -> usize {
        self.frauds.len()
    }

    /// Of the held-out rows.
    pub(super) fn probabilities(&self) -> Vec<f32> {
        let probability = |logit: &f32| self.calibration.probability(*logit);
        self.logits.iter().map(probability).collect()
    }

    /// Why it is not to be relied upon by a bank whose people look at payments from this
    /// probability on; nothing where it is. Frauds may be half to twice as many as were told, as
    /// watching has it (docs/watch.md), or three standard deviations of chance away.
    pub(super) fn doubt(&self, review_from: f64) -> Option<Doubt> {
        if let Some(doubt) = Doubt::of_parity(self.parity) {
            return Some(doubt);
        }
        if let Some(error) = &self.unfitted {
            return Some(Doubt::Unfitted(error.clone()));
        }
        let frauds = self.frauds.iter().filter(|fraud| **fraud).count();
        if frauds < FRAUDS_MIN {
            return Some(Doubt::Few { frauds });
        }
        let (mut came, mut told, mut variance) = (0_usize, 0.0_f64, 0.0_f64);
        for (logit, fraud) in self.logits.iter().zip(&self.frauds) {
            let probability = f64::from(self.calibration.probability(*logit));
            if probability >= review_from {
                came += usize::from(*fraud);
                told += probability;
                variance += probability * (1.0 - probability);
            }
        }
        let chance = 3.0 * variance.sqrt();
        let (least, most) = (
            (told / 2.0).min(told - chance),
            (told * 2.0).max(told + chance),
        );
        let is_on = (least..=most).contains(&(came as f64));
        (!is_on).then_some(Doubt::Off {
            came,
            told,
            least: least.max(0.0),
            most,
        })
    }
}

/// Fewest frauds that a calibration is relied upon for: with ten the offset has a standard error of
/// about a third, by which odds are off by four in ten.
pub(super) const FRAUDS_MIN: usize = 10;

/// Fits a calibration of a model on the held-out rows, whatever it has; the identity where that
/// cannot be: training is unweighted, so raw probabilities are of the right order.
pub(super) fn fit(
    schema: &FeatureSchema,
    bundle: &Bundle,
    judged: &Judged,
) -> Result<Fit, ModelError> {
    let scorer = bundle.scorer(schema)?;
    let logits = logits(&scorer, &judged.values, schema.len())?;
    let (calibration, unfitted) = match Calibration::fit(&logits, &judged.frauds) {
        Ok(calibration) => (calibration, None),
        Err(error) => (Calibration::default(), Some(error)),
    };
    Ok(Fit {
        calibration,
        parity: parity((schema, bundle), &scorer, judged)?,
        unfitted,
        logits,
        frauds: judged.frauds.clone(),
    })
}

/// Holds what scores against the network as it was trained, on the sample of the bank's rows. The
/// bank's own never saw the federation's risk.
pub(super) fn parity(
    (schema, bundle): (&FeatureSchema, &Bundle),
    scorer: &Scorer,
    judged: &Judged,
) -> Result<Parity, ModelError> {
    let kernel = logits(scorer, &judged.sample, schema.len())?;
    let mut rows = judged.sample.clone();
    match bundle.head {
        Head::Local => schema.hide_federation(&mut rows),
        Head::Federation | Head::Personal => {}
    }
    let network = Logits::new(Device::Cpu, schema, bundle.size, &bundle.parameters)?;
    network.parity(&rows, &kernel)
}

/// Logits of whole rows.
pub(super) fn logits(
    scorer: &Scorer,
    values: &[f32],
    columns: usize,
) -> Result<Vec<f32>, ModelError> {
    let mut logits = Vec::with_capacity(values.len() / columns.max(1));
    for rows in values.chunks(ROWS * columns.max(1)) {
        logits.extend(scorer.score(rows)?.into_iter().map(|score| score.logit));
    }
    Ok(logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::Slot;
    use crate::scoring::tests::bundle;

    #[test]
    fn about_a_tenth_of_the_cards_is_held_out_and_stays_so() {
        let tokens = (0..2_000)
            .map(|at| format!("card-{at}"))
            .collect::<Vec<_>>();
        let held_out = HeldOut::new(&tokens);
        let count = (0..2_000).filter(|&card| held_out.holds(card)).count();
        assert!((150..250).contains(&count), "{count}");
        let alone = HeldOut::new(&tokens[7..8]);
        assert_eq!(alone.holds(0), held_out.holds(7));
        assert!(!held_out.holds(2_000));
    }

    #[test]
    fn without_both_classes_the_logits_are_taken_at_their_word() {
        let schema = FeatureSchema::standard();
        let judged = Judged {
            values: vec![0.0; 3 * schema.len()],
            frauds: vec![false; 3],
            sample: Vec::new(),
        };
        let fitted = fit(&schema, &bundle(Slot::Live, 1), &judged).unwrap();
        assert_eq!(fitted.calibration, Calibration::default());
        let doubt = fitted.doubt(0.0).unwrap();
        let expected = "no calibration was fitted: 0 frauds and 3 genuine among 3 finite logits";
        assert!(doubt.to_string().starts_with(expected), "{doubt}");
    }

    /// A hundred rows of which each is told to be fraud with a probability of 0.953, and a hundred
    /// with one of 0.047; so many of each are.
    fn told(high: usize, low: usize) -> Fit {
        let half = |frauds: usize| (0..100).map(move |at| at < frauds);
        Fit {
            calibration: Calibration::default(),
            parity: Parity::default(),
            unfitted: None,
            logits: [vec![3.0; 100], vec![-3.0; 100]].concat(),
            frauds: half(high).chain(half(low)).collect(),
        }
    }

    // By hand: 95.3 frauds are told among the first hundred, half of them are 47.6, and three
    // deviations of chance are 6.4; of all 200 exactly a hundred are told.
    #[test]
    fn a_calibration_is_doubted_where_frauds_are_few_or_far_from_what_was_told() {
        let word = |fit: &Fit, from: f64| fit.doubt(from).map(|doubt| doubt.word());
        assert_eq!(word(&told(95, 5), 0.12), None);
        assert_eq!(word(&told(48, 52), 0.12), None);
        assert_eq!(word(&told(47, 53), 0.12), Some("off"));
        // Where nobody would look it does not matter.
        assert_eq!(word(&told(47, 53), 0.0), None);
        assert_eq!(word(&told(47, 53), 0.96), None);
        assert_eq!(word(&told(9, 0), 0.12), Some("few_frauds"));
        assert_eq!(word(&told(10, 0), 0.12), Some("off"));
        let said = told(47, 53).doubt(0.12).unwrap().to_string();
        let expected = "47 frauds among the held-out payments from the review threshold on, \
                        expected 47.6 to 190.5 where 95.3 were told";
        assert_eq!(said, expected);
    }

    #[test]
    fn another_arithmetic_is_a_doubt_before_all_others() {
        let with = |max_abs: f32| Fit {
            parity: Parity { rows: 7, max_abs },
            ..told(9, 0)
        };
        let word = |fit: &Fit| fit.doubt(0.12).map(|doubt| doubt.word());
        assert_eq!(word(&with(1e-5)), Some("few_frauds"));
        assert_eq!(word(&with(1.1e-5)), Some("parity"));
        let said = with(3.14e-4).doubt(0.12).unwrap().to_string();
        let expected = "logits of the kernel and of libtorch lie 3.1e-4 apart on 7 payments, \
                        those of large terms in proportion, expected 1e-5 or less";
        assert_eq!(said, expected);
    }

    // The rows differ in the federation's columns alone, which the bank's own must not see.
    #[test]
    fn the_sample_is_scored_as_each_model_is_asked() {
        model::threads(1);
        let schema = FeatureSchema::standard();
        let shared = schema.indices(|role| *role == features::Role::SharedRisk);
        let mut judged = Judged {
            sample: vec![0.0; 9 * schema.len()],
            ..Judged::default()
        };
        for (row, values) in judged.sample.chunks_exact_mut(schema.len()).enumerate() {
            shared.iter().for_each(|&at| values[at] = row as f32);
        }
        let of = |slot| {
            let bundle = bundle(slot, 1);
            let scorer = bundle.scorer(&schema).unwrap();
            let parity = parity((&schema, &bundle), &scorer, &judged).unwrap();
            let logits = logits(&scorer, &judged.sample, schema.len()).unwrap();
            (parity, logits[0].to_bits() == logits[8].to_bits())
        };
        let (of_all, is_same) = of(Slot::Live);
        assert!(of_all.is_kept() && of_all.rows == 9 && !is_same);
        let (own, is_same) = of(Slot::Local);
        assert!(own.is_kept() && own.rows == 9 && is_same);
    }

    // Three deviations of a handful are wider than half to twice.
    #[test]
    fn chance_of_a_handful_is_no_doubt() {
        let few = |came: usize| Fit {
            calibration: Calibration::default(),
            parity: Parity::default(),
            unfitted: None,
            logits: [vec![0.0; 4], vec![-9.0; 96]].concat(),
            frauds: (0..100).map(|at| at < came || at >= 90).collect(),
        };
        for came in 0..=4 {
            assert_eq!(few(came).doubt(0.12), None, "{came}");
        }
    }
}
