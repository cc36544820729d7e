//! What is usual for a model at the moment it is made: a sample of the last days of the bank's
//! file, shown to each model before it scores. What was scored live since comes on top of it in
//! `scoring.rs`; the arithmetic is `model::surprise`'s.

use std::io;

use features::FeatureEncoder;
use model::{Recent, Scorer, Usual};
use protocol::genesis;
use protocol::plan::{ModelTerms, Part};

use super::window;
use crate::history::History;
use crate::risk::SharedRisk;

/// The sample, once it was needed.
#[derive(Default)]
pub(super) struct Lately(Option<Recent>);

impl Lately {
    /// What is usual for a model over the last days of the history, which are encoded at the first
    /// call.
    ///
    /// # Errors
    /// Where the history cannot be read back.
    pub(super) fn usual(&mut self, history: &History, scorer: &Scorer) -> io::Result<Usual> {
        let recent = match self.0.take() {
            Some(recent) => recent,
            None => sample(history)?,
        };
        let mut usual = Usual::new(history.schema().groups().len());
        self.0.insert(recent).enter(scorer, &mut usual);
        Ok(usual)
    }
}

/// Whether a model's energies were ever trained. As they were drawn, whatever they say is chance.
pub(super) fn is_pretrained(model: &ModelTerms, parameters: &[f32]) -> bool {
    let drawn = genesis::parameters(model);
    let energies = genesis::ranges(&model.layout, &[Part::Energy]);
    energies
        .into_iter()
        .any(|range| parameters.get(range.clone()) != drawn.get(range))
}

/// Encoded without the federation's risk: no energy reads it, so the sample never grows stale.
fn sample(history: &History) -> io::Result<Recent> {
    let mut recent = Recent::new(history.schema().len());
    let (risk, days) = (SharedRisk::default(), 0..u32::MAX);
    let place = (history, &risk, &days);
    // Payments scored live are in scoring's own sample already.
    let mut left = history.file_len();
    window::replay(place, FeatureEncoder::encode, |payment, vector| {
        if left > 0 {
            left -= 1;
            recent.push(payment.day(), &vector.0);
        }
    })?;
    Ok(recent)
}

#[cfg(test)]
mod tests {
    use model::{Calibration, NetworkSize, genesis, layout};

    use super::*;
    use crate::history::tests::sample as history;
    use crate::training::window::{Shown, Windows};

    // Twenty payments a day until day 17,024: a week holds 140.
    #[test]
    fn the_last_week_of_the_past_is_usual_at_once() {
        let history = history(25, 20);
        let (schema, size) = (history.schema(), NetworkSize::default());
        let flat = genesis(&layout(schema, size), 1);
        let scorer = Scorer::new(schema, size, &flat, Calibration::default()).unwrap();
        let (mut windows, risk) = (Windows::default(), SharedRisk::default());
        let week = windows.encoded(&history, &risk, 17_018..17_025).unwrap();
        let rows = week.examples(17_025, Shown::All);
        let mut expected = Usual::new(schema.groups().len());
        for at in 0..rows.len() {
            let judged = scorer.judge(rows.row(at)).unwrap();
            expected.remember(0, 1, &judged.energies);
        }
        let energies = scorer.judge(rows.row(7)).unwrap().energies;
        let mut lately = Lately::default();
        for _ in 0..2 {
            let usual = lately.usual(&history, &scorer).unwrap();
            let found = usual.surprises(17_025, &energies).into_iter();
            for (found, expected) in found.zip(expected.surprises(1, &energies)) {
                let off = found.unwrap() - expected.unwrap();
                assert!(off.abs() < 1e-3, "{off}");
            }
            let later = usual.surprises(17_032, &energies);
            assert!(later.iter().all(Option::is_none));
        }
    }
}
