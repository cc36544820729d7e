//! The canonical encoding of a plan: what the operator signs and what names it. The order of the
//! fields is the order of the type; an enum is its variant's number, then its fields.

use crypto::{Canonical, Digest, ToCanonical};

use super::{
    Adaptive, CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Layout, ModelTerms, Part,
    Plan, Privacy, RiskTerms, ServerRule, TensorSpec, Training, Work,
};
use crate::signed::Signable;

impl ToCanonical for Plan {
    fn canonical(&self) -> Vec<u8> {
        let mut to = Canonical::new(2);
        to.bytes(self.name.as_bytes());
        self.work.write(&mut to);
        to.u32(self.rounds);
        self.cohort.write(&mut to);
        self.deadlines.write(&mut to);
        match self.privacy {
            Privacy::None => to.u8(0),
        };
        to.u64(self.nonce).u64(self.expires.0);
        to.u8(self.width.bits());
        if let Some(model) = self.work.model() {
            model.write_base(&mut to);
        }
        to.finish()
    }
}

impl Signable for Plan {
    const KIND: &'static str = "plan";
}

impl Layout {
    /// The digest that a policy approves a layout by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut to = Canonical::new(3);
        self.write(&mut to);
        to.hash("csa1/layout")
    }

    fn write(&self, to: &mut Canonical) {
        to.list(self.0.len());
        for tensor in &self.0 {
            tensor.write(to);
        }
    }
}

impl ModelTerms {
    /// The digest that names a model and all its successors: schema, layout, genesis seed and base.
    #[must_use]
    pub fn lineage(&self) -> Digest {
        let mut to = Canonical::new(4);
        self.write(&mut to);
        self.write_base(&mut to);
        to.hash("csa1/lineage")
    }

    /// The last field of whatever holds a model, and nothing where there is no base: so that models
    /// drawn from their seed alone keep the names, and the parameters, that they have.
    fn write_base(&self, to: &mut Canonical) {
        let Some(base) = &self.base else { return };
        to.digest(&base.root);
        to.list(base.parts.len());
        for part in &base.parts {
            part.write(to);
        }
    }

    fn write(&self, to: &mut Canonical) {
        to.digest(&self.schema.digest());
        self.layout.write(to);
        to.u64(self.genesis_seed);
    }
}

impl TensorSpec {
    fn write(&self, to: &mut Canonical) {
        to.bytes(self.name.as_bytes());
        to.list(self.shape.len());
        for &size in &self.shape {
            to.u32(size);
        }
        self.part.write(to);
        match self.init {
            Init::Zeros => to.u8(0),
            Init::Constant(value) => to.u8(1).f32(value),
            Init::Uniform(bound) => to.u8(2).f32(bound),
            Init::Normal(deviation) => to.u8(3).f32(deviation),
        };
    }
}

impl Part {
    fn write(self, to: &mut Canonical) {
        to.u8(match self {
            Self::Encoder => 0,
            Self::Energy => 1,
            Self::Head => 2,
        });
    }
}

impl Work {
    fn write(&self, to: &mut Canonical) {
        match self {
            Self::Pretrain(training) => training.write(to.u8(0)),
            Self::Finetune(training) => training.write(to.u8(1)),
            Self::Risk(terms) => terms.write(to.u8(2)),
            Self::Evaluate(terms) => terms.write(to.u8(3)),
        }
    }
}

impl Training {
    fn write(&self, to: &mut Canonical) {
        self.model.write(to);
        to.list(self.parts.len());
        for part in &self.parts {
            part.write(to);
        }
        to.u32(self.from_day).u32(self.to_day);
        to.u16(self.label_delay_days);
        to.u32(self.steps).u32(self.batch);
        to.f32(self.rate).f32(self.rate_encoder).f32(self.rate_end);
        to.f32(self.proximal);
        to.u64(self.examples_cap);
        to.f32(self.clip_norm).f32(self.range);
        to.u8(self.value_bits);
        match self.server {
            ServerRule::FedAvg { rate } => to.u8(0).f32(rate),
            ServerRule::FedAdam(terms) => terms.write(to.u8(1)),
            ServerRule::FedYogi(terms) => terms.write(to.u8(2)),
            ServerRule::Newton(terms) => to.u8(3).f32(terms.radius).f32(terms.ridge),
        };
    }
}

impl Adaptive {
    fn write<'a>(&self, to: &'a mut Canonical) -> &'a mut Canonical {
        to.f32(self.rate)
            .f32(self.beta1)
            .f32(self.beta2)
            .f32(self.epsilon)
    }
}

impl RiskTerms {
    fn write(&self, to: &mut Canonical) {
        to.u32(self.buckets).digest(&self.salt);
        to.u32(self.from_day).u16(self.days);
        to.u16(self.label_delay_days).u16(self.banks_min);
    }
}

impl EvaluateTerms {
    fn write(&self, to: &mut Canonical) {
        self.model.write(to);
        match self.of {
            Evaluated::Scores { bins } => to.u8(0).u32(bins),
            Evaluated::Moments { columns } => to.u8(1).u32(columns),
        };
        to.u32(self.from_day).u32(self.to_day);
        to.u16(self.label_delay_days);
    }
}

impl CohortTerms {
    fn write(&self, to: &mut Canonical) {
        to.u16(self.members_min);
        match self.colluders {
            None => to.u8(0),
            Some(colluders) => to.u8(1).u16(colluders),
        };
        to.u16(self.honest_min);
    }
}

impl Deadlines {
    fn write(&self, to: &mut Canonical) {
        to.u64(self.selection.0).u64(self.agreement.0);
        to.u64(self.escrow.0).u64(self.collection.0);
        to.u64(self.acknowledgement.0).u64(self.reveal.0);
    }
}
