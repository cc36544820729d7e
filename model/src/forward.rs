//! The network in libtorch, for training: one flat leaf tensor, of which every layer is a view,
//! so that one backward pass leaves one flat gradient. The same arithmetic without libtorch is
//! in `kernel`; a test there holds the two together. How a step of pretraining has many versions
//! of a row at the price of few is in `forward/versions.rs`.

pub(crate) mod versions;

use std::f64::consts::TAU;

use tch::Tensor;

use crate::device::Device;
use crate::error::ModelError;
use crate::network::{HEAD_FIRST, PERIODIC, TensorSpec};
use crate::roles::Roles;

/// The layers of a network, as views of one flat tensor.
pub(crate) struct Network {
    periodic_inputs: Option<Tensor>,
    frequencies: Tensor,
    periodic: Linear,
    hidden: Linear,
    out: Linear,
    energy: Linear,
    /// The head's two layers; none of a linear head.
    between: Option<[Linear; 2]>,
    last: Linear,
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        Ok(input.f_linear(&self.weight, Some(&self.bias))?)
    }

    /// The layer and a ReLU in place, which is cheap as long as `input` has two dimensions: then
    /// what is written over is no view, and autograd need not copy.
    fn relu(&self, input: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.forward(input)?.f_relu_()?)
    }
}

/// Inverted dropout for the head's two layers: 0 or 1/(1-p), `[batch, head]` each.
pub(crate) struct Dropout {
    pub(crate) first: Tensor,
    pub(crate) second: Tensor,
}

impl Network {
    /// Views of `flat`, whose length was checked against `layout`, on the device where it lies.
    pub(crate) fn new(
        layout: &[TensorSpec],
        roles: &Roles,
        flat: &Tensor,
    ) -> Result<Self, ModelError> {
        // One split, whose gradient is put together once; each narrow's would be as long as `flat`.
        let counts: Vec<i64> = layout.iter().map(|spec| spec.count() as i64).collect();
        let mut views = Vec::with_capacity(layout.len());
        for (view, spec) in flat.f_split_with_sizes(counts, 0)?.iter().zip(layout) {
            let shape: Vec<i64> = spec.shape.iter().map(|&n| i64::from(n)).collect();
            views.push(view.f_view(shape.as_slice())?);
        }
        let mut views = views.into_iter();
        let mut take = || {
            views
                .next()
                .expect("the layout lists every tensor in this order")
        };
        let frequencies = take();
        let mut linear = || Linear {
            weight: take(),
            bias: take(),
        };
        let is_deep = layout.iter().any(|spec| spec.name == HEAD_FIRST);
        let all = roles.periodic.len() == roles.inputs.len();
        let positions: Vec<i64> = roles.periodic.iter().map(|&p| p as i64).collect();
        Ok(Self {
            periodic_inputs: if all {
                None
            } else {
                Some(Tensor::f_from_slice(&positions)?.f_to(flat.device())?)
            },
            frequencies,
            periodic: linear(),
            hidden: linear(),
            out: linear(),
            energy: linear(),
            between: is_deep.then(|| [linear(), linear()]),
            last: linear(),
        })
    }

    /// z of inputs `[rows, inputs]`: `[rows, width]`.
    pub(crate) fn encode(&self, inputs: &Tensor) -> Result<Tensor, ModelError> {
        let numbers = match &self.periodic_inputs {
            Some(positions) => inputs.f_index_select(1, positions)?,
            None => inputs.shallow_clone(),
        };
        let embedded = self.embed(&numbers, &self.frequencies)?.f_flatten(1, -1)?;
        let wide = Tensor::f_cat(&[inputs, &embedded], 1)?;
        self.out.relu(&self.hidden.relu(&wide)?)
    }

