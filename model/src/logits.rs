//! Logits of whole tables by libtorch, on a device of the caller's choice: for judging a model on
//! very many rows where a GPU is at hand. Live payments and small tables are scored by `scorer`,
//! which needs no libtorch; [`Parity`] holds the two together, in tests and where a model is put in
//! place.

use features::FeatureSchema;
use tch::Tensor;

use crate::device::Device;
use crate::error::ModelError;
use crate::examples::check_rows;
use crate::forward::{Network, table};
use crate::network::{NetworkSize, layout};
use crate::parameters;
use crate::roles::Roles;

/// Rows computed at once: with about 800 values a row on the way, 50 MB of the device.
const ROWS_MAX: usize = 16_384;

/// A network of libtorch, laid out once for any number of tables.
pub struct Logits {
    device: Device,
    roles: Roles,
    network: Network,
}

impl Logits {
    /// The network of these parameters, on a device.
    ///
    /// # Errors
    /// If the device is not to be had, or the parameters do not fit the schema's layout.
    pub fn new(
        device: Device,
        schema: &FeatureSchema,
        size: NetworkSize,
        flat: &[f32],
    ) -> Result<Self, ModelError> {
        device.check()?;
        let layout = layout(schema, size);
        parameters::check(&layout, flat)?;
        let roles = Roles::new(schema);
        let flat = device.hold(Tensor::f_from_slice(flat)?)?;
        Ok(Self {
            network: Network::new(&layout, &roles, &flat)?,
            roles,
            device,
        })
    }

    /// Fraud logits of whole rows, before calibration; `rows` are `k * columns` values. They differ
    /// from `Scorer::score`'s in the order of sums.
    ///
    /// # Errors
    /// If the values do not divide into rows, or one is not finite.
    pub fn of(&self, rows: &[f32]) -> Result<Vec<f32>, ModelError> {
        let mut logits = Vec::with_capacity(rows.len() / self.roles.columns());
        self.by_stretch(rows, |z, beside| {
            let found = self.network.logits(z, beside, None)?;
            logits.extend(Vec::<f32>::try_from(found)?);
            Ok(())
        })?;
        Ok(logits)
    }

    /// Compares the kernel's logits of these rows with what the network says of them.
    ///
    /// # Errors
    /// As [`Self::of`].
    ///
    /// # Panics
    /// If there are not as many logits as rows.
    pub fn parity(&self, rows: &[f32], kernel: &[f32]) -> Result<Parity, ModelError> {
        let (mut logits, mut terms) = (Vec::new(), Vec::new());
        self.by_stretch(rows, |z, beside| {
            let (found, of_them) = self.network.logits_with_terms(z, beside)?;
            logits.extend(Vec::<f32>::try_from(found)?);
            terms.extend(Vec::<f32>::try_from(of_them)?);
            Ok(())
        })?;
        Ok(Parity::new(kernel, &logits, &terms))
    }

    /// Gives z and the head's columns of rows one stretch after the other.
    fn by_stretch(
        &self,
        rows: &[f32],
        mut take: impl FnMut(&Tensor, &Tensor) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let (roles, device) = (&self.roles, self.device);
        check_rows(rows, &roles.names)?;
        let _guard = tch::no_grad_guard();
        let columns = roles.columns();
        let (mut inputs, mut beside) = (Vec::new(), Vec::new());
        for stretch in rows.chunks(ROWS_MAX * columns) {
            inputs.clear();
            beside.clear();
            for row in stretch.chunks_exact(columns) {
                Roles::gather(&roles.inputs, row, &mut inputs);
                Roles::gather(&roles.head, row, &mut beside);
            }
            let z = self
                .network
                .encode(&table(&inputs, roles.inputs.len(), device)?)?;
            take(&z, &table(&beside, roles.head.len(), device)?)?;
        }
        Ok(())
    }
}

