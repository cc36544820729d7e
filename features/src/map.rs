//! One feed's mapping file: which column becomes which canonical field, and how. The file is
//! parsed and judged here, once; `map/rule.rs` applies it to a row, `map/reader.rs` reads rows
//! from CSV, NDJSON and Parquet, `map/check.rs` reports on a feed before anybody trusts it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::pan;
use crate::transaction::CANONICAL;

mod cell;
mod check;
mod columnar;
mod delimited;
mod lines;
mod ndjson;
mod reader;
mod rule;
pub(crate) mod time;
mod token;

pub use check::{CheckReport, Failure, Provision, check, provisions};
pub use reader::{Reader, Row, RowError, RowErrorKind, Source, read};
pub use token::{TokenKey, TokenKeyError};

use rule::{LabelRule, Rule};
use time::TimeFormat;
use token::TokenKind;

/// A parsed mapping file. What every key means: `ops/config/maps/handbook.toml` uses most.
#[derive(Clone, Debug)]
pub struct FeedMap {
    /// The feed's name, for reports.
    pub name: String,
    /// How its rows are written.
    pub format: FeedFormat,
    /// The file's `path`, which this crate never opens.
    pub path: Option<String>,
    /// Where the bank keeps the token key, which this crate never opens.
    pub key_file: Option<String>,
    /// Reading stops where a larger share of rows was refused.
    pub reject_ratio_max: f64,
    pub(crate) delimiter: u8,
    pub(crate) unknown: UnknownColumns,
    pub(crate) dropped: BTreeSet<String>,
    /// Every column that a rule reads; cells of a row stand in this order.
    pub(crate) columns: Vec<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) label: Option<LabelRule>,
    /// Name in [`Row::extra`] and place in `columns`.
    pub(crate) carried: Vec<(String, usize)>,
}

/// How the rows of a feed are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedFormat {
    /// Delimited text with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

/// What happens to a column that no rule reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownColumns {
    Warn,
    Reject,
}

/// Why a mapping file was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Not TOML, or a key or type that the file cannot have.
    #[error("mapping file, line {line}: {message}")]
    Syntax {
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A field that `txn.v1` does not know.
    #[error("[fields] {0}: no such field in txn.v1; put extras under [ext] or [carry]")]
    UnknownField(String),
    /// A required field without a rule.
    #[error("[fields] {0}: found no rule, expected one: the field is required")]
    MissingField(&'static str),
    /// A rule that contradicts itself.
    #[error("{field}: {message}")]
    Rule {
        /// The field of the rule.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A time format that nothing can read.
    #[error("parse: found {0}, expected rfc3339, epoch_s, epoch_ms or a strftime pattern")]
    Format(String),
    /// A time zone that is no fixed offset.
    #[error("timezone: found {0}, expected UTC or a fixed offset as +02:00")]
    Zone(String),
    /// A column whose name stands for a card number, verification value, track or PIN.
    #[error("{field}: column {column} may only be mapped with tokenise = \"pan\"")]
    Sensitive {
        /// The field of the rule.
        field: String,
        /// The column.
        column: String,
    },
}

impl FeedMap {
    /// Parses a mapping file.
    ///
    /// # Errors
    /// [`MapError`] names the key and what was expected there.
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let raw: RawMap = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        let mut builder = Builder {
            columns: Vec::new(),
            offset_ms: time::offset_ms(&raw.feed.timezone)?,
        };
        let mut rules = Vec::new();
        for (field, value) in &raw.fields {
            if !CANONICAL.contains(&field.as_str()) || field == "ext" {
                return Err(MapError::UnknownField(field.clone()));
            }
            rules.push(builder.rule(field, value)?);
        }
        for required in REQUIRED {
            if !raw.fields.contains_key(required) {
                return Err(MapError::MissingField(required));
            }
        }
        for (name, value) in &raw.ext {
            rules.push(builder.rule(&format!("ext.{name}"), value)?);
        }
        let label = raw
            .labels
            .map(|labels| builder.label(&labels))
            .transpose()?;
        let mut carried = Vec::new();
        for (name, column) in &raw.carry {
            builder.refuse_sensitive(name, column)?;
            carried.push((name.clone(), builder.column(column)));
        }
        let delimiter = match raw.feed.delimiter.as_bytes() {
            [byte] if byte.is_ascii() && *byte != b'"' && *byte != b'\n' => *byte,
            _ => return Err(contradiction("delimiter", "expected one ASCII character")),
        };
        if !(0.0..=1.0).contains(&raw.feed.max_reject_ratio) {
            return Err(contradiction(
                "max_reject_ratio",
                "expected a share from 0 to 1",
            ));
        }
        let tokens = raw.tokens.unwrap_or_default();
        if tokens
            .algorithm
            .is_some_and(|algorithm| algorithm != TOKEN_ALGORITHM)
        {
            return Err(contradiction(
                "tokens.algorithm",
                "expected hmac-sha256-128",
            ));
        }
        Ok(Self {
            name: raw.feed.name,
            format: raw.feed.format,
            path: raw.feed.path,
            key_file: tokens.key_file,
            reject_ratio_max: raw.feed.max_reject_ratio,
            delimiter,
            unknown: raw.feed.unknown_fields,
            dropped: raw.feed.drop.into_iter().collect(),
            columns: builder.columns,
            rules,
            label,
            carried,
        })
    }

    /// Whether the feed carries labels.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.label.is_some()
    }

    /// Canonical fields that some rule fills, in the file's order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.field.as_str())
    }

    /// The place among `columns` of every column that a row offers, and the columns that no rule
    /// reads, or why the feed must be refused for one of them.
    pub(crate) fn judge_columns<'a>(
        &self,
        offered: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<&'a str>, (String, String)> {
        let mut unmapped = Vec::new();
        for name in offered {
            if self.columns.iter().any(|column| column == name) || self.dropped.contains(name) {
                continue;
            }
            if pan::is_sensitive_name(name) {
                let expected = "the column mapped with tokenise = \"pan\", or listed under drop";
                return Err((pan::redact(name), expected.to_owned()));
            }
            unmapped.push(name);
        }
        match (self.unknown, unmapped.first()) {
            (UnknownColumns::Reject, Some(name)) => {
                let expected = "only mapped columns (unknown_fields = \"reject\")";
                Err((pan::redact(name), expected.to_owned()))
            }
            (UnknownColumns::Reject, None) | (UnknownColumns::Warn, _) => Ok(unmapped),
        }
    }
}

