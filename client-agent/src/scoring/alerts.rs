//! The alert queue: every journaled decision of review or decline opens an alert; an analyst's
//! label, or word that it cannot be told, closes it. The journal is the queue's memory: a thread of
//! its own follows it (`alerts/keeper.rs`), so scoring waits for nothing here.
//!
//! Reading order: `alert.rs` what an alert is and when it is closed, `index.rs` the queue in
//! memory, `keeper.rs` who fills it and answers questions, `dossier.rs` all about one alert;
//! `act.rs` what analysts may do, `api.rs` and `page.rs` the two ways to it, `asked.rs` and
//! `said.rs` what comes by either. What it is for: `docs/alerts.md`.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use axum::extract::DefaultBodyLimit;
use host::clock::Clock;
use host::telemetry::Telemetry;
use host::workers;
use model::Scorer;
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::beside::Beside;
use super::door::Door;
use super::problem::{Problem, ProblemType};
use crate::journal::{Action, Actions, Follower};
use dossier::Dossier;
use index::{Listing, Row, Wanted};
use keeper::Keeper;

pub(super) use alert::Verdict;

mod act;
mod alert;
mod api;
mod asked;
mod cases;
mod dossier;
mod index;
mod keeper;
mod meters;
mod page;
mod said;
mod trail;

/// The queue; the thread behind it ends with this handle.
pub(super) struct Alerts {
    /// `None` only while dropping.
    questions: Option<SyncSender<Question>>,
    keeper: Option<JoinHandle<()>>,
}

/// What the keeper is asked.
enum Question {
    /// A part of the queue.
    List(Wanted, oneshot::Sender<Result<Queue, Problem>>),
    /// Everything about an alert, by the id of its decision.
    Show(String, oneshot::Sender<Result<Box<Dossier>, Problem>>),
    /// The `txn_id` that a verdict on an alert would speak of, where there is room for one.
    Subject(String, oneshot::Sender<Result<String, Problem>>),
    /// Something was done about an alert.
    Act(String, Action, oneshot::Sender<Result<Row, Problem>>),
    /// This model scores from here on.
    Model(Arc<Scorer>),
}

/// A part of the queue, and how much there is in each state.
struct Queue {
    listing: Listing,
    /// In the order of `State::ALL`.
    counts: [usize; 3],
}

impl Alerts {
    /// Starts the keeper, which tells there whether it can read. The queue answers once it has read
    /// the journal.
    pub(super) fn start(
        journal: Follower,
        actions: Actions,
        clock: Clock,
        telemetry: &Telemetry,
        beside: Beside,
    ) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        let keeper = Keeper::new(journal, actions, clock, telemetry, beside);
        let keeper = workers::behind("alerts", move || keeper.run(&asked))?;
        Ok(Self {
            questions: Some(questions),
            keeper: Some(keeper),
        })
    }

    /// A queue whose keeper has gone.
    #[cfg(test)]
    pub(super) fn gone() -> Self {
        Self {
            questions: None,
            keeper: None,
        }
    }

    /// Lets the queue know the model that scores, for likeness.
    pub(super) fn install(&self, scorer: Arc<Scorer>) {
        if let Some(questions) = &self.questions {
            // A keeper that is gone needs no model.
            let _ = questions.send(Question::Model(scorer));
        }
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, Problem>>) -> Question,
    ) -> Result<T, Problem> {
        let (reply, waiting) = oneshot::channel();
        let questions = self.questions.as_ref().ok_or_else(gone)?;
        questions
            .try_send(question(reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => Problem::new(
                    ProblemType::Overloaded,
                    "found too many questions about alerts, expected fewer at once",
                ),
                TrySendError::Disconnected(_) => gone(),
            })?;
        waiting.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Alerts {
    /// Gives the journal's store back.
    fn drop(&mut self) {
        self.questions = None;
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has said so itself.
            let _ = keeper.join();
        }
    }
}

/// The queue's routes: for machines under `/v1/alerts`, for people under `/alerts`.
pub(super) fn alerts_router(door: &Door) -> OpenApiRouter {
    OpenApiRouter::default()
        .routes(routes!(api::handle_list))
        .routes(routes!(api::handle_alert))
        .routes(routes!(api::handle_disposition))
        .routes(routes!(api::handle_snooze))
        .routes(routes!(page::handle_queue))
        .routes(routes!(page::handle_alert))
        .routes(routes!(page::handle_disposition))
        .routes(routes!(page::handle_snooze))
        .layer(DefaultBodyLimit::max(act::BYTES_MAX))
        .with_state(door.clone())
}

fn gone() -> Problem {
    Problem::new(ProblemType::Unavailable, "the alert queue has stopped")
}

/// What a question about alerts hears while the queue is not up to it.
const QUEUE_BUSY: &str =
    "`overloaded`; `not_ready`: the journal is still being read; or `unavailable`: it cannot be.";
const NO_ALERT: &str = "`not_found`: no alert of the queue has this id.";

/// Questions that may wait: people ask a few at a time, and the slowest takes some tenths of a
/// second.
const QUESTIONS_MAX: usize = 64;
