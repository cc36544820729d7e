//! Scores that no label was needed for.

use model::Usual;

use super::super::Failed;
use super::super::book::Judged;
use super::super::measures::{Outcome, Scored};
use super::super::surprise;
use super::super::training::on_all_processors;
use super::Arms;

impl Arms<'_> {
    /// The amount's surprise to the encoder as it was pretrained.
    pub(super) fn unsupervised(&self, hear: &mut dyn FnMut(&str)) -> Result<Outcome, Failed> {
        let pretrained = self.together(hear)?;
        let surprised = self.surprised(&pretrained.parameters, hear)?;
        Ok(Outcome {
            losses: pretrained.losses.clone(),
            ..surprised
        })
    }

    /// The amount's surprise to any encoder.
    pub(super) fn surprised(
        &self,
        parameters: &[f32],
        hear: &mut dyn FnMut(&str),
    ) -> Result<Outcome, Failed> {
        let books = self.consortium.members()?;
        hear("looking for surprises");
        let from = self.week.test_from - Usual::DAYS;
        let days = from..self.week.test_to;
        let scored = on_all_processors(books.iter().collect(), |book| {
            let rows = book.labelled(&self.ground().feed, &days, |_| 0.0);
            let judged = book.judged(&self.ground().feed, &self.week, &self.compromised);
            let scores =
                surprise::scores((self.schema(), self.terms.size), parameters, &rows, &judged)?;
            Ok((judged, scores))
        })?;
        Ok(without_threshold(&scored))
    }

    /// The plain rule.
    pub(super) fn ratio(&self) -> Result<Outcome, Failed> {
        let books = self.consortium.members()?.iter();
        let scored = books.map(|book| {
            let judged = book.judged(&self.ground().feed, &self.week, &self.compromised);
            let scores = surprise::ratios(self.schema(), &judged)?;
            Ok((judged, scores))
        });
        Ok(without_threshold(
            &scored.collect::<Result<Vec<_>, Failed>>()?,
        ))
    }
}

fn without_threshold(scored: &[(Judged, Vec<f32>)]) -> Outcome {
    let scored = (0..).zip(scored).map(|(bank, (rows, scores))| Scored {
        bank,
        rows,
        scores: scores.clone(),
        threshold: None,
    });
    Outcome::new(&scored.collect::<Vec<_>>(), Vec::new())
}
