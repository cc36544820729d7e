//! Centres and scales from measured moments: the same features, standardised anew.

use super::feature::{Feature, Standing};
use super::{FeatureSchema, SchemaError};

/// Mean and standard deviation of a column, in the units of a schema as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

impl FeatureSchema {
    /// The schema whose numbers have these means as centres and these deviations as scales: a fit
    /// for each column, in order. Columns that stand on fixed units (flags, angles, counts of
    /// windows, risk) and those that were never there stay as they are.
    ///
    /// # Errors
    /// [`SchemaError`] where the fits are of other columns, or give a centre or a scale that no
    /// schema may have.
    pub fn fitted(&self, fits: &[Option<Fit>]) -> Result<Self, SchemaError> {
        if fits.len() != self.columns.len() {
            let (found, expected) = (fits.len(), self.columns.len());
            return Err(SchemaError::field(
                "moments",
                &format!("{found} columns"),
                &format!("the schema's {expected}"),
            ));
        }
        let fit = |name: &str, (center, scale): (f32, f32)| {
            let fit = self.position(name).and_then(|at| fits[at]);
            // A constant has no scale of its own.
            let fit = fit.filter(|fit| fit.deviation > DEVIATION_MIN);
            fit.map_or((center, scale), |fit| {
                let (center, scale) = (f64::from(center), f64::from(scale));
                let (center, scale) = (center + fit.mean * scale, scale * fit.deviation);
                (rounded(center), rounded(scale))
            })
        };
        let restand = |name: &str, standing: &mut Standing| {
            (standing.center, standing.scale) = fit(name, (standing.center, standing.scale));
        };
        let mut fitted = self.clone();
        for feature in &mut fitted.features {
            match feature {
                Feature::Amount(standing) => restand("amount", standing),
                Feature::Gap(standing) => restand("gap", standing),
                Feature::Visits(standing) => restand("visits", standing),
                Feature::VisitGap(standing) => restand("visit_gap", standing),
                Feature::Figure { name, standing, .. } => restand(name, standing),
                Feature::History { count, spread } => {
                    *count = fit("history_count", *count);
                    *spread = fit("history_log_sd", *spread);
                }
                Feature::Clock(_)
                | Feature::MerchantCategory(_)
                | Feature::AgainstHistory
                | Feature::OwnRisk
                | Feature::SharedRisk
                | Feature::Windows { .. }
                | Feature::Category { .. } => {}
            }
        }
        Self::parse(&fitted.canonical())
    }
}

/// Four significant digits: a schema is read by people, and no model needs more.
fn rounded(value: f64) -> f32 {
    format!("{value:.3e}").parse().unwrap_or(value as f32)
}

const DEVIATION_MIN: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Option<Fit> = Some(Fit {
        mean: 0.0,
        deviation: 1.0,
    });

    #[test]
    fn centres_move_by_the_mean_and_scales_grow_by_the_deviation() {
        let schema = FeatureSchema::standard();
        assert_eq!(schema.fitted(&vec![PLAIN; schema.len()]).unwrap(), schema);
        assert_eq!(schema.fitted(&vec![None; schema.len()]).unwrap(), schema);
        let mut fits = vec![PLAIN; schema.len()];
        fits[schema.position("amount").unwrap()] = Some(Fit {
            mean: -2.0,
            deviation: 0.5,
        });
        fits[schema.position("weekend").unwrap()] = Some(Fit {
            mean: 0.3,
            deviation: 0.4,
        });
        let fitted = schema.fitted(&fits).unwrap();
        let changed: Vec<String> = schema
            .differences(&fitted)
            .into_iter()
            .map(|of| format!("{} {:?} {:?}", of.field, of.here, of.there))
            .collect();
        let expected = [
            r#"feature amount: center Some("3.6") Some("1.7")"#,
            r#"feature amount: scale Some("0.95") Some("0.475")"#,
        ];
        assert_eq!(changed, expected);
        // What leans on the amount stands on its new scale.
        let mean = fitted.position("history_mean").unwrap();
        assert_eq!(fitted.columns()[mean].center, 1.7);
    }

    #[test]
    fn fits_of_other_columns_are_refused() {
        let schema = FeatureSchema::standard();
        let error = schema.fitted(&[PLAIN]).unwrap_err().to_string();
        assert!(
            error.contains("1 columns") && error.contains("80"),
            "{error}"
        );
    }
}
