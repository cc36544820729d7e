//! `POST /v1/score/batch`: many payments in one body, a line each, and as many lines back in the
//! same order. Each line is judged as a request of its own (`request.rs`), by the same worker in
//! the same queue; here it waits for its turn, and never takes so many places of the queue that
//! single requests find none.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Scoring;
use super::answer::Answer;
use super::http::{BODY_MAX, read_within};
use super::openapi::{named, reference};
use super::problem::{Problem, ProblemType};
use super::times::{Asked, Times, Turn};
use super::written::Written;

/// What batches may take of the agent.
pub(super) struct Batches {
    /// A permit for each body on its way in.
    bodies: Semaphore,
    /// A permit for each batch at work.
    pub(super) rooms: Arc<Semaphore>,
    /// One list of labels goes through the queue at a time, so that payments find room between its
    /// pieces.
    pub(super) labels: Semaphore,
    /// One at a time reads the whole journal.
    pub(super) tally: Arc<Semaphore>,
    /// Lines of one batch that may be in the queue.
    ahead_max: usize,
}

impl Batches {
    /// All batches together fill at most half of the queue, where it has eight places or more.
    pub(super) fn new(queue_max: u32) -> Self {
        let share = queue_max as usize / 2 / BATCHES_MAX;
        Self {
            bodies: Semaphore::new(BODIES_MAX),
            rooms: Arc::new(Semaphore::new(BATCHES_MAX)),
            labels: Semaphore::new(1),
            tally: Arc::new(Semaphore::new(1)),
            ahead_max: share.clamp(1, AHEAD_MAX),
        }
    }
}

pub(super) async fn handle_batch(scoring: &Scoring, times: Times, body: Body) -> Response {
    match begin(scoring, times, body).await {
        Ok(told) => {
            let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
            (kind, Body::from_stream(told)).into_response()
        }
        Err(problem) => scoring.refuse(problem).into_response(),
    }
}

/// Reads and counts the lines, and has a thread of their own judged one after the other.
async fn begin(scoring: &Scoring, times: Times, body: Body) -> Result<Told, Problem> {
    let arriving = scoring.0.batches.bodies.try_acquire();
    let arriving = arriving.map_err(|_| too_many(BODIES_MAX, "on their way in"))?;
    let body = read_within(BODY_MAX, body, BATCH_BYTES_MAX, too_large).await?;
    let left = check(&body)?;
    // Only now: who sends slowly keeps no room from who is done.
    let room = scoring.0.batches.rooms.clone().try_acquire_owned();
    let room = room.map_err(|_| too_many(BATCHES_MAX, "at work"))?;
    drop(arriving);
    let (tell, lines) = mpsc::channel(UNREAD_MAX);
    let scoring = scoring.clone();
    tokio::task::spawn_blocking(move || {
        score_lines(&scoring, times, &body, &tell);
        drop(room);
    });
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(pass_on(TELLING_MAX, lines, tell));
    Ok(Told { lines: told, left })
}

fn too_many(most: usize, doing: &str) -> Problem {
    let detail = format!("found {most} batches {doing}, expected fewer at once");
    Problem::new(ProblemType::Overloaded, detail)
}

