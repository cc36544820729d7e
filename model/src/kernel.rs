//! The forward pass of one row in plain Rust, for scoring: no libtorch, no allocation beyond a
//! scratch that is reused, the same bytes on every call. `forward` has the same arithmetic for
//! training; the parity test below holds them together.
//!
//! Weights lie input-major, so that the inner loop adds one input to all outputs: the compiler
//! vectorises it without reordering a sum.

use std::f32::consts::TAU;

use crate::network::{PERIODIC, TensorSpec};
use crate::parameters::range_of;
use crate::roles::Roles;

/// The network of one set of parameters, laid out for single rows.
pub(crate) struct Kernel {
    pub(crate) roles: Roles,
    /// In radians for each unit of a column.
    frequencies: Vec<f32>,
    frequencies_each: usize,
    periodic: Layer,
    hidden: Layer,
    out: Layer,
    energy: Layer,
    first: Layer,
    second: Layer,
    last: Layer,
}

/// Vectors that a row passes through, kept between rows.
#[derive(Default)]
pub(crate) struct Scratch {
    waves: Vec<f32>,
    embedded: Vec<f32>,
    wide: Vec<f32>,
    hidden: Vec<f32>,
    z: Vec<f32>,
    result: Vec<f32>,
}

struct Layer {
    outputs: usize,
    /// `[inputs, outputs]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Kernel {
    /// Lays out `flat`, whose length was checked against `layout`.
    pub(crate) fn new(layout: &[TensorSpec], roles: Roles, flat: &[f32]) -> Self {
        let frequencies = &flat[range_of(layout, "encoder.frequencies")];
        Self {
            frequencies_each: layout[0].shape[1] as usize,
            frequencies: frequencies.iter().map(|turns| turns * TAU).collect(),
            periodic: Layer::new(layout, flat, "encoder.periodic"),
            hidden: Layer::new(layout, flat, "encoder.hidden"),
            out: Layer::new(layout, flat, "encoder.out"),
            energy: Layer::new(layout, flat, "energy"),
            first: Layer::new(layout, flat, "head.first"),
            second: Layer::new(layout, flat, "head.second"),
            last: Layer::new(layout, flat, "head.out"),
            roles,
        }
    }

    /// Fraud logit of a whole row of the schema.
    pub(crate) fn logit(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        self.encode(row, scratch);
        self.head(row, scratch)
    }

    /// Energies of a whole row of the schema, one per field group.
    pub(crate) fn energies<'a>(&self, row: &[f32], scratch: &'a mut Scratch) -> &'a [f32] {
        self.encode(row, scratch);
        self.energy.forward(&scratch.z, &mut scratch.result);
        &scratch.result
    }

    /// Both of them, for one encoding of the row.
    pub(crate) fn judge<'a>(&self, row: &[f32], scratch: &'a mut Scratch) -> (f32, &'a [f32]) {
        let logit = self.logit(row, scratch);
        self.energy.forward(&scratch.z, &mut scratch.result);
        (logit, &scratch.result)
    }

    /// The logit of a row whose z is in the scratch.
    fn head(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        let Scratch {
            wide,
            hidden,
            z,
            result,
            ..
        } = scratch;
        wide.clear();
        wide.extend_from_slice(z);
        Roles::gather(&self.roles.head, row, wide);
        self.first.forward(wide, hidden);
        relu(hidden);
        self.second.forward(hidden, wide);
        relu(wide);
        self.last.forward(wide, result);
        result[0]
    }

    /// Leaves z in the scratch.
    fn encode(&self, row: &[f32], scratch: &mut Scratch) {
        let Scratch {
            waves,
            embedded,
            wide,
            hidden,
            z,
            ..
        } = scratch;
        wide.clear();
        Roles::gather(&self.roles.inputs, row, wide);
        let each = self.frequencies_each;
        for (at, position) in self.roles.periodic.iter().enumerate() {
            let value = wide[*position];
            waves.clear();
            waves.resize(2 * each, 0.0);
            for k in 0..each {
                let angle = value * self.frequencies[at * each + k];
                (waves[k], waves[each + k]) = angle.sin_cos();
            }
            self.periodic.forward(waves, embedded);
            relu(embedded);
            debug_assert_eq!(embedded.len(), PERIODIC);
            wide.extend_from_slice(embedded);
        }
        self.hidden.forward(wide, hidden);
        relu(hidden);
        self.out.forward(hidden, z);
        relu(z);
    }
}

