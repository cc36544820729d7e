//! Load from this process, on one thread: closed loops, where every connection asks as soon as it
//! is answered, and open ones, where payments come by the clock whatever the agent does. There a
//! latency counts from the moment at which the payment was due, so a wait of the agent, or of this
//! generator, hides nothing (coordinated omission, Tene 2013).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::stage::Load;
use crate::{histogram, nanoseconds};

/// Asks one agent; its payments have numbers of their own. Clones count on together.
#[derive(Clone)]
pub(crate) struct Generator {
    address: SocketAddr,
    load: Arc<Load>,
    next: Arc<AtomicU64>,
}

/// What came of a stage.
pub(crate) struct Told {
    /// Nanoseconds from when a payment was due, or in a closed loop sent, to its answer.
    pub(crate) latency: Histogram<u64>,
    /// Nanoseconds from when a payment was due to when it was sent.
    pub(crate) late: Histogram<u64>,
    /// Answers that were refusals.
    pub(crate) refused: u64,
    /// Payments that found no connection before the stage ended; they are among the latencies with
    /// what they had waited by then.
    pub(crate) unanswered: u64,
    /// From the first payment to the last answer.
    pub(crate) span: Duration,
}

impl Generator {
    pub(crate) fn new(address: SocketAddr, load: Arc<Load>) -> Self {
        Self {
            address,
            load,
            next: Arc::default(),
        }
    }

    /// So many connections, each of which always waits for one answer.
    pub(crate) fn closed_loop(&self, connections: u32, span: Duration) -> Told {
        run(async {
            let mut open = self.open(connections).await?;
            let begun = Instant::now();
            let mut asked = JoinSet::new();
            while let Some(mut connection) = open.pop() {
                let asker = self.clone();
                asked.spawn(async move {
                    let mut told = Told::nothing();
                    while begun.elapsed() < span {
                        let due = Instant::now();
                        asker.ask(&mut connection, due, &mut told).await?;
                    }
                    io::Result::Ok(told)
                });
            }
            collected(asked, begun).await
        })
    }

    /// So many payments a second for so long, spread evenly, over as many connections as ever are
    /// needed at once.
    pub(crate) fn open_loop(&self, rate: u32, span: Duration) -> Told {
        run(async {
            let mut open = self.open(CONNECTIONS).await?;
            let (tell, arrivals) = unbounded_channel();
            // For whichever connection is free.
            let arrivals = Arc::new(Mutex::new(arrivals));
            let begun = Instant::now() + LEAD;
            let mut asked = JoinSet::new();
            while let Some(mut connection) = open.pop() {
                let (asker, arrivals) = (self.clone(), Arc::clone(&arrivals));
                asked.spawn(async move {
                    let mut told = Told::nothing();
                    // An agent that is too slow would be waited for without end.
                    while begun.elapsed() < span + PATIENCE {
                        let Some(due) = arrivals.lock().await.recv().await else {
                            break;
                        };
                        asker.ask(&mut connection, due, &mut told).await?;
                    }
                    io::Result::Ok(told)
                });
            }
            let pacer = std::thread::spawn(move || pace(begun, (rate, span), &tell));
            let mut told = collected(asked, begun).await?;
            let mut left = arrivals.lock().await;
            while let Ok(due) = left.try_recv() {
                told.unanswered += 1;
                told.latency.saturating_record(nanoseconds(due.elapsed()));
            }
            pacer.join().expect("the pacer only sleeps and sends");
            Ok(told)
        })
    }

    async fn open(&self, connections: u32) -> io::Result<Vec<Connection>> {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(Connection::open(self.address).await?);
        }
        Ok(open)
    }

    /// Asks for the next payment, which was due at this moment.
    async fn ask(
        &self,
        connection: &mut Connection,
        due: Instant,
        told: &mut Told,
    ) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        told.late.saturating_record(nanoseconds(due.elapsed()));
        let status = connection.ask(&self.load, number).await?;
        told.latency.saturating_record(nanoseconds(due.elapsed()));
        told.refused += u64::from(status != 200);
        Ok(())
    }
}

impl Told {
    fn nothing() -> Self {
        Self {
            latency: histogram(),
            late: histogram(),
            refused: 0,
            unanswered: 0,
            span: Duration::ZERO,
        }
    }
}

/// Says when payments are due. A thread sleeps to within a tenth of a millisecond, where the
/// runtime's timers only know whole ones; what it comes late is in the latencies.
fn pace(begun: Instant, (rate, span): (u32, Duration), tell: &UnboundedSender<Instant>) {
    let payments = u64::from(rate) * span.as_secs();
    for number in 0..payments {
        let due = begun + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        let ahead = due.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        if tell.send(due).is_err() {
            return;
        }
    }
}

/// One stage, on this thread.
fn run(stage: impl Future<Output = io::Result<Told>>) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had");
    let told = runtime.block_on(async { tokio::time::timeout(STAGE_MAX, stage).await });
    let told = told.expect("the agent answers");
    told.expect("the agent keeps its connections")
}

/// All that the connections heard.
async fn collected(mut asked: JoinSet<io::Result<Told>>, begun: Instant) -> io::Result<Told> {
    let mut all = Told::nothing();
    while let Some(told) = asked.join_next().await {
        let told = told.expect("a connection does not panic")?;
        for (all, one) in [
            (&mut all.latency, &told.latency),
            (&mut all.late, &told.late),
        ] {
            all.add(one).expect("the bounds are the same");
        }
        all.refused += told.refused;
    }
    all.span = begun.elapsed();
    Ok(all)
}

/// Connections of an open loop: above what any rate needs, below what the agent lets wait.
const CONNECTIONS: u32 = 64;

/// From the order to the first payment: every connection waits by then.
const LEAD: Duration = Duration::from_millis(50);

/// What an agent that fell behind is given to catch up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Far above what a stage takes: a silent agent ends the program.
const STAGE_MAX: Duration = Duration::from_secs(30);