/// Hands the lines to whoever reads the answer, for so long at most: then whoever waits at `lines`
/// hears that nobody reads, as where the reader is gone.
pub(super) async fn pass_on(
    most: Duration,
    mut lines: mpsc::Receiver<Vec<u8>>,
    tell: mpsc::Sender<Vec<u8>>,
) {
    let pass = async {
        while let Some(line) = lines.recv().await {
            if tell.send(line).await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(most, pass).await.is_err() {
        tracing::warn!("a batch was broken off: its answers were read too slowly");
    }
}

/// Scores every line in order, until nobody reads the answers. Blocks; ends early where the
/// reader is gone: of the lines behind, those already in the queue are scored. No line has a
/// deadline: who sends a thousand at once waits for none of them.
pub(super) fn score_lines(
    scoring: &Scoring,
    times: Times,
    body: &[u8],
    tell: &mpsc::Sender<Vec<u8>>,
) {
    let ahead_max = scoring.0.batches.ahead_max;
    let asked = Asked {
        deadline: None,
        times,
    };
    let mut ahead = VecDeque::with_capacity(ahead_max);
    for (number, line) in (1_u32..).zip(lines(body)) {
        if ahead.len() >= ahead_max && !tell_oldest(scoring, &mut ahead, tell) {
            return;
        }
        ahead.push_back(Line {
            number,
            waiting: scoring.enqueue_in_turn(line, asked),
        });
    }
    while !ahead.is_empty() && tell_oldest(scoring, &mut ahead, tell) {}
}

/// A line on its way through the queue, or refused before it.
struct Line {
    /// Its place in the body, from 1.
    number: u32,
    waiting: Result<oneshot::Receiver<Result<Written, Problem>>, Problem>,
}

/// Waits for the oldest line's answer and tells it. `false` where nobody reads any more.
fn tell_oldest(
    scoring: &Scoring,
    ahead: &mut VecDeque<Line>,
    tell: &mpsc::Sender<Vec<u8>>,
) -> bool {
    let Some(Line { number, waiting }) = ahead.pop_front() else {
        return true;
    };
    let outcome = waiting.and_then(|waiting| {
        let answered = waiting.blocking_recv();
        answered.unwrap_or_else(|_| Err(scoring.stopped()))
    });
    tell.blocking_send(text_of(number, outcome)).is_ok()
}

impl Scoring {
    /// Checks a body and puts it into the queue, waiting for a place. Not for asynchronous
    /// callers.
    fn enqueue_in_turn(
        &self,
        body: &[u8],
        asked: Asked,
    ) -> Result<oneshot::Receiver<Result<Written, Problem>>, Problem> {
        let (job, waiting) = self.score_job(body, Instant::now(), asked, Turn::default())?;
        // Counted before the worker can count it out.
        self.0.meters.queued();
        self.send(job).map_err(|_| {
            self.0.meters.taken();
            self.stopped()
        })?;
        Ok(waiting)
    }
}

/// The lines of a body. A newline ends a line, and the last may go without.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Counts the lines.
fn check(body: &[u8]) -> Result<usize, Problem> {
    match lines(body).count() {
        0 => Err(Problem::of_field(
            ProblemType::Schema,
            "body",
            "nothing",
            &format!("1 to {LINES_MAX} lines with a request of /v1/score each"),
        )),
        found @ 1..=LINES_MAX => Ok(found),
        found => Err(Problem::new(
            ProblemType::TooLarge,
            format!("found {found} lines, expected at most {LINES_MAX}"),
        )),
    }
}

fn too_large() -> Problem {
    let detail =
        format!("found more than {BATCH_BYTES_MAX} bytes, expected at most {LINES_MAX} payments");
    Problem::new(ProblemType::TooLarge, detail)
}

/// A line of the answer.
fn text_of(number: u32, outcome: Result<Written, Problem>) -> Vec<u8> {
    let mut text = match outcome {
        Ok(written) => written.into_json(),
        Err(problem) => serde_json::to_vec(&LineProblem {
            line: number,
            problem: &problem,
        })
        .expect("problems have text keys and plain values"),
    };
    text.push(b'\n');
    text
}

/// A refusal of one line of a batch. Places that `detail` tells count within the line.
#[derive(Serialize, ToSchema)]
pub(super) struct LineProblem<'a> {
    /// Which line, from 1.
    #[schema(minimum = 1, maximum = 1000)]
    pub(super) line: u32,
    #[serde(flatten)]
    pub(super) problem: &'a Problem,
}

/// A line of the answer, for who describes it.
pub(super) struct LineAnswer;

impl PartialSchema for LineAnswer {
    fn schema() -> RefOr<Schema> {
        let line = OneOfBuilder::new().item(reference::<Answer>());
        line.item(reference::<LineProblem<'_>>()).into()
    }
}

impl ToSchema for LineAnswer {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Answer>(schemas);
        named::<LineProblem<'_>>(schemas);
    }
}

/// Lines of the answer as they come. Where some are missing it ends as an error, by which the
/// connection breaks: half an answer must not pass for a whole one.
pub(super) struct Told {
    pub(super) lines: mpsc::Receiver<Vec<u8>>,
    /// Lines still to come.
    pub(super) left: usize,
}

impl Stream for Told {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(context).map(|line| match line {
            Some(line) => {
                self.left = self.left.saturating_sub(1);
                Some(Ok(line))
            }
            None if self.left > 0 => {
                self.left = 0;
                Some(Err(io::ErrorKind::TimedOut.into()))
            }
            None => None,
        })
    }
}

/// Payments of one batch: what the worker judges in a fraction of a second.
pub(super) const LINES_MAX: usize = 1_000;
/// A thousand payments with every field and full extras, some 10 KiB each, and half as much again.
/// A line of its own may have as many bytes as a single request.
pub(super) const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bodies on their way in at once: 128 MiB together.
const BODIES_MAX: usize = 8;
/// Batches at once: their bodies take 64 MiB together, and each a thread.
pub(super) const BATCHES_MAX: usize = 4;
/// Lines of one batch in the queue: of four batches as many as share one flush of the journal, so
/// that a single request waits for little more than one flush.
const AHEAD_MAX: usize = 16;
/// From a whole body to the last line of the answer, a few MiB: for a reader at 50 kB/s.
const TELLING_MAX: Duration = Duration::from_secs(120);
/// Answers that wait for a slow reader; then the batch waits too.
const UNREAD_MAX: usize = 16;
