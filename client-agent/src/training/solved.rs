//! Newton's method on the bank's rows alone: the baseline of a plan whose server solves for its
//! steps, by the ledger's own step, as if the bank were all there is.

use std::ops::Range;

use model::{Bar, Examples, FinetuneReport, Learner};
use protocol::genesis;
use protocol::ledger::Optimizer;
use protocol::plan::{Newton, ServerRule, Training};

use super::trainer::TrainingError;
use crate::courtesy::Courteous;

/// The rule, and where the head is.
#[derive(Clone)]
pub(super) struct Solved {
    rule: ServerRule,
    head: Vec<Range<usize>>,
}

impl Solved {
    /// That of a plan by Newton's method, with the prior of unit deviation that so many examples
    /// have; nothing of any other plan.
    pub(super) fn new(training: &Training, examples: usize) -> Option<Self> {
        let ServerRule::Newton(terms) = training.server else {
            return None;
        };
        Some(Self {
            rule: ServerRule::Newton(Newton {
                ridge: 1.0 / examples.max(1) as f32,
                ..terms
            }),
            head: genesis::ranges(&training.model.layout, &training.parts),
        })
    }

    /// One step.
    pub(super) fn step(
        &self,
        learner: &mut Learner,
        examples: &Examples,
    ) -> Result<FinetuneReport, TrainingError> {
        let mut bar = Courteous(Bar::new("baseline"));
        let found = learner.curvature(examples, &mut bar)?;
        let mut parameters = learner.parameters();
        // It keeps nothing from step to step.
        Optimizer::default().step(&self.rule, &found.values, &self.head, &mut parameters);
        learner.load(&parameters)?;
        Ok(found.report)
    }
}
