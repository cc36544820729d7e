//! The language of a schema: a TOML document becomes declared fields and features, or an error
//! that names the place, what was found and what was expected. What a file may say and why is
//! shown in `ops/config/schemas`; the canonical text, which plans carry, is the same language.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::feature::{
    Entity, Feature, FieldAt, Figure, Length, Missing, Standing, Transform, Unit,
};
use super::field::{EXTRA, Field, FieldKind, OTHER, canonical_words};
use super::keys::{Keys, NAME_EXPECTED, is_name, named, quoted, show};
use super::{FieldGroup, SCHEMA_BYTES_MAX, SchemaError};
use crate::pan;
use crate::transaction::EXT_MAX;

/// What a document declares, each part checked by itself.
pub(super) struct Declared {
    pub(super) groups: Vec<String>,
    /// In the order of their names.
    pub(super) fields: Vec<Field>,
    pub(super) features: Vec<Feature>,
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Declared, SchemaError> {
    if text.len() > SCHEMA_BYTES_MAX {
        let found = format!("{} bytes", text.len());
        let expected = format!("at most {SCHEMA_BYTES_MAX}");
        return Err(SchemaError::field("schema", &found, &expected));
    }
    // Each level of a table is a bracket, of which the parser takes 80, or a dot: without a bound
    // on these a document nests deeper than a thread's stack.
    let dots = text.matches('.').count();
    if dots > DOTS_MAX {
        let (found, expected) = (format!("{dots} dots"), format!("at most {DOTS_MAX}"));
        return Err(SchemaError::field("schema", &found, &expected));
    }
    let table: toml::Table = text.parse().map_err(|error| syntax(text, &error))?;
    let mut keys = Keys::new("schema", table);
    let language = keys.required("language")?;
    if language.as_integer() != Some(LANGUAGE) {
        return Err(keys.wrong("language", &show(&language), &LANGUAGE.to_string()));
    }
    let groups = groups(&mut keys)?;
    let fields = fields(&mut keys)?;
    let features = keys.required("feature")?;
    let Value::Array(listed) = features else {
        return Err(keys.wrong("feature", &show(&features), "[[feature]] tables"));
    };
    keys.finish()?;
    if listed.is_empty() || listed.len() > FEATURES_MAX {
        let found = format!("{} features", listed.len());
        return Err(SchemaError::field(
            "schema",
            &found,
            &format!("1 to {FEATURES_MAX}"),
        ));
    }
    let scope = Scope {
        groups: &groups,
        fields: &fields,
    };
    let features = listed
        .into_iter()
        .enumerate()
        .map(|(at, value)| scope.feature(at, value))
        .collect::<Result<_, _>>()?;
    Ok(Declared {
        groups,
        fields,
        features,
    })
}

fn groups(keys: &mut Keys) -> Result<Vec<String>, SchemaError> {
    let groups = keys.texts("groups")?;
    if groups.is_empty() || groups.len() > GROUPS_MAX {
        let found = format!("{} groups", groups.len());
        return Err(keys.wrong("groups", &found, &format!("1 to {GROUPS_MAX}")));
    }
    let mut seen = BTreeSet::new();
    for group in &groups {
        if !is_name(group) || group == "windows" {
            let expected = format!("{NAME_EXPECTED}, not windows");
            return Err(keys.wrong("groups", &quoted(group), &expected));
        }
        if !seen.insert(group) {
            return Err(keys.wrong("groups", &format!("{group} twice"), "each group once"));
        }
    }
    Ok(groups)
}

fn fields(keys: &mut Keys) -> Result<Vec<Field>, SchemaError> {
    let table = match keys.take("fields") {
        None => toml::Table::new(),
        Some(Value::Table(table)) => table,
        Some(other) => return Err(keys.wrong("fields", &show(&other), "a table")),
    };
    if table.len() > FIELDS_MAX {
        let found = format!("{} fields", table.len());
        return Err(keys.wrong("fields", &found, &format!("at most {FIELDS_MAX}")));
    }
    let extras = table.keys().filter(|name| name.starts_with(EXTRA)).count();
    if extras > EXT_MAX {
        let found = format!("{extras} extras");
        return Err(keys.wrong("fields", &found, &format!("at most {EXT_MAX}")));
    }
    let in_order: BTreeMap<String, Value> = table.into_iter().collect();
    in_order
        .into_iter()
        .map(|(name, value)| field(name, &value))
        .collect()
}

fn field(name: String, value: &Value) -> Result<Field, SchemaError> {
    let place = format!("field {}", named(&name));
    let wrong = |found: &str, expected: &str| Err(SchemaError::field(&place, found, expected));
    let extra = name.strip_prefix(EXTRA);
    if extra.is_some_and(|extra| !is_name(extra) || pan::is_sensitive_name(extra)) {
        let expected = format!("ext. and {NAME_EXPECTED}, that names no card number or PIN");
        return wrong("this name", &expected);
    }
    let Some(kinds) = Field::kinds_of(&name) else {
        return wrong(
            "no such field in txn.v1",
            "a field that a schema may read, or ext.NAME for an extra",
        );
    };
    let kind = match value {
        Value::String(kind) => FieldKind::from_name(kind),
        Value::Array(words) => Some(FieldKind::Words(vocabulary(&place, words)?)),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => None,
    };
    let kind = kind.filter(|kind| Field::fits(&name, kind));
    let Some(kind) = kind else {
        return wrong(&show(value), kinds);
    };
    if let FieldKind::Words(words) = &kind {
        let known = canonical_words(&name);
        let stranger = words
            .iter()
            .find(|word| !known.is_empty() && !known.contains(&word.as_str()));
        if let Some(stranger) = stranger {
            return wrong(&quoted(stranger), &format!("words of {}", known.join(", ")));
        }
    }
    Ok(Field { name, kind })
}

fn vocabulary(place: &str, listed: &[Value]) -> Result<Vec<String>, SchemaError> {
    let wrong = |found: &str, expected: &str| Err(SchemaError::field(place, found, expected));
    if listed.is_empty() || listed.len() > WORDS_MAX {
        let found = format!("{} words", listed.len());
        return wrong(&found, &format!("1 to {WORDS_MAX}"));
    }
    let mut words: Vec<String> = Vec::new();
    for value in listed {
        let is_word = |word: &&str| {
            is_name(word) && word.len() <= WORD_BYTES_MAX && *word != OTHER && *word != MISSING
        };
        let Some(word) = value.as_str().filter(is_word) else {
            return wrong(
                &show(value),
                "words of a to z, 0 to 9 and _, but neither other nor missing",
            );
        };
        if words.iter().any(|known| known == word) {
            return wrong(&format!("{word} twice"), "each word once");
        }
        words.push(word.to_owned());
    }
    Ok(words)
}

/// What the features of a document may refer to.
struct Scope<'a> {
    groups: &'a [String],
    fields: &'a [Field],
}

