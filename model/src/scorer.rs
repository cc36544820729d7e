//! Scoring: immutable parameters, forward only, no libtorch, shared between threads. What a
//! score leads to is decided in the agent; thresholds and reasons in words live there.

use features::{FeatureSchema, FieldGroup, Role};

use crate::calibration::Calibration;
use crate::error::ModelError;
use crate::examples::check_rows;
use crate::kernel::Kernel;
use crate::network::{NetworkSize, layout};
use crate::parameters;
use crate::roles::Roles;

/// One transaction's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The network's logit, before calibration.
    pub logit: f32,
    /// Calibrated probability of fraud.
    pub probability: f32,
}

/// All that one pass through the network says of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its score.
    pub score: Score,
    /// How well each field group fits its card, as [`Scorer::energies`] says, in that order.
    pub energies: Vec<f32>,
}

/// A model that scores.
pub struct Scorer {
    kernel: Kernel,
    calibration: Calibration,
    groups: Vec<ColumnGroup>,
}

/// Columns that a reason names together.
struct ColumnGroup {
    name: String,
    columns: Vec<usize>,
    /// Whether derived columns follow the neutral values, or are neutral themselves.
    derived: DerivedAfter,
}

enum DerivedAfter {
    Follow,
    Neutral,
}

impl Scorer {
    /// A scorer of these parameters.
    ///
    /// # Errors
    /// If the parameters do not fit the schema's layout.
    pub fn new(
        schema: &FeatureSchema,
        size: NetworkSize,
        flat: &[f32],
        calibration: Calibration,
    ) -> Result<Self, ModelError> {
        let layout = layout(schema, size);
        parameters::check(&layout, flat)?;
        let roles = Roles::new(schema);
        let groups = column_groups(schema);
        Ok(Self {
            kernel: Kernel::new(&layout, roles, flat),
            calibration,
            groups,
        })
    }

    /// Scores of whole rows, `k * columns` values.
    ///
    /// # Errors
    /// If the values do not divide into rows, or one is not finite: by row and column name.
    pub fn score(&self, rows: &[f32]) -> Result<Vec<Score>, ModelError> {
        self.check(rows)?;
        let mut scratch = self.kernel.scratch();
        let score = |row| self.calibrated(self.kernel.logit(row, &mut scratch));
        Ok(rows
            .chunks_exact(self.kernel.roles.columns())
            .map(score)
            .collect())
    }

    /// Score and energies of one row, which is encoded once.
    ///
    /// # Errors
    /// As [`Scorer::energies`].
    pub fn judge(&self, row: &[f32]) -> Result<Judged, ModelError> {
        self.check_one(row)?;
        let mut scratch = self.kernel.scratch();
        let (logit, energies) = self.kernel.judge(row, &mut scratch);
        Ok(Judged {
            score: self.calibrated(logit),
            energies: energies.to_vec(),
        })
    }

    /// How well each field group of a row fits its card, learnt without labels: the lower, the
    /// more surprising. Compare with what is usual for the same group ([`crate::surprise`]), never
    /// with a constant.
    ///
    /// # Errors
    /// As [`Scorer::score`], and if there is not exactly one row.
    pub fn energies(&self, row: &[f32]) -> Result<Vec<(FieldGroup, f32)>, ModelError> {
        self.check_one(row)?;
        let mut scratch = self.kernel.scratch();
        let energies = self.kernel.energies(row, &mut scratch);
        let groups = self.kernel.roles.groups.iter().map(|group| group.of);
        Ok(groups.zip(energies.iter().copied()).collect())
    }

    /// Where the encoder places a row: its representation z, of the network's width. Payments that
    /// the encoder finds alike lie near each other, in the Euclidean distance.
    ///
    /// # Errors
    /// As [`Scorer::energies`].
    pub fn embedding(&self, row: &[f32]) -> Result<Vec<f32>, ModelError> {
        self.check_one(row)?;
        let mut scratch = self.kernel.scratch();
        Ok(self.kernel.embedding(row, &mut scratch).to_vec())
    }

