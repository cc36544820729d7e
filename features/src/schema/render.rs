//! The canonical text of a schema, in which equal meaning is equal bytes, and the differences
//! between two schemas in the words of their files.

use super::feature::{Feature, FieldAt, Figure, Missing, Standing, Transform};
use super::field::{Field, FieldKind};
use super::language::LANGUAGE;
use super::{Difference, FeatureSchema};

/// Keys of a table with their values as TOML, in canonical order.
type Said = Vec<(&'static str, String)>;

/// The whole schema as text, every default written out.
pub(super) fn canonical(schema: &FeatureSchema) -> String {
    let mut text = format!("language = {LANGUAGE}\ngroups = {}\n", list(&schema.groups));
    if !schema.fields.is_empty() {
        text += "\n[fields]\n";
    }
    for field in &schema.fields {
        text += &format!("{:?} = {}\n", field.name, kind(field));
    }
    for feature in &schema.features {
        text += "\n[[feature]]\n";
        for (key, value) in said(schema, feature) {
            text += &format!("{key} = {value}\n");
        }
    }
    text
}

/// What differs, in the order of `here`, then what only `there` has.
pub(super) fn differences(here: &FeatureSchema, there: &FeatureSchema) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |field: String, here: Option<String>, there: Option<String>| {
        if here != there {
            found.push(Difference { field, here, there });
        }
    };
    compare(
        "groups".to_owned(),
        Some(list(&here.groups)),
        Some(list(&there.groups)),
    );
    let kind_in = |schema: &FeatureSchema, name: &str| {
        let field = schema.fields.iter().find(|field| field.name == name);
        field.map(kind)
    };
    for field in here.fields.iter().chain(&there.fields) {
        let name = &field.name;
        compare(
            format!("field {name}"),
            kind_in(here, name),
            kind_in(there, name),
        );
    }
    let said_in = |schema: &FeatureSchema, label: &str| {
        let feature = schema
            .features
            .iter()
            .find(|feature| label_of(feature) == label);
        feature.map(|feature| said(schema, feature))
    };
    for feature in here.features.iter().chain(&there.features) {
        let label = label_of(feature);
        let place = format!("feature {label}");
        match (said_in(here, &label), said_in(there, &label)) {
            (Some(ours), Some(theirs)) => {
                let of = |said: &Said, key: &str| {
                    let value = said.iter().find(|(known, _)| *known == key);
                    value.map(|(_, value)| value.clone())
                };
                for (key, _) in ours.iter().chain(&theirs) {
                    compare(format!("{place}: {key}"), of(&ours, key), of(&theirs, key));
                }
            }
            (ours, theirs) => {
                let whole = |said: Option<Said>| {
                    let line = |(key, value)| format!("{key} = {value}");
                    said.map(|said| said.into_iter().map(line).collect::<Vec<_>>().join(", "))
                };
                compare(place, whole(ours), whole(theirs));
            }
        }
    }
    let order = |schema: &FeatureSchema| {
        let labels: Vec<String> = schema.features.iter().map(label_of).collect();
        Some(list(&labels))
    };
    if found.is_empty() && order(here) != order(there) {
        found.push(Difference {
            field: "order of features".to_owned(),
            here: order(here),
            there: order(there),
        });
    }
    // What both have was met twice.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|difference| seen.insert(difference.field.clone()));
    found
}

/// What tells a feature from the others of its schema.
pub(super) fn label_of(feature: &Feature) -> String {
    let kind = match feature {
        Feature::Amount(_) => "amount",
        Feature::Gap(_) => "gap",
        Feature::Visits(_) => "visits",
        Feature::VisitGap(_) => "visit_gap",
        Feature::Clock(_) => "clock",
        Feature::MerchantCategory(_) => "merchant_category",
        Feature::History { .. } => "history",
        Feature::AgainstHistory => "against_history",
        Feature::OwnRisk => "own_risk",
        Feature::SharedRisk => "shared_risk",
        Feature::Windows { of, .. } => return format!("windows of {}", of.name()),
        Feature::Figure { name, .. } | Feature::Category { name, .. } => return name.clone(),
    };
    kind.to_owned()
}

