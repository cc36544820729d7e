//! Scores without labels: how surprising a payment's amount is to the pretrained encoder, and
//! beside it the one-line rule that any bank could write. What is usual is the agent's own
//! reckoning, `model::surprise`: the last seven days, no label needed.

use features::FeatureSchema;
use model::{Calibration, NetworkSize, Scorer, Usual};

use super::Failed;
use super::book::Judged;
use super::setting::RATIO;

/// The learnt score of `judged`, whose rows are among `rows`, which hold the days before too. It
/// is the surprise of the amount, the group that deviates most in fraud; 0 where a bank has too few
/// payments to say what is usual.
pub(super) fn scores(
    (schema, size): (&FeatureSchema, NetworkSize),
    parameters: &[f32],
    rows: &Judged,
    judged: &Judged,
) -> Result<Vec<f32>, Failed> {
    let scorer = Scorer::new(schema, size, parameters, Calibration::default())?;
    let mut usual = Usual::new(1);
    let mut surprises = Vec::with_capacity(rows.len());
    for (row, (day, _)) in rows.values.chunks_exact(schema.len()).zip(&rows.cards) {
        let energies = scorer.energies(row)?;
        let amount = [energies.first().map_or(0.0, |(_, energy)| *energy)];
        usual.prepare(*day);
        surprises.push(usual.surprises(*day, &amount).first().copied().flatten());
        usual.remember(*day, 1, &amount);
    }
    let score = |place: &usize| -> Result<f32, Failed> {
        let at = rows.at.binary_search(place);
        let at = at.map_err(|_| "a judged row was not encoded")?;
        Ok(surprises[at].unwrap_or(0.0))
    };
    judged.at.iter().map(score).collect()
}

/// The plain rule: the amount over the card's median, as a logarithm.
pub(super) fn ratios(schema: &FeatureSchema, rows: &Judged) -> Result<Vec<f32>, Failed> {
    let column = schema
        .position(RATIO)
        .ok_or_else(|| format!("the schema has no column {RATIO}"))?;
    let rows = rows.values.chunks_exact(schema.len());
    Ok(rows.map(|row| row[column]).collect())
}
