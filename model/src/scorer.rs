//! Scoring: immutable parameters, forward only, no libtorch, shared between threads. What a
//! score leads to is decided in the agent; thresholds and reasons in words live there.

use features::{FeatureSchema, FieldGroup, Role};

use crate::calibration::Calibration;
use crate::error::ModelError;
use crate::examples::check_rows;
use crate::kernel::{Kernel, Way};
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

/// What a row's logit is made of: the base and the groups' shares add up to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The logit of a row whose every column is neutral.
    pub base: f32,
    /// Named groups of columns, and what each adds to the logit.
    pub groups: Vec<(String, f32)>,
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

#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// The same model for a bank alone: it sees a row as [`FeatureSchema::hide_federation`] leaves
    /// it. A model that was trained without the federation's risk is asked so.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            kernel: self.kernel.alone(),
            ..self
        }
    }

    /// Scores of whole rows, `k * columns` values.
    ///
    /// # Errors
    /// If the values do not divide into rows, or one is not finite: by row and column name.
    pub fn score(&self, rows: &[f32]) -> Result<Vec<Score>, ModelError> {
        self.check(rows)?;
        let mut way = self.kernel.way();
        let score = |row| self.calibrated(self.kernel.logit(row, &mut way));
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
        let mut way = self.kernel.way();
        let (logit, energies) = self.kernel.judge(row, &mut way);
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
        let mut way = self.kernel.way();
        let energies = self.kernel.energies(row, &mut way);
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
        let mut way = self.kernel.way();
        Ok(self.kernel.embedding(row, &mut way).to_vec())
    }

    /// What each named group of columns adds to a row's logit: its Shapley value, estimated from
    /// one order of the groups and its reverse (antithetic permutation sampling; Mitchell et al.
    /// 2022, "Sampling Permutations for Shapley Value Estimation", JMLR 23). In either order the
    /// groups are set to their neutral value, 0, the centre of the schema, one after the other, and
    /// a group's drop counts; so with [`Attribution::base`] they add up to the logit, but for
    /// rounding. The field groups carry the schema's names. With the amount neutral, the columns
    /// derived from it are neutral too; with the card's history neutral, they are recomputed
    /// against the average card.
    ///
    /// # Errors
    /// As [`Scorer::energies`].
    pub fn attribution(&self, row: &[f32]) -> Result<Attribution, ModelError> {
        self.check_one(row)?;
        let mut drops = vec![0.0; self.groups.len()];
        let mut whole = self.kernel.way();
        let logit = self.kernel.logit(row, &mut whole);
        let (whole, order) = ((&whole, logit), 0..self.groups.len());
        let base = self.walk(row, whole, order.clone(), &mut drops);
        self.walk(row, whole, order.rev(), &mut drops);
        let groups = self.groups.iter().zip(drops);
        Ok(Attribution {
            base,
            groups: groups
                .map(|(group, drops)| (group.name.clone(), drops / 2.0))
                .collect(),
        })
    }

    /// Sets the groups neutral in this order, adds each one's drop, and gives the logit that is
    /// left.
    fn walk(
        &self,
        row: &[f32],
        (whole, logit): (&Way, f32),
        order: impl Iterator<Item = usize>,
        drops: &mut [f32],
    ) -> f32 {
        let (mut before, mut after) = (self.kernel.way(), self.kernel.way());
        let mut is_neutral = vec![false; self.groups.len()];
        let (mut occluded, mut left) = (Vec::with_capacity(row.len()), logit);
        for (step, at) in order.enumerate() {
            is_neutral[at] = true;
            self.occlude(row, &is_neutral, &mut occluded);
            let from = if step == 0 { whole } else { &before };
            let next = self.kernel.logit_beside(from, &occluded, &mut after);
            drops[at] += left - next;
            left = next;
            std::mem::swap(&mut before, &mut after);
        }
        left
    }

    /// A row with some groups neutral: those that others follow first.
    fn occlude(&self, row: &[f32], is_neutral: &[bool], occluded: &mut Vec<f32>) {
        row.clone_into(occluded);
        let neutral = self.groups.iter().zip(is_neutral);
        let neutral = neutral.filter_map(|(group, is_neutral)| is_neutral.then_some(group));
        let of = |derived: DerivedAfter| neutral.clone().filter(move |of| of.derived == derived);
        for group in of(DerivedAfter::Follow) {
            group.columns.iter().for_each(|&at| occluded[at] = 0.0);
            let roles = &self.kernel.roles;
            roles.derive(&roles.derived, occluded);
        }
        for group in of(DerivedAfter::Neutral) {
            group.columns.iter().for_each(|&at| occluded[at] = 0.0);
        }
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
        let (mut whole, mut way) = (self.kernel.way(), self.kernel.way());
        self.kernel.logit(row, &mut whole);
        let roles = &self.kernel.roles;
        let mut occluded = Vec::with_capacity(row.len());
        let mut logits = Vec::with_capacity(columns.len());
        for &column in columns {
            row.clone_into(&mut occluded);
            occluded[column] = 0.0;
            roles.derive(&roles.derived, &mut occluded);
            self.check(&occluded)?;
            logits.push(self.kernel.logit_beside(&whole, &occluded, &mut way));
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
    use crate::chance::Chance;
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
            let alone = scorer.score(&occluded).unwrap()[0].logit;
            assert!((logit - alone).abs() < 1e-5, "{column}: {logit} {alone}");
        }
        assert!(scorer.logits_without(&row, &[]).unwrap().is_empty());
        assert!(scorer.logits_without(&row[1..], &[0]).is_err());
    }

    // The bank's own counts stand in for the federation's; in the second schema there are none.
    #[test]
    fn a_model_of_a_bank_alone_never_sees_the_federations_risk() {
        let standard = include_str!("../../ops/config/schemas/standard.toml");
        let without = standard.replacen("[[feature]]\nkind = \"own_risk\"\n", "", 1);
        assert_ne!(without, standard);
        for text in [standard, &without] {
            let (schema, size) = (FeatureSchema::parse(text).unwrap(), NetworkSize::default());
            let flat = genesis(&layout(&schema, size), 4);
            let made = || Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
            let (plain, alone) = (made(), made().alone());
            let mut chance = Chance::new(13, 0);
            let rows: Vec<f32> = (0..20 * schema.len()).map(|_| chance.normal()).collect();
            let mut hidden = rows.clone();
            schema.hide_federation(&mut hidden);
            let found = alone.score(&rows).unwrap();
            assert_eq!(found, plain.score(&hidden).unwrap());
            assert_ne!(found, plain.score(&rows).unwrap());
            let row = &rows[..schema.len()];
            assert_eq!(alone.judge(row).unwrap().score, found[0]);
            let groups = alone.attribution(row).unwrap().groups;
            let share = |name: &str| groups.iter().find(|(group, _)| group == name);
            assert_eq!(share("shared risk").unwrap().1, 0.0);
            assert!(share("own risk").is_none_or(|(_, share)| *share != 0.0));
        }
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
        let found = scorer.attribution(&row).unwrap();
        let of = |name: &str| {
            let mut groups = found.groups.iter();
            groups.find(|(group, _)| group == name).unwrap().1
        };
        assert_eq!(of("windows"), 0.0);
        assert_ne!(of("amount"), 0.0);
        assert_ne!(of("card history"), 0.0);
    }

    #[test]
    fn base_and_shares_add_up_to_the_logit() {
        let scorer = scorer();
        let rows = synthetic::population(20, 10, 3);
        for at in 0..rows.len() {
            let found = scorer.attribution(rows.row(at)).unwrap();
            let sum = found.groups.iter().map(|(_, share)| share).sum::<f32>() + found.base;
            let logit = scorer.score(rows.row(at)).unwrap()[0].logit;
            assert!((sum - logit).abs() < 1e-4, "{sum} {logit}");
            let neutral = vec![0.0; rows.row(at).len()];
            let base = scorer.score(&neutral).unwrap()[0].logit;
            assert!((found.base - base).abs() < 1e-4, "{} {base}", found.base);
        }
    }

    // Two groups that stand in for one another share what either brings.
    #[test]
    fn a_share_is_the_mean_of_a_groups_drop_before_and_after_the_others() {
        let scorer = scorer();
        let row = synthetic::population(1, 2, 1).row(0).to_vec();
        let groups = scorer.groups.len();
        let logit = |is_neutral: &dyn Fn(usize) -> bool| {
            let is_neutral: Vec<bool> = (0..groups).map(is_neutral).collect();
            let mut occluded = Vec::new();
            scorer.occlude(&row, &is_neutral, &mut occluded);
            scorer.score(&occluded).unwrap()[0].logit
        };
        let found = scorer.attribution(&row).unwrap();
        for (at, (name, share)) in found.groups.iter().enumerate() {
            let first = logit(&|of| of < at) - logit(&|of| of <= at);
            let last = logit(&|of| of > at) - logit(&|of| of >= at);
            let expected = f32::midpoint(first, last);
            assert!(
                (share - expected).abs() < 1e-4,
                "{name}: {share} {expected}"
            );
        }
    }
}
