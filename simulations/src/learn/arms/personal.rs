//! The federation's encoder, and a head of each bank's own where its validation slice prefers it.

use model::Calibration;
use model::evaluation::is_preferred;

use super::super::Failed;
use super::super::book::Book;
use super::super::consortium::Side;
use super::super::measures::{Outcome, Scored};
use super::super::training::on_all_processors;
use super::{Arms, Fitted, Sight, hide};

impl Arms<'_> {
    /// Each bank trains the federation's head on for itself, and takes it where its validation
    /// slice prefers it, as agents do.
    pub(super) fn personal(
        &self,
        books: &[Book],
        fitted: &Fitted,
        sights: &[Sight],
        share: f64,
    ) -> Result<Outcome, Failed> {
        let banks = books.iter().zip(sights).zip(0..).collect();
        let scored = on_all_processors(banks, |((book, sight), bank): ((&Book, &Sight), u16)| {
            let mut rows = self
                .consortium
                .training(book, self.shown(share, Side::Train));
            hide(&mut rows.values, self.schema(), self.terms.shared_risk);
            let seed = self.seed.derive("head", u64::from(bank));
            let own = self.training().head(&fitted.parameters, &rows, &seed)?;
            let parameters = match self.is_preferred(&own, &fitted.parameters, sight)? {
                true => &own,
                false => &fitted.parameters,
            };
            let threshold = self.threshold(parameters, sight)?;
            Ok((self.network().logits(parameters, &sight.judged)?, threshold))
        })?;
        let scored = (0..).zip(sights).zip(scored);
        let scored = scored.map(|((bank, sight), (scores, threshold))| Scored {
            bank,
            rows: &sight.judged,
            scores,
            threshold: Some(threshold),
        });
        Ok(Outcome::new(&scored.collect::<Vec<_>>(), Vec::new()))
    }

    fn is_preferred(
        &self,
        candidate: &[f32],
        incumbent: &[f32],
        sight: &Sight,
    ) -> Result<bool, Failed> {
        let frauds = &sight.validation.frauds;
        let probabilities = |parameters: &[f32]| -> Result<Vec<f32>, Failed> {
            let logits = self.network().logits(parameters, &sight.validation)?;
            let fitted = Calibration::fit(&logits, frauds).unwrap_or_default();
            Ok(logits.iter().map(|&l| fitted.probability(l)).collect())
        };
        Ok(is_preferred(
            &probabilities(candidate)?,
            &probabilities(incumbent)?,
            frauds,
        ))
    }
}
