//! The words of the queue's query, for machines and for people.

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::alert::State as AlertState;
use super::index::{Grouping, LIMIT, Place, Wanted};
use crate::scoring::openapi::{whole, words};
use crate::scoring::problem::{Problem, ProblemType};

/// The words of a query.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    pub(super) state: Option<String>,
    pub(super) account: Option<String>,
    pub(super) of: Option<String>,
    grouped: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

impl Words {
    pub(super) fn read(uri: &Uri) -> Result<Self, Problem> {
        let query = Query::<Self>::try_from_uri(uri);
        let Query(asked) = query.map_err(|_| {
            let (found, expected) = ("a query that cannot be read", "each of its words once");
            Problem::of_field(ProblemType::Schema, "query", found, expected)
        })?;
        Ok(asked)
    }

    /// What is asked for; `grouping` where nothing is said of it.
    pub(super) fn wanted(&self, grouping: Grouping) -> Result<Wanted, Problem> {
        let wrong = |field: &str, found: &str, expected: &str| {
            Problem::of_field(ProblemType::Schema, field, found, expected)
        };
        let state = match self.state.as_deref() {
            None => Some(AlertState::Open),
            Some(ALL) => None,
            Some(word) => {
                let state = AlertState::ALL.into_iter().find(|one| one.word() == word);
                let expected = "one of open, snoozed, closed, all";
                Some(state.ok_or_else(|| wrong("state", word, expected))?)
            }
        };
        let grouping = match self.grouped.as_deref() {
            None => grouping,
            Some("true") => Grouping::Accounts,
            Some("false") => Grouping::Alerts,
            Some(other) => return Err(wrong("grouped", other, "true or false")),
        };
        let limit = match self.limit.as_deref() {
            None => LIMIT,
            Some(told) => {
                let limit = told
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| wrong("limit", told, "a number from 1 to 200"))?
            }
        };
        let after = match self.after.as_deref() {
            None => None,
            Some(told) => {
                let place = Place::from_cursor(told);
                Some(place.ok_or_else(|| wrong("after", told, "the `next` of a page before"))?)
            }
        };
        Ok(Wanted {
            state,
            account: self.account.clone(),
            of: self.of.clone(),
            grouping,
            limit,
            after,
        })
    }
}

impl IntoParams for Words {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        described(false)
    }
}

/// The same words, where each account is a row unless something else is said.
pub(super) struct WordsByAccount;

impl IntoParams for WordsByAccount {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        described(true)
    }
}

fn described(is_grouped: bool) -> Vec<Parameter> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let flag = ObjectBuilder::new().schema_type(Type::Boolean);
    let states = AlertState::ALL
        .map(AlertState::word)
        .into_iter()
        .chain([ALL]);
    let state = words(states).default(Some(AlertState::Open.word().into()));
    let limit = whole(1..=LIMIT_MAX as u64).default(Some(LIMIT.into()));
    let told = [
        ("state", "Which alerts.", state),
        (
            "account",
            "One account alone: the token of its card, or its own where it has no card.",
            text(),
        ),
        (
            "of",
            "The account of this alert alone, by its `decision_id`.",
            text(),
        ),
        (
            "grouped",
            "One row for each account: its worst alert.",
            flag.default(Some(is_grouped.into())),
        ),
        ("limit", "Rows of a page.", limit),
        ("after", "The `next` of the page before.", text()),
    ];
    let told = told.map(|(name, meaning, schema)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(utoipa::openapi::Required::False)
            .description(Some(meaning))
            .schema(Some(schema))
            .build()
    });
    told.into()
}

/// The word for alerts of every state.
const ALL: &str = "all";

/// A row has at most one KiB.
const LIMIT_MAX: usize = 200;
