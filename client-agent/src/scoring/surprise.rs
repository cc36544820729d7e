//! What an answer says without labels: the surprise of each field group, and a reason for a group
//! that surprises much. The surprises themselves are `model::surprise`'s; the reasons that the
//! score has are in `reasons.rs`.

use features::{FeatureSchema, Role};

use super::answer::{Reason, Surprise};
use super::reasons::{self, REASONS_MAX};

/// The groups that have a surprise, in the schema's order.
pub(super) fn figures(schema: &FeatureSchema, surprises: &[Option<f32>]) -> Vec<Surprise> {
    let groups = schema.groups().iter().zip(surprises);
    let figure = |(group, surprise): (&String, &Option<f32>)| {
        let deviations = rounded((*surprise)?);
        let group = group.clone();
        Some(Surprise { group, deviations })
    };
    let mut figures = Vec::with_capacity(surprises.len());
    figures.extend(groups.filter_map(figure));
    figures
}

/// The figure of the first group, which stands for the payment.
pub(super) fn label_free(schema: &FeatureSchema, figures: &[Surprise]) -> Option<f32> {
    let first = schema.groups().first()?;
    let figure = figures.iter().find(|figure| figure.group == *first)?;
    Some(figure.deviations)
}

/// Reasons for the groups that surprise most, the most surprising first, at most
/// [`SURPRISES_MAX`]; none for a group that is among the reasons already told.
pub(super) fn explain(
    schema: &FeatureSchema,
    figures: &[Surprise],
    told: &[Reason],
) -> Vec<Reason> {
    let is_told = |group: &str| {
        let code = reasons::code(group, schema);
        told.iter().any(|reason| reason.code == code)
    };
    let mut strange: Vec<&Surprise> = figures
        .iter()
        .filter(|figure| figure.deviations >= DEVIATIONS_MIN && !is_told(&figure.group))
        .collect();
    strange.sort_by(|one, other| other.deviations.total_cmp(&one.deviations));
    let next = told.last().map_or(1, |reason| reason.rank + 1);
    (next..)
        .zip(strange.into_iter().take(SURPRISES_MAX))
        .map(|(rank, figure)| reason(schema, figure, rank))
        .collect()
}

fn reason(schema: &FeatureSchema, figure: &Surprise, rank: u8) -> Reason {
    let observed = format!("{:.1} standard deviations", figure.deviations);
    let subject = subject(schema, &figure.group);
    let is_past = |role: &Role| matches!(role, Role::Context);
    let whom = match schema.indices(is_past).is_empty() {
        true => "",
        false => " this card",
    };
    Reason {
        code: format!("R60_SURPRISE_{}", figure.group.to_ascii_uppercase()),
        rank,
        weight: None,
        text: format!("{subject} does not fit{whom}: {observed} more surprising than usual."),
        observed,
        // The median of the seven days before: what is held against it has its own there.
        usual: Some("0.0 standard deviations".to_owned()),
    }
}

/// What a group is called where a sentence begins.
fn subject(schema: &FeatureSchema, group: &str) -> String {
    let listed = SUBJECTS.iter().find(|(name, _)| *name == group);
    let listed = listed.filter(|_| reasons::is_what_it_is_called(group, schema));
    listed.map_or_else(
        || format!("The {}", group.replace('_', " ")),
        |(_, subject)| (*subject).to_owned(),
    )
}

const SUBJECTS: [(&str, &str); 5] = [
    ("amount", "The amount"),
    ("gap", "The pace of the payments"),
    ("time", "The time"),
    ("visits", "The outlet"),
    ("category", "The merchant's category"),
];

/// In hundredths, and never a zero with a sign.
fn rounded(surprise: f32) -> f32 {
    ((f64::from(surprise) * 100.0).round() / 100.0) as f32 + 0.0
}

/// Deviations from which a surprise is a reason: of a normal distribution, one in 740 lies so far
/// above. Below, an analyst would read about what is ordinary.
pub(super) const DEVIATIONS_MIN: f32 = 3.0;

/// Beside the four facts that a score may have, two more are read; further groups are in the
/// figures.
const SURPRISES_MAX: usize = 2;

/// Reasons of an answer, both kinds together.
pub(crate) const TOLD_MAX: usize = REASONS_MAX + SURPRISES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const SINGLE: &str = include_str!("../../../ops/config/schemas/single-payment.toml");

    fn told(code: &str, rank: u8) -> Reason {
        Reason {
            code: code.to_owned(),
            rank,
            weight: Some(0.5),
            observed: String::new(),
            usual: None,
            text: String::new(),
        }
    }

    #[test]
    fn figures_are_of_the_groups_that_have_one_in_hundredths() {
        let schema = FeatureSchema::standard();
        let of = |surprises: &[Option<f32>]| figures(&schema, surprises);
        let found = of(&[Some(4.23456), None, Some(-0.001), Some(f32::MAX), None]);
        let groups: Vec<&str> = found.iter().map(|figure| figure.group.as_str()).collect();
        assert_eq!(groups, ["amount", "time", "visits"]);
        assert_eq!(found[0].deviations, 4.23);
        assert!(found[1].deviations.to_bits() == 0, "a zero with a sign");
        assert!(found[2].deviations.is_finite());
        assert_eq!(label_free(&schema, &found), Some(4.23));
        assert_eq!(label_free(&schema, &of(&[None, Some(9.0)])), None);
        assert_eq!(label_free(&schema, &[]), None);
    }

    #[test]
    fn what_surprises_most_is_a_reason_unless_it_is_one_already() {
        let schema = FeatureSchema::standard();
        let surprises = [5.0, 2.99, 3.0, 4.16, 8.0].map(Some);
        let figures = figures(&schema, &surprises);
        let codes = |told: &[Reason]| -> Vec<String> {
            let reasons = explain(&schema, &figures, told);
            reasons.into_iter().map(|reason| reason.code).collect()
        };
        assert_eq!(codes(&[]), ["R60_SURPRISE_CATEGORY", "R60_SURPRISE_AMOUNT"]);
        let known = [
            told("R32_MERCHANT_CATEGORY", 1),
            told("R12_AMOUNT_VS_USUAL", 2),
        ];
        assert_eq!(codes(&known), ["R60_SURPRISE_VISITS", "R60_SURPRISE_TIME"]);
        let reason = &explain(&schema, &figures, &known)[0];
        assert_eq!((reason.rank, reason.weight), (3, None));
        assert_eq!(reason.observed, "4.2 standard deviations");
        assert_eq!(reason.usual.as_deref(), Some("0.0 standard deviations"));
        assert_eq!(
            reason.text,
            "The outlet does not fit this card: 4.2 standard deviations more surprising than usual."
        );
    }

    #[test]
    fn a_schema_without_histories_speaks_of_no_card() {
        let schema = FeatureSchema::parse(SINGLE).unwrap();
        let mut surprises = vec![None; schema.groups().len()];
        surprises[2] = Some(3.5);
        let reasons = explain(&schema, &figures(&schema, &surprises), &[]);
        assert_eq!(reasons[0].code, "R60_SURPRISE_DEBTOR_AGE");
        assert_eq!(
            reasons[0].text,
            "The debtor age does not fit: 3.5 standard deviations more surprising than usual."
        );
    }
}
