//! One row forward: by the kernel that agents score with, and by libtorch. And how far apart their
//! logits are.

use std::hint::black_box;
use std::time::Instant;

use features::FeatureSchema;
use model::{Calibration, Device, Examples, Logits, NetworkSize, Scorer, threads};

/// Means over rows, one at a time, on one thread.
pub(crate) struct Forward {
    pub(crate) kernel_us: f64,
    pub(crate) libtorch_us: f64,
    /// Largest difference of two logits of one row.
    pub(crate) parity_max_abs: f32,
}

pub(crate) fn measure(rows: &Examples, parameters: &[f32]) -> Forward {
    threads(1);
    let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
    let scorer = Scorer::new(&schema, size, parameters, Calibration::default());
    let scorer = scorer.expect("the parameters are of this layout");
    let libtorch = Logits::new(Device::Cpu, &schema, size, parameters);
    let libtorch = libtorch.expect("the parameters are of this layout");
    let pairs = (0..rows.len()).map(|at| {
        let row = rows.row(at);
        let kernel = scorer.judge(row).expect("an encoded row is finite");
        let of = libtorch.of(row).expect("an encoded row is finite");
        (kernel.score.logit - of[0]).abs()
    });
    Forward {
        parity_max_abs: pairs.fold(0.0, f32::max),
        kernel_us: each_us(rows, KERNEL_ROWS, |row| {
            black_box(scorer.judge(row).expect("an encoded row is finite"));
        }),
        libtorch_us: each_us(rows, LIBTORCH_ROWS, |row| {
            black_box(libtorch.of(row).expect("an encoded row is finite"));
        }),
    }
}

/// Microseconds a row of `count` rows, the same again where there are fewer.
fn each_us(rows: &Examples, count: usize, forward: impl Fn(&[f32])) -> f64 {
    let begun = Instant::now();
    for at in 0..count {
        forward(black_box(rows.row(at % rows.len())));
    }
    crate::hundredths(begun.elapsed().as_secs_f64() * 1e6 / count as f64)
}

const KERNEL_ROWS: usize = 100_000;
const LIBTORCH_ROWS: usize = 5_000;
