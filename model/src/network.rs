//! The network's shape: its tensors, in declared order, generated from the schema's roles.
//! What is computed with them is in `forward` (libtorch) and `kernel` (plain Rust).
//!
//! v = [event, context, derived] columns. Each column that is not one-hot passes a periodic
//! embedding (Gorishniy et al. 2022, "PLR": learnt frequencies, one shared linear layer, ReLU);
//! embedding and v go through two layers to z. A linear energy per field group judges how well
//! the fields fit their card; the head judges fraud from z and the columns beside it, through two
//! layers or, where labels are few, straight (docs/learn.md).

use features::FeatureSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chance::Chance;
use crate::roles::Counts;

/// Outputs of the periodic embedding per column.
pub(crate) const PERIODIC: usize = 6;

/// A tensor that a linear head lacks.
pub(crate) const HEAD_FIRST: &str = "head.first.weight";

/// The widest layers that commands lay out, of the encoder as of the head.
pub const WIDTH_MAX: u16 = 1_024;

/// The most frequencies of a column that commands lay out. At these bounds the standard schema's
/// encoder has 1.2 million parameters, the whole network 3.4, of the ten that a plan may have.
pub const FREQUENCIES_MAX: u16 = 64;

/// Widths of the network. The default is the smallest on the plateau: about 8,000 parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSize {
    /// Width of the encoder's two layers, and length of z.
    pub width: u16,
    /// Learnt frequencies per column.
    pub frequencies: u16,
    /// Width of the head's two layers; 0 leaves them out, and the head is linear.
    pub head: u16,
}

impl Default for NetworkSize {
    fn default() -> Self {
        Self {
            width: 32,
            frequencies: 3,
            head: 64,
        }
    }
}

/// One tensor of the layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Dotted name, unique in the layout.
    pub name: String,
    /// Sizes, outermost first; a linear weight is `[outputs, inputs]`.
    pub shape: Vec<u32>,
    /// What it belongs to.
    pub part: Part,
    /// How it starts.
    pub init: Init,
}

impl TensorSpec {
    /// Number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().map(|&n| n as usize).product()
    }
}

/// Which training touches a tensor: pretraining the encoder and the energies, fine-tuning the
/// encoder and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// Periodic embedding and the two layers to z.
    Encoder,
    /// One energy per field group.
    Energy,
    /// The fraud head.
    Head,
}

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All the same value.
    Constant(f32),
    /// Uniform in [-bound, bound).
    Uniform(f32),
    /// Normal with this standard deviation, drawn as the sum of 12 uniforms minus 6, so that no
    /// libm function is involved.
    Normal(f32),
}

/// The tensors of the network for a schema, in the order of the flat parameters.
pub fn layout(schema: &FeatureSchema, size: NetworkSize) -> Vec<TensorSpec> {
    let counts = Counts::new(schema);
    let (width, head) = (u32::from(size.width), u32::from(size.head));
    let frequencies = u32::from(size.frequencies);
    let periodic = PERIODIC as u32;
    let wide = counts.inputs + counts.periodic * periodic;
    let mut specs = vec![TensorSpec {
        name: "encoder.frequencies".into(),
        shape: vec![counts.periodic, frequencies],
        part: Part::Encoder,
        init: Init::Normal(0.3),
    }];
    specs.extend(linear(
        "encoder.periodic",
        2 * frequencies,
        periodic,
        Part::Encoder,
    ));
    specs.extend(linear("encoder.hidden", wide, width, Part::Encoder));
    specs.extend(linear("encoder.out", width, width, Part::Encoder));
    specs.extend(linear("energy", width, counts.groups, Part::Energy));
    let beside_z = width + counts.head;
    let read = match head {
        0 => beside_z,
        head => {
            specs.extend(linear("head.first", beside_z, head, Part::Head));
            specs.extend(linear("head.second", head, head, Part::Head));
            head
        }
    };
    let [weight, bias] = linear("head.out", read, 1, Part::Head);
    specs.extend([
        TensorSpec {
            // Columns have long tails: a draw would say much of some payments at once.
            init: if head == 0 { Init::Zeros } else { weight.init },
            ..weight
        },
        // Fraud is rare: the head starts near its base rate and spends no steps on finding it.
        TensorSpec {
            init: Init::Constant(-4.0),
            ..bias
        },
    ]);
    specs
}