/// [`Logits::of`] a single table.
///
/// # Errors
/// As [`Logits::new`] and [`Logits::of`].
pub fn logits_on(
    device: Device,
    schema: &FeatureSchema,
    size: NetworkSize,
    flat: &[f32],
    rows: &[f32],
) -> Result<Vec<f32>, ModelError> {
    Logits::new(device, schema, size, flat)?.of(rows)
}

/// How far two ways of computing the logits of the same rows lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parity {
    /// Rows compared.
    pub rows: usize,
    /// The largest difference; of logits whose terms come to more than 16 in proportion, as if
    /// they came to 16, at most a hundredth. Infinite where only one of the two is a number.
    pub max_abs: f32,
}

/// What the kernel's logits may differ by from libtorch's, which adds in another order.
pub const PARITY_MAX: f32 = 1e-5;

/// Up to here a difference counts as it is. What two orders of a sum differ by grows with its terms
/// without their signs (Higham 2002, "Accuracy and Stability of Numerical Algorithms", 4.2), which
/// come to 30 in the standard network where logits have a deviation of 4, and to 150 in one of a
/// width of 1,024. In made-up networks of widths of 32 to 1,024, with weights as they begin and
/// three times as large, also on rows with a column of a hundred deviations, the kernel's sums and
/// others, fused, blocked or in lanes, lay 5.1e-7 of the terms apart or less; this leaves 6.3e-7.
/// To sum blocks of 32 in the kernel would cost it a twentieth and leave what libtorch rounds.
const TERMS_FULL: f32 = 16.0;

/// Larger terms count no more: a difference of 1e-3 is a seventeenth of a point on the scale, and a
/// model that asks for more hangs on rounding.
const TERMS_MAX: f32 = 100.0 * TERMS_FULL;

impl Parity {
    /// Compares the kernel's logits with libtorch's, and with the terms that add up to those,
    /// without their signs. Of those beyond [`TERMS_MAX`] the logit itself is still a measure: its
    /// neighbours among `f32` lie further apart.
    fn new(kernel: &[f32], libtorch: &[f32], terms: &[f32]) -> Self {
        assert_eq!(kernel.len(), libtorch.len(), "logits of the same rows");
        let rows = kernel.iter().zip(libtorch.iter().zip(terms));
        let apart = rows.map(|(&one, (&other, terms))| {
            match (one.is_finite(), other.is_finite()) {
                (true, true) => {
                    let size = terms.min(TERMS_MAX).max(other.abs()).max(TERMS_FULL);
                    (one - other).abs() * (TERMS_FULL / size)
                }
                // Numbers in neither: calibration finds that, and no arithmetic is to blame.
                (false, false) => 0.0,
                (true, false) | (false, true) => f32::INFINITY,
            }
        });
        Self {
            rows: kernel.len(),
            max_abs: apart.fold(0.0, f32::max),
        }
    }

    /// Whether both say the same; also where there was no row to compare.
    pub fn is_kept(&self) -> bool {
        self.max_abs <= PARITY_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::network::{TensorSpec, genesis};
    use crate::scorer::Scorer;
    use crate::synthetic;

    /// Between libtorch's logits on a device and the kernel's.
    fn parity(device: Device, cards: u32) -> Parity {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 4);
        let rows = synthetic::population(cards, 10, 1).values;
        let network = Logits::new(device, &schema, size, &flat).unwrap();
        let found = network.parity(&rows, &kernel(size, &flat, &rows)).unwrap();
        assert_eq!(found.rows, 10 * cards as usize);
        found
    }

    fn kernel(size: NetworkSize, flat: &[f32], rows: &[f32]) -> Vec<f32> {
        let scorer = Scorer::new(&synthetic::schema(), size, flat, Calibration::default()).unwrap();
        let scores = scorer.score(rows).unwrap();
        scores.iter().map(|score| score.logit).collect()
    }

