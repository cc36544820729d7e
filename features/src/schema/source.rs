//! What columns are read from, for whoever watches a stream of payments. A column that a payment
//! fills by itself stays as it is while payments do; one that reads somebody's past moves with
//! that past. What a column means is in `columns.rs`.

use super::field::FieldKind;
use super::{Column, FeatureSchema, FieldAt, Reading};
use crate::category::Category;

impl FeatureSchema {
    /// Place of the amount's column, where there is one.
    #[must_use]
    pub fn amount(&self) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|column| column.reading == Reading::Amount)
    }

    /// Places of the columns that a payment fills by itself, ascending: nobody's past is in them.
    #[must_use]
    pub fn of_payment(&self) -> Vec<usize> {
        self.places(|column| !column.detrend && is_of_payment(&column.reading))
    }

    /// Places of the flags for a category that is not listed, ascending: another word or code than
    /// those the schema names, or a code that ISO 18245 does not list.
    #[must_use]
    pub fn unlisted(&self) -> Vec<usize> {
        self.places(|column| match column.reading {
            Reading::Category(category) => {
                matches!(category, Category::Other | Category::Unknown)
            }
            // The place after the last word stands for every other one.
            Reading::Word { field, at } => usize::from(at) == self.words(field),
            Reading::Amount
            | Reading::Gap
            | Reading::Visits
            | Reading::VisitGap
            | Reading::HourSin
            | Reading::HourCos
            | Reading::Weekend
            | Reading::Night
            | Reading::History(_)
            | Reading::Derived
            | Reading::OwnRisk(_)
            | Reading::SharedRisk(_)
            | Reading::Window { .. }
            | Reading::Figure(..)
            | Reading::FigureMissing(_)
            | Reading::WordMissing(_) => false,
        })
    }

    /// Places of the flags and of the clock's columns, ascending: what is usual of them, no other
    /// column says.
    pub(crate) fn counted(&self) -> Vec<usize> {
        let is_figure =
            |reading: &Reading| matches!(reading, Reading::Amount | Reading::Figure(..));
        self.places(|column| is_of_payment(&column.reading) && !is_figure(&column.reading))
    }

    fn places(&self, is_wanted: impl Fn(&Column) -> bool) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let wanted = columns.filter(|(_, column)| is_wanted(column));
        wanted.map(|(at, _)| at).collect()
    }

    /// How many words a field lists.
    fn words(&self, field: FieldAt) -> usize {
        let field = match field {
            FieldAt::Declared(at) => self.fields.get(usize::from(at)),
            FieldAt::Amount | FieldAt::Now => None,
        };
        field.map_or(0, |field| match &field.kind {
            FieldKind::Words(words) => words.len(),
            FieldKind::Number | FieldKind::Time | FieldKind::Latitude | FieldKind::Longitude => 0,
        })
    }
}

fn is_of_payment(reading: &Reading) -> bool {
    match reading {
        Reading::Amount
        | Reading::HourSin
        | Reading::HourCos
        | Reading::Weekend
        | Reading::Night
        | Reading::Category(_)
        | Reading::Figure(..)
        | Reading::FigureMissing(_)
        | Reading::Word { .. }
        | Reading::WordMissing(_) => true,
        Reading::Gap
        | Reading::Visits
        | Reading::VisitGap
        | Reading::History(_)
        | Reading::Derived
        | Reading::OwnRisk(_)
        | Reading::SharedRisk(_)
        | Reading::Window { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(schema: &'a FeatureSchema, places: &[usize]) -> Vec<&'a str> {
        let columns = schema.columns();
        places.iter().map(|&at| columns[at].name.as_str()).collect()
    }

    #[test]
    fn a_payment_fills_its_amount_its_time_and_its_categories() {
        let schema = FeatureSchema::standard();
        let found = schema.of_payment();
        let found = names(&schema, &found);
        let time = ["amount", "hour_sin", "hour_cos", "weekend", "night"];
        assert_eq!(found[..5], time);
        assert_eq!(found.len(), 5 + Category::ALL.len());
        assert_eq!(schema.amount(), schema.position("amount"));
        let unlisted = schema.unlisted();
        let unlisted = names(&schema, &unlisted);
        assert_eq!(unlisted, ["category_other", "category_unknown"]);
    }

    // Whatever the document calls its words, the last flag of each field is the one for others.
    #[test]
    fn every_field_of_words_has_one_flag_for_the_others() {
        let text = include_str!("../../../ops/config/schemas/single-payment.toml");
        let schema = FeatureSchema::parse(text).unwrap();
        let unlisted = schema.unlisted();
        let unlisted = names(&schema, &unlisted);
        assert!(!unlisted.is_empty());
        for name in &unlisted {
            let is_expected = name.ends_with("_other") || name.ends_with("_unknown");
            assert!(is_expected, "{name}");
        }
        let flags = schema.columns().iter().filter(|column| column.is_flag);
        let others = flags.filter(|column| column.name.ends_with("_other"));
        assert!(others.count() <= unlisted.len());
    }
}