    /// What each named group of columns adds to a row's logit: the drop when the group is set to
    /// its neutral value, 0, the centre of the schema. The field groups carry the schema's names.
    /// With the amount neutral, the columns derived from it are neutral too; with the card's
    /// history neutral, they are recomputed against the average card.
    ///
    /// # Errors
    /// As [`Scorer::energies`].
    pub fn contributions(&self, row: &[f32]) -> Result<Vec<(String, f32)>, ModelError> {
        self.check_one(row)?;
        let mut scratch = self.kernel.scratch();
        let whole = self.kernel.pass(row, &mut scratch);
        let roles = &self.kernel.roles;
        let drop = |group: &ColumnGroup| {
            let mut occluded = row.to_vec();
            group
                .columns
                .iter()
                .for_each(|&column| occluded[column] = 0.0);
            match group.derived {
                DerivedAfter::Follow => roles.derive(&roles.derived, &mut occluded),
                DerivedAfter::Neutral => {}
            }
            let logit = self.kernel.logit_beside(&whole, &occluded, &mut scratch);
            (group.name.clone(), whole.logit - logit)
        };
        Ok(self.groups.iter().map(drop).collect())
    }

    /// A row's logit with each of these columns neutral in its turn, and the derived columns made
    /// from what is left.
    ///
    /// # Errors
    /// As [`Scorer::energies`], also where what is derived is not finite.
    ///
    /// # Panics
    /// If the schema has no such column.
    pub fn logits_without(&self, row: &[f32], columns: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.check_one(row)?;
        let mut scratch = self.kernel.scratch();
        let whole = self.kernel.pass(row, &mut scratch);
        let roles = &self.kernel.roles;
        let mut occluded = Vec::with_capacity(row.len());
        let mut logits = Vec::with_capacity(columns.len());
        for &column in columns {
            row.clone_into(&mut occluded);
            occluded[column] = 0.0;
            roles.derive(&roles.derived, &mut occluded);
            self.check(&occluded)?;
            logits.push(self.kernel.logit_beside(&whole, &occluded, &mut scratch));
        }
        Ok(logits)
    }

    fn calibrated(&self, logit: f32) -> Score {
        Score {
            logit,
            probability: self.calibration.probability(logit),
        }
    }

    fn check(&self, rows: &[f32]) -> Result<(), ModelError> {
        check_rows(rows, &self.kernel.roles.names)
    }

    fn check_one(&self, row: &[f32]) -> Result<(), ModelError> {
        let columns = self.kernel.roles.columns();
        if row.len() != columns {
            return Err(ModelError::RowLength {
                found: row.len(),
                columns,
            });
        }
        self.check(row)
    }
}

