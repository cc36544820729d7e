//! Logits of whole tables by libtorch, on a device of the caller's choice: for judging a model on
//! very many rows where a GPU is at hand. Live payments and small tables are scored by `scorer`,
//! which needs no libtorch; a test here holds the two together.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::network::genesis;
    use crate::scorer::Scorer;
    use crate::synthetic;

    /// Largest distance between libtorch's logits on a device and the kernel's.
    fn distance(device: Device, cards: u32) -> f32 {
        let (schema, size) = (synthetic::schema(), NetworkSize::default());
        let flat = genesis(&layout(&schema, size), 4);
        let rows = synthetic::population(cards, 10, 1).values;
        let found = logits_on(device, &schema, size, &flat, &rows).unwrap();
        let scorer = Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
        let expected = scorer.score(&rows).unwrap();
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(&expected);
        pairs
            .map(|(found, score)| (found - score.logit).abs())
            .fold(0.0, f32::max)
    }

    // 17,000 rows, so that there are two stretches.
    #[test]
    fn libtorch_gives_the_kernels_logits_in_order_over_stretches() {
        crate::threads(1);
        assert!(distance(Device::Cpu, 1_700) < 1e-4);
    }

    #[test]
    fn cuda_gives_the_kernels_logits() {
        if !Device::Cuda.is_available() {
            eprintln!("skipped: this libtorch has no CUDA device");
            return;
        }
        let found = distance(Device::Cuda, 1_700);
        assert!(found < 1e-4, "{found}");
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
