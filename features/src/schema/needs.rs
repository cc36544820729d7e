//! What a schema needs of a feed, so that a bank can hold its map against it before a round: each
//! declared field, and the fields of `txn.v1` that features read by themselves.

use super::FeatureSchema;
use super::feature::{Entity, Feature, FieldAt};
use super::field::FieldKind;
use super::render::label_of;

/// One need: any of the fields fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) fields: Vec<String>,
    /// What a value must be.
    pub(crate) expected: &'static str,
    /// The features that carry nothing without it.
    pub(crate) features: Vec<String>,
}

impl FeatureSchema {
    /// Everything this schema needs beyond the fields that no payment lacks.
    pub(crate) fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = (0..)
            .zip(&self.fields)
            .map(|(at, field)| Need {
                fields: vec![field.name.clone()],
                expected: field.kind.expected(),
                features: self.readers(FieldAt::Declared(at)),
            })
            .collect();
        let mut add = |fields: &[&str], expected, feature: &Feature| {
            let features = vec![label_of(feature)];
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            match needs.iter_mut().find(|need| need.fields == fields) {
                Some(need) => need.features.extend(features),
                None => needs.push(Need {
                    fields,
                    expected,
                    features,
                }),
            }
        };
        for feature in &self.features {
            match feature {
                Feature::MerchantCategory(_) => add(&["mcc"], "a code of four digits", feature),
                Feature::Visits(_)
                | Feature::VisitGap(_)
                | Feature::OwnRisk
                | Feature::SharedRisk => add(Entity::Outlet.fields(), TOKEN, feature),
                Feature::Windows { of, .. } if !of.is_payer() => {
                    add(of.fields(), TOKEN, feature);
                }
                // Who pays is known of every payment.
                Feature::Windows { .. }
                | Feature::Amount(_)
                | Feature::Gap(_)
                | Feature::Clock(_)
                | Feature::History { .. }
                | Feature::AgainstHistory
                | Feature::Figure { .. }
                | Feature::Category { .. } => {}
            }
        }
        needs
    }

    /// Whether a declared field of this name holds a time.
    pub(crate) fn is_time(&self, name: &str) -> bool {
        let field = self.fields.iter().find(|field| field.name == name);
        field.is_some_and(|field| field.kind == FieldKind::Time)
    }

    fn readers(&self, at: FieldAt) -> Vec<String> {
        let reads = |feature: &&Feature| feature.fields().contains(&at);
        self.features.iter().filter(reads).map(label_of).collect()
    }
}

const TOKEN: &str = "a token";
