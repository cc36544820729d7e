//! Made-up populations in the shape of the shipped schemas, for tests: cards with habits, payments
//! that keep to them, single payments, and planted rules for fraud.

use features::{FeatureSchema, Role};

use crate::chance::Chance;
use crate::examples::Examples;

/// The schema that tests use.
pub(crate) fn schema() -> FeatureSchema {
    FeatureSchema::standard()
}

/// The shipped schema without any history.
pub(crate) fn single() -> FeatureSchema {
    let text = include_str!("../../ops/config/schemas/single-payment.toml");
    FeatureSchema::parse(text).expect("the shipped document is a schema")
}

/// Single payments of as many payers: each payment has a trait that all its numbers follow within
/// .3 sd, and flags at random. Fraud, about a tenth, is where the trait is high on a weekend.
pub(crate) fn singles(payments: u32, seed: u64) -> Examples {
    let schema = single();
    let weekend = schema.position("weekend").expect("the schema has a clock");
    let mut chance = Chance::new(seed, 78);
    let mut made = Examples::new(schema.len());
    for payment in 0..payments {
        let habit = chance.normal();
        let mut row: Vec<f32> = schema
            .columns()
            .iter()
            .map(|column| match column.is_flag {
                true => f32::from(u8::from(chance.uniform() < 0.2)),
                false => habit + 0.3 * chance.normal(),
            })
            .collect();
        row[weekend] = f32::from(u8::from(chance.uniform() < 0.3));
        let label = f32::from(u8::from(habit > 0.4 && row[weekend] > 0.5));
        made.push(&row, payment, i64::from(payment) * 60_000, label)
            .expect("a row has the schema's columns");
    }
    made
}

/// `each` payments of each of `cards` cards, in order of time. A payment's event fields lie within
/// .3 sd of its card's habit and its context shows habits; windows and risks are noise.
/// Fraud, a tenth, is planted on two columns of which only the head can know the meaning:
/// the first shared-risk column above 1, with the gap above -1.
pub(crate) fn population(cards: u32, each: u32, seed: u64) -> Examples {
    let schema = schema();
    let mut chance = Chance::new(seed, 77);
    let habits: Vec<Vec<f32>> = (0..cards)
        .map(|_| schema.columns().iter().map(|_| chance.normal()).collect())
        .collect();
    let mut made = Examples::new(schema.len());
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
    let amount = named(schema, "amount");
    let likeness: Vec<usize> = schema
        .columns()
        .iter()
        .filter_map(|column| subtrahend(&column.role))
        .collect();
    let events: Vec<usize> = (0..habit.len())
        .filter(|&column| matches!(schema.columns()[column].role, Role::Event(_)))
        .collect();
    let mut row: Vec<f32> = (0..habit.len())
        .map(|column| match &schema.columns()[column].role {
            Role::Event(_) if schema.columns()[column].is_flag => {
                f32::from(u8::from(habit[column] > 1.0))
            }
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
    let gap = named(schema, "gap");
    let risk = named(schema, "shared_count_1d");
    row[risk] > 1.0 && row[gap] > -1.0
}

fn named(schema: &FeatureSchema, column: &str) -> usize {
    let found = schema.position(column);
    found.expect("the standard schema has this column")
}

fn subtrahend(role: &Role) -> Option<usize> {
    match role {
        Role::Derived { subtrahend, .. } => Some(usize::from(*subtrahend)),
        Role::Event(_) | Role::Context | Role::Window | Role::OwnRisk | Role::SharedRisk => None,
    }
}
