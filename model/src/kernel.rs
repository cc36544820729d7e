//! The forward pass of one row in plain Rust, for scoring: no libtorch, no allocation beyond
//! vectors that are reused, the same bytes on every call. `forward` has the same arithmetic for
//! training; the parity test below holds them together.
//!
//! Weights lie in stretches of a few outputs, input-major within each: the inner loop adds one
//! input to a whole stretch, whose sums stay in registers until the last input. The length is a
//! constant, so the compiler vectorises it, and no sum is reordered.

use std::f32::consts::TAU;

use features::Role;

use crate::network::{HEAD_FIRST, PERIODIC, TensorSpec};
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
    /// The head's first layer, of a linear head the only one.
    first: Layer,
    /// The second and the last, of another head.
    deep: Option<[Layer; 2]>,
}

/// A row on its way through the network: every vector that it passes through. Rows that differ from
/// it in a few columns go on from there, and the next row takes its place without an allocation.
#[derive(Default)]
pub(crate) struct Way {
    /// The encoder's inputs, and behind them their embeddings.
    wide: Vec<f32>,
    /// The encoder's hidden layer, before it is cut off at 0.
    hidden: Vec<f32>,
    z: Vec<f32>,
    /// z, and behind it the columns that enter the head beside it.
    beside: Vec<f32>,
    /// The head's first layer, before it is cut off at 0.
    first: Vec<f32>,
    /// What lies between two layers.
    between: Vec<f32>,
    result: Vec<f32>,
}

struct Layer {
    inputs: usize,
    outputs: usize,
    /// `[stretches, inputs]`; outputs beyond the last one are zero.
    weight: Vec<[f32; STRETCH]>,
    /// One for each stretch.
    bias: Vec<[f32; STRETCH]>,
}

/// Outputs summed side by side: four vectors of four, whose chains of additions hide each other's
/// latency, and few enough for the sixteen registers that every x86-64 has.
const STRETCH: usize = 16;

impl Kernel {
    /// Lays out `flat`, whose length was checked against `layout`.
    pub(crate) fn new(layout: &[TensorSpec], roles: Roles, flat: &[f32]) -> Self {
        let frequencies = &flat[range_of(layout, "encoder.frequencies")];
        let is_deep = layout.iter().any(|spec| spec.name == HEAD_FIRST);
        let head = |name: &str| Layer::new(layout, flat, name);
        Self {
            frequencies_each: layout[0].shape[1] as usize,
            frequencies: frequencies.iter().map(|turns| turns * TAU).collect(),
            periodic: Layer::new(layout, flat, "encoder.periodic"),
            hidden: Layer::new(layout, flat, "encoder.hidden"),
            out: Layer::new(layout, flat, "encoder.out"),
            energy: Layer::new(layout, flat, "energy"),
            first: head(if is_deep { "head.first" } else { "head.out" }),
            deep: is_deep.then(|| [head("head.second"), head("head.out")]),
            roles,
        }
    }

    /// The same network for rows as `FeatureSchema::hide_federation` leaves them, without a copy of
    /// a row: where the head reads the federation's risk it reads the bank's own, or nothing.
    pub(crate) fn alone(mut self) -> Self {
        let of = |role: Role| self.roles.schema.indices(|other| *other == role);
        let (own, shared) = (of(Role::OwnRisk), of(Role::SharedRisk));
        for (place, column) in self.roles.head.iter_mut().enumerate() {
            let Some(at) = shared.iter().position(|shared| shared == column) else {
                continue;
            };
            match own.get(at) {
                Some(own) => *column = *own,
                None => self.first.ignore(self.out.outputs + place),
            }
        }
        self
    }

    /// A way with room for every vector, so that no row makes it grow.
    pub(crate) fn way(&self) -> Way {
        let room = |layer: &Layer| Vec::with_capacity(layer.bias.len() * STRETCH);
        let longest = self.hidden.inputs.max(self.first.inputs);
        Way {
            wide: Vec::with_capacity(self.hidden.inputs),
            hidden: room(&self.hidden),
            z: room(&self.out),
            beside: Vec::with_capacity(self.first.inputs),
            first: room(&self.first),
            between: Vec::with_capacity(longest.next_multiple_of(STRETCH)),
            result: room(&self.energy),
        }
    }

