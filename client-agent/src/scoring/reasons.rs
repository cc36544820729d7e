//! Reasons for a score: the groups of facts that the model itself says raise it, by what
//! each adds to its logit, with the figure that weighs most in each. Codes are stable; words and
//! units are for analysts. The shares are `model::scorer`'s, the figures are those of `features`'
//! explanations; reasons that need no label are in `surprise.rs`.

use features::{
    Explanation, FeatureEncoder, FeatureSchema, FeatureVector, Measure, Role, Transaction,
};
use model::{Attribution, Scorer};

use super::answer::{Reason, Remainder};

/// The weightiest groups that raise the score, at most [`REASONS_MAX`].
pub(super) fn explain(
    scorer: &Scorer,
    encoder: &FeatureEncoder,
    transaction: &Transaction,
    vector: &FeatureVector,
    attribution: &Attribution,
) -> Vec<Reason> {
    let mut groups: Vec<&(String, f32)> = attribution.groups.iter().collect();
    groups.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    groups
        .into_iter()
        .filter(|(_, weight)| *weight > 0.0)
        .take(REASONS_MAX)
        .zip(1..)
        .filter_map(|((group, weight), rank)| {
            let schema = encoder.schema();
            let mut kind = kind(group, schema);
            let frauds = schema.position("own_frauds_21d");
            let has_seen = frauds.is_some_and(|at| vector.0[at] > 0.0);
            if group == SHARED_RISK && has_seen && schema.is_own_risk(&vector.0) {
                kind = Kind {
                    group: group.clone(),
                    ..self::kind(OWN_RISK, schema)
                };
            }
            let column = weightiest(scorer, schema, &kind, vector)?;
            let explanation = encoder.explain(column, vector, transaction)?;
            let name = &schema.columns().get(column)?.name;
            Some(told(&kind, name, explanation, transaction, rank, *weight))
        })
        .collect()
}

/// What the logit is made of beside the reasons that are told.
pub(super) fn remainder(attribution: &Attribution, told: &[Reason]) -> Remainder {
    let all: f32 = attribution.groups.iter().map(|(_, weight)| weight).sum();
    let weights: f32 = told.iter().filter_map(|reason| reason.weight).sum();
    Remainder {
        base: attribution.base,
        rest: all - weights,
    }
}

/// The code of the reason that names a group.
pub(super) fn code(group: &str, schema: &FeatureSchema) -> String {
    kind(group, schema).code
}

/// A group of facts that a reason names.
struct Kind {
    /// The model's name of the group.
    group: String,
    code: String,
    /// What every sentence of the kind begins with.
    lead: String,
    /// The one column that stands for the group, where the group has one.
    column: Option<&'static str>,
}

/// Groups with a code and words of their own, and the column that stands for some of them. Every
/// other field group of a schema has a code made of its name.
const KINDS: [(&str, &str, &str, Option<&str>); 9] = [
    (
        "card history",
        "R11_CARD_HISTORY",
        "The card's history stands out",
        None,
    ),
    (
        "amount",
        "R12_AMOUNT_VS_USUAL",
        "The amount is not what this card usually pays",
        Some("amount"),
    ),
    (
        "gap",
        "R21_TIME_SINCE_LAST",
        "The pace of the card's payments stands out",
        Some("gap"),
    ),
    ("time", "R22_TIME_OF_DAY", "The time stands out", None),
    (
        "windows",
        "R23_RECENT_ACTIVITY",
        "Recent activity stands out",
        None,
    ),
    (
        "visits",
        "R31_OUTLET_ACQUAINTANCE",
        "The card's acquaintance with this outlet stands out",
        None,
    ),
    (
        "category",
        "R32_MERCHANT_CATEGORY",
        "The merchant's category stands out",
        None,
    ),
    (
        OWN_RISK,
        "R41_OUTLET_RISK_OWN",
        "This bank has seen fraud at this outlet",
        None,
    ),
    (
        SHARED_RISK,
        "R42_OUTLET_RISK_FEDERATION",
        "The federation's counts for this outlet stand out",
        None,
    ),
];

