//! `Release`: a model that lineages may start from. A ledger has those that its last plans ended
//! with (`ledger.rs`); others an institution brings itself, from a file of its own choosing. It is
//! named by its parameters alone, so that nobody need be believed about where it comes from.

use std::sync::Arc;

use crypto::Digest;

use super::{elements, model_root, parameters, total};
use crate::plan::{Layout, ModelTerms, TensorSpec};

/// A whole model: what its parameters are, and how they encode a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    schema: Digest,
    layout: Layout,
    parameters: Arc<Vec<f32>>,
    root: Digest,
}

impl Release {
    /// A model of a feature schema, by its digest, and a layout. None where the parameters are not
    /// as many as the layout has, or one is not finite.
    #[must_use]
    pub fn new(schema: Digest, layout: Layout, parameters: Arc<Vec<f32>>) -> Option<Self> {
        let is_whole = parameters.len() == total(&layout);
        if !is_whole || !parameters.iter().all(|value| value.is_finite()) {
            return None;
        }
        let root = model_root(&parameters);
        Some(Self {
            schema,
            layout,
            parameters,
            root,
        })
    }

    /// What names it in a plan.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The first parameters of a model that starts from this one, flat. None where its base is
    /// another model, it encodes payments otherwise, or a tensor of a part that it takes is not
    /// one of the same name, shape and part here.
    #[must_use]
    pub fn first(&self, model: &ModelTerms) -> Option<Vec<f32>> {
        let base = model.base.as_ref()?;
        if base.root != self.root || model.schema.digest() != self.schema {
            return None;
        }
        let mut flat = parameters(model);
        let mut start = 0;
        for tensor in &model.layout.0 {
            let end = start + elements(tensor);
            if base.parts.contains(&tensor.part) {
                flat[start..end].copy_from_slice(self.values(tensor)?);
            }
            start = end;
        }
        Some(flat)
    }

    fn values(&self, wanted: &TensorSpec) -> Option<&[f32]> {
        let mut start = 0;
        for tensor in &self.layout.0 {
            let end = start + elements(tensor);
            if tensor.name == wanted.name {
                let is_same = tensor.shape == wanted.shape && tensor.part == wanted.part;
                return self.parameters.get(start..end).filter(|_| is_same);
            }
            start = end;
        }
        None
    }
}