    /// Fraud logit of a whole row of the schema.
    pub(crate) fn logit(&self, row: &[f32], way: &mut Way) -> f32 {
        self.encode(row, None, way);
        self.head(row, None, way)
    }

    /// The logit of a row that differs from another in a few columns: [`Self::logit`] but for the
    /// order of its sums, without computing again what both have in common.
    pub(crate) fn logit_beside(&self, other: &Way, row: &[f32], way: &mut Way) -> f32 {
        self.encode(row, Some(other), way);
        self.head(row, Some(other), way)
    }

    /// Energies of a whole row of the schema, one per field group.
    pub(crate) fn energies<'a>(&self, row: &[f32], way: &'a mut Way) -> &'a [f32] {
        self.encode(row, None, way);
        self.energy.forward(&way.z, &mut way.result);
        &way.result
    }

    /// The representation z of a whole row of the schema.
    pub(crate) fn embedding<'a>(&self, row: &[f32], way: &'a mut Way) -> &'a [f32] {
        self.encode(row, None, way);
        &way.z
    }

    /// Both of them, for one encoding of the row.
    pub(crate) fn judge<'a>(&self, row: &[f32], way: &'a mut Way) -> (f32, &'a [f32]) {
        let logit = self.logit(row, way);
        self.energy.forward(&way.z, &mut way.result);
        (logit, &way.result)
    }

    /// The logit of a row whose z lies on the way.
    fn head(&self, row: &[f32], other: Option<&Way>, way: &mut Way) -> f32 {
        way.beside.clear();
        way.beside.extend_from_slice(&way.z);
        Roles::gather(&self.roles.head, row, &mut way.beside);
        let known = other.map(|other| (other.beside.as_slice(), other.first.as_slice()));
        self.first.go_on(known, &way.beside, &mut way.first);
        let Some([second, last]) = &self.deep else {
            return way.first[0];
        };
        relu_of(&way.first, &mut way.between);
        second.forward(&way.between, &mut way.result);
        relu(&mut way.result);
        way.between.clone_from(&way.result);
        last.forward(&way.between, &mut way.result);
        way.result[0]
    }

    /// Leaves z on the way; what `other` has in common with the row is taken from it.
    fn encode(&self, row: &[f32], other: Option<&Way>, way: &mut Way) {
        way.wide.clear();
        Roles::gather(&self.roles.inputs, row, &mut way.wide);
        let inputs = way.wide.len();
        for (at, &position) in self.roles.periodic.iter().enumerate() {
            let value = way.wide[position];
            let known = inputs + at * PERIODIC..inputs + (at + 1) * PERIODIC;
            match other.filter(|other| is_same(other.wide[position], value)) {
                Some(other) => way.wide.extend_from_slice(&other.wide[known]),
                None => self.embed(at, value, &mut way.between, &mut way.wide),
            }
        }
        let known = other.map(|other| (other.wide.as_slice(), other.hidden.as_slice()));
        self.hidden.go_on(known, &way.wide, &mut way.hidden);
        relu_of(&way.hidden, &mut way.between);
        self.out.forward(&way.between, &mut way.z);
        relu(&mut way.z);
    }

    /// Appends the periodic embedding of one value, of the column at this place among those that
    /// have one.
    fn embed(&self, at: usize, value: f32, waves: &mut Vec<f32>, into: &mut Vec<f32>) {
        let each = self.frequencies_each;
        waves.clear();
        waves.resize(2 * each, 0.0);
        for k in 0..each {
            let angle = value * self.frequencies[at * each + k];
            (waves[k], waves[each + k]) = angle.sin_cos();
        }
        let from = into.len();
        self.periodic.append(waves, into);
        relu(&mut into[from..]);
        debug_assert_eq!(into.len() - from, PERIODIC);
    }
}