fn kind(group: &str, schema: &FeatureSchema) -> Kind {
    let listed = KINDS.iter().find(|(name, ..)| *name == group);
    let is_usual = |role: &Role| matches!(role, Role::Context);
    let (code, lead, column) = match listed.filter(|_| is_what_it_is_called(group, schema)) {
        Some((_, code, lead, column)) => {
            let lead = match *column == Some("amount") && schema.indices(is_usual).is_empty() {
                true => "The amount stands out",
                false => lead,
            };
            ((*code).to_owned(), lead.to_owned(), *column)
        }
        None => {
            let code = format!("R50_{}", group.to_ascii_uppercase());
            let lead = format!("What stands out is the {}", group.replace('_', " "));
            (code, lead, None)
        }
    };
    Kind {
        group: group.to_owned(),
        code,
        lead,
        column,
    }
}

/// Whether a field group holds what its name says in the standard schema: a consortium may call any
/// group by any name.
pub(super) fn is_what_it_is_called(group: &str, schema: &FeatureSchema) -> bool {
    let column = match group {
        "amount" => "amount",
        "gap" => "gap",
        "time" => "hour_sin",
        "visits" => "visits",
        "category" => "category_other",
        _ => return true,
    };
    let column = schema.position(column);
    column.is_some_and(|at| group_of(schema, &schema.columns()[at].role) == group)
}

/// The column of a group that adds most to the logit when the others stay as they are.
fn weightiest(
    scorer: &Scorer,
    schema: &FeatureSchema,
    kind: &Kind,
    vector: &FeatureVector,
) -> Option<usize> {
    if let Some(column) = kind.column.and_then(|name| schema.position(name)) {
        return Some(column);
    }
    let columns = schema.indices(|role| group_of(schema, role) == kind.group);
    let logits = scorer.logits_without(&vector.0, &columns).ok()?;
    // Without the column the logit falls deepest where the column adds most.
    let deepest = columns.into_iter().zip(logits);
    deepest
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(at, _)| at)
}

/// The model's name of the group that a column belongs to.
fn group_of<'a>(schema: &'a FeatureSchema, role: &Role) -> &'a str {
    match role {
        Role::Event(group) => schema.group_name(*group),
        Role::Derived { minuend, .. } => {
            let minuend = schema.columns().get(usize::from(*minuend));
            minuend.map_or("", |column| group_of(schema, &column.role))
        }
        Role::Context => "card history",
        Role::Window => "windows",
        Role::OwnRisk => OWN_RISK,
        Role::SharedRisk => SHARED_RISK,
    }
}

fn told(
    kind: &Kind,
    column: &str,
    explanation: Explanation,
    transaction: &Transaction,
    rank: u8,
    weight: f32,
) -> Reason {
    let figure = |value: f64| {
        let figure = figure(explanation.measure, value);
        // Sums over the card's past may mix currencies; the payment's own amount does not.
        match (column, transaction.amount_ref_minor) {
            ("amount", None) => format!("{figure} {}", transaction.currency),
            _ => figure,
        }
    };
    let observed = figure(explanation.observed);
    let usual = explanation.usual.map(|usual| match explanation.measure {
        Measure::Flag => format!(
            "yes for {} of payments",
            self::figure(Measure::Share, usual)
        ),
        Measure::Amount
        | Measure::Hours
        | Measure::HourOfDay
        | Measure::Count
        | Measure::Share
        | Measure::Times
        | Measure::Deviations
        | Measure::Number
        | Measure::Kilometres => figure(usual),
    });
    let against = usual
        .as_ref()
        .map(|usual| format!(", usually {usual}"))
        .unwrap_or_default();
    Reason {
        code: kind.code.clone(),
        rank,
        weight: Some(weight),
        text: format!("{}: {} {observed}{against}.", kind.lead, words(column)),
        observed,
        usual,
    }
}

/// What a column measures, in an analyst's words; a consortium's own column keeps its name.
fn words(column: &str) -> String {
    let fixed = match column {
        "amount" => "amount",
        "gap" => "time since the card's last payment",
        "hour_sin" | "hour_cos" => "hour of the day",
        "weekend" => "on a weekend:",
        "night" => "before six in the morning:",
        "visits" => "earlier visits of this card",
        "visit_gap" => "time since this card's last visit",
        "history_count" => "payments so far",
        "history_log_mean" | "history_mean" => "mean amount so far",
        "history_log_sd" => "spread of amounts so far",
        "history_median" => "median amount so far",
        "history_max" => "largest amount so far",
        _ => return composed(column).unwrap_or_else(|| column.replace('_', " ")),
    };
    fixed.to_owned()
}

