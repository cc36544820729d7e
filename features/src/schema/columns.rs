//! Features become columns: names, roles, centres and scales, and what each column reads. Whether
//! features fit together is judged here, since it shows in the columns.

use std::collections::BTreeSet;

use super::feature::{Entity, Feature, FieldAt, Figure, Length, Missing, Standing};
use super::field::{Field, FieldKind, OTHER};
use super::language::{Declared, MISSING};
use super::render::label_of;
use super::{Column, FieldGroup, Role, SchemaError};
use crate::category::Category;

/// What the natural value of a column is read from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    Amount,
    Gap,
    Visits,
    VisitGap,
    HourSin,
    HourCos,
    Weekend,
    Night,
    History(Past),
    /// Made of other columns, by the role.
    Derived,
    /// Place among the eight numbers of an outlet's risk.
    OwnRisk(u8),
    SharedRisk(u8),
    Category(Category),
    Window {
        /// Place among the schema's [`Windows`].
        windows: u8,
        /// Place among their lengths.
        length: u8,
        part: Part,
    },
    Figure(Figure, Missing),
    FigureMissing(Figure),
    Word {
        field: FieldAt,
        /// Place among the field's words; their number stands for every other word.
        at: u16,
    },
    WordMissing(FieldAt),
}

/// A part of a card's past amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Count,
    LogMean,
    LogSpread,
    Mean,
    Median,
    Max,
}

/// A part of what a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Count,
    Sum,
    Mean,
    Max,
    /// Outlets of a payer, or cards of who is paid.
    Distinct,
}

/// The windows over one entity's payments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Windows {
    pub(crate) of: Entity,
    pub(crate) lengths: Vec<Length>,
}

/// The columns of a schema and the windows they read.
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    pub(super) windows: Vec<Windows>,
}

impl Columns {
    /// Makes the columns of what a document declares.
    pub(super) fn of(declared: &Declared) -> Result<Self, SchemaError> {
        let mut made = Self {
            columns: Vec::new(),
            windows: Vec::new(),
        };
        let mut labels = BTreeSet::new();
        for feature in &declared.features {
            let label = label_of(feature);
            let place = format!("feature {label}");
            if let Feature::Figure { .. } | Feature::Category { .. } = feature
                && is_reserved(&label)
            {
                let expected = "a name that no kind and no column of one has";
                return Err(SchemaError::field(&place, &label, expected));
            }
            // What differs is told by the label, and one entity has one memory.
            if !labels.insert(label) {
                return Err(SchemaError::field(&place, "a second one", "each once"));
            }
            made.add(feature, &declared.fields)?;
        }
        made.check_names()?;
        made.check_groups(&declared.groups)?;
        check_fields(declared)?;
        Ok(made)
    }