impl Scope<'_> {
    fn feature(&self, at: usize, value: Value) -> Result<Feature, SchemaError> {
        let number = format!("feature number {}", at + 1);
        let Value::Table(table) = value else {
            return Err(SchemaError::field(&number, &show(&value), "a table"));
        };
        let named = table.get("name").or_else(|| table.get("kind"));
        let label = named.and_then(Value::as_str).filter(|name| is_name(name));
        let place = label.map_or(number, |name| format!("feature {name}"));
        let mut keys = Keys::new(&place, table);
        let kind = keys.text("kind")?;
        let feature = match kind.as_str() {
            "amount" => Feature::Amount(self.standing(&mut keys)?),
            "gap" => Feature::Gap(self.standing(&mut keys)?),
            "visits" => Feature::Visits(self.standing(&mut keys)?),
            "visit_gap" => Feature::VisitGap(self.standing(&mut keys)?),
            "clock" => Feature::Clock(self.group(&mut keys)?),
            "merchant_category" => Feature::MerchantCategory(self.group(&mut keys)?),
            "history" => Feature::History {
                count: keys.scaling("count")?,
                spread: keys.scaling("spread")?,
            },
            "against_history" => Feature::AgainstHistory,
            "own_risk" => Feature::OwnRisk,
            "shared_risk" => Feature::SharedRisk,
            "windows" => windows(&mut keys)?,
            "category" => self.category(&mut keys)?,
            "number" | "age" | "distance" | "ratio" => self.figure(&kind, &mut keys)?,
            _ => return Err(keys.wrong("kind", &quoted(&kind), KINDS)),
        };
        keys.finish()?;
        Ok(feature)
    }

    fn group(&self, keys: &mut Keys) -> Result<FieldGroup, SchemaError> {
        let name = keys.text("group")?;
        let place = self.groups.iter().position(|group| *group == name);
        let group = place.and_then(|place| u8::try_from(place).ok());
        group.map(FieldGroup).ok_or_else(|| {
            let expected = format!("one of groups: {}", self.groups.join(", "));
            keys.wrong("group", &quoted(&name), &expected)
        })
    }

    fn standing(&self, keys: &mut Keys) -> Result<Standing, SchemaError> {
        let center = keys.take("center");
        let scale = keys.take("scale");
        Ok(Standing {
            group: self.group(keys)?,
            center: center.map_or(Ok(0.0), |value| keys.center("center", &value))?,
            scale: scale.map_or(Ok(1.0), |value| keys.scale("scale", &value))?,
            detrend: keys.flag("detrend")?,
            shift: keys.flag("shift")?,
        })
    }

    fn figure(&self, kind: &str, keys: &mut Keys) -> Result<Feature, SchemaError> {
        let name = keys.name()?;
        let figure = match kind {
            "number" => Figure::Number {
                field: self.number(keys, "field")?,
                transform: transform(keys)?,
            },
            "age" => Figure::Age {
                from: self.time(keys, "from")?,
                until: self.time(keys, "until")?,
                unit: unit(keys)?,
            },
            "distance" => Figure::Distance {
                from: self.place(keys, "from")?,
                to: self.place(keys, "to")?,
            },
            _ => Figure::Ratio {
                over: self.number(keys, "over")?,
                under: self.number(keys, "under")?,
            },
        };
        let is_ratio = matches!(figure, Figure::Ratio { .. });
        let missing = keys.missing(is_ratio)?;
        if let Figure::Number {
            transform: Transform::Standardise,
            ..
        } = figure
        {
            keys.require("center", "the numbers' mean")?;
            keys.require("scale", "the numbers' standard deviation")?;
        }
        Ok(Feature::Figure {
            name,
            standing: self.standing(keys)?,
            missing,
            figure,
        })
    }

    fn category(&self, keys: &mut Keys) -> Result<Feature, SchemaError> {
        let name = keys.name()?;
        let field = keys.text("field")?;
        let (at, kind) = self.declared(keys, "field", &field)?;
        if !matches!(kind, FieldKind::Words(_)) {
            return Err(keys.wrong("field", &quoted(&field), "a field declared by its words"));
        }
        let missing = keys.missing(false)?;
        if let Missing::Stated(_) = missing {
            return Err(keys.wrong("missing", "a number", "flag or center"));
        }
        Ok(Feature::Category {
            name,
            group: self.group(keys)?,
            field: at,
            missing,
        })
    }

    fn number(&self, keys: &mut Keys, key: &'static str) -> Result<FieldAt, SchemaError> {
        let name = keys.text(key)?;
        if name == "amount" {
            return Ok(FieldAt::Amount);
        }
        self.of_kind(keys, key, &name, &FieldKind::Number, "amount or a number")
    }

    fn time(&self, keys: &mut Keys, key: &'static str) -> Result<FieldAt, SchemaError> {
        let name = keys.text(key)?;
        if name == "ts" {
            return Ok(FieldAt::Now);
        }
        self.of_kind(keys, key, &name, &FieldKind::Time, "ts or a time")
    }

    fn place(&self, keys: &mut Keys, key: &'static str) -> Result<[FieldAt; 2], SchemaError> {
        let expected = "a latitude and a longitude";
        let names = keys.texts(key)?;
        let [lat, lon] = names.as_slice() else {
            return Err(keys.wrong(key, &format!("{} fields", names.len()), expected));
        };
        Ok([
            self.of_kind(keys, key, lat, &FieldKind::Latitude, expected)?,
            self.of_kind(keys, key, lon, &FieldKind::Longitude, expected)?,
        ])
    }

    fn of_kind(
        &self,
        keys: &Keys,
        key: &str,
        name: &str,
        kind: &FieldKind,
        expected: &str,
    ) -> Result<FieldAt, SchemaError> {
        let (at, found) = self.declared(keys, key, name)?;
        if found == kind {
            return Ok(at);
        }
        let found = format!("{}, {}", quoted(name), found.expected());
        Err(keys.wrong(key, &found, expected))
    }

    fn declared(
        &self,
        keys: &Keys,
        key: &str,
        name: &str,
    ) -> Result<(FieldAt, &FieldKind), SchemaError> {
        let at = self.fields.iter().position(|field| field.name == name);
        let place = at.and_then(|at| Some((u16::try_from(at).ok()?, self.fields.get(at)?)));
        place
            .map(|(at, field)| (FieldAt::Declared(at), &field.kind))
            .ok_or_else(|| keys.wrong(key, &quoted(name), "a field declared under [fields]"))
    }
}

