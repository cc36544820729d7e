//! The queue for people: `GET /alerts` and `/alerts/{decision_id}`, and the forms on them, which
//! work without a script. The pages are `templates/alerts.html` and `templates/alert.html`; their
//! script asks `api.rs`. What surrounds a page is in `page/frame.rs`, what one alert's page says in
//! `page/sheet.rs`.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::act::{self, Disposition, Snooze};
use super::alert::State as AlertState;
use super::api::{dossier, id_of, queue, scoring};
use super::asked::{Words, WordsByAccount};
use super::index::{Grouping, Row};
use super::said::{DispositionForm, SnoozeForm};
use crate::scoring::decision::Decision;
use crate::scoring::door::Door;
use crate::scoring::http::stalled;
use crate::scoring::openapi;
use crate::scoring::problem::{Problem, ProblemType};
use frame::{Frame, answer};
use sheet::Sheet;

mod frame;
mod sheet;
mod words;

/// The alert queue for people.
#[utoipa::path(
    get, path = "/alerts", operation_id = "alertsPage",
    params(WordsByAccount),
    responses(
        (status = 200, description = "The page.", body = String, content_type = HTML),
        (status = "default", description = REFUSED, body = String, content_type = HTML),
    )
)]
pub(super) async fn handle_queue(State(door): State<Door>, uri: Uri) -> Response {
    match list(&door, &uri).await {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(problem) => refuse(problem),
    }
}

/// One alert for people, and with `export=html` the same as a file.
#[utoipa::path(
    get, path = "/alerts/{decision_id}", operation_id = "alertPage",
    params(
        ("decision_id" = String, Path),
        ("export" = inline(Option<Export>), Query,
            description = "As one file to keep, with nothing outside it."),
    ),
    responses(
        (status = 200, description = "The page.", body = String, content_type = HTML),
        (status = "default", description = REFUSED, body = String, content_type = HTML),
    )
)]
pub(super) async fn handle_alert(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    let dossier = match dossier(&door, decision_id).await {
        Ok(dossier) => dossier,
        Err(problem) => return refuse(problem),
    };
    let words = uri.query().unwrap_or_default().split('&');
    if !words.into_iter().any(|word| word == "export=html") {
        return answer(StatusCode::OK, &Sheet::new(Frame::live(), &dossier));
    }
    let mut response = answer(StatusCode::OK, &Sheet::new(Frame::export(), &dossier));
    let name = &dossier.alert.decision_id;
    let file = format!("attachment; filename=\"alert-{name}.html\"");
    // An id is made of hexadecimal digits and a dash.
    if let Ok(file) = HeaderValue::try_from(file) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, file);
    }
    response
}

/// The page's form, which works without a script.
#[utoipa::path(
    post, path = "/alerts/{decision_id}/disposition", operation_id = "disposeByForm",
    params(("decision_id" = String, Path)),
    request_body(content = inline(DispositionForm), content_type = FORM),
    responses(
        (status = 303, description = "Done: back to the alert.",
            headers(("Location" = String, description = "The alert's page."))),
        (status = "default", description = REFUSED, body = String, content_type = HTML),
    )
)]
pub(super) async fn handle_disposition(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id_of(decision_id);
    let done = async {
        let disposition = Disposition::read(&words_of(&door, request).await?)?;
        act::dispose(scoring(&door)?, &id, disposition).await
    };
    shown_again(&id, done.await.map(drop))
}

/// The page's form, which works without a script: it says for how many hours.
#[utoipa::path(
    post, path = "/alerts/{decision_id}/snooze", operation_id = "snoozeByForm",
    params(("decision_id" = String, Path)),
    request_body(content = inline(SnoozeForm), content_type = FORM),
    responses(
        (status = 303, description = "Done: back to the alert.",
            headers(("Location" = String, description = "The alert's page."))),
        (status = "default", description = REFUSED, body = String, content_type = HTML),
    )
)]
pub(super) async fn handle_snooze(
    State(door): State<Door>,
    decision_id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = id_of(decision_id);
    let done = async {
        let (scoring, mut words) = (scoring(&door)?, words_of(&door, request).await?);
        let now_ms = act::now_ms(scoring);
        let hours = words.remove("hours");
        let hours = hours.and_then(|told| told.as_str()?.parse::<u32>().ok());
        if let Some(hours) = hours {
            let until = now_ms.saturating_add(u64::from(hours) * act::HOUR_MS);
            words.insert("until".to_owned(), until.into());
        }
        act::snooze(scoring, &id, Snooze::read(now_ms, &words)?).await
    };
    shown_again(&id, done.await.map(drop))
}

