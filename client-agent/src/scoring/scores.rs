//! `GET /v1/scores?days=…`: how many payments had which score, day by day, and how many of them
//! turned out to be frauds; counts alone. Read from the journal on a thread of its own, beside the
//! worker: payments wait for nobody who counts. What is counted is `journal/tally.rs`; who asks is
//! `phalanx-agent threshold plan`.

use axum::Json;
use axum::extract::Query;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::problem::{Problem, ProblemType};
use super::worker::Job;
use super::{Scoring, gone};
use crate::journal::Tally;

/// `GET /v1/scores?days=…`.
pub(super) async fn handle_scores(scoring: &Scoring, uri: &Uri) -> Response {
    tally(scoring, uri).await.map(Json).into_response()
}

async fn tally(scoring: &Scoring, uri: &Uri) -> Result<Tally, Problem> {
    let days = days(uri)?;
    let turn = scoring.0.batches.tally.clone().try_acquire_owned();
    let turn = turn.map_err(|_| {
        let detail = "found the journal being counted already, expected one request at once";
        Problem::new(ProblemType::Overloaded, detail)
    })?;
    let follower = scoring.ask(Job::Follow)?.await.map_err(|_| gone())?;
    let now_ms = scoring.0.clock.now().0;
    let (reply, told) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let counted = follower.tally(now_ms, days, || !reply.is_closed());
        drop(turn);
        // Who asked may be gone.
        let _ = reply.send(counted);
    });
    match told.await {
        Ok(Ok(Some(tally))) => Ok(tally),
        Ok(Err(error)) => {
            tracing::error!(%error, "the journal cannot be read");
            let detail = "the journal cannot be read";
            Err(Problem::new(ProblemType::Unavailable, detail))
        }
        Ok(Ok(None)) | Err(_) => Err(gone()),
    }
}

fn days(uri: &Uri) -> Result<u32, Problem> {
    let expected = format!("one number from 1 to {DAYS_MAX} in the query");
    let Ok(Query(Wanted { days })) = Query::try_from_uri(uri) else {
        let found = "none, no number, or more than one";
        return Err(Problem::of_field(
            ProblemType::MissingField,
            "days",
            found,
            &expected,
        ));
    };
    match (1..=DAYS_MAX).contains(&days) {
        true => Ok(days),
        false => {
            let found = days.to_string();
            Err(Problem::of_field(
                ProblemType::Schema,
                "days",
                &found,
                &expected,
            ))
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    days: u32,
}

/// Two years: with every score on every day, some 700,000 counts in an answer.
pub(crate) const DAYS_MAX: u32 = 730;