impl Layer {
    fn new(layout: &[TensorSpec], flat: &[f32], name: &str) -> Self {
        let rows = &flat[range_of(layout, &format!("{name}.weight"))];
        let biases = &flat[range_of(layout, &format!("{name}.bias"))];
        let outputs = biases.len();
        let inputs = rows.len() / outputs;
        let stretches = outputs.div_ceil(STRETCH);
        let mut layer = Self {
            inputs,
            outputs,
            weight: vec![[0.0; STRETCH]; stretches * inputs],
            bias: vec![[0.0; STRETCH]; stretches],
        };
        for (output, bias) in biases.iter().enumerate() {
            let (stretch, place) = (output / STRETCH, output % STRETCH);
            layer.bias[stretch][place] = *bias;
            let own = &rows[output * inputs..(output + 1) * inputs];
            let of_stretch = &mut layer.weight[stretch * inputs..(stretch + 1) * inputs];
            for (weights, weight) in of_stretch.iter_mut().zip(own) {
                weights[place] = *weight;
            }
        }
        layer
    }

    /// Whatever this input is counts for nothing.
    fn ignore(&mut self, input: usize) {
        for weights in self.weight.iter_mut().skip(input).step_by(self.inputs) {
            *weights = [0.0; STRETCH];
        }
    }

    /// `output` becomes bias + input · weight.
    fn forward(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        self.append(input, output);
    }

    /// Appends bias + input · weight.
    fn append(&self, input: &[f32], output: &mut Vec<f32>) {
        debug_assert_eq!(input.len(), self.inputs);
        let end = output.len() + self.outputs;
        for (stretch, bias) in self.bias.iter().enumerate() {
            let weights = &self.weight[stretch * self.inputs..(stretch + 1) * self.inputs];
            output.extend_from_slice(&sums(input, weights, *bias));
        }
        output.truncate(end);
    }

    /// The same as [`Self::forward`], from another input and what it came to: only inputs that
    /// differ are added, unless those are many.
    fn go_on(&self, known: Option<(&[f32], &[f32])>, input: &[f32], output: &mut Vec<f32>) {
        let Some((other, came_to)) = known else {
            return self.forward(input, output);
        };
        let pairs = || other.iter().zip(input).enumerate();
        let moved = pairs().filter(|(_, (one, other))| !is_same(**one, **other));
        if moved.count() > self.inputs / 2 {
            return self.forward(input, output);
        }
        output.clear();
        output.extend_from_slice(came_to);
        for (at, (one, other)) in pairs() {
            if is_same(*one, *other) {
                continue;
            }
            let by = other - one;
            for (stretch, outputs) in output.chunks_mut(STRETCH).enumerate() {
                let weights = &self.weight[stretch * self.inputs + at];
                for (output, weight) in outputs.iter_mut().zip(weights) {
                    *output += by * weight;
                }
            }
        }
    }
}

/// What one stretch of outputs comes to. A function of its own and never part of another: inlined,
/// the compiler leaves the sums in memory and adds them one by one.
#[inline(never)]
fn sums(input: &[f32], weights: &[[f32; STRETCH]], bias: [f32; STRETCH]) -> [f32; STRETCH] {
    let mut sums = bias;
    for (value, weights) in input.iter().zip(weights) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += value * weight;
        }
    }
    sums
}

/// Whether two values are the same bits, so that what is computed from them is too.
fn is_same(one: f32, other: f32) -> bool {
    one.to_bits() == other.to_bits()
}

fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

fn relu_of(values: &[f32], into: &mut Vec<f32>) {
    into.clear();
    into.extend(values.iter().map(|value| value.max(0.0)));
}

#[cfg(test)]
mod tests {
    use features::FeatureSchema;
    use tch::Tensor;

    use super::*;
    use crate::chance::Chance;
    use crate::device::Device;
    use crate::forward::{Network, table};
    use crate::network::{Init, NetworkSize, Part, genesis, layout};
    use crate::synthetic;

    fn random_row(columns: usize, chance: &mut Chance) -> Vec<f32> {
        (0..columns).map(|_| 2.0 * chance.normal()).collect()
    }