/// Weight and bias of a linear layer, both uniform within one over the root of the inputs.
fn linear(name: &str, inputs: u32, outputs: u32, part: Part) -> [TensorSpec; 2] {
    let init = Init::Uniform(1.0 / (inputs.max(1) as f32).sqrt());
    [
        TensorSpec {
            name: format!("{name}.weight"),
            shape: vec![outputs, inputs],
            part,
            init,
        },
        TensorSpec {
            name: format!("{name}.bias"),
            shape: vec![outputs],
            part,
            init,
        },
    ]
}

/// SHA-256 over names, shapes, parts and starts, each with its length in front.
pub fn digest(layout: &[TensorSpec]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"phalanx layout 1");
    hash.update((layout.len() as u64).to_le_bytes());
    for spec in layout {
        hash.update((spec.name.len() as u64).to_le_bytes());
        hash.update(spec.name.as_bytes());
        hash.update((spec.shape.len() as u64).to_le_bytes());
        for size in &spec.shape {
            hash.update(size.to_le_bytes());
        }
        let part = match spec.part {
            Part::Encoder => 0_u8,
            Part::Energy => 1,
            Part::Head => 2,
        };
        let (init, value) = match spec.init {
            Init::Zeros => (0_u8, 0.0_f32),
            Init::Constant(value) => (1, value),
            Init::Uniform(bound) => (2, bound),
            Init::Normal(sd) => (3, sd),
        };
        hash.update([part, init]);
        hash.update(value.to_le_bytes());
    }
    hash.finalize().into()
}

/// First parameters for local and pooled training and for tests. A federation draws its own, and
/// hands them in.
pub fn genesis(layout: &[TensorSpec], seed: u64) -> Vec<f32> {
    let mut chance = Chance::new(seed, 0);
    let mut flat = Vec::with_capacity(layout.iter().map(TensorSpec::count).sum());
    for spec in layout {
        flat.extend((0..spec.count()).map(|_| match spec.init {
            Init::Zeros => 0.0,
            Init::Constant(value) => value,
            Init::Uniform(bound) => (2.0 * chance.uniform() - 1.0) * bound,
            Init::Normal(sd) => chance.normal() * sd,
        }));
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn layout_follows_the_schema_and_stays_small() {
        let schema = synthetic::schema();
        let layout = layout(&schema, NetworkSize::default());
        let names: Vec<&str> = layout.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[0], "encoder.frequencies");
        assert_eq!(names.last(), Some(&"head.out.bias"));
        let total: usize = layout.iter().map(TensorSpec::count).sum();
        assert!((5_000..30_000).contains(&total), "{total} parameters");
    }

    #[test]
    fn a_linear_head_is_one_layer_that_starts_at_the_base_rate() {
        let schema = synthetic::schema();
        let size = NetworkSize {
            head: 0,
            ..NetworkSize::default()
        };
        let (linear, deep) = (
            layout(&schema, size),
            layout(&schema, NetworkSize::default()),
        );
        let [weight, bias] = &linear[linear.len() - 2..] else {
            unreachable!("two of many")
        };
        // As many inputs as the other head's first layer, and none of its own.
        let first = deep.iter().find(|spec| spec.name == HEAD_FIRST).unwrap();
        assert_eq!(weight.name, "head.out.weight");
        assert_eq!(weight.shape, [1, first.shape[1]]);
        assert_eq!(linear.len(), deep.len() - 4);
        let flat = genesis(&linear, 7);
        let (head, bias) = (weight.count(), bias.count());
        assert!(
            flat[flat.len() - head - bias..][..head]
                .iter()
                .all(|at| *at == 0.0)
        );
        assert_eq!(flat.last(), Some(&-4.0));
    }

    #[test]
    fn genesis_repeats_with_its_seed_and_the_last_bias_is_minus_four() {
        let layout = layout(&synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout, 7);
        assert_eq!(flat, genesis(&layout, 7));
        assert_ne!(flat, genesis(&layout, 8));
        assert_eq!(flat.last(), Some(&-4.0));
    }

    #[test]
    fn digest_moves_with_every_field() {
        let plain = layout(&synthetic::schema(), NetworkSize::default());
        let changed = |change: fn(&mut TensorSpec)| {
            let mut other = plain.clone();
            change(&mut other[0]);
            digest(&other)
        };
        let same = digest(&plain);
        assert_ne!(same, changed(|s| s.name.push('x')));
        assert_ne!(same, changed(|s| s.shape[0] += 1));
        assert_ne!(same, changed(|s| s.part = Part::Head));
        assert_ne!(same, changed(|s| s.init = Init::Normal(0.2)));
        assert_eq!(same, digest(&plain.clone()));
    }
}
