//! Payment to numbers: feeds become transactions, transactions become vectors. One encoder
//! serves training and scoring, so a vector learnt from is the vector scored: a replay of the
//! same stream gives the same bits. No clock, no disk, no threads, no chance live here.
//!
//! Reading order: [`Transaction`] (`transaction.rs`) is what passes the door, [`FeedMap`]
//! (`map.rs`) how a bank's own columns get there; [`FeatureSchema`] (`schema.rs`) declares the
//! columns, [`FeatureEncoder`] (`encoder.rs`) fills them from `card.rs`, `outlet.rs`, `trend.rs`
//! and `risk.rs`; [`Explanation`] (`explain.rs`) says a column in words' units.

mod card;
mod category;
mod encoder;
mod explain;
mod map;
mod outlet;
mod pan;
mod risk;
mod schema;
mod transaction;
mod trend;
mod windows;

pub use category::Category;
pub use encoder::{Encoded, FeatureEncoder, FeatureVector, Limits};
pub use explain::{Explanation, Measure};
pub use map::{
    CheckReport, Failure, FeedFormat, FeedMap, MapError, Provision, Reader, Row, RowError,
    RowErrorKind, Source, TokenKey, TokenKeyError, check, provisions, read,
};
pub use pan::{is_pan_like, is_pan_number, is_sensitive_name, is_time_ms, redact};
pub use risk::{
    KnownFraud, REACH_DAYS, RiskCounts, RiskError, RiskKey, RiskSettings, RiskTable, RiskTerms,
};
pub use schema::{
    Column, Difference, FeatureSchema, FieldGroup, Fit, Role, SCHEMA_BYTES_MAX, SchemaError,
};
pub use transaction::{
    AuthMethod, AuthResult, CANONICAL, Channel, CounterpartyKind, Direction, EntryMode, ExtValue,
    FIELDS, Field, FieldError, FieldErrorKind, Form, Label, PriorDecision, Rail, RawTransaction,
    Told, Transaction, TxnType, VopResult, minor_per_major,
};
