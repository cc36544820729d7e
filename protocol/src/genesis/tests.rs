//! First parameters: the same bytes everywhere, and as an independent script draws them.

use super::*;
use crate::fixture;

#[test]
fn first_parameters_are_a_function_of_schema_layout_and_seed() {
    let model = fixture::model();
    assert_eq!(parameters(&model), parameters(&model.clone()));
    let mut others = vec![model.clone(), model.clone(), model.clone()];
    others[0].genesis_seed += 1;
    others[1].schema.0.push('#');
    others[2].layout.0[0].name.push('2');
    for other in others {
        assert_ne!(parameters(&model), parameters(&other));
    }
}

/// Another compiler or processor must draw the same bits, or its bank is alone in its model.
/// The root was printed by `vectors/genesis.py`, which knows the specification and not this code.
#[test]
fn first_parameters_have_these_bits_everywhere() {
    let flat = parameters(&fixture::model());
    let bits = flat[..2]
        .iter()
        .map(|value| value.to_bits())
        .collect::<Vec<_>>();
    assert_eq!(
        (bits, model_root(&flat).to_hex().as_str()),
        (vec![3204026926, 1045857004], ROOT)
    );
}

const ROOT: &str = "5809789bbad4e60f95d9fe9e59637303aaeee03bcc4e2d94726363fe9f8f92fe";

#[test]
fn tensors_are_drawn_as_their_specification_says() {
    let flat = parameters(&fixture::model());
    assert_eq!(flat.len(), 26);
    assert!(
        flat[..12]
            .iter()
            .all(|value| value.abs() <= 0.5 && *value != 0.0)
    );
    assert!(flat[12..16].iter().all(|&value| value == 0.0));
    assert!(flat[19..24].iter().all(|&value| value == -4.0));
    assert!(flat[24..].iter().all(|&value| value == 1.0));
}

#[test]
fn draws_have_the_moments_asked_for() {
    let mut model = fixture::model();
    for (init, deviation) in [
        (Init::Normal(0.5), 0.5),
        (Init::Uniform(0.3), 0.3 / 3_f64.sqrt()),
    ] {
        model.layout.0.truncate(1);
        model.layout.0[0].shape = vec![200, 500];
        model.layout.0[0].init = init;
        let values = parameters(&model);
        let count = values.len() as f64;
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let square = values
            .iter()
            .map(|&value| f64::from(value).powi(2))
            .sum::<f64>()
            / count;
        assert!(mean.abs() < 5.0 * deviation / count.sqrt(), "{mean}");
        assert!(
            (square.sqrt() / deviation - 1.0).abs() < 0.02,
            "{}",
            square.sqrt()
        );
    }
}

#[test]
fn parts_are_found_where_they_lie() {
    let layout = fixture::model().layout;
    assert_eq!(total(&layout), 26);
    assert_eq!(ranges(&layout, &[Part::Encoder]), [0..16, 24..26]);
    assert_eq!(
        ranges(&layout, &[Part::Encoder, Part::Head]),
        [0..16, 19..26]
    );
    assert_eq!(ranges(&layout, &[Part::Energy]), vec![16..19; 1]);
    assert_eq!(count(&layout, &[Part::Encoder, Part::Head]), 23);
    let all = [Part::Encoder, Part::Energy, Part::Head];
    assert_eq!(ranges(&layout, &all).len(), 1);
}

#[test]
fn root_tells_models_apart_by_the_last_bit() {
    let flat = parameters(&fixture::model());
    let mut other = flat.clone();
    other[25] = f32::from_bits(other[25].to_bits() ^ 1);
    assert_ne!(model_root(&flat), model_root(&other));
}
