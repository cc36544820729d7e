//! The first parameters of a model: a pure function of the plan, so that nobody hands anybody a
//! crafted first model, and no model ever travels (PROTOCOL.md §7). What a lineage that has a base
//! takes from it is `genesis/release.rs`; how a model goes on from here is `ledger.rs`.

use std::ops::Range;

use crypto::{Digest, Seed, Stream, merkle};

use crate::plan::{Init, Layout, ModelTerms, Part, TensorSpec};

mod release;
#[cfg(test)]
mod tests;

pub use release::Release;

/// The first parameters, flat, as the seed says them: of a model with a base, those of the parts
/// that are not taken from it ([`Release::first`] has all). The same bytes on every machine:
/// uniforms of 32 bits, and sums and products of them, no transcendental function.
#[must_use]
pub fn parameters(model: &ModelTerms) -> Vec<f32> {
    let seed = Seed::from_entropy(model.lineage().0);
    let mut flat = Vec::with_capacity(total(&model.layout));
    for (index, tensor) in (0..).zip(&model.layout.0) {
        let mut stream = seed.stream("csa1/genesis", index);
        draw(tensor, &mut stream, &mut flat);
    }
    flat
}

/// How many parameters a layout has.
#[must_use]
pub fn total(layout: &Layout) -> usize {
    layout.0.iter().map(elements).fold(0, usize::saturating_add)
}

/// How many parameters these parts have.
#[must_use]
pub fn count(layout: &Layout, parts: &[Part]) -> usize {
    ranges(layout, parts)
        .iter()
        .map(Range::len)
        .fold(0, usize::saturating_add)
}

/// Where these parts are in the flat parameters: ascending, neighbours joined.
#[must_use]
pub fn ranges(layout: &Layout, parts: &[Part]) -> Vec<Range<usize>> {
    let mut ranges = Vec::<Range<usize>>::new();
    let mut start = 0_usize;
    for tensor in &layout.0 {
        let end = start.saturating_add(elements(tensor));
        if parts.contains(&tensor.part) {
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                Some(_) | None => ranges.push(start..end),
            }
        }
        start = end;
    }
    ranges
}

/// What names parameters: the Merkle root over the chunks of their little-endian bytes.
#[must_use]
pub fn model_root(parameters: &[f32]) -> Digest {
    let bytes = parameters
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<_>>();
    merkle::chunk_root(&bytes)
}

fn elements(tensor: &TensorSpec) -> usize {
    tensor
        .shape
        .iter()
        .map(|&size| size as usize)
        .fold(1, usize::saturating_mul)
}

fn draw(tensor: &TensorSpec, stream: &mut Stream, flat: &mut Vec<f32>) {
    let values = 0..elements(tensor);
    match tensor.init {
        Init::Zeros => flat.extend(values.map(|_| 0.0)),
        Init::Constant(value) => flat.extend(values.map(|_| value)),
        Init::Uniform(bound) => {
            flat.extend(values.map(|_| ((2.0 * uniform(stream) - 1.0) * f64::from(bound)) as f32))
        }
        Init::Normal(deviation) => flat.extend(values.map(|_| {
            let sum = (0..12).map(|_| uniform(stream)).sum::<f64>();
            ((sum - 6.0) * f64::from(deviation)) as f32
        })),
    }
}

/// Uniform on [0, 1): 32 bits, exact in 53.
fn uniform(stream: &mut Stream) -> f64 {
    let mut bytes = [0; 4];
    stream.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0
}
