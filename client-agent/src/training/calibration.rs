//! Honest probabilities: a tenth of the cards never enter fine-tuning, and each installed model
//! is calibrated on them (Platt scaling, `model::calibration`).

use features::FeatureSchema;
use model::{Calibration, ModelError, NetworkSize, Scorer, examples};

use super::window::Judged;

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

/// Fits a calibration of `parameters` on the held-out rows. Without both classes among them it
/// stays the identity: training is unweighted, so raw probabilities are of the right order.
pub(super) fn fit(
    schema: &FeatureSchema,
    size: NetworkSize,
    parameters: &[f32],
    judged: &Judged,
) -> Result<Calibration, ModelError> {
    let scorer = Scorer::new(schema, size, parameters, Calibration::default())?;
    let logits = logits(&scorer, &judged.values, schema.len())?;
    match Calibration::fit(&logits, &judged.frauds) {
        Ok(calibration) => Ok(calibration),
        Err(error) => {
            tracing::info!(%error, "calibration left as it is");
            Ok(Calibration::default())
        }
    }
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
        let size = NetworkSize::default();
        let flat = model::genesis(&model::layout(&schema, size), 1);
        let judged = Judged {
            values: vec![0.0; 3 * schema.len()],
            frauds: vec![false; 3],
        };
        let fitted = fit(&schema, size, &flat, &judged).unwrap();
        assert_eq!(fitted, Calibration::default());
    }
}
