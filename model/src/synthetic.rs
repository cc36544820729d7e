//! A made-up population in the shape of the standard schema, for tests: cards with habits,
//! payments that keep to them, and a planted rule for fraud.

use features::{FeatureSchema, FieldGroup, Role};

use crate::chance::Chance;
use crate::examples::Examples;

/// The schema that tests use.
pub(crate) fn schema() -> FeatureSchema {
    FeatureSchema::standard()
}

/// `each` payments of each of `cards` cards, in order of time. A payment's event fields lie within
/// .3 sd of its card's habit and its context shows habits; windows and risks are noise.
/// Fraud, a tenth, is planted on two columns of which only the head can know the meaning:
/// the first own-risk column above 1, with the gap above -1.
pub(crate) fn population(cards: u32, each: u32, seed: u64) -> Examples {
    let schema = schema();
    let mut chance = Chance::new(seed, 77);
    let habits: Vec<Vec<f32>> = (0..cards)
        .map(|_| schema.columns.iter().map(|_| chance.normal()).collect())
        .collect();
    let mut made = Examples::new(schema.columns.len());
    for time in 0..each {
        for card in 0..cards {
            let row = payment(&schema, &habits[card as usize], &mut chance);
            let label = f32::from(u8::from(is_fraud(&schema, &row)));
            let ts = i64::from(time) * 3_600_000 + i64::from(card);
            made.push(&row, card, ts, label).unwrap();
        }
    }
    made
}

fn payment(schema: &FeatureSchema, habit: &[f32], chance: &mut Chance) -> Vec<f32> {
    let amount = first(schema, |role| {
        matches!(role, Role::Event(FieldGroup::Amount))
    });
    let likeness: Vec<usize> = schema
        .columns
        .iter()
        .filter_map(|column| subtrahend(&column.role))
        .collect();
    let events: Vec<usize> = (0..habit.len())
        .filter(|&column| matches!(schema.columns[column].role, Role::Event(_)))
        .collect();
    let mut row: Vec<f32> = (0..habit.len())
        .map(|column| match &schema.columns[column].role {
            Role::Event(FieldGroup::Category) => f32::from(u8::from(habit[column] > 1.0)),
            Role::Event(_) => habit[column] + 0.3 * chance.normal(),
            Role::Context if likeness.contains(&column) => habit[amount],
            Role::Context => habit[events[column % events.len()]],
            Role::Derived { .. } => 0.0,
            Role::Window | Role::OwnRisk | Role::SharedRisk => chance.normal(),
        })
        .collect();
    derive(schema, &mut row);
    row
}

/// Recomputes the derived columns of a row.
pub(crate) fn derive(schema: &FeatureSchema, row: &mut [f32]) {
    for column in 0..row.len() {
        if let Some(value) = schema.derive(column, row) {
            row[column] = value;
        }
    }
}

/// The planted rule.
fn is_fraud(schema: &FeatureSchema, row: &[f32]) -> bool {
    let gap = first(schema, |role| matches!(role, Role::Event(FieldGroup::Gap)));
    let risk = first(schema, |role| matches!(role, Role::OwnRisk));
    row[risk] > 1.0 && row[gap] > -1.0
}

fn first(schema: &FeatureSchema, test: impl Fn(&Role) -> bool) -> usize {
    let found = schema.columns.iter().position(|column| test(&column.role));
    found.expect("the standard schema has this role")
}

fn subtrahend(role: &Role) -> Option<usize> {
    match role {
        Role::Derived { subtrahend, .. } => Some(usize::from(*subtrahend)),
        Role::Event(_) | Role::Context | Role::Window | Role::OwnRisk | Role::SharedRisk => None,
    }
}
