//! Flat `f32` parameters: which stretch of them a part owns, and which stretch a tensor is.
//! The order is the layout's; nothing here knows what a tensor is for.

use std::ops::Range;

use crate::error::ModelError;
use crate::network::{Part, TensorSpec};

/// Number of values of a layout.
pub fn count(layout: &[TensorSpec]) -> usize {
    layout.iter().map(TensorSpec::count).sum()
}

/// The stretches of the flat parameters that belong to `parts`, in order, neighbours joined.
pub fn ranges(layout: &[TensorSpec], parts: &[Part]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for spec in layout {
        let end = start + spec.count();
        if parts.contains(&spec.part) {
            match found.last_mut() {
                Some(last) if last.end == start => last.end = end,
                Some(_) | None => found.push(start..end),
            }
        }
        start = end;
    }
    found
}

/// Checks that flat parameters fit the layout and are all finite.
///
/// # Errors
/// [`ModelError::ParametersLength`] or [`ModelError::ParameterNotFinite`].
pub fn check(layout: &[TensorSpec], flat: &[f32]) -> Result<(), ModelError> {
    let expected = count(layout);
    if flat.len() != expected {
        return Err(ModelError::ParametersLength {
            found: flat.len(),
            expected,
        });
    }
    match flat.iter().position(|p| !p.is_finite()) {
        Some(index) => Err(ModelError::ParameterNotFinite {
            index,
            value: flat[index],
        }),
        None => Ok(()),
    }
}

/// Where the tensor called `name` lies in the flat parameters.
///
/// # Panics
/// If the layout has no such tensor: names are ours.
pub(crate) fn range_of(layout: &[TensorSpec], name: &str) -> Range<usize> {
    let index = layout.iter().position(|spec| spec.name == name);
    let index = index.unwrap_or_else(|| unreachable!("every layout has a tensor {name}"));
    let start = count(&layout[..index]);
    start..start + layout[index].count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkSize, layout};
    use crate::synthetic;

    #[test]
    fn parts_cover_the_parameters_without_overlap() {
        let layout = layout(&synthetic::schema(), NetworkSize::default());
        let one = |part| ranges(&layout, &[part]);
        let (encoder, energy, head) = (one(Part::Encoder), one(Part::Energy), one(Part::Head));
        assert_eq!((encoder.len(), energy.len(), head.len()), (1, 1, 1));
        assert_eq!(encoder[0].start, 0);
        assert_eq!(encoder[0].end, energy[0].start);
        assert_eq!(energy[0].end, head[0].start);
        assert_eq!(head[0].end, count(&layout));
        assert_eq!(
            ranges(&layout, &[Part::Encoder, Part::Head]),
            [encoder[0].clone(), head[0].clone()]
        );
    }

    #[test]
    fn wrong_length_and_nan_are_refused_by_name() {
        let layout = layout(&synthetic::schema(), NetworkSize::default());
        let mut flat = vec![0.0; count(&layout)];
        assert!(check(&layout, &flat).is_ok());
        flat[5] = f32::NAN;
        let error = check(&layout, &flat).unwrap_err().to_string();
        assert_eq!(error, "parameter 5 is NaN, expected a finite number");
        flat.pop();
        assert!(matches!(
            check(&layout, &flat),
            Err(ModelError::ParametersLength { .. })
        ));
    }
}
