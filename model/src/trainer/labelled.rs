//! What both ways of training with labels read: the rows whose label is known, and batches of them.

use tch::Tensor;

use super::Learner;
use crate::error::ModelError;
use crate::examples::Examples;
use crate::forward::table;
use crate::roles::Roles;

/// The rows of a table whose label is known; one at least.
pub(super) struct Labelled {
    /// Where they are in the table.
    pub(super) rows: Vec<usize>,
    pub(super) frauds: u32,
}

impl Labelled {
    pub(super) fn of(examples: &Examples) -> Result<Self, ModelError> {
        let rows = examples.labelled();
        if rows.is_empty() {
            return Err(ModelError::TooFew {
                found: 0,
                expected: 1,
            });
        }
        let is_fraud = |row: &&usize| examples.label[**row] > 0.5;
        Ok(Self {
            frauds: rows.iter().filter(is_fraud).count() as u32,
            rows,
        })
    }
}

/// Some rows as the network reads them, where the learner computes.
pub(super) struct Batch {
    /// `[rows, inputs]` of the encoder.
    pub(super) inputs: Tensor,
    /// `[rows, columns]` that enter the head beside z.
    pub(super) beside: Tensor,
    /// `[rows]`, 1 fraud, 0 genuine.
    pub(super) labels: Tensor,
}

impl Batch {
    pub(super) fn of(
        learner: &Learner,
        examples: &Examples,
        rows: &[usize],
    ) -> Result<Self, ModelError> {
        let (roles, device) = (&learner.roles, learner.device);
        let (mut inputs, mut beside, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for &row in rows {
            Roles::gather(&roles.inputs, examples.row(row), &mut inputs);
            Roles::gather(&roles.head, examples.row(row), &mut beside);
            labels.push(examples.label[row]);
        }
        Ok(Self {
            inputs: table(&inputs, roles.inputs.len(), device)?,
            beside: table(&beside, roles.head.len(), device)?,
            labels: device.hold(Tensor::f_from_slice(&labels)?)?,
        })
    }
}
