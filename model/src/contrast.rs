//! The task learnt without labels, "contextual field contrast": which of several versions of a
//! transaction is the true one, judged per field group. The versions of a batch are made here,
//! in plain Rust; the loss over their energies is in `loss`.
//!
//! Versions, in order: the true rows; the same with another card's context, where the schema has
//! a context; then, per field group, three copies with that group's fields replaced. Without a
//! context the population alone says what fits. Derived columns follow each change. Of a version
//! only what it changes is kept: `forward::versions` computes no more than that, [`whole`] has it
//! all.

use crate::chance::Chance;
use crate::examples::Examples;
use crate::roles::{Change, Changed, Group, Roles};

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

/// How many versions of each row there are.
pub(crate) fn version_count(roles: &Roles) -> usize {
    1 + roles.changes.iter().map(copies).sum::<usize>()
}

/// How many versions of each row make the same change, with other draws.
pub(crate) fn copies(change: &Change) -> usize {
    match change.of {
        Changed::Context => 1,
        Changed::Group(_) => COPIES,
    }
}

/// Values of a row in all its versions: the encoder inputs of the true one, then in order of
/// versions what each has in the positions of its change.
pub(crate) fn values_count(roles: &Roles) -> usize {
    let changed = |change: &Change| copies(change) * change.positions.len();
    roles.inputs.len() + roles.changes.iter().map(changed).sum::<usize>()
}

/// Makes the versions of a batch, `[batch, values_count]`, row-major.
pub(crate) fn versions(
    roles: &Roles,
    examples: &Examples,
    batch: &[usize],
    chance: &mut Chance,
) -> Vec<f32> {
    let (mut start, count) = (roles.inputs.len(), values_count(roles));
    let mut made = Vec::with_capacity(batch.len() * count);
    for &row in batch {
        Roles::gather(&roles.inputs, examples.row(row), &mut made);
        made.resize(made.len() + count - start, 0.0);
    }
    // One row's room for all versions: thousands are made for a step.
    let mut version = vec![0.0; roles.columns()];
    for change in &roles.changes {
        for _ in 0..copies(change) {
            for (&row, made) in batch.iter().zip(made.chunks_exact_mut(count)) {
                version.copy_from_slice(examples.row(row));
                match change.of {
                    Changed::Context => {
                        let other = other_card(examples, batch, row, chance);
                        replace(&mut version, examples.row(other), &roles.context);
                    }
                    Changed::Group(at) => {
                        perturb(&mut version, &roles.groups[at], examples, batch, chance);
                    }
                }
                roles.derive(&change.derived, &mut version);
                for (value, &position) in made[start..].iter_mut().zip(&change.positions) {
                    *value = version[roles.inputs[position]];
                }
            }
            start += change.positions.len();
        }
    }
    made
}

/// Encoder inputs of all versions that were made, `[version_count, batch, inputs]`, row-major.
pub(crate) fn whole(roles: &Roles, made: &[f32]) -> Vec<f32> {
    let inputs = roles.inputs.len();
    let rows = || made.chunks_exact(values_count(roles));
    let mut whole: Vec<f32> = rows().flat_map(|row| &row[..inputs]).copied().collect();
    let mut start = inputs;
    for change in &roles.changes {
        for _ in 0..copies(change) {
            for row in rows() {
                let version = whole.len();
                whole.extend_from_slice(&row[..inputs]);
                for (&position, &value) in change.positions.iter().zip(&row[start..]) {
                    whole[version + position] = value;
                }
            }
            start += change.positions.len();
        }
    }
    whole
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

    fn whole_versions(roles: &Roles, examples: &Examples, batch: &[usize]) -> Vec<f32> {
        whole(
            roles,
            &versions(roles, examples, batch, &mut Chance::new(1, 0)),
        )
    }

    #[test]
    fn each_version_changes_only_its_own_fields_and_what_follows_from_them() {
        let roles = Roles::new(&synthetic::schema());
        let examples = synthetic::population(40, 5, 1);
        let batch: Vec<usize> = (0..32).collect();
        let made = whole_versions(&roles, &examples, &batch);
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

    // Planted: `follows` in `roles` without the minuend, so that the amount moves alone.
    #[test]
    fn in_every_version_derived_columns_are_what_its_other_columns_say() {
        let roles = Roles::new(&synthetic::schema());
        let examples = synthetic::population(40, 5, 1);
        let batch: Vec<usize> = (0..32).collect();
        let made = whole_versions(&roles, &examples, &batch);
        for (at, version) in made.chunks_exact(roles.inputs.len()).enumerate() {
            let mut row = examples.row(batch[at % batch.len()]).to_vec();
            for (&column, &value) in roles.inputs.iter().zip(version) {
                row[column] = value;
            }
            let found = row.clone();
            roles.derive(&roles.derived, &mut row);
            assert_eq!(found, row, "version {}", at / batch.len());
        }
    }

    #[test]
    fn without_a_context_every_rival_of_the_true_row_differs_from_it() {
        let roles = Roles::new(&synthetic::single());
        let examples = synthetic::singles(64, 1);
        let batch: Vec<usize> = (0..64).collect();
        let made = whole_versions(&roles, &examples, &batch);
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