fn said(schema: &FeatureSchema, feature: &Feature) -> Said {
    let mut said = Said::new();
    let kind = match feature {
        Feature::Amount(standing)
        | Feature::Gap(standing)
        | Feature::Visits(standing)
        | Feature::VisitGap(standing) => {
            said.extend(standing_said(schema, standing));
            label_of(feature)
        }
        Feature::Clock(group) | Feature::MerchantCategory(group) => {
            said.push(("group", text(schema.group_name(*group))));
            label_of(feature)
        }
        Feature::History { count, spread } => {
            let pair = |(center, scale): &(f32, f32)| format!("[{center:?}, {scale:?}]");
            said.extend([("count", pair(count)), ("spread", pair(spread))]);
            label_of(feature)
        }
        Feature::AgainstHistory | Feature::OwnRisk | Feature::SharedRisk => label_of(feature),
        Feature::Windows {
            of,
            lengths,
            detrend,
        } => {
            let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
            said.extend([
                ("of", text(of.name())),
                ("lengths", list(&lengths)),
                ("detrend", detrend.to_string()),
            ]);
            "windows".to_owned()
        }
        Feature::Figure {
            name,
            standing,
            missing,
            figure,
        } => {
            said.push(("name", text(name)));
            let kind = figure_said(schema, figure, &mut said);
            said.push(("missing", missing_said(*missing)));
            said.extend(standing_said(schema, standing));
            kind.to_owned()
        }
        Feature::Category {
            name,
            group,
            field,
            missing,
        } => {
            said.extend([
                ("name", text(name)),
                ("field", text(schema.field_name(*field))),
                ("missing", missing_said(*missing)),
                ("group", text(schema.group_name(*group))),
            ]);
            "category".to_owned()
        }
    };
    said.insert(0, ("kind", text(&kind)));
    said
}

fn standing_said(schema: &FeatureSchema, standing: &Standing) -> [(&'static str, String); 5] {
    [
        ("group", text(schema.group_name(standing.group))),
        ("center", format!("{:?}", standing.center)),
        ("scale", format!("{:?}", standing.scale)),
        ("detrend", standing.detrend.to_string()),
        ("shift", standing.shift.to_string()),
    ]
}

/// Adds the figure's own keys; gives its kind.
fn figure_said(schema: &FeatureSchema, figure: &Figure, said: &mut Said) -> &'static str {
    let named = |field: FieldAt| text(schema.field_name(field));
    let place = |fields: [FieldAt; 2]| list(&fields.map(|field| schema.field_name(field)));
    match *figure {
        Figure::Number { field, transform } => {
            said.push(("field", named(field)));
            match transform {
                Transform::Log => said.push(("transform", text("log"))),
                Transform::Standardise => said.push(("transform", text("standardise"))),
                Transform::Clip(min, max) => said.extend([
                    ("transform", text("clip")),
                    ("min", format!("{min:?}")),
                    ("max", format!("{max:?}")),
                ]),
            }
            "number"
        }
        Figure::Age { from, until, unit } => {
            said.extend([
                ("from", named(from)),
                ("until", named(until)),
                ("unit", text(unit.name())),
            ]);
            "age"
        }
        Figure::Distance { from, to } => {
            said.extend([("from", place(from)), ("to", place(to))]);
            "distance"
        }
        Figure::Ratio { over, under } => {
            said.extend([("over", named(over)), ("under", named(under))]);
            "ratio"
        }
    }
}

fn missing_said(missing: Missing) -> String {
    match missing {
        Missing::Flag => text("flag"),
        Missing::Center => text("center"),
        Missing::Stated(stated) => format!("{stated:?}"),
    }
}

fn kind(field: &Field) -> String {
    match &field.kind {
        FieldKind::Number => text("number"),
        FieldKind::Time => text("time"),
        FieldKind::Latitude => text("latitude"),
        FieldKind::Longitude => text("longitude"),
        FieldKind::Words(words) => list(words),
    }
}

/// Names and words hold nothing that TOML would escape.
fn text(plain: &str) -> String {
    format!("\"{plain}\"")
}

fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let quoted: Vec<String> = texts.iter().map(|plain| text(plain.as_ref())).collect();
    format!("[{}]", quoted.join(", "))
}
