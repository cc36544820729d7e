//! The queue for machines: `GET /v1/alerts` and what lies under it, JSON in and out. What may be
//! done is in `act.rs`; the same for people is `page.rs`.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::act::{self, BYTES_MAX, Disposed, Disposition, Snooze};
use super::asked::Words;
use super::dossier::Dossier;
use super::index::{Grouping, Listing, Row, Wanted};
use super::{NO_ALERT, QUEUE_BUSY, Question, Queue};
use crate::scoring::Scoring;
use crate::scoring::door::{Door, starting};
use crate::scoring::http::{BODY_MAX, read_within};
use crate::scoring::problem::{Problem, ProblemType};
use crate::scoring::request::{fault, kind_of};

/// The alert queue: decisions of review or decline, the worst first.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "alerts",
    params(Words),
    responses(
        (status = 200, description = "A page of the queue.", body = Listing),
        (status = 400, description = "`schema`: a word of the query."),
        (status = 404, description = "`not_found`: `of` names no alert of the queue."),
        (status = 503, description = QUEUE_BUSY),
    )
)]
pub(super) async fn handle_list(State(door): State<Door>, uri: Uri) -> Response {
    json(list(&door, &uri).await)
}

/// All about one alert: the decision, the account's last payments, the confirmed cases most alike,
/// and what was said and done.
#[utoipa::path(
    get, path = "/v1/alerts/{decision_id}", operation_id = "alert",
    params(("decision_id" = String, Path)),
    responses(
        (status = 200, description = "The alert.", body = Dossier),
        (status = 404, description = NO_ALERT),
        (status = 503, description = QUEUE_BUSY),
    )
)]
pub(super) async fn handle_alert(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
) -> Response {
    json(dossier(&door, decision_id).await)
}

/// Says what an alert was.
///
/// A verdict of fraud or genuine is written as a label of the source `analyst`; any closes the
/// alert. Durable once it is answered, and idempotent.
#[utoipa::path(
    post, path = "/v1/alerts/{decision_id}/disposition", operation_id = "dispose",
    params(("decision_id" = String, Path)),
    request_body(content = Disposition, example = json!({
        "verdict": "fraud", "analyst": "u-17", "note": "The customer did not know the payee."
    })),
    responses(
        (status = 200, description = "The alert as it is from here on, and the label.",
            body = Disposed),
        (status = 400, description = "`schema`, `missing_field`, `pan_detected`, `too_future` or \
            `known_too_early`."),
        (status = 403, description = CROSS_SITE),
        (status = 404, description = NO_ALERT),
        (status = 409, description = "`too_many_actions` or `too_many_labels`."),
        (status = 413, description = "`too_large`."),
        (status = 503, description = QUEUE_BUSY),
    )
)]
pub(super) async fn handle_disposition(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    body: Body,
) -> Response {
    json(dispose(&door, &id_of(decision_id), body).await)
}

/// Puts an open alert off until a time.
#[utoipa::path(
    post, path = "/v1/alerts/{decision_id}/snooze", operation_id = "snooze",
    params(("decision_id" = String, Path)),
    request_body(content = Snooze, example = json!({
        "until": "2026-03-04T10:00:00Z", "analyst": "u-17"
    })),
    responses(
        (status = 200, description = "The alert as it is from here on.", body = Row),
        (status = 400, description = "`schema`, `missing_field` or `pan_detected`."),
        (status = 403, description = CROSS_SITE),
        (status = 404, description = "`not_found`."),
        (status = 409, description = "`alert_closed` or `too_many_actions`."),
        (status = 413, description = "`too_large`."),
        (status = 503, description = QUEUE_BUSY),
    )
)]
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
    let wanted = Words::read(uri)?.wanted(Grouping::Alerts)?;
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

const CROSS_SITE: &str = "`cross_site`: a page of another site asks for it.";
