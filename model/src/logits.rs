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
        let (roles, device) = (&self.roles, self.device);
        check_rows(rows, &roles.names)?;
        let _guard = tch::no_grad_guard();
        let columns = roles.columns();
        let mut logits = Vec::with_capacity(rows.len() / columns);
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
            let beside = table(&beside, roles.head.len(), device)?;
            let found = self.network.logits(&z, &beside, None)?;
            logits.extend(Vec::<f32>::try_from(found)?);
        }
        Ok(logits)
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
    /// The largest difference; of logits beyond ±16 in proportion, as if they were 16. Infinite
    /// where only one of the two is a number.
    pub max_abs: f32,
}

/// What the kernel's logits may differ by from libtorch's, which adds in another order.
pub const PARITY_MAX: f32 = 1e-5;

/// Up to here a difference counts as it is: the scale of scores ends nearer to 0, and the `f32` of
/// larger logits lie further apart than [`PARITY_MAX`] leaves room for.
const LOGIT_FULL: f32 = 16.0;

impl Parity {
    /// Compares the kernel's logits with libtorch's.
    ///
    /// # Panics
    /// If they are not equally many.
    pub fn new(kernel: &[f32], libtorch: &[f32]) -> Self {
        assert_eq!(kernel.len(), libtorch.len(), "logits of the same rows");
        let pairs = kernel.iter().zip(libtorch);
        let apart = pairs.map(
            |(&one, &other)| match (one.is_finite(), other.is_finite()) {
                (true, true) => (one - other).abs() / (other.abs() / LOGIT_FULL).max(1.0),
                // Numbers in neither: calibration finds that, and no arithmetic is to blame.
                (false, false) => 0.0,
                (true, false) | (false, true) => f32::INFINITY,
            },
        );
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
    use crate::network::genesis;
    use crate::scorer::Scorer;
    use crate::synthetic;

    /// Between libtorch's logits on a device and the kernel's.
    fn parity(device: Device, cards: u32) -> Parity {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 4);
        let rows = synthetic::population(cards, 10, 1).values;
        let found = logits_on(device, &schema, size, &flat, &rows).unwrap();
        let scorer = Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
        let scores = scorer.score(&rows).unwrap();
        let kernel: Vec<f32> = scores.iter().map(|score| score.logit).collect();
        let parity = Parity::new(&kernel, &found);
        assert_eq!(parity.rows, 10 * cards as usize);
        parity
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
            Parity::new(&kernel, &logits)
        };
        let same = Parity::new(&logits, &logits);
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
        let apart = |by: f32| Parity::new(&[160.0 + by], &[160.0]);
        assert!(apart(9e-5).is_kept() && apart(-9e-5).is_kept());
        assert!(!apart(1.3e-4).is_kept());
        let none = Parity::new(&[], &[]);
        assert_eq!((none.rows, none.is_kept()), (0, true));
        let neither = Parity::new(&[f32::NAN], &[f32::INFINITY]);
        assert_eq!((neither.rows, neither.max_abs), (1, 0.0));
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