/// The named groups that a schema has columns for.
fn column_groups(schema: &FeatureSchema) -> Vec<ColumnGroup> {
    let fields = schema.field_groups().map(|group| {
        let own = schema.indices(|role| *role == Role::Event(group));
        let leans = |role: &Role| match role {
            Role::Derived { minuend, .. } => own.contains(&usize::from(*minuend)),
            Role::Event(_) | Role::Context | Role::Window | Role::OwnRisk | Role::SharedRisk => {
                false
            }
        };
        ColumnGroup {
            name: schema.group_name(group).to_owned(),
            columns: [own.clone(), schema.indices(leans)].concat(),
            derived: DerivedAfter::Neutral,
        }
    });
    let plain = |name: &str, test: fn(&Role) -> bool| ColumnGroup {
        name: name.to_owned(),
        columns: schema.indices(test),
        derived: DerivedAfter::Neutral,
    };
    let history = ColumnGroup {
        derived: DerivedAfter::Follow,
        ..plain("card history", |role| matches!(role, Role::Context))
    };
    let others = [
        history,
        plain("windows", |role| matches!(role, Role::Window)),
        plain("own risk", |role| matches!(role, Role::OwnRisk)),
        plain("shared risk", |role| matches!(role, Role::SharedRisk)),
    ];
    fields
        .chain(others)
        .filter(|group| !group.columns.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::genesis;
    use crate::synthetic;

    fn scorer() -> Scorer {
        let schema = synthetic::schema();
        let flat = genesis(&layout(&schema, NetworkSize::default()), 4);
        let calibration = Calibration { a: 2.0, b: 0.5 };
        Scorer::new(&schema, NetworkSize::default(), &flat, calibration).unwrap()
    }

    fn is_shareable<T: Send + Sync>(_: &T) {}

    #[test]
    fn a_batch_scores_as_its_rows_do_alone() {
        let scorer = scorer();
        is_shareable(&scorer);
        let rows = synthetic::population(3, 4, 1);
        let together = scorer.score(&rows.values).unwrap();
        for (index, score) in together.iter().enumerate() {
            assert_eq!(scorer.score(rows.row(index)).unwrap(), [*score]);
            let judged = scorer.judge(rows.row(index)).unwrap();
            let energies = scorer.energies(rows.row(index)).unwrap();
            assert_eq!(judged.score, *score);
            let energies = energies.iter().map(|(_, energy)| energy);
            assert!(energies.eq(&judged.energies));
            let expected = 1.0 / (1.0 + (-(2.0 * score.logit + 0.5)).exp());
            assert!((score.probability - expected).abs() < 1e-6);
        }
        assert_eq!(scorer.score(&[]).unwrap(), []);
    }

    #[test]
    fn a_row_that_is_no_number_is_refused() {
        let scorer = scorer();
        let mut rows = synthetic::population(1, 2, 1).values;
        let columns = rows.len() / 2;
        rows[columns + 2] = f32::NAN;
        let error = scorer.score(&rows).unwrap_err();
        assert!(
            matches!(error, ModelError::NotFinite { row: 1, .. }),
            "{error}"
        );
        assert!(matches!(
            scorer.score(&[0.0]),
            Err(ModelError::RowLength { .. })
        ));
        assert!(scorer.energies(&rows[..1]).is_err());
        assert!(scorer.judge(&rows[columns..]).is_err());
    }

    // What `logits_without` may leave out, this computes: every occluded row as a row of its own.
    #[test]
    fn logits_without_a_column_are_those_of_the_occluded_row() {
        let (scorer, schema) = (scorer(), synthetic::schema());
        let row = synthetic::population(1, 2, 1).row(0).to_vec();
        let columns: Vec<usize> = (0..row.len()).collect();
        let found = scorer.logits_without(&row, &columns).unwrap();
        for (column, logit) in found.into_iter().enumerate() {
            let mut occluded = row.clone();
            occluded[column] = 0.0;
            for at in schema.indices(|role| matches!(role, Role::Derived { .. })) {
                occluded[at] = schema.derive(at, &occluded).unwrap();
            }
            assert_eq!(logit, scorer.score(&occluded).unwrap()[0].logit);
        }
        assert!(scorer.logits_without(&row, &[]).unwrap().is_empty());
        assert!(scorer.logits_without(&row[1..], &[0]).is_err());
    }

    #[test]
    fn an_embedding_is_the_encoders_alone() {
        let schema = synthetic::schema();
        let size = NetworkSize::default();
        let mut flat = genesis(&layout(&schema, size), 4);
        let calibration = Calibration { a: 2.0, b: 0.5 };
        let scorer = Scorer::new(&schema, size, &flat, calibration).unwrap();
        let rows = synthetic::population(1, 2, 1);
        let (one, other) = (rows.row(0), rows.row(1));
        let z = scorer.embedding(one).unwrap();
        assert!(!z.is_empty() && z.iter().all(|value| *value >= 0.0));
        assert_ne!(z, scorer.embedding(other).unwrap());
        assert!(scorer.embedding(&one[1..]).is_err());
        let head = parameters::range_of(&layout(&schema, size), "head.out.bias");
        flat[head].fill(9.0);
        let other_head = Scorer::new(&schema, size, &flat, calibration).unwrap();
        assert_ne!(other_head.score(one).unwrap(), scorer.score(one).unwrap());
        assert_eq!(other_head.embedding(one).unwrap(), z);
    }

    #[test]
    fn neutral_columns_contribute_nothing() {
        let scorer = scorer();
        let mut row = synthetic::population(1, 2, 1).row(0).to_vec();
        let group = scorer
            .groups
            .iter()
            .find(|group| group.name == "windows")
            .unwrap();
        group.columns.iter().for_each(|&column| row[column] = 0.0);
        let found = scorer.contributions(&row).unwrap();
        let of = |name: &str| found.iter().find(|(group, _)| group == name).unwrap().1;
        assert_eq!(of("windows"), 0.0);
        assert_ne!(of("amount"), 0.0);
        assert_ne!(of("card history"), 0.0);
    }
}