    /// Periodic embeddings of `numbers`, `[rows, n]`, each by its own of `frequencies`,
    /// `[n, frequencies]`: `[rows, n, PERIODIC]`.
    fn embed(&self, numbers: &Tensor, frequencies: &Tensor) -> Result<Tensor, ModelError> {
        // The few frequencies take the factor, not the many angles; `kernel` rounds alike.
        let angles = numbers
            .f_unsqueeze(-1)?
            .f_mul(&frequencies.f_mul_scalar(TAU)?)?;
        let waves = Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], -1)?;
        let sizes = waves.size();
        let embedded = self.periodic.relu(&waves.f_flatten(0, 1)?)?;
        Ok(embedded.f_view([sizes[0], sizes[1], PERIODIC as i64])?)
    }

    /// Energies of z, `[rows, groups]`: the higher, the better the field group fits its card.
    pub(crate) fn energies(&self, z: &Tensor) -> Result<Tensor, ModelError> {
        self.energy.forward(z)
    }

    /// Fraud logits `[rows]` of z and the head's columns `[rows, head columns]`.
    pub(crate) fn logits(
        &self,
        z: &Tensor,
        beside: &Tensor,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, ModelError> {
        let read = self.head(z, beside, dropout)?;
        Ok(self.last.forward(&read)?.f_squeeze_dim(1)?)
    }

    /// The same logits, and the terms that add up to each without their signs, `[rows]` both.
    pub(crate) fn logits_with_terms(
        &self,
        z: &Tensor,
        beside: &Tensor,
    ) -> Result<(Tensor, Tensor), ModelError> {
        let read = self.head(z, beside, None)?;
        let unsigned = Linear {
            weight: self.last.weight.f_abs()?,
            bias: self.last.bias.f_abs()?,
        };
        let of = |last: &Linear, read: &Tensor| -> Result<Tensor, ModelError> {
            Ok(last.forward(read)?.f_squeeze_dim(1)?)
        };
        Ok((of(&self.last, &read)?, of(&unsigned, &read.f_abs()?)?))
    }

    /// Weights of the head's last layer, and its bias behind them.
    pub(crate) fn last_layer(&self) -> Result<Tensor, ModelError> {
        let weight = self.last.weight.f_flatten(0, 1)?;
        Ok(Tensor::f_cat(&[&weight, &self.last.bias], 0)?)
    }

    /// What the head's last layer reads: z and the columns beside it, `[rows, width + columns]`, or
    /// what its two layers make of them, `[rows, head]`.
    fn head(
        &self,
        z: &Tensor,
        beside: &Tensor,
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, ModelError> {
        let both = Tensor::f_cat(&[z, beside], 1)?;
        let Some([first, second]) = &self.between else {
            return Ok(both);
        };
        let mut hidden = first.relu(&both)?;
        if let Some(dropout) = dropout {
            hidden = hidden.f_mul(&dropout.first)?;
        }
        hidden = second.relu(&hidden)?;
        if let Some(dropout) = dropout {
            hidden = hidden.f_mul(&dropout.second)?;
        }
        Ok(hidden)
    }
}

/// A row-major table as a tensor `[rows, columns]` of a device.
pub(crate) fn table(values: &[f32], columns: usize, device: Device) -> Result<Tensor, ModelError> {
    let shape = [(values.len() / columns) as i64, columns as i64];
    device.hold(Tensor::f_from_slice(values)?.f_view(shape)?)
}

/// Value and flat gradient of a loss at flat parameters.
///
/// Both come back to the host, where Adam and its moments are: on a GPU every step sends the
/// parameters there and the gradient back, 65 KB each way for the standard network, and waits for
/// both. That is tens of microseconds beside hundreds of kernels that a step starts one by one.
pub(crate) fn gradient(
    device: Device,
    layout: &[TensorSpec],
    roles: &Roles,
    flat: &[f32],
    loss: impl FnOnce(&Network) -> Result<Tensor, ModelError>,
) -> Result<(f32, Vec<f32>), ModelError> {
    let leaf = device
        .hold(Tensor::f_from_slice(flat)?)?
        .f_set_requires_grad(true)?;
    let loss = loss(&Network::new(layout, roles, &leaf)?)?;
    loss.f_backward()?;
    Ok((
        loss.f_double_value(&[])? as f32,
        Vec::<f32>::try_from(leaf.f_grad()?)?,
    ))
}

#[cfg(test)]
mod tests {
    use features::FeatureSchema;
    use serde::Deserialize;

    use super::*;
    use crate::network::{NetworkSize, genesis, layout};
    use crate::synthetic;

    #[derive(Deserialize)]
    struct Fixture {
        v: Vec<f32>,
        flat: Vec<f32>,
        z: Vec<f32>,
    }

    // Printed by tests-data/periodic.py with numpy: four inputs, of which the third is a flag.
    #[test]
    fn periodic_embedding_and_encoder_equal_numpy() {
        crate::threads(1);
        let fixture: Fixture =
            serde_json::from_str(include_str!("../tests-data/periodic.json")).unwrap();
        let mut text = "language = 1\ngroups = [\"g\"]\n[fields]\n".to_owned();
        for name in ["one", "two", "three"] {
            text += &format!("\"ext.{name}\" = \"number\"\n");
        }
        for (name, missing) in [("one", "center"), ("two", "flag"), ("three", "center")] {
            text += &format!(
                "[[feature]]\nkind = \"number\"\nname = \"{name}\"\nfield = \"ext.{name}\"\n\
                 transform = \"log\"\nmissing = \"{missing}\"\ngroup = \"g\"\n"
            );
        }
        let schema = FeatureSchema::parse(&text).unwrap();
        let flags: Vec<bool> = schema
            .columns()
            .iter()
            .map(|column| column.is_flag)
            .collect();
        assert_eq!(flags, [false, false, true, false]);
        let layout = layout(
            &schema,
            NetworkSize {
                width: 5,
                frequencies: 2,
                head: 4,
            },
        );
        let mut flat = genesis(&layout, 0);
        flat[..fixture.flat.len()].copy_from_slice(&fixture.flat);
        let roles = Roles::new(&schema);
        let network = Network::new(&layout, &roles, &Tensor::from_slice(&flat)).unwrap();
        let z = network
            .encode(&table(&fixture.v, 4, Device::Cpu).unwrap())
            .unwrap();
        let z = Vec::<f32>::try_from(z.flatten(0, -1)).unwrap();
        assert!(z.iter().any(|value| *value > 0.0) && z.len() == fixture.z.len());
        for (found, expected) in z.iter().zip(&fixture.z) {
            assert!((found - expected).abs() < 1e-4, "{z:?} {:?}", fixture.z);
        }
    }

    // What a linear head reads has signs, and what lies behind a ReLU has none.
    #[test]
    fn the_terms_of_a_logit_add_up_without_their_signs() {
        let schema = synthetic::schema();
        let size = NetworkSize {
            head: 0,
            ..NetworkSize::default()
        };
        let layout = layout(&schema, size);
        let (mut flat, roles) = (genesis(&layout, 1), Roles::new(&schema));
        let from = flat.len() - 1 - roles.head.len();
        let end = flat.len() - 1;
        for (at, weight) in flat[from..end].iter_mut().enumerate() {
            *weight = [0.5, -0.25][at % 2];
        }
        let network = Network::new(&layout, &roles, &Tensor::from_slice(&flat)).unwrap();
        let columns: Vec<f32> = (0..roles.head.len())
            .map(|at| [-2.0, 3.0][at % 2])
            .collect();
        let inputs = table(
            &vec![0.0; roles.inputs.len()],
            roles.inputs.len(),
            Device::Cpu,
        );
        let z = network.encode(&inputs.unwrap()).unwrap();
        let beside = table(&columns, columns.len(), Device::Cpu).unwrap();
        let (logit, terms) = network.logits_with_terms(&z, &beside).unwrap();
        let each = (0..columns.len()).map(|at| [-1.0, -0.75][at % 2]);
        let (sum, size) = each.fold((-4.0, 4.0), |(sum, size), of: f64| {
            (sum + of, size + of.abs())
        });
        assert!((logit.double_value(&[0]) - sum).abs() < 1e-4);
        assert!((terms.double_value(&[0]) - size).abs() < 1e-4);
    }

    // The slope of a loss by differences, (f(p+h) - f(p-h)) / 2h, for a parameter of each layer.
    #[test]
    fn flat_gradient_equals_differences() {
        crate::threads(1);
        let usual = NetworkSize::default();
        for size in [usual, NetworkSize { head: 0, ..usual }] {
            slopes(size);
        }
    }

    fn slopes(size: NetworkSize) {
        let schema = synthetic::schema();
        let layout = layout(&schema, size);
        let roles = Roles::new(&schema);
        let flat = genesis(&layout, 1);
        let rows = synthetic::population(8, 1, 3);
        let (mut inputs, mut beside) = (Vec::new(), Vec::new());
        for index in 0..rows.len() {
            Roles::gather(&roles.inputs, rows.row(index), &mut inputs);
            Roles::gather(&roles.head, rows.row(index), &mut beside);
        }
        let inputs = table(&inputs, roles.inputs.len(), Device::Cpu).unwrap();
        let beside = table(&beside, roles.head.len(), Device::Cpu).unwrap();
        let loss = |network: &Network| {
            let z = network.encode(&inputs)?;
            let logits = network.logits(&z, &beside, None)?;
            Ok(logits.square().mean(tch::Kind::Float) + network.energies(&z)?.square().sum(None))
        };
        let (_, slope) = gradient(Device::Cpu, &layout, &roles, &flat, loss).unwrap();
        let mut start = 0;
        for spec in &layout {
            let moved = |h: f32| {
                let mut flat = flat.clone();
                flat[start] += h;
                f64::from(
                    gradient(Device::Cpu, &layout, &roles, &flat, loss)
                        .unwrap()
                        .0,
                )
            };
            let difference = (moved(5e-3) - moved(-5e-3)) / 1e-2;
            let found = f64::from(slope[start]);
            let error = (found - difference).abs();
            assert!(
                error < 0.02 * (1.0 + found.abs()),
                "{}: {found} {difference}",
                spec.name
            );
            start += spec.count();
        }
    }
}