/// Words of a column whose name is put together: `card_count_7d`, `own_rate_30d`, `category_x`.
fn composed(column: &str) -> Option<String> {
    let (subject, rest) = column.split_once('_')?;
    if subject == "category" {
        return Some(format!("category {}:", rest.replace('_', " ")));
    }
    let (what, window) = rest.rsplit_once('_')?;
    let of = match (subject, what) {
        ("card", "count") => "payments of this card",
        ("account", "count") => "payments of this account",
        ("card", "sum") => "money spent with this card",
        ("account", "sum") => "money spent with this account",
        ("card", "mean") => "mean amount of this card",
        ("account", "mean") => "mean amount of this account",
        ("card", "max") => "largest amount of this card",
        ("account", "max") => "largest amount of this account",
        ("card", "outlets") => "outlets visited with this card",
        ("account", "outlets") => "outlets visited with this account",
        ("outlet" | "terminal" | "merchant" | "payee", "count") => "payments here",
        ("outlet" | "terminal" | "merchant" | "payee", "mean") => "mean amount here",
        ("outlet" | "terminal" | "merchant" | "payee", "cards") => "cards seen here",
        ("own" | "shared", "count") => "judged payments here",
        ("own" | "shared", "rate") => "share of frauds here",
        ("own" | "shared", "frauds") => "frauds here",
        ("own" | "shared", "smooth_rate") => "smoothed share of frauds here",
        _ => return None,
    };
    let (over, unit) = window.split_at_checked(window.len().checked_sub(1)?)?;
    let over = match (over, unit) {
        ("1", "h") => "the last hour".to_owned(),
        ("1", "d") => "one day".to_owned(),
        (minutes, "m") => format!("{minutes} minutes"),
        (hours, "h") => format!("{hours} hours"),
        (days, "d") => format!("{days} days"),
        _ => return None,
    };
    Some(format!("{of} within {over}"))
}

/// A figure with its unit.
fn figure(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Amount => format!("{value:.2}"),
        Measure::Hours if value < 1.0 => format!("{:.0} min", value * 60.0),
        Measure::Hours if value < 48.0 => format!("{value:.1} h"),
        Measure::Hours => format!("{:.1} d", value / 24.0),
        Measure::HourOfDay => {
            let minutes = (value * 60.0).floor().rem_euclid(1440.0);
            format!("{:02}:{:02}", (minutes / 60.0).floor(), minutes % 60.0)
        }
        Measure::Count if (value - value.round()).abs() < 0.05 => format!("{:.0}", value.round()),
        Measure::Count => format!("{value:.1}"),
        Measure::Share => format!("{:.2} %", value * 100.0),
        Measure::Times => format!("{value:.1} times"),
        Measure::Flag if value >= 0.5 => "yes".to_owned(),
        Measure::Flag => "no".to_owned(),
        Measure::Deviations => format!("{value:.2} standard deviations"),
        Measure::Number => format!("{value:.2}"),
        Measure::Kilometres => format!("{value:.1} km"),
    }
}

/// The model's names of the two groups of risk columns.
const OWN_RISK: &str = "own risk";
const SHARED_RISK: &str = "shared risk";
/// More than four facts explain nothing to a person.
pub(super) const REASONS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use model::{Calibration, NetworkSize, genesis, layout};

    use super::*;

    const SINGLE: &str = include_str!("../../../ops/config/schemas/single-payment.toml");

    const STRANGE: &str = r#"
