//! One feed of the stream, a batch after the other: taken in the stream's order, put into the
//! scoring queue, answered, published, and only then acknowledged. A message that was taken and not
//! acknowledged, whatever ended it, is delivered again and answered from the journal.
//!
//! A batch is always gone through to its end, unless the link went: so an agent that is told to
//! leave owes the stream nothing.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::{AckKind, Context, Message};
use futures_core::Stream as _;
use host::shutdown::Shutdown;
use tokio::sync::{oneshot, watch};

use super::letter::{Letter, Place, refused};
use super::meters::{Ended, Meters};
use super::order::Order;
use super::verdict::{BUSY, Verdict};
use super::{Link, REQUEST_MAX};
use crate::config::nats::NatsConfig;
use crate::scoring::{Answer, Problem, Scoring, Written};

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    Payments,
    Labels,
}

/// Takes one feed.
pub(super) struct Pump {
    feed: Feed,
    config: Arc<NatsConfig>,
    scoring: Scoring,
    jetstream: Context,
    link: watch::Receiver<Link>,
    meters: Meters,
    order: Order,
}

/// A payment on its way.
enum Going {
    /// In the queue.
    Queued(oneshot::Receiver<Result<Written, Problem>>),
    /// Refused before it.
    Stopped(Problem),
    /// Somebody before it is still to come.
    Held,
}

/// Something published, and the message that is acknowledged once the stream has all of it.
struct Posted {
    message: Message,
    ended: Ended,
    posts: Vec<PublishAckFuture>,
}

impl Pump {
    pub(super) fn new(
        feed: Feed,
        config: &Arc<NatsConfig>,
        scoring: &Scoring,
        jetstream: &Context,
        (link, meters): (&watch::Receiver<Link>, &Meters),
    ) -> Self {
        Self {
            feed,
            config: Arc::clone(config),
            scoring: scoring.clone(),
            jetstream: jetstream.clone(),
            link: link.clone(),
            meters: meters.clone(),
            order: Order::default(),
        }
    }

