//! Is the encoder still saying different things about different rows? Alignment and uniformity
//! (Wang & Isola 2020, α = 2, t = 2) and effective rank (Roy & Vetterli 2007) of a set of z.
//! Which rows are measured is decided in `trainer`.

use tch::{Kind, Tensor};

use crate::error::ModelError;

/// The three measures of one set of encodings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collapse {
    /// Mean squared distance of positive pairs on the unit sphere; 0 where there is no pair.
    pub alignment: f32,
    /// Log of the mean Gaussian potential of all pairs: 0 when all coincide, down to -4.
    pub uniformity: f32,
    /// exp of the entropy of the singular values' shares: 1 when collapsed to a line.
    pub effective_rank: f32,
}

/// Measures `z` (row-major, `width` per row); `pairs` are the positive pairs, by row.
///
/// # Errors
/// If the values do not divide into rows, or libtorch refuses.
pub fn collapse(z: &[f32], width: usize, pairs: &[(usize, usize)]) -> Result<Collapse, ModelError> {
    if width == 0 || !z.len().is_multiple_of(width) {
        return Err(ModelError::RowLength {
            found: z.len(),
            columns: width,
        });
    }
    let rows = (z.len() / width) as i64;
    if rows < 2 {
        return Err(ModelError::TooFew {
            found: rows as usize,
            expected: 2,
        });
    }
    let z = Tensor::f_from_slice(z)?
        .f_view([rows, width as i64])?
        .to_kind(Kind::Double);
    let length = z.norm_scalaropt_dim(2, [1], true).clamp_min(1e-12);
    let sphere = &z / length;
    let gram = sphere.f_matmul(&sphere.tr())?;
    Ok(Collapse {
        alignment: alignment(&gram, pairs),
        uniformity: uniformity(&gram, rows),
        effective_rank: effective_rank(&z)?,
    })
}

/// Mean of |a - b|² = 2 - 2 a·b over the pairs.
fn alignment(gram: &Tensor, pairs: &[(usize, usize)]) -> f32 {
    if pairs.is_empty() {
        return 0.0;
    }
    let apart = |&(a, b): &(usize, usize)| 2.0 - 2.0 * gram.double_value(&[a as i64, b as i64]);
    (pairs.iter().map(apart).sum::<f64>() / pairs.len() as f64) as f32
}

/// log mean over unlike pairs of exp(-2 |a - b|²).
fn uniformity(gram: &Tensor, rows: i64) -> f32 {
    let potential = ((gram - 1.0) * 4.0).exp();
    let diagonal = potential.trace().double_value(&[]);
    let pairs = (rows * (rows - 1)) as f64;
    ((potential.sum(Kind::Double).double_value(&[]) - diagonal) / pairs).ln() as f32
}

/// The singular values are the roots of the eigenvalues of zᵀz, which is small.
fn effective_rank(z: &Tensor) -> Result<f32, ModelError> {
    let squares = z.tr().f_matmul(z)?.f_linalg_eigvalsh("L")?;
    let singular = Vec::<f64>::try_from(squares.clamp_min(0.0).sqrt())?;
    let total: f64 = singular.iter().sum();
    if total <= 0.0 {
        return Ok(1.0);
    }
    let shares = singular
        .iter()
        .map(|s| s / total)
        .filter(|share| *share > 0.0);
    Ok(shares.map(|p| -p * p.ln()).sum::<f64>().exp() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_unit_rows_have_full_rank_and_known_uniformity() {
        let mut z = vec![0.0; 16];
        (0..4).for_each(|i| z[i * 5] = 1.0);
        let found = collapse(&z, 4, &[(0, 1), (2, 3)]).unwrap();
        // |a - b|² = 2 for every pair: alignment 2, uniformity -4; four equal singular values.
        assert!((found.alignment - 2.0).abs() < 1e-6, "{found:?}");
        assert!((found.uniformity + 4.0).abs() < 1e-5, "{found:?}");
        assert!((found.effective_rank - 4.0).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn one_repeated_row_is_collapse() {
        let z = [1.0, 2.0, 3.0].repeat(5);
        let found = collapse(&z, 3, &[(0, 4)]).unwrap();
        assert!(found.alignment.abs() < 1e-6, "{found:?}");
        assert!(found.uniformity.abs() < 1e-6, "{found:?}");
        assert!((found.effective_rank - 1.0).abs() < 1e-3, "{found:?}");
    }

    // Singular values 3 and 1: shares 3/4 and 1/4, exp(H) = exp(.562335) = 1.754765.
    #[test]
    fn effective_rank_of_a_diagonal_is_the_exponent_of_its_entropy() {
        let found = collapse(&[3.0, 0.0, 0.0, 1.0], 2, &[]).unwrap();
        assert!((found.effective_rank - 1.754_765).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn lone_rows_are_refused() {
        assert!(matches!(
            collapse(&[1.0, 2.0], 2, &[]),
            Err(ModelError::TooFew { .. })
        ));
        assert!(matches!(
            collapse(&[1.0], 2, &[]),
            Err(ModelError::RowLength { .. })
        ));
    }
}
