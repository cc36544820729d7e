//! The task learnt without labels, "contextual field contrast": which of several versions of a
//! transaction is the true one, judged per field group. The versions of a batch are made here,
//! in plain Rust; the loss over their energies is in `loss`.
//!
//! Versions, in order: the true rows; the same with another card's context, where the schema has
//! a context; then, per field group, three copies with that group's fields replaced. Without a
//! context the population alone says what fits. Derived columns follow each change.

use crate::chance::Chance;
use crate::examples::Examples;
use crate::roles::{Group, Roles};

/// Perturbed copies per field group.
pub(crate) const COPIES: usize = 3;

/// Share of perturbations that are shifted by noise rather than replaced by another row's.
const SHIFT_SHARE: f32 = 0.6;
/// Standard deviation of that noise, in standardised units.
const SHIFT_SD: f32 = 1.5;

/// Versions before the perturbed ones: the true row and the swapped context. Without a context
/// the second would be the first again, a rival that nobody can beat.
pub(crate) fn plain_count(roles: &Roles) -> usize {
    1 + usize::from(!roles.context.is_empty())
}

/// How many versions of each row [`versions`] makes.
pub(crate) fn version_count(roles: &Roles) -> usize {
    plain_count(roles) + COPIES * roles.groups.len()
}

/// Encoder inputs `[version_count, batch, inputs]`, row-major.
pub(crate) fn versions(
    roles: &Roles,
    examples: &Examples,
    batch: &[usize],
    chance: &mut Chance,
) -> Vec<f32> {
    let capacity = version_count(roles) * batch.len() * roles.inputs.len();
    let mut made = Vec::with_capacity(capacity);
    for &row in batch {
        Roles::gather(&roles.inputs, examples.row(row), &mut made);
    }
    // One row's room for all versions: thousands are made for a step.
    let mut version = vec![0.0; roles.columns()];
    let swapped = if roles.context.is_empty() { &[] } else { batch };
    for &row in swapped {
        let other = examples.row(other_card(examples, batch, row, chance));
        version.copy_from_slice(examples.row(row));
        replace(&mut version, other, &roles.context);
        finish(roles, &mut version, &mut made);
    }
    for group in &roles.groups {
        for _ in 0..COPIES {
            for &row in batch {
                version.copy_from_slice(examples.row(row));
                perturb(&mut version, group, examples, batch, chance);
                finish(roles, &mut version, &mut made);
            }
        }
    }
    debug_assert_eq!(made.len(), capacity);
    made
}

/// Changes one field group of a row: what may be shifted is shifted or replaced, all else
/// replaced.
fn perturb(
    version: &mut [f32],
    group: &Group,
    examples: &Examples,
    batch: &[usize],
    chance: &mut Chance,
) {
    if !group.shifted.is_empty() && chance.uniform() < SHIFT_SHARE {
        for &column in &group.shifted {
            version[column] += SHIFT_SD * chance.normal();
        }
    } else {
        let other = examples.row(batch[chance.below(batch.len())]);
        replace(version, other, &group.fields);
    }
}

fn finish(roles: &Roles, version: &mut [f32], made: &mut Vec<f32>) {
    roles.derive(version);
    Roles::gather(&roles.inputs, version, made);
}

fn replace(version: &mut [f32], other: &[f32], columns: &[usize]) {
    for &column in columns {
        version[column] = other[column];
    }
}

/// A random row of the batch from another card; any row where the batch has one card only.
fn other_card(examples: &Examples, batch: &[usize], row: usize, chance: &mut Chance) -> usize {
    let start = chance.below(batch.len());
    (0..batch.len())
        .map(|step| batch[(start + step) % batch.len()])
        .find(|&other| examples.card[other] != examples.card[row])
        .unwrap_or(batch[start])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn each_version_changes_only_its_own_fields_and_what_follows_from_them() {
        let roles = Roles::new(&synthetic::schema());
        let examples = synthetic::population(40, 5, 1);
        let batch: Vec<usize> = (0..32).collect();
        let made = versions(&roles, &examples, &batch, &mut Chance::new(1, 0));
        let width = roles.inputs.len();
        let events: usize = roles.groups.iter().map(|group| group.fields.len()).sum();
        let at = |version: usize, i: usize| {
            let start = (version * batch.len() + i) * width;
            &made[start..start + width]
        };
        let moved = |version: usize| {
            let differs = |p: &usize| (0..batch.len()).any(|i| at(0, i)[*p] != at(version, i)[*p]);
            (0..width)
                .filter(differs)
                .map(|p| roles.inputs[p])
                .collect::<Vec<_>>()
        };
        let derived = &roles.head[..roles.inputs.len() - events - roles.context.len()];
        let swapped = moved(1);
        assert!(derived.iter().all(|column| swapped.contains(column)));
        for column in swapped {
            let follows = derived.contains(&column);
            assert!(
                follows || roles.context.contains(&column),
                "column {column}"
            );
        }
        for (g, group) in roles.groups.iter().enumerate() {
            let fields = &group.fields;
            let changed = moved(plain_count(&roles) + COPIES * g);
            assert!(
                changed.iter().any(|column| fields.contains(column)),
                "group {g}"
            );
            let follow = if g == 0 { derived } else { &[] };
            assert!(follow.iter().all(|column| changed.contains(column)));
            for column in changed {
                let is_own = fields.contains(&column) || follow.contains(&column);
                assert!(is_own, "group {g}, column {column}");
            }
        }
    }

    #[test]
    fn without_a_context_every_rival_of_the_true_row_differs_from_it() {
        let roles = Roles::new(&synthetic::single());
        let examples = synthetic::singles(64, 1);
        let batch: Vec<usize> = (0..64).collect();
        let made = versions(&roles, &examples, &batch, &mut Chance::new(1, 0));
        let stretch = batch.len() * roles.inputs.len();
        let count = version_count(&roles);
        assert_eq!((plain_count(&roles), made.len()), (1, count * stretch));
        for version in 1..count {
            assert_ne!(
                made[..stretch],
                made[version * stretch..][..stretch],
                "{version}"
            );
        }
    }

    #[test]
    fn the_swapped_context_is_never_the_cards_own() {
        let examples = synthetic::population(4, 10, 2);
        let batch: Vec<usize> = (0..40).collect();
        let mut chance = Chance::new(9, 0);
        for &row in &batch {
            let other = other_card(&examples, &batch, row, &mut chance);
            assert_ne!(examples.card[row], examples.card[other]);
        }
    }

    #[test]
    fn a_lone_card_still_finds_a_row() {
        let examples = synthetic::population(1, 5, 2);
        let other = other_card(&examples, &[0, 1, 2], 1, &mut Chance::new(1, 0));
        assert!(other < 3);
    }
}