/// Turns rules of the file into rules over numbered columns.
struct Builder {
    columns: Vec<String>,
    offset_ms: i64,
}

impl Builder {
    fn column(&mut self, name: &str) -> usize {
        let known = self.columns.iter().position(|column| column == name);
        known.unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    fn refuse_sensitive(&self, field: &str, column: &str) -> Result<(), MapError> {
        match pan::is_sensitive_name(column) {
            true => Err(MapError::Sensitive {
                field: field.to_owned(),
                column: column.to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn rule(&mut self, field: &str, value: &toml::Value) -> Result<Rule, MapError> {
        let raw = RawRule::read(field, value)?;
        let fault = |message: &str| contradiction(field, message);
        let from = match (&raw.from, &raw.constant) {
            (Some(OneOrMany::One(name)), None) => vec![name.clone()],
            (Some(OneOrMany::Many(names)), None) if !names.is_empty() => names.clone(),
            (None, Some(_)) => Vec::new(),
            _ => return Err(fault("expected either from (one or more columns) or const")),
        };
        let is_pan = raw.tokenise.as_deref() == Some("pan");
        if !is_pan {
            from.iter()
                .try_for_each(|column| self.refuse_sensitive(field, column))?;
        }
        let steps = [
            raw.tokenise.is_some(),
            raw.parse.is_some(),
            raw.scale.is_some(),
        ];
        if steps.iter().filter(|&&step| step).count() > 1 {
            return Err(fault("expected at most one of tokenise, parse and scale"));
        }
        if from.len() > 1 && raw.join.is_none() {
            return Err(fault("expected join where from names several columns"));
        }
        if raw.scale == Some(0) {
            return Err(fault("scale: found 0, expected 1 or more"));
        }
        let tokenise = match &raw.tokenise {
            None => None,
            Some(name) => Some(TokenKind::from_name(name).ok_or_else(|| {
                fault(
                    "tokenise: expected account, card, pan, customer, counterparty, device, \
                     session, text, merchant or terminal",
                )
            })?),
        };
        let offset_ms = match raw.tz.as_deref() {
            None | Some("feed") => self.offset_ms,
            Some(zone) => time::offset_ms(zone)?,
        };
        Ok(Rule {
            field: field.to_owned(),
            columns: from.iter().map(|name| self.column(name)).collect(),
            constant: raw
                .constant
                .as_ref()
                .map(|value| constant(field, value))
                .transpose()?,
            lookup: raw.map,
            join: raw.join.unwrap_or_default(),
            tokenise,
            parse: raw.parse.as_deref().map(TimeFormat::parse).transpose()?,
            scale: raw.scale,
            offset_ms,
        })
    }

    fn label(&mut self, raw: &RawLabels) -> Result<LabelRule, MapError> {
        let fraud = match &raw.fraud {
            OneOrRule::Column(name) => RawFraud {
                from: name.clone(),
                ..RawFraud::default()
            },
            OneOrRule::Rule(rule) => rule.clone(),
        };
        self.refuse_sensitive("labels.fraud", &fraud.from)?;
        let known_after_ms = match (raw.known_after_days, &raw.known_at) {
            (Some(days), None) => Some(i64::from(days) * crate::transaction::DAY_MS),
            (None, Some(_)) => None,
            _ => {
                return Err(contradiction(
                    "labels",
                    "expected either known_at or known_after_days",
                ));
            }
        };
        let known_at = raw.known_at.as_ref();
        let source = raw.source.as_ref();
        Ok(LabelRule {
            column: self.column(&fraud.from),
            fraud: fraud
                .fraud
                .unwrap_or_else(|| TRUE_WORDS.map(String::from).to_vec()),
            unlabelled: fraud.unlabelled,
            known_at: known_at
                .map(|value| self.rule("labels.known_at", value))
                .transpose()?,
            known_after_ms,
            source: source
                .map(|value| self.rule("labels.source", value))
                .transpose()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMap {
    feed: RawFeed,
    tokens: Option<RawTokens>,
    fields: BTreeMap<String, toml::Value>,
    #[serde(default)]
    ext: BTreeMap<String, toml::Value>,
    labels: Option<RawLabels>,
    #[serde(default)]
    carry: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeed {
    name: String,
    format: FeedFormat,
    path: Option<String>,
    #[serde(default = "comma")]
    delimiter: String,
    #[serde(default = "utc")]
    timezone: String,
    #[serde(default = "warn")]
    unknown_fields: UnknownColumns,
    #[serde(default = "any_share")]
    max_reject_ratio: f64,
    #[serde(default)]
    drop: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    key_file: Option<String>,
    #[serde(rename = "key_id")]
    _key_id: Option<String>,
    algorithm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabels {
    fraud: OneOrRule,
    known_at: Option<toml::Value>,
    known_after_days: Option<u16>,
    source: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrRule {
    Column(String),
    Rule(RawFraud),
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFraud {
    from: String,
    #[serde(rename = "true")]
    fraud: Option<Vec<String>>,
    #[serde(default, rename = "unknown")]
    unlabelled: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    from: Option<OneOrMany>,
    #[serde(rename = "const")]
    constant: Option<toml::Value>,
    scale: Option<u32>,
    parse: Option<String>,
    tz: Option<String>,
    map: Option<BTreeMap<String, String>>,
    join: Option<String>,
    tokenise: Option<String>,
}

impl RawRule {
    /// A column's name alone, or a table.
    fn read(field: &str, value: &toml::Value) -> Result<Self, MapError> {
        if let Some(column) = value.as_str() {
            let from = Some(OneOrMany::One(column.to_owned()));
            return Ok(Self {
                from,
                ..Self::default()
            });
        }
        value.clone().try_into().map_err(|error: toml::de::Error| {
            contradiction(
                field,
                &format!("{}, expected a column or a rule", error.message()),
            )
        })
    }
}

fn constant(field: &str, value: &toml::Value) -> Result<serde_json::Value, MapError> {
    let text = value.as_str();
    let number = value.as_integer();
    if text.is_some_and(pan::is_pan_like) || number.is_some_and(pan::is_pan_number) {
        return Err(contradiction(
            field,
            "const passes for a card number, expected none",
        ));
    }
    let json = text.map(Into::into).or_else(|| number.map(Into::into));
    json.or_else(|| value.as_float().map(Into::into))
        .or_else(|| value.as_bool().map(Into::into))
        .ok_or_else(|| contradiction(field, "const: expected a text, a number or a truth value"))
}

fn contradiction(field: &str, message: &str) -> MapError {
    MapError::Rule {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> MapError {
    let line = error.span().and_then(|span| text.get(..span.start));
    MapError::Syntax {
        line: line.map_or(0, |before| before.matches('\n').count() + 1),
        message: error.message().to_owned(),
    }
}

fn comma() -> String {
    ",".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn warn() -> UnknownColumns {
    UnknownColumns::Warn
}

fn any_share() -> f64 {
    1.0
}

const REQUIRED: [&str; 6] = [
    "txn_id",
    "ts",
    "rail",
    "amount_minor",
    "currency",
    "account_tok",
];
const TOKEN_ALGORITHM: &str = "hmac-sha256-128";
const TRUE_WORDS: [&str; 6] = ["1", "true", "y", "yes", "t", "fraud"];

#[cfg(test)]
mod tests;