language = 1
groups = ["amount", "pace"]
[fields]
"ext.limit" = "number"
[[feature]]
kind = "amount"
group = "pace"
[[feature]]
kind = "number"
name = "limit"
group = "amount"
field = "ext.limit"
transform = "log"
missing = "flag"
"#;

    #[test]
    fn every_group_of_the_model_has_a_code_and_a_column() {
        for schema in [
            FeatureSchema::standard(),
            FeatureSchema::parse(SINGLE).unwrap(),
        ] {
            let size = NetworkSize::default();
            let flat = genesis(&layout(&schema, size), 1);
            let scorer = Scorer::new(&schema, size, &flat, Calibration::default()).unwrap();
            let row = FeatureVector(vec![0.5; schema.len()]);
            for (group, _) in scorer.attribution(&row.0).unwrap().groups {
                let kind = kind(&group, &schema);
                assert!(kind.code.starts_with('R'), "{}", kind.code);
                let column = weightiest(&scorer, &schema, &kind, &row).unwrap();
                assert_eq!(group_of(&schema, &schema.columns()[column].role), group);
            }
        }
        let strange = FeatureSchema::parse(STRANGE).unwrap();
        assert_eq!(kind("debtor_age", &strange).code, "R50_DEBTOR_AGE");
        // A group may be called amount and hold something else, and a schema have no histories.
        assert_eq!(kind("amount", &strange).code, "R50_AMOUNT");
        let single = FeatureSchema::parse(SINGLE).unwrap();
        assert_eq!(kind("amount", &single).lead, "The amount stands out");
        assert_eq!(
            words("account_max_30d"),
            "largest amount of this account within 30 days"
        );
    }

    #[test]
    fn the_standard_groups_keep_their_codes() {
        let schema = FeatureSchema::standard();
        let listed = KINDS.map(|(group, ..)| group);
        assert!(
            schema
                .groups()
                .iter()
                .all(|group| listed.contains(&group.as_str()))
        );
        assert_eq!(listed.len(), schema.groups().len() + 4);
    }

    #[test]
    fn every_column_of_the_standard_schema_has_words() {
        for column in FeatureSchema::standard().columns() {
            let words = words(&column.name);
            let is_derived = matches!(column.role, Role::Derived { .. });
            assert!(
                is_derived || words != column.name.replace('_', " ") || words == "amount",
                "{}",
                column.name
            );
        }
        assert_eq!(
            words("card_count_7d"),
            "payments of this card within 7 days"
        );
        assert_eq!(
            words("shared_smooth_rate_21d"),
            "smoothed share of frauds here within 21 days"
        );
        assert_eq!(words("category_digital_goods"), "category digital goods:");
        assert_eq!(
            words("payee_cards_45m"),
            "cards seen here within 45 minutes"
        );
        assert_eq!(words("debtor_age"), "debtor age");
    }

    #[test]
    fn what_is_usual_of_a_flag_is_how_often_it_is_so() {
        let payment: features::RawTransaction = serde_json::from_value(serde_json::json!({
            "txn_id": "t", "ts": 0, "rail": "card", "amount_minor": 1, "currency": "EUR",
            "account_tok": "a",
        }))
        .unwrap();
        let payment = Transaction::try_from(payment).unwrap();
        let schema = FeatureSchema::standard();
        let said = |group: &str, column: &str, measure, observed, usual| {
            let explanation = Explanation {
                measure,
                observed,
                usual,
            };
            told(&kind(group, &schema), column, explanation, &payment, 1, 0.5)
        };
        let of = |usual| said("category", "category_money", Measure::Flag, 1.0, usual);
        let (known, unknown) = (of(Some(0.031)), of(None));
        assert_eq!(known.usual.unwrap(), "yes for 3.10 % of payments");
        assert_eq!(
            known.text,
            "The merchant's category stands out: category money: yes, usually yes for 3.10 % of \
             payments."
        );
        assert_eq!(unknown.usual, None);
        assert!(unknown.text.ends_with(": yes."), "{}", unknown.text);
        let hour = said("time", "hour_sin", Measure::HourOfDay, 3.25, Some(12.5));
        assert_eq!(
            hour.text,
            "The time stands out: hour of the day 03:15, usually 12:30."
        );
    }

    #[test]
    fn figures_carry_their_units() {
        let said = |measure, value| figure(measure, value);
        assert_eq!(said(Measure::Amount, 1840.0), "1840.00");
        assert_eq!(said(Measure::Hours, 0.25), "15 min");
        assert_eq!(said(Measure::Hours, 30.0), "30.0 h");
        assert_eq!(said(Measure::Hours, 72.0), "3.0 d");
        assert_eq!(said(Measure::HourOfDay, 3.2), "03:12");
        assert_eq!(said(Measure::HourOfDay, 23.9999), "23:59");
        assert_eq!(
            [3.0, 2.5].map(|count| said(Measure::Count, count)),
            ["3", "2.5"]
        );
        assert_eq!(said(Measure::Share, 0.125), "12.50 %");
        assert_eq!(said(Measure::Flag, 1.0), "yes");
        assert_eq!(said(Measure::Kilometres, 343.56), "343.6 km");
        assert_eq!(said(Measure::Number, -12.0), "-12.00");
    }
}