impl Layer {
    fn new(layout: &[TensorSpec], flat: &[f32], name: &str) -> Self {
        let rows = &flat[range_of(layout, &format!("{name}.weight"))];
        let bias = flat[range_of(layout, &format!("{name}.bias"))].to_vec();
        let outputs = bias.len();
        let inputs = rows.len() / outputs;
        let weight = (0..inputs)
            .flat_map(|input| (0..outputs).map(move |output| rows[output * inputs + input]))
            .collect();
        Self {
            outputs,
            weight,
            bias,
        }
    }

    /// `output` becomes bias + input · weight.
    fn forward(&self, input: &[f32], output: &mut Vec<f32>) {
        debug_assert_eq!(input.len() * self.outputs, self.weight.len());
        output.clear();
        output.extend_from_slice(&self.bias);
        for (value, weights) in input.iter().zip(self.weight.chunks_exact(self.outputs)) {
            for (sum, weight) in output.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
    }
}

fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use features::FeatureSchema;
    use tch::Tensor;

    use super::*;
    use crate::chance::Chance;
    use crate::device::Device;
    use crate::forward::{Network, table};
    use crate::network::{NetworkSize, genesis, layout};
    use crate::synthetic;

    fn random_row(columns: usize, chance: &mut Chance) -> Vec<f32> {
        (0..columns).map(|_| 2.0 * chance.normal()).collect()
    }

    /// Logit and energies of one row by libtorch.
    fn by_libtorch(network: &Network, roles: &Roles, row: &[f32]) -> (f32, Vec<f32>) {
        let (mut inputs, mut beside) = (Vec::new(), Vec::new());
        Roles::gather(&roles.inputs, row, &mut inputs);
        Roles::gather(&roles.head, row, &mut beside);
        let z = network
            .encode(&table(&inputs, inputs.len(), Device::Cpu).unwrap())
            .unwrap();
        let beside = table(&beside, beside.len(), Device::Cpu).unwrap();
        let logit = network.logits(&z, &beside, None).unwrap();
        let energies = network.energies(&z).unwrap().flatten(0, -1);
        (
            logit.double_value(&[0]) as f32,
            Vec::try_from(energies).unwrap(),
        )
    }

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 1e-5 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn kernel_equals_libtorch_on_random_rows() {
        crate::threads(1);
        for schema in [synthetic::schema(), synthetic::single()] {
            parity(&schema);
        }
    }

    fn parity(schema: &FeatureSchema) {
        let layout = layout(schema, NetworkSize::default());
        let _guard = tch::no_grad_guard();
        let mut scratch = Scratch::default();
        let mut chance = Chance::new(11, 0);
        for seed in 0..4 {
            let flat = genesis(&layout, seed);
            let roles = Roles::new(schema);
            let network = Network::new(&layout, &roles, &Tensor::from_slice(&flat)).unwrap();
            let kernel = Kernel::new(&layout, Roles::new(schema), &flat);
            for _ in 0..250 {
                let row = random_row(roles.columns(), &mut chance);
                let (logit, energies) = by_libtorch(&network, &roles, &row);
                let own = kernel.logit(&row, &mut scratch);
                assert!(close(own, logit), "logit {own} {logit}");
                let alone = kernel.energies(&row, &mut scratch).to_vec();
                for (a, b) in alone.iter().zip(&energies) {
                    assert!(close(*a, *b), "energy {a} {b}");
                }
                let both = kernel.judge(&row, &mut scratch);
                assert_eq!(both, (own, alone.as_slice()));
            }
        }
    }
}