fn windows(keys: &mut Keys) -> Result<Feature, SchemaError> {
    let of = keys.text("of")?;
    let entity = Entity::ALL.into_iter().find(|entity| entity.name() == of);
    let Some(of) = entity else {
        let names = Entity::ALL.map(Entity::name).join(", ");
        return Err(keys.wrong("of", &quoted(&of), &format!("one of {names}")));
    };
    let texts = keys.texts("lengths")?;
    let mut lengths: Vec<Length> = Vec::new();
    for text in &texts {
        let Some(length) = Length::parse(text) else {
            return Err(keys.wrong("lengths", &quoted(text), LENGTH_EXPECTED));
        };
        if lengths.last().is_some_and(|last| *last >= length) {
            return Err(keys.wrong("lengths", &quoted(text), "lengths that ascend"));
        }
        lengths.push(length);
    }
    if lengths.is_empty() || lengths.len() > LENGTHS_MAX {
        let found = format!("{} lengths", lengths.len());
        return Err(keys.wrong("lengths", &found, &format!("1 to {LENGTHS_MAX}")));
    }
    let detrend = keys.flag("detrend")?;
    Ok(Feature::Windows {
        of,
        lengths,
        detrend,
    })
}

fn transform(keys: &mut Keys) -> Result<Transform, SchemaError> {
    let name = keys.text("transform")?;
    match name.as_str() {
        "log" => Ok(Transform::Log),
        "standardise" => Ok(Transform::Standardise),
        "clip" => {
            let (min, max) = (keys.required("min")?, keys.required("max")?);
            let (min, max) = (keys.bound("min", &min)?, keys.bound("max", &max)?);
            if min >= max {
                return Err(keys.wrong("max", &max.to_string(), &format!("more than min {min}")));
            }
            Ok(Transform::Clip(min, max))
        }
        _ => Err(keys.wrong("transform", &quoted(&name), "log, standardise or clip")),
    }
}