/// The words of a form, as the same words in JSON. A sender that stalls loses its place.
async fn words_of(door: &Door, request: Request) -> Result<Map<String, Value>, Problem> {
    let most = door.body_max();
    let form = Form::<BTreeMap<String, String>>::from_request(request, &());
    let form = tokio::time::timeout(most, form).await;
    let Form(words) = form.map_err(|_| stalled(most))?.map_err(|_| {
        let (found, expected) = ("a body that cannot be read", "the words of a form");
        Problem::of_field(ProblemType::Schema, "body", found, expected)
    })?;
    let words = words
        .into_iter()
        .map(|(name, word)| (name, Value::String(word)));
    Ok(words.collect())
}

/// Back to the alert, so that loading the page again does nothing again.
fn shown_again(id: &str, done: Result<(), Problem>) -> Response {
    match done {
        Ok(()) => Redirect::to(&format!("/alerts/{id}")).into_response(),
        Err(problem) => refuse(problem),
    }
}

/// A refusal as a page.
fn refuse(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let is_passing = problem.kind.is_passing();
    let mut response = answer(
        status,
        &Refusal {
            frame: Frame::live(),
            problem,
        },
    );
    if is_passing {
        let second = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, second);
    }
    response
}

#[derive(Template)]
#[template(path = "alert_refused.html")]
struct Refusal {
    frame: Frame,
    problem: Problem,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct QueuePage {
    frame: Frame,
    tabs: Vec<Tab>,
    state: String,
    /// What the queue is narrowed by, a word of the query and its value; empty where by nothing.
    narrowed: &'static str,
    by: String,
    rows: Vec<Line>,
    total: usize,
    next: String,
}

/// A state to look at.
struct Tab {
    word: &'static str,
    count: usize,
    is_shown: bool,
}

/// A row as it is shown, here and at the head of an alert's page.
struct Line {
    id: String,
    account: String,
    score: String,
    /// Class of the score: how bad it is.
    tone: &'static str,
    decision: &'static str,
    band: String,
    amount: String,
    outlet: String,
    reason: String,
    payments: usize,
    age: String,
    oldest: String,
    state: &'static str,
    is_closed: bool,
    /// Beside the state: the verdict, or the end of the snooze.
    besides: String,
}

impl Line {
    fn new(row: &Row) -> Self {
        let snoozed = row.snoozed_until.map(|until| {
            let until = words::time_of(until);
            format!("until {until}")
        });
        let verdict = row.verdict.map(|verdict| verdict.word().to_owned());
        Self {
            id: row.decision_id.clone(),
            account: words::mask(&row.account),
            score: words::score(row.score),
            tone: tone(row.decision),
            decision: row.decision.word(),
            band: row.band.clone().unwrap_or_default(),
            amount: words::amount(row.amount_minor, &row.currency),
            outlet: row.outlet.as_deref().map(words::mask).unwrap_or_default(),
            reason: row.reason.clone().unwrap_or_default(),
            payments: row.payments,
            age: words::age(row.age_s),
            oldest: words::age(row.oldest_age_s),
            state: row.state.word(),
            is_closed: row.state == AlertState::Closed,
            besides: verdict.or(snoozed).unwrap_or_default(),
        }
    }
}

fn tone(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "calm",
        Decision::Review => "warn",
        Decision::Decline => "bad",
    }
}

async fn list(door: &Door, uri: &Uri) -> Result<QueuePage, Problem> {
    let asked = Words::read(uri)?;
    // One account's alerts as one row would show the worst of them alone.
    let grouping = match asked.of.is_some() || asked.account.is_some() {
        true => Grouping::Alerts,
        false => Grouping::Accounts,
    };
    let queue = queue(door, asked.wanted(grouping)?).await?;
    let state = asked.state.unwrap_or_else(|| "open".to_owned());
    let (narrowed, by) = match (asked.of, asked.account) {
        (Some(of), _) => ("of", of),
        (None, Some(account)) => ("account", account),
        (None, None) => ("", String::new()),
    };
    let tabs = AlertState::ALL.into_iter().zip(queue.counts);
    let tabs = tabs.map(|(of, count)| Tab {
        word: of.word(),
        count,
        is_shown: of.word() == state,
    });
    Ok(QueuePage {
        frame: Frame::live(),
        tabs: tabs.collect(),
        narrowed,
        by,
        rows: queue.listing.alerts.iter().map(Line::new).collect(),
        total: queue.listing.total,
        next: queue.listing.next.unwrap_or_default(),
        state,
    })
}

/// In which form a page may be had.
struct Export;

impl utoipa::PartialSchema for Export {
    fn schema() -> RefOr<Schema> {
        openapi::words(["html"]).into()
    }
}

impl utoipa::ToSchema for Export {}

const HTML: &str = "text/html";
const FORM: &str = "application/x-www-form-urlencoded";
const REFUSED: &str =
    "Refused, in words; the status is that of the same request under `/v1/alerts`.";