    fn tensor<'a>(layout: &[TensorSpec], flat: &'a mut [f32], name: &str) -> &'a mut [f32] {
        &mut flat[parameters::range_of(layout, name)]
    }

    /// A network that has learnt: weights grown twofold, logits of these rows with a mean of -4 and
    /// a deviation of 4.
    fn grown(size: NetworkSize, rows: &[f32]) -> Vec<f32> {
        let layout = layout(&synthetic::schema(), size);
        let mut flat = genesis(&layout, 4);
        for name in ["encoder.hidden", "encoder.out", "head.first", "head.second"] {
            let weights = tensor(&layout, &mut flat, &format!("{name}.weight"));
            weights.iter_mut().for_each(|weight| *weight *= 2.0);
        }
        let logits = kernel(size, &flat, rows);
        let mean = logits.iter().sum::<f32>() / logits.len() as f32;
        let squares = logits.iter().map(|logit| (logit - mean).powi(2));
        let factor = 4.0 / (squares.sum::<f32>() / logits.len() as f32).sqrt();
        let last = tensor(&layout, &mut flat, "head.out.weight");
        last.iter_mut().for_each(|weight| *weight *= factor);
        tensor(&layout, &mut flat, "head.out.bias")[0] = -4.0 - factor * (mean + 4.0);
        flat
    }

    /// What a kernel computes that leaves out one input of a layer.
    fn without(size: NetworkSize, flat: &[f32], (layer, input): (&str, usize)) -> Vec<f32> {
        let (layout, mut flat) = (layout(&synthetic::schema(), size), flat.to_vec());
        let name = format!("{layer}.weight");
        let spec = layout.iter().find(|spec| spec.name == name).unwrap();
        let weights = tensor(&layout, &mut flat, &name).iter_mut();
        let of_input = weights.skip(input).step_by(spec.shape[1] as usize);
        of_input.for_each(|weight| *weight = 0.0);
        flat
    }

    // Left out are the first column that enters the encoder, and the first that enters the head.
    #[test]
    fn a_network_of_any_width_is_kept_and_a_kernel_that_leaves_out_an_input_is_not() {
        crate::threads(1);
        let schema = synthetic::schema();
        let rows = synthetic::population(210, 10, 1).values;
        let wide = NetworkSize {
            width: 256,
            frequencies: 16,
            head: 256,
        };
        for size in [NetworkSize::default(), wide] {
            let flat = grown(size, &rows);
            let network = Logits::new(Device::Cpu, &schema, size, &flat).unwrap();
            let parity = |flat: &[f32]| network.parity(&rows, &kernel(size, flat, &rows)).unwrap();
            let sound = parity(&flat);
            assert_eq!((sound.rows, sound.is_kept()), (2_100, true), "{sound:?}");
            let beside_z = usize::from(size.width);
            for left in [("encoder.hidden", 0), ("head.first", beside_z)] {
                let found = parity(&without(size, &flat, left));
                assert!(!found.is_kept(), "{left:?} {size:?} {found:?}");
            }
        }
    }

    // 17,000 rows, so that there are two stretches.
    #[test]
    fn libtorch_gives_the_kernels_logits_in_order_over_stretches() {
        crate::threads(1);
        let found = parity(Device::Cpu, 1_700);
        assert!(found.is_kept(), "{found:?}");
    }

    // A GPU's sines are its own, so the bound is wider (docs/learn.md); no payment is scored there.

    #[test]
    fn cuda_gives_the_kernels_logits() {
        if !Device::Cuda.is_available() {
            eprintln!("skipped: this libtorch has no CUDA device");
            return;
        }
        let found = parity(Device::Cuda, 1_700).max_abs;
        assert!(found < 1e-4, "{found}");
    }

    #[test]
    fn one_row_of_many_that_differs_is_found() {
        let logits: Vec<f32> = (0..100).map(|at| at as f32 / 8.0 - 8.0).collect();
        let with = |at: usize, value: f32| {
            let mut kernel = logits.clone();
            kernel[at] = value;
            Parity::new(&kernel, &logits, &[9.0; 100])
        };
        let same = Parity::new(&logits, &logits, &[9.0; 100]);
        assert_eq!((same.rows, same.max_abs, same.is_kept()), (100, 0.0, true));
        assert!(with(64, 0.9e-5).is_kept());
        for wrong in [1.1e-5, -1.1e-5, f32::NAN, f32::INFINITY] {
            assert!(!with(64, wrong).is_kept(), "{wrong}");
        }
        // At -7 the numbers lie 4.8e-7 apart.
        assert!(with(8, logits[8] + 0.9e-5).is_kept());
        assert!(!with(8, logits[8] + 1.2e-5).is_kept());
    }

    // At 160 the numbers lie 1.5e-5 apart: six of them, and nine.
    #[test]
    fn beyond_sixteen_a_difference_counts_in_proportion() {
        let apart = |by: f32| Parity::new(&[160.0 + by], &[160.0], &[160.0]);
        assert!(apart(9e-5).is_kept() && apart(-9e-5).is_kept());
        assert!(!apart(1.3e-4).is_kept());
        let none = Parity::new(&[], &[], &[]);
        assert_eq!((none.rows, none.is_kept()), (0, true));
        let neither = Parity::new(&[f32::NAN], &[f32::INFINITY], &[f32::INFINITY]);
        assert_eq!((neither.rows, neither.max_abs), (1, 0.0));
    }

    #[test]
    fn a_difference_counts_in_proportion_to_large_terms_and_never_less_than_a_hundredth() {
        let apart = |by: f32, terms: f32| Parity::new(&[2.0 + by], &[2.0], &[terms]).is_kept();
        assert!(apart(0.9e-5, 16.0) && !apart(1.1e-5, 16.0));
        assert!(apart(2.9e-5, 48.0) && !apart(-3.1e-5, 48.0));
        for terms in [1_600.0, 65_000.0, f32::INFINITY] {
            assert!(apart(-0.9e-3, terms) && !apart(1.1e-3, terms), "{terms}");
        }
    }

    // Two units of the head's second layer are 1 whatever the row: 24 - 24 - 4 are terms of 52,
    // for which 3.25e-5 are left.
    #[test]
    fn terms_are_those_of_the_last_sum_without_their_signs() {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let layout = layout(&schema, size);
        let mut flat = genesis(&layout, 4);
        tensor(&layout, &mut flat, "head.second.weight").fill(0.0);
        tensor(&layout, &mut flat, "head.second.bias")[..2].fill(1.0);
        let last = tensor(&layout, &mut flat, "head.out.weight");
        last.fill(0.0);
        (last[0], last[1]) = (24.0, -24.0);
        let rows = synthetic::population(3, 1, 1).values;
        let network = Logits::new(Device::Cpu, &schema, size, &flat).unwrap();
        let parity = |by: f32| network.parity(&rows, &[-4.0, by - 4.0, -4.0]).unwrap();
        assert_eq!(parity(0.0).max_abs, 0.0);
        assert!(parity(3e-5).is_kept() && parity(-3e-5).is_kept());
        assert!(!parity(3.5e-5).is_kept() && !parity(-3.5e-5).is_kept());
    }

    #[test]
    fn rows_and_parameters_that_do_not_fit_are_refused() {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 4);
        let mut rows = synthetic::population(1, 2, 1).values;
        let refused = |flat: &[f32], rows: &[f32]| {
            logits_on(Device::Cpu, &schema, size, flat, rows).unwrap_err()
        };
        let error = refused(&flat, &rows[1..]);
        assert!(matches!(error, ModelError::RowLength { .. }), "{error}");
        let error = refused(&flat[1..], &rows);
        assert!(
            matches!(error, ModelError::ParametersLength { .. }),
            "{error}"
        );
        rows[schema.len() + 2] = f32::NAN;
        let error = refused(&flat, &rows);
        assert!(
            matches!(error, ModelError::NotFinite { row: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn no_rows_have_no_logits() {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 4);
        let found = logits_on(Device::Cpu, &schema, size, &flat, &[]).unwrap();
        assert!(found.is_empty());
    }
}
