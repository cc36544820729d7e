//! The encoder over all versions of a batch, for a step of pretraining: what a version leaves as it
//! was is computed once for its row, the rest as a change. `Network::encode` of
//! `contrast::whole` gives the same but for the order of sums, and is what measures take; a test
//! in `trainer/pretrain.rs` holds the two together. What changes is decided in `roles`.

use tch::Tensor;

use super::Network;
use crate::contrast::copies;
use crate::device::Device;
use crate::error::ModelError;
use crate::network::PERIODIC;
use crate::roles::{Change, Roles};

/// Where the numbers of one schema's versions lie: the same at every step.
pub(crate) struct Places {
    inputs: i64,
    /// Of each number that is embedded, the true row's before its versions', its place among the
    /// values of the row.
    numbers: Tensor,
    /// Of each of them, the place of its frequencies.
    frequencies: Tensor,
    /// How many of them are the true row's, and how many its versions'.
    embedded: [i64; 2],
    /// Of each value of a version, the position of the true one.
    true_values: Tensor,
    /// Of each embedding of a version, the place of the true one.
    true_embedded: Tensor,
    /// Columns of the hidden layer that the changes reach, one change after another.
    weights: Tensor,
    spans: Vec<Span>,
}

/// The extent of one change.
struct Span {
    versions: i64,
    /// Values that each version changes.
    values: i64,
    /// Values of their embeddings.
    embedded: i64,
}

impl Places {
    /// The places of a schema's roles, on the device where the network is.
    pub(crate) fn new(roles: &Roles, device: Device) -> Result<Self, ModelError> {
        let (inputs, periodic) = (roles.inputs.len(), roles.periodic.len());
        let mut numbers = roles.periodic.clone();
        let mut frequencies: Vec<usize> = (0..periodic).collect();
        let (mut true_values, mut weights): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut spans = Vec::new();
        for change in &roles.changes {
            let embedded = embedded_of(roles, change);
            for _ in 0..copies(change) {
                let start = inputs + true_values.len();
                numbers.extend(embedded.iter().map(|(at, _)| start + at));
                frequencies.extend(embedded.iter().map(|(_, of)| of));
                true_values.extend_from_slice(&change.positions);
            }
            weights.extend_from_slice(&change.positions);
            for (_, of) in &embedded {
                weights.extend((0..PERIODIC).map(|output| inputs + of * PERIODIC + output));
            }
            spans.push(Span {
                versions: copies(change) as i64,
                values: change.positions.len() as i64,
                embedded: (embedded.len() * PERIODIC) as i64,
            });
        }
        Ok(Self {
            inputs: inputs as i64,
            numbers: index(&numbers, device)?,
            embedded: [periodic, frequencies.len() - periodic].map(|count| count as i64),
            true_values: index(&true_values, device)?,
            true_embedded: index(&frequencies[periodic..], device)?,
            frequencies: index(&frequencies, device)?,
            weights: index(&weights, device)?,
            spans,
        })
    }

    /// Sizes of a tensor's parts, one for each change.
    fn sizes(&self, size: impl Fn(&Span) -> i64) -> Vec<i64> {
        self.spans.iter().map(size).collect()
    }
}

/// What of a change is embedded: places among its positions, and among the periodic inputs.
fn embedded_of(roles: &Roles, change: &Change) -> Vec<(usize, usize)> {
    let positions = change.positions.iter().enumerate();
    let periodic = |position: &usize| roles.periodic.iter().position(|other| other == position);
    positions
        .filter_map(|(at, position)| Some((at, periodic(position)?)))
        .collect()
}

fn index(places: &[usize], device: Device) -> Result<Tensor, ModelError> {
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    device.hold(Tensor::f_from_slice(&places)?)
}

impl Network {
    /// z of `contrast::versions`, `[batch, values_count]`: `[version_count * batch, width]`, in
    /// order of versions.
    ///
    /// The first layer is linear, so a version's is its true row's and the change's. Where a true
    /// number is a thousand times what replaces it, three digits of the sum are lost.
    pub(crate) fn encode_versions(
        &self,
        values: &Tensor,
        places: &Places,
    ) -> Result<Tensor, ModelError> {
        let rows = values.size()[0];
        let numbers = values.f_index_select(1, &places.numbers)?;
        let frequencies = self.frequencies.f_index_select(0, &places.frequencies)?;
        let embedded = self.embed(&numbers, &frequencies)?;
        let embedded = embedded.f_split_with_sizes(places.embedded, 1)?;
        let inputs = values.f_narrow(1, 0, places.inputs)?;
        let wide = Tensor::f_cat(&[&inputs, &embedded[0].f_flatten(1, -1)?], 1)?;
        let base = self.hidden.forward(&wide)?;

        let values = values
            .f_narrow(1, places.inputs, places.true_values.size()[0])?
            .f_sub(&inputs.f_index_select(1, &places.true_values)?)?
            .f_split_with_sizes(places.sizes(|span| span.versions * span.values), 1)?;
        let embedded = embedded[1]
            .f_sub(&embedded[0].f_index_select(1, &places.true_embedded)?)?
            .f_flatten(1, -1)?
            .f_split_with_sizes(places.sizes(|span| span.versions * span.embedded), 1)?;
        let weights = self
            .hidden
            .weight
            .f_index_select(1, &places.weights)?
            .f_split_with_sizes(places.sizes(|span| span.values + span.embedded), 1)?;
        let mut hidden = vec![base.f_zeros_like()?.f_unsqueeze(0)?];
        for (at, span) in places.spans.iter().enumerate() {
            let values = values[at].f_view([rows, span.versions, span.values])?;
            let embedded = embedded[at].f_view([rows, span.versions, span.embedded])?;
            let change = Tensor::f_cat(&[values, embedded], 2)?.f_transpose(0, 1)?;
            hidden.push(change.f_linear(&weights[at], None::<Tensor>)?);
        }
        let hidden = Tensor::f_cat(&hidden, 0)?.f_add_(&base)?.f_relu_()?;
        self.out.relu(&hidden.f_flatten(0, 1)?)
    }
}