fn unit(keys: &mut Keys) -> Result<Unit, SchemaError> {
    let name = keys.text("unit")?;
    let unit = Unit::ALL.into_iter().find(|unit| unit.name() == name);
    unit.ok_or_else(|| keys.wrong("unit", &quoted(&name), "minutes, hours or days"))
}

fn syntax(text: &str, error: &toml::de::Error) -> SchemaError {
    let before = error.span().and_then(|span| text.get(..span.start));
    SchemaError::Syntax {
        line: before.map_or(0, |before| before.matches('\n').count() + 1),
        message: error.message().to_owned(),
    }
}

/// The version of this language; a schema of another one is not guessed at.
pub(super) const LANGUAGE: i64 = 1;
/// The word of the column that says a figure is missing.
pub(super) const MISSING: &str = "missing";
const KINDS: &str = "amount, gap, visits, visit_gap, clock, merchant_category, history, \
                     against_history, own_risk, shared_risk, windows, number, age, distance, \
                     ratio or category";
const LENGTH_EXPECTED: &str =
    "whole steps of 5m up to 2h, of 1h up to 2d, of 1d up to 90d, as 30m, 1h or 7d";
const WORD_BYTES_MAX: usize = 32;
/// Energies the pretext task is summed over; beyond it each step costs more than it teaches.
const GROUPS_MAX: usize = 16;
/// Fields a payment is kept with: eight bytes each, of every payment of the past.
const FIELDS_MAX: usize = 64;
/// Four for each number and field of the largest schema there may be.
const DOTS_MAX: usize = 1_024;
const FEATURES_MAX: usize = 128;
const WORDS_MAX: usize = 64;
/// Windows of one entity.
pub(crate) const LENGTHS_MAX: usize = 8;