    /// A layout with either head, and parameters that have learnt something: a linear head begins
    /// with zeros.
    fn networks(schema: &FeatureSchema, seed: u64) -> [(Vec<TensorSpec>, Vec<f32>); 2] {
        let usual = NetworkSize::default();
        [usual, NetworkSize { head: 0, ..usual }].map(|size| {
            let layout = layout(schema, size);
            let mut flat = genesis(&layout, seed);
            let mut chance = Chance::new(seed, 1);
            for weight in &mut flat[range_of(&layout, "head.out.weight")] {
                *weight += 0.1 * chance.normal();
            }
            (layout, flat)
        })
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

    // The layer as one would write it down, one output after the other.
    #[test]
    fn a_layer_of_any_width_is_bias_and_weighted_sum() {
        let mut chance = Chance::new(5, 0);
        for (inputs, outputs) in [(3_u32, 1_u32), (6, 6), (7, 16), (5, 17), (40, 33)] {
            let spec = |name: &str, shape: Vec<u32>| TensorSpec {
                name: name.to_owned(),
                shape,
                part: Part::Encoder,
                init: Init::Zeros,
            };
            let layout = [
                spec("l.weight", vec![outputs, inputs]),
                spec("l.bias", vec![outputs]),
            ];
            let (inputs, outputs) = (inputs as usize, outputs as usize);
            let flat = random_row((inputs + 1) * outputs, &mut chance);
            let input = random_row(inputs, &mut chance);
            let expected: Vec<f32> = (0..outputs)
                .map(|output| {
                    let weights = &flat[output * inputs..(output + 1) * inputs];
                    let products = input.iter().zip(weights).map(|(a, b)| a * b);
                    products.fold(flat[inputs * outputs + output], |sum, part| sum + part)
                })
                .collect();
            // Whatever was in the vector before goes.
            let mut found = vec![9.0; 50];
            Layer::new(&layout, &flat, "l").forward(&input, &mut found);
            assert_eq!(found, expected);
        }
    }

    // A change of one column, whatever its role, of all of them, and a walk over many.
    #[test]
    fn a_row_beside_another_has_the_logit_that_it_has_alone() {
        let schema = synthetic::schema();
        for (layout, flat) in networks(&schema, 3) {
            let kernel = Kernel::new(&layout, Roles::new(&schema), &flat);
            beside_and_alone(&kernel, &schema);
        }
    }

    fn beside_and_alone(kernel: &Kernel, schema: &FeatureSchema) {
        let (mut whole, mut way, mut chance) = (kernel.way(), kernel.way(), Chance::new(7, 0));
        let row = random_row(schema.len(), &mut chance);
        let logit = kernel.logit(&row, &mut whole);
        let mut others: Vec<Vec<f32>> = vec![row.clone(); schema.len()];
        for (at, other) in others.iter_mut().enumerate() {
            other[at] = 0.0;
        }
        others.push(random_row(schema.len(), &mut chance));
        let mut moved = 0;
        for other in &others {
            let beside = kernel.logit_beside(&whole, other, &mut way);
            let alone = kernel.logit(other, &mut Way::default());
            assert!((beside - alone).abs() < 1e-5, "{beside} {alone}");
            moved += usize::from(beside != logit);
        }
        assert!(moved > schema.len() / 2, "{moved} logits moved");
        assert_eq!(kernel.logit_beside(&whole, &row, &mut way), logit);

        let mut walked = row;
        for at in 0..schema.len() {
            walked[at] = 0.0;
            let beside = kernel.logit_beside(&whole, &walked, &mut way);
            let alone = kernel.logit(&walked, &mut Way::default());
            assert!((beside - alone).abs() < 1e-5, "{beside} {alone}");
            std::mem::swap(&mut whole, &mut way);
        }
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
        let _guard = tch::no_grad_guard();
        let mut way = Way::default();
        let mut chance = Chance::new(11, 0);
        for (layout, flat) in (0..4).flat_map(|seed| networks(schema, seed)) {
            let roles = Roles::new(schema);
            let network = Network::new(&layout, &roles, &Tensor::from_slice(&flat)).unwrap();
            let kernel = Kernel::new(&layout, Roles::new(schema), &flat);
            for _ in 0..250 {
                let row = random_row(roles.columns(), &mut chance);
                let (logit, energies) = by_libtorch(&network, &roles, &row);
                let own = kernel.logit(&row, &mut way);
                assert!(close(own, logit), "logit {own} {logit}");
                let alone = kernel.energies(&row, &mut way).to_vec();
                for (a, b) in alone.iter().zip(&energies) {
                    assert!(close(*a, *b), "energy {a} {b}");
                }
                let both = kernel.judge(&row, &mut way);
                assert_eq!(both, (own, alone.as_slice()));
            }
        }
    }
}