    fn add(&mut self, feature: &Feature, fields: &[Field]) -> Result<(), SchemaError> {
        match feature {
            Feature::Amount(standing) => self.number("amount", standing, Reading::Amount),
            Feature::Gap(standing) => self.number("gap", standing, Reading::Gap),
            Feature::Visits(standing) => self.number("visits", standing, Reading::Visits),
            Feature::VisitGap(standing) => self.number("visit_gap", standing, Reading::VisitGap),
            Feature::Clock(group) => self.clock(*group),
            Feature::MerchantCategory(group) => {
                for category in Category::ALL {
                    let name = format!("category_{}", category.name());
                    self.flag(&name, *group, Reading::Category(category));
                }
            }
            Feature::History { count, spread } => return self.history(*count, *spread),
            Feature::AgainstHistory => return self.against_history(),
            Feature::OwnRisk => self.risk("own", Role::OwnRisk, Reading::OwnRisk),
            Feature::SharedRisk => self.risk("shared", Role::SharedRisk, Reading::SharedRisk),
            Feature::Windows {
                of,
                lengths,
                detrend,
            } => self.windows(*of, lengths, *detrend),
            Feature::Figure {
                name,
                standing,
                missing,
                figure,
            } => {
                self.number(name, standing, Reading::Figure(*figure, *missing));
                if *missing == Missing::Flag {
                    let name = format!("{name}_{MISSING}");
                    self.flag(&name, standing.group, Reading::FigureMissing(*figure));
                }
            }
            Feature::Category {
                name,
                group,
                field,
                missing,
            } => {
                for (at, word) in (0..).zip(words_of(fields, *field)) {
                    let reading = Reading::Word { field: *field, at };
                    self.flag(&format!("{name}_{word}"), *group, reading);
                }
                if *missing == Missing::Flag {
                    let name = format!("{name}_{MISSING}");
                    self.flag(&name, *group, Reading::WordMissing(*field));
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &str, role: Role, scaling: (f32, f32), reading: Reading) {
        let (center, scale) = scaling;
        self.columns.push(Column {
            name: name.to_owned(),
            role,
            center,
            scale,
            detrend: false,
            is_flag: false,
            is_shifted: false,
            reading,
        });
    }

    fn number(&mut self, name: &str, standing: &Standing, reading: Reading) {
        self.columns.push(Column {
            name: name.to_owned(),
            role: Role::Event(standing.group),
            center: standing.center,
            scale: standing.scale,
            detrend: standing.detrend,
            is_flag: false,
            is_shifted: standing.shift,
            reading,
        });
    }

    fn flag(&mut self, name: &str, group: FieldGroup, reading: Reading) {
        self.columns.push(Column {
            name: name.to_owned(),
            role: Role::Event(group),
            center: 0.0,
            scale: 1.0,
            detrend: false,
            is_flag: true,
            is_shifted: false,
            reading,
        });
    }

    /// Weekend and night pass the periodic embedding like the angles they go with: so the recipe
    /// was measured.
    fn clock(&mut self, group: FieldGroup) {
        for (name, reading) in [
            ("hour_sin", Reading::HourSin),
            ("hour_cos", Reading::HourCos),
            ("weekend", Reading::Weekend),
            ("night", Reading::Night),
        ] {
            self.push(name, Role::Event(group), PLAIN, reading);
        }
    }

    /// Amount-like columns stand on the amount's own scale, so that differences mean something.
    fn history(&mut self, count: (f32, f32), spread: (f32, f32)) -> Result<(), SchemaError> {
        let amount = self.before("history", "amount")?;
        let amount = (self.columns[amount].center, self.columns[amount].scale);
        for (name, scaling, past) in [
            ("history_count", count, Past::Count),
            ("history_log_mean", amount, Past::LogMean),
            ("history_log_sd", spread, Past::LogSpread),
            ("history_mean", amount, Past::Mean),
            ("history_median", amount, Past::Median),
            ("history_max", amount, Past::Max),
        ] {
            self.push(name, Role::Context, scaling, Reading::History(past));
        }
        Ok(())
    }

    /// The last is half the distance from the card's mean in its own standard deviations, whence
    /// the amount's scale in the factor.
    fn against_history(&mut self) -> Result<(), SchemaError> {
        let feature = "against_history";
        let amount = self.before(feature, "amount")?;
        let half = self.columns[amount].scale / 2.0;
        for (name, subtrahend, divisor, factor) in [
            ("amount_over_mean", "history_mean", None, 1.0),
            ("amount_over_median", "history_median", None, 1.0),
            ("amount_over_max", "history_max", None, 1.0),
            (
                "amount_deviation",
                "history_log_mean",
                Some("history_log_sd"),
                half,
            ),
        ] {
            let at = |at: usize| u16::try_from(at).expect("columns are bounded by COLUMNS_MAX");
            let role = Role::Derived {
                minuend: at(amount),
                subtrahend: at(self.before(feature, subtrahend)?),
                divisor: divisor
                    .map(|divisor| self.before(feature, divisor))
                    .transpose()?
                    .map(at),
                factor,
            };
            self.push(name, role, PLAIN, Reading::Derived);
        }
        Ok(())
    }

    /// The column that a feature leans on, among those before it.
    fn before(&self, feature: &str, name: &str) -> Result<usize, SchemaError> {
        let found = self.columns.iter().position(|column| column.name == name);
        found.filter(|at| *at < COLUMNS_MAX).ok_or_else(|| {
            let place = format!("feature {feature}");
            let needed = name.split('_').next().unwrap_or(name);
            let expected = format!("the feature {needed} before it");
            SchemaError::field(&place, &format!("no column {name}"), &expected)
        })
    }

    fn risk(&mut self, owner: &str, role: Role, reading: fn(u8) -> Reading) {
        for (at, name) in (0..).zip(RISK) {
            self.push(&format!("{owner}_{name}"), role, PLAIN, reading(at));
        }
    }

    fn windows(&mut self, of: Entity, lengths: &[Length], detrend: bool) {
        let windows = u8::try_from(self.windows.len()).unwrap_or(u8::MAX);
        let parts: &[(&str, Part)] = match of.is_payer() {
            true => &PAYER,
            false => &PAYEE,
        };
        for (at, length) in (0..).zip(lengths) {
            for &(name, part) in parts {
                let reading = Reading::Window {
                    windows,
                    length: at,
                    part,
                };
                let name = format!("{}_{name}_{length}", of.name());
                self.push(&name, Role::Window, PLAIN, reading);
                if let Some(column) = self.columns.last_mut() {
                    column.detrend = detrend;
                }
            }
        }
        self.windows.push(Windows {
            of,
            lengths: lengths.to_vec(),
        });
    }

    fn check_names(&self) -> Result<(), SchemaError> {
        let mut seen = BTreeSet::new();
        if let Some(column) = self
            .columns
            .iter()
            .find(|column| !seen.insert(&column.name))
        {
            let place = format!("column {}", column.name);
            return Err(SchemaError::field(
                &place,
                "a second one",
                "each column once",
            ));
        }
        let found = format!("{} columns", self.columns.len());
        if self.columns.len() > COLUMNS_MAX {
            return Err(SchemaError::field(
                "schema",
                &found,
                &format!("at most {COLUMNS_MAX}"),
            ));
        }
        // The periodic embedding needs something to embed.
        let is_number = |column: &&Column| matches!(column.role, Role::Event(_)) && !column.is_flag;
        match self.columns.iter().any(|column| is_number(&column)) {
            true => Ok(()),
            false => Err(SchemaError::field(
                "schema",
                "no number of a group",
                "at least one feature with a group that is no category",
            )),
        }
    }

    fn check_groups(&self, groups: &[String]) -> Result<(), SchemaError> {
        let has = |at: usize| {
            let own = |role: &Role| matches!(role, Role::Event(group) if group.at() == at);
            self.columns.iter().any(|column| own(&column.role))
        };
        match (0..groups.len()).find(|&at| !has(at)) {
            Some(at) => Err(SchemaError::field(
                &format!("group {}", groups[at]),
                "no feature of it",
                "at least one",
            )),
            None => Ok(()),
        }
    }
}

/// Names that other features and explanations look for.
fn is_reserved(name: &str) -> bool {
    let kinds = [
        "amount",
        "gap",
        "visits",
        "visit_gap",
        "clock",
        "merchant_category",
        "category",
        "history",
        "against_history",
        "own_risk",
        "shared_risk",
    ];
    let clock = ["hour_sin", "hour_cos", "weekend", "night"];
    let of_history = ["history_", "amount_over_", "amount_deviation"];
    kinds.contains(&name)
        || clock.contains(&name)
        || of_history.iter().any(|start| name.starts_with(start))
}

/// A declared field that nothing reads is a mistake: somebody meant to use it.
fn check_fields(declared: &Declared) -> Result<(), SchemaError> {
    let read: BTreeSet<FieldAt> = declared.features.iter().flat_map(Feature::fields).collect();
    let idle = (0..)
        .zip(&declared.fields)
        .find(|(at, _)| !read.contains(&FieldAt::Declared(*at)));
    match idle {
        Some((_, field)) => Err(SchemaError::field(
            &format!("field {}", field.name),
            "no feature that reads it",
            "at least one",
        )),
        None => Ok(()),
    }
}

/// The words of a field and, after them, the one that stands for all others.
fn words_of(fields: &[Field], at: FieldAt) -> impl Iterator<Item = &str> {
    let field = match at {
        FieldAt::Declared(at) => fields.get(usize::from(at)),
        FieldAt::Amount | FieldAt::Now => None,
    };
    let words: &[String] = match field.map(|field| &field.kind) {
        Some(FieldKind::Words(words)) => words,
        Some(FieldKind::Number | FieldKind::Time | FieldKind::Latitude | FieldKind::Longitude)
        | None => &[],
    };
    words
        .iter()
        .map(String::as_str)
        .chain(std::iter::once(OTHER))
}

const PLAIN: (f32, f32) = (0.0, 1.0);
const RISK: [&str; 8] = [
    "count_1d",
    "rate_1d",
    "count_7d",
    "rate_7d",
    "count_30d",
    "rate_30d",
    "frauds_21d",
    "smooth_rate_21d",
];
const PAYER: [(&str, Part); 5] = [
    ("count", Part::Count),
    ("sum", Part::Sum),
    ("mean", Part::Mean),
    ("max", Part::Max),
    ("outlets", Part::Distinct),
];
const PAYEE: [(&str, Part); 3] = [
    ("count", Part::Count),
    ("mean", Part::Mean),
    ("cards", Part::Distinct),
];
/// A network's input: three times the standard schema's columns.
const COLUMNS_MAX: usize = 256;
