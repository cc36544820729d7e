//! The queue for machines: `GET /v1/alerts` and what lies under it, JSON in and out. What may be
//! done is in `act.rs`; the same for people is `page.rs`.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::act::{self, BYTES_MAX, Disposed, Disposition, Snooze};
use super::alert::State as AlertState;
use super::dossier::Dossier;
use super::index::{Grouping, LIMIT, Listing, Place, Row, Wanted};
use super::{Question, Queue};
use crate::scoring::Scoring;
use crate::scoring::door::{Door, starting};
use crate::scoring::http::{BODY_MAX, read_within};
use crate::scoring::problem::{Problem, ProblemType};
use crate::scoring::request::{fault, kind_of};

/// `GET /v1/alerts`.
pub(super) async fn handle_list(State(door): State<Door>, uri: Uri) -> Response {
    json(list(&door, &uri).await)
}

/// `GET /v1/alerts/{decision_id}`.
pub(super) async fn handle_alert(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
) -> Response {
    json(dossier(&door, decision_id).await)
}

/// `POST /v1/alerts/{decision_id}/disposition`.
pub(super) async fn handle_disposition(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Response {
    json(dispose(&door, &id_of(decision_id), body).await)
}

/// `POST /v1/alerts/{decision_id}/snooze`.
pub(super) async fn handle_snooze(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Response {
    json(snooze(&door, &id_of(decision_id), body).await)
}

fn json<T: Serialize>(told: Result<T, Problem>) -> Response {
    told.map(Json).into_response()
}

async fn list(door: &Door, uri: &Uri) -> Result<Listing, Problem> {
    let wanted = Asked::read(uri)?.wanted(Grouping::Alerts)?;
    Ok(queue(door, wanted).await?.listing)
}

/// A part of the queue.
pub(super) async fn queue(door: &Door, wanted: Wanted) -> Result<Queue, Problem> {
    let alerts = &scoring(door)?.0.alerts;
    alerts.ask(|reply| Question::List(wanted, reply)).await
}

/// All about one alert.
pub(super) async fn dossier(
    door: &Door,
    decision_id: Result<Path<String>, PathRejection>,
) -> Result<Box<Dossier>, Problem> {
    let (alerts, id) = (&scoring(door)?.0.alerts, id_of(decision_id));
    alerts.ask(|reply| Question::Show(id, reply)).await
}

async fn dispose(door: &Door, decision_id: &str, body: Body) -> Result<Disposed, Problem> {
    let scoring = scoring(door)?;
    let disposition = Disposition::read(&object(body).await?)?;
    act::dispose(scoring, decision_id, disposition).await
}

async fn snooze(door: &Door, decision_id: &str, body: Body) -> Result<Row, Problem> {
    let scoring = scoring(door)?;
    let snooze = Snooze::read(act::now_ms(scoring), &object(body).await?)?;
    act::snooze(scoring, decision_id, snooze).await
}

/// Whoever scores, once the door is open.
pub(super) fn scoring(door: &Door) -> Result<&Scoring, Problem> {
    door.scoring().ok_or_else(starting)
}

/// What cannot be read as text is the id of nothing.
pub(super) fn id_of(decision_id: Result<Path<String>, PathRejection>) -> String {
    decision_id.map(|Path(id)| id).unwrap_or_default()
}

async fn object(body: Body) -> Result<Map<String, Value>, Problem> {
    let wrong =
        |found: &str| Problem::of_field(ProblemType::Schema, "body", found, "a JSON object");
    let body = read_within(BODY_MAX, body, BYTES_MAX, too_large).await?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(words)) => Ok(words),
        Ok(other) => Err(wrong(kind_of(&other))),
        Err(error) => Err(wrong(&fault(&error))),
    }
}

fn too_large() -> Problem {
    let detail = format!("found more than {BYTES_MAX} bytes, expected one action");
    Problem::new(ProblemType::TooLarge, detail)
}

/// The words of a query.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) state: Option<String>,
    pub(super) account: Option<String>,
    pub(super) of: Option<String>,
    grouped: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

impl Asked {
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
        let state = match self.state.as_deref().unwrap_or("open") {
            "all" => None,
            word => {
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

/// A row has at most one KiB.
const LIMIT_MAX: usize = 200;
