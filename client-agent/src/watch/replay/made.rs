//! A model for want of one: made of the reference's days on the spot, so that scores and the
//! encoder's coordinates have figures. It is none to decide by, since nobody weighed its recipe for
//! this bank; training itself is `model`'s.

use std::collections::BTreeMap;
use std::ops::Range;

use features::{FeatureSchema, Row};
use model::schedule::{DROPOUT, WEIGHT_DECAY};
use model::{
    Bar, Calibration, Examples, FinetuneTerms, Learner, ModelError, NetworkSize, PretrainTerms,
    Scorer, examples, genesis, layout,
};
use serde::Serialize;

use super::DAY_MS;
use crate::history::Verdict;
use crate::training;

/// What a model is to be made of: payments of some days, thinned evenly. No `Debug`: rows are
/// payments.
#[derive(Clone)]
pub(super) struct Rows {
    days: Range<i32>,
    steps: u32,
    /// What a payment is of which nobody said anything by then: 0 genuine, NaN unknown.
    silence: f32,
    cards: BTreeMap<String, u32>,
    kept: Vec<Kept>,
    seen: u64,
    stride: u64,
}

#[derive(Clone)]
struct Kept {
    vector: Vec<f32>,
    card: u32,
    ts: i64,
    /// 1 fraud, 0 genuine, NaN unknown.
    label: f32,
    is_held_out: bool,
}

/// What a model was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Trained {
    /// Payments it learnt from.
    pub(crate) rows: usize,
    /// Frauds among them that were known by the end of these days. Without one nothing says what a
    /// fraud is, and the head stays as it was drawn.
    pub(crate) frauds: usize,
    /// Steps without labels, and as many with them.
    pub(crate) steps: u32,
}

impl Rows {
    pub(super) fn new(days: Range<i32>, steps: u32, silence: Verdict) -> Self {
        Self {
            days,
            steps,
            silence: match silence {
                Verdict::Genuine => 0.0,
                Verdict::Unknown | Verdict::Fraud { .. } | Verdict::Cleared { .. } => f32::NAN,
            },
            cards: BTreeMap::new(),
            kept: Vec::new(),
            seen: 0,
            stride: 1,
        }
    }

    /// Takes in a payment, if it is of these days and a learner takes it.
    pub(super) fn push(&mut self, vector: &[f32], row: &Row) {
        let payment = &row.transaction;
        let is_finite = vector.iter().all(|value| value.is_finite());
        if !self.days.contains(&payment.day()) || !is_finite {
            return;
        }
        if self.kept.len() >= ROWS_MAX {
            let mut at = 0_u32;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.stride *= 2;
        }
        if self.seen.is_multiple_of(self.stride) {
            let card = self.number(payment.card());
            let until_ms = i64::from(self.days.end) * DAY_MS;
            self.kept.push(Kept {
                vector: vector.to_vec(),
                card,
                ts: payment.ts,
                label: match &row.label {
                    Some(label) if label.known_at < until_ms => f32::from(u8::from(label.fraud)),
                    Some(_) | None => self.silence,
                },
                is_held_out: examples::is_held_out(payment.card()),
            });
        }
        self.seen += 1;
    }

    fn number(&mut self, card: &str) -> u32 {
        if let Some(number) = self.cards.get(card) {
            return *number;
        }
        let next = u32::try_from(self.cards.len()).unwrap_or(u32::MAX);
        self.cards.insert(card.to_owned(), next);
        next
    }

    /// A model of them: pretrained, fine-tuned where there is a fraud to learn from, calibrated on
    /// the cards held out.
    ///
    /// # Errors
    /// [`ModelError`] where they are too few.
    pub(super) fn make(mut self, schema: &FeatureSchema) -> Result<(Scorer, Trained), ModelError> {
        self.kept.sort_by_key(|row| row.ts);
        let size = NetworkSize::default();
        training::settle_in();
        let start = genesis(&layout(schema, size), SEED);
        let mut learner = Learner::new(schema, size, &start)?;
        let rows = self.examples(schema.len())?;
        learner.pretrain(&rows, &pretrain(self.steps), &mut Bar::new("pretrain"))?;
        let frauds = rows.label.iter().filter(|label| **label == 1.0).count();
        if frauds > 0 && rows.label.contains(&0.0) {
            let terms = finetune(self.steps);
            learner.finetune_annealed(&rows, &terms, &mut Bar::new("finetune"))?;
        }
        let parameters = learner.parameters();
        let raw = Scorer::new(schema, size, &parameters, Calibration::default())?;
        let calibration = self.calibration(&raw)?;
        let trained = Trained {
            rows: rows.len(),
            frauds,
            steps: self.steps,
        };
        let scorer = Scorer::new(schema, size, &parameters, calibration)?;
        Ok((scorer, trained))
    }

    /// All of them; the labels of cards held out are not shown.
    fn examples(&self, columns: usize) -> Result<Examples, ModelError> {
        let mut rows = Examples::new(columns);
        for row in &self.kept {
            let label = match row.is_held_out {
                true => f32::NAN,
                false => row.label,
            };
            rows.push(&row.vector, row.card, row.ts, label)?;
        }
        Ok(rows)
    }

    /// Logits are taken at their word where the cards held out say nothing.
    fn calibration(&self, scorer: &Scorer) -> Result<Calibration, ModelError> {
        let (mut logits, mut frauds) = (Vec::new(), Vec::new());
        let held_out = self.kept.iter().filter(|row| row.is_held_out);
        for row in held_out.filter(|row| !row.label.is_nan()) {
            let scores = scorer.score(&row.vector)?;
            logits.extend(scores.iter().map(|score| score.logit));
            frauds.push(row.label > 0.5);
        }
        Ok(Calibration::fit(&logits, &frauds).unwrap_or_default())
    }
}

fn pretrain(steps: u32) -> PretrainTerms {
    PretrainTerms {
        steps,
        batch: 256,
        rate: 3e-3,
        rate_end: 6e-5,
        seed: SEED,
        patience: None,
    }
}

fn finetune(steps: u32) -> FinetuneTerms {
    FinetuneTerms {
        steps,
        batch: 128,
        rate_head: 2e-3,
        rate_encoder: 5e-4,
        dropout: DROPOUT,
        weight_decay: WEIGHT_DECAY,
        proximal: 0.0,
        seed: SEED,
    }
}

const SEED: u64 = 1;

/// Rows kept: 25 MB of 80 columns, and more than some hundred steps draw.
const ROWS_MAX: usize = 65_536;