    /// Works until the process is to leave.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        let mut pause = PAUSE_MIN;
        while !shutdown.is_triggered() {
            let began = Instant::now();
            let Err(error) = self.take(shutdown).await else {
                continue;
            };
            // Without a link everything fails, and the link has said so.
            if self.link.borrow().is_up {
                tracing::warn!(feed = self.feed.word(), %error, "the stream is tried again");
            }
            if began.elapsed() > STEADY {
                pause = PAUSE_MIN;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.triggered() => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Takes batches as long as the link is the same one.
    async fn take(&mut self, shutdown: &Shutdown) -> Result<(), async_nats::Error> {
        tokio::select! {
            up = self.link.wait_for(|link| link.is_up) => drop(up?),
            () = shutdown.triggered() => return Ok(()),
        }
        let link = *self.link.borrow_and_update();
        let consumer = self.consumer().await?;
        self.order = Order::default();
        let found = consumer.cached_info();
        self.meters.lag(self.feed.word(), found.num_pending);
        if found.num_ack_pending > 0 {
            // What somebody took and did not acknowledge is older than what comes next. The server
            // delivers it first, but not before it has given up on them.
            tokio::select! {
                () = tokio::time::sleep(self.config.ack_wait + MARGIN) => {}
                () = shutdown.triggered() => return Ok(()),
                changed = self.link.changed() => return Ok(changed?),
            }
        }
        while !shutdown.is_triggered() && *self.link.borrow() == link {
            let asked = consumer.batch().max_messages(self.at_once());
            let asked = asked.max_bytes(BATCH_BYTES_MAX).expires(BATCH_WAIT);
            let mut batch = asked.messages().await?;
            self.go_through(&mut batch).await?;
        }
        Ok(())
    }

    /// The durable consumer, made where it is not there.
    async fn consumer(&self) -> Result<PullConsumer, async_nats::Error> {
        let (durable, filter) = match self.feed {
            Feed::Payments => (
                self.config.durable.clone(),
                format!("{}.>", self.config.txn_in),
            ),
            Feed::Labels => {
                let durable = format!("{}-labels", self.config.durable);
                (durable, self.config.label_in.clone())
            }
        };
        let config = Config {
            durable_name: Some(durable),
            description: Some("phalanx-agent".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.ack_wait,
            filter_subject: filter,
            max_ack_pending: i64::try_from(self.at_once()).unwrap_or(i64::MAX),
            ..Config::default()
        };
        let stream = self.config.stream.as_str();
        Ok(self
            .jetstream
            .create_consumer_on_stream(config, stream)
            .await?)
    }

    fn at_once(&self) -> usize {
        let payments = usize::from(self.config.in_flight_max);
        match self.feed {
            Feed::Payments => payments,
            Feed::Labels => payments.min(LABELS_AT_ONCE),
        }
    }

    /// Handles what has come, as often as something has, until the batch ends or the link changes.
    async fn go_through(&mut self, batch: &mut Batch) -> Result<(), async_nats::Error> {
        loop {
            let first = tokio::select! {
                // What comes over another link may be younger than what was lost with this one.
                biased;
                changed = self.link.changed() => return Ok(changed?),
                first = next(batch) => first,
            };
            let Some(first) = first else {
                return Ok(());
            };
            let (mut come, mut failed) = (vec![first?], None);
            while let Some(Some(message)) = at_hand(batch).await {
                match message {
                    Ok(message) => come.push(message),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let behind = come.last().map(Place::of).transpose()?;
            match self.feed {
                Feed::Payments => self.handle_payments(come).await?,
                Feed::Labels => self.handle_labels(come).await?,
            }
            self.meters
                .lag(self.feed.word(), behind.map_or(0, |place| place.behind));
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    async fn handle_payments(&mut self, come: Vec<Message>) -> Result<(), async_nats::Error> {
        let mut going = Vec::with_capacity(come.len());
        for message in come {
            let place = Place::of(&message)?;
            let way = self.let_through(&message, place);
            going.push((message, place, way));
        }
        let mut posted = Vec::new();
        for (message, place, way) in going {
            let outcome = match way {
                Going::Queued(waiting) => {
                    let told = waiting.await;
                    told.unwrap_or_else(|_| Err(self.scoring.stopped()))
                }
                Going::Stopped(problem) => Err(problem),
                Going::Held => {
                    self.give_back(&message, place, BUSY).await?;
                    continue;
                }
            };
            let from = (&message, place);
            let (letter, ended) = match (Verdict::of_payment(&outcome), outcome) {
                (Verdict::GivenBack(span), _) => {
                    self.give_back(&message, place, span).await?;
                    continue;
                }
                (_, Ok(written)) => {
                    let ended = ended(written.answer());
                    (Letter::decision(&self.config, from, written), ended)
                }
                (_, Err(problem)) => {
                    let letter = Letter::refusal(&self.config, from, (0, &problem));
                    (letter, Ended::Refused)
                }
            };
            posted.push(self.post(message, ended, vec![letter]).await?);
        }
        self.acknowledge(posted).await
    }

    /// Puts a payment into the queue, unless somebody before it is still to come.
    fn let_through(&mut self, message: &Message, place: Place) -> Going {
        let now = Instant::now();
        if !self.order.is_next(now, place.sequence) {
            return Going::Held;
        }
        match self.scoring.enqueue(&message.payload, now) {
            Ok(waiting) => {
                self.order.went(place.sequence);
                Going::Queued(waiting)
            }
            Err(problem) => {
                if problem.kind.is_passing() {
                    self.order.gave_back(now, place.sequence);
                } else {
                    self.order.went(place.sequence);
                }
                Going::Stopped(problem)
            }
        }
    }

    /// One after the other: a list of labels is a thousand of them.
    async fn handle_labels(&self, come: Vec<Message>) -> Result<(), async_nats::Error> {
        for message in come {
            let place = Place::of(&message)?;
            let stamped = Some(place.published_ms);
            let outcome = self.scoring.take_labels(stamped, &message.payload).await;
            let posted = match Verdict::of_labels(&outcome, place.deliveries) {
                Verdict::GivenBack(span) => {
                    self.meters.ended(Ended::GivenBack);
                    message.ack_with(AckKind::Nak(Some(span))).await?;
                    continue;
                }
                Verdict::Kept | Verdict::Decided => {
                    self.post(message, Ended::Labelled, Vec::new()).await?
                }
                Verdict::Refused => {
                    let from = (&message, place);
                    let refused = refused(&outcome).into_iter();
                    let letters =
                        refused.map(|problem| Letter::refusal(&self.config, from, problem));
                    let letters = letters.collect();
                    self.post(message, Ended::Refused, letters).await?
                }
            };
            self.acknowledge(vec![posted]).await?;
        }
        Ok(())
    }

    async fn give_back(
        &mut self,
        message: &Message,
        place: Place,
        span: Duration,
    ) -> Result<(), async_nats::Error> {
        self.order.gave_back(Instant::now(), place.sequence);
        self.meters.ended(Ended::GivenBack);
        message.ack_with(AckKind::Nak(Some(span))).await
    }

    /// Sends what a message led to. Many are sent before the first is waited for.
    async fn post(
        &self,
        message: Message,
        ended: Ended,
        letters: Vec<Letter>,
    ) -> Result<Posted, async_nats::Error> {
        let mut posts = Vec::with_capacity(letters.len());
        for Letter { subject, message } in letters {
            posts.push(self.jetstream.send_publish(subject, message).await?);
        }
        Ok(Posted {
            message,
            ended,
            posts,
        })
    }

    /// Acknowledges every message whose letters the stream has. The first letter that it does not
    /// take ends this, once the others are through: their messages are delivered again.
    async fn acknowledge(&self, posted: Vec<Posted>) -> Result<(), async_nats::Error> {
        let until = tokio::time::Instant::now() + REQUEST_MAX;
        let mut failed = None;
        for Posted {
            message,
            ended,
            posts,
        } in posted
        {
            match arrived(posts, until).await {
                Ok(()) => {
                    message.ack().await?;
                    self.meters.ended(ended);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Feed {
    fn word(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Labels => "labels",
        }
    }
}

fn ended(answer: &Answer) -> Ended {
    match (&answer.decision_id, answer.replayed) {
        (None, _) => Ended::Whatif,
        (Some(_), true) => Ended::Replayed,
        (Some(_), false) => Ended::Scored,
    }
}

/// Waits for the stream's word on each; one wait for all, since a server that is away is away for
/// each of them.
async fn arrived(
    posts: Vec<PublishAckFuture>,
    until: tokio::time::Instant,
) -> Result<(), async_nats::Error> {
    for post in posts {
        tokio::time::timeout_at(until, post.into_future()).await??;
    }
    Ok(())
}

/// The next message; nothing where the batch has ended.
async fn next(batch: &mut Batch) -> Option<Result<Message, async_nats::Error>> {
    poll_fn(|context| Pin::new(&mut *batch).poll_next(context)).await
}

/// The next message if it has come; nothing in it where the batch has ended.
async fn at_hand(batch: &mut Batch) -> Option<Option<Result<Message, async_nats::Error>>> {
    poll_fn(|context| match Pin::new(&mut *batch).poll_next(context) {
        Poll::Ready(come) => Poll::Ready(Some(come)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A list of labels has up to a mebibyte.
const LABELS_AT_ONCE: usize = 16;

/// No message may be larger than the largest that a server can be told to take, 64 MiB, with its
/// headers: one that never fits would stand in the way for good. The door refuses what is larger
/// than its own bounds. A full batch of payments takes 16 MiB.
const BATCH_BYTES_MAX: usize = 72 << 20;

/// How long the server keeps a batch open; so long an agent without work takes to leave.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// Beyond the server's own wait: its clock is not ours.
const MARGIN: Duration = Duration::from_secs(1);

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A feed that ran so long before it failed is begun again at once.
const STEADY: Duration = Duration::from_secs(60);
