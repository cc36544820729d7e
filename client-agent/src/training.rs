//! The learning worker: orders of the federation in, contributions out, results put to use. One
//! thread of its own, so that no payment waits for a gradient. What is computed is
//! `training/trainer.rs`; here is only whose turn it is.
//!
//! The client knows one running attempt, so of several waiting orders only the newest counts.
//! The bank's own models are trained between them, a round's worth at a time.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use host::workers;
use protocol::bucket::BucketKey;
use protocol::client::{Installed, Order, Outcome};
use tokio::sync::oneshot;

use crate::config::Share;
use crate::courtesy;

mod calibration;
mod lately;
mod schedule;
mod solo;
mod solved;
mod trainer;
mod window;

pub(crate) use trainer::Promotion;
pub use trainer::{Product, Trainer, TrainingError};

/// The worker's handle. Dropping it ends the work after what is being done.
#[derive(Debug)]
pub struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Contribute(Box<Order>),
    Install(Box<Installed>),
    Keep(BucketKey),
    /// What was waiting before is of the last run; dropped once that is done.
    Restored(oneshot::Sender<()>),
}

impl Worker {
    /// Starts the thread behind others; its share of the processor, where the system gives it that,
    /// it takes once it is [`restored`](Self::restored). `answer` takes what came of an order,
    /// `deliver` what scoring should have from now on; both are called on the worker's thread.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(
        mut trainer: Trainer,
        share: Share,
        mut answer: impl FnMut(Outcome) + Send + 'static,
        mut deliver: impl FnMut(Product) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let thread = thread::Builder::new().name("training".to_owned());
        let thread = thread.spawn(move || {
            settle_in();
            run(&mut trainer, &queue, share, (&mut answer, &mut deliver));
        })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Begins an order. `false` where the worker is gone and nobody will answer.
    #[must_use]
    pub fn contribute(&self, order: Box<Order>) -> bool {
        self.send(Job::Contribute(order))
    }

    /// Puts a result to use, in its turn. `false` where the worker is gone.
    #[must_use]
    pub fn install(&self, installed: Installed) -> bool {
        self.send(Job::Install(Box::new(installed)))
    }

    /// Reads risk counts under this key, in its turn. `false` where the worker is gone.
    #[must_use]
    pub fn keep(&self, key: BucketKey) -> bool {
        self.send(Job::Keep(key))
    }

    /// What was handed over so far is of the last run, and payments may be waiting for it: it is
    /// done before the thread keeps to its share. Ends then, or where the worker is gone.
    pub fn restored(&self) -> impl Future<Output = ()> + use<> {
        let (mark, passed) = oneshot::channel();
        self.send(Job::Restored(mark));
        async {
            let _ = passed.await;
        }
    }

    fn send(&self, job: Job) -> bool {
        self.jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// What a thread that trains does first, so that scoring beside it has the rest of the machine: one
/// thread for each operation, which is also the fastest on networks this small.
pub fn settle_in() {
    model::threads(1);
}

/// What it does once what it knew at the start is put to use: it stands behind whoever answers
/// payments, and takes its share of the processor.
///
/// # Errors
/// Where the system has no idle class or refuses it; the thread stands behind all the same.
pub fn keep_to(share: Share) -> std::io::Result<()> {
    workers::go_behind();
    match share {
        Share::Behind => Ok(()),
        Share::Idle => workers::only_idle(),
    }
}

fn run(
    trainer: &mut Trainer,
    queue: &Receiver<Job>,
    share: Share,
    (answer, deliver): (&mut dyn FnMut(Outcome), &mut dyn FnMut(Product)),
) {
    let mut waiting = VecDeque::new();
    // After a restart much may be waiting: better read before an order waits for it.
    trainer.catch_up();
    loop {
        if waiting.is_empty() && !trainer.has_solo_work() {
            match wait(trainer, queue) {
                Some(job) => waiting.push_back(job),
                None => return,
            }
        }
        loop {
            match queue.try_recv() {
                Ok(job) => waiting.push_back(job),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        match waiting.pop_front() {
            Some(Job::Install(installed)) => {
                trainer.catch_up();
                let product = trainer.install(&installed);
                product.into_iter().for_each(&mut *deliver);
            }
            Some(Job::Restored(mark)) => {
                if let Err(error) = keep_to(share) {
                    tracing::warn!(
                        %error,
                        "found no idle class, expected one for training.only_idle: training takes \
                         its turn behind others"
                    );
                }
                if let Some(journal) = trainer.journal() {
                    courtesy::begin(journal.clone());
                }
                drop(mark);
            }
            Some(Job::Keep(key)) => trainer.keep(key).into_iter().for_each(&mut *deliver),
            Some(Job::Contribute(order)) if !is_superseded(&waiting) => {
                trainer.catch_up();
                let contribution = trainer
                    .contribute(&order)
                    .map_err(|error| error.to_string());
                answer(Outcome {
                    context: order.context,
                    contribution,
                });
            }
            // Its attempt is over, or another would not be waiting.
            Some(Job::Contribute(_)) => {}
            None => trainer.advance_solo().into_iter().for_each(&mut *deliver),
        }
    }
}

/// The next job, or none where nobody is left to give one. Live payments that the disk refused are
/// asked for again meanwhile: a round may be days away.
fn wait(trainer: &mut Trainer, queue: &Receiver<Job>) -> Option<Job> {
    while let Some(pause) = trainer.pause() {
        match queue.recv_timeout(pause) {
            Ok(job) => return Some(job),
            Err(RecvTimeoutError::Timeout) => trainer.catch_up(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    queue.recv().ok()
}

fn is_superseded(waiting: &VecDeque<Job>) -> bool {
    waiting.iter().any(|job| matches!(job, Job::Contribute(_)))
}

#[cfg(test)]
pub(crate) mod tests;
