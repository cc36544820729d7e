//! Who keeps the snapshot new: a thread that loads the last one, replays what the journal got
//! since, writes the next one and forgets it. The worker that scores knows nothing of it and never
//! waits for it. What a snapshot is, `snapshot.rs` says.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;

use super::{SnapshotError, Snapshots};
use crate::journal::{Follower, Reach};
use crate::scoring::Remembered;

/// A running keeper. Dropping it leaves the last snapshot as it is.
pub(crate) struct Keeper {
    /// `None` only while ending.
    leave: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is counted of state that survives; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Meters {
    age: Gauge<f64, AtomicU64>,
    recovery: Gauge<f64, AtomicU64>,
    bytes: Gauge<u64, AtomicU64>,
}

/// What the thread has.
struct Work {
    snapshots: Snapshots,
    journal: Follower,
    /// What the start could not save: until there is a snapshot, the next one goes on from it.
    unsaved: Option<Box<Remembered>>,
    /// Where the last snapshot stands.
    place: Option<Reach>,
    meters: Meters,
}

impl Keeper {
    /// Starts the thread; it makes a snapshot `every` so often, if anything was journaled since, or
    /// the start left something `unsaved`.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(crate) fn start(
        every: Duration,
        (snapshots, unsaved): (Snapshots, Option<Box<Remembered>>),
        journal: Follower,
        meters: Meters,
    ) -> std::io::Result<Self> {
        let (leave, left) = sync_channel(1);
        let mut work = Work {
            snapshots,
            journal,
            unsaved,
            place: None,
            meters,
        };
        let thread = std::thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || work.run(every, &left))?;
        Ok(Self {
            leave: Some(leave),
            thread: Some(thread),
        })
    }

    /// Makes a last snapshot, and ends. Whoever writes the journal has made everything durable.
    pub(crate) fn end(self) {
        if let Some(leave) = &self.leave {
            // A thread that panicked has said so itself.
            let _ = leave.send(());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.leave = None;
        if let Some(thread) = self.thread.take() {
            // Likewise.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn run(&mut self, every: Duration, left: &Receiver<()>) {
        let mut made = Instant::now();
        loop {
            if let Some(age) = self.snapshots.age() {
                self.meters.age.set(age.as_secs_f64());
            }
            match left.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {
                    if made.elapsed() >= every {
                        self.renew();
                        made = Instant::now();
                    }
                }
                Ok(()) => return self.renew(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn renew(&mut self) {
        let began = Instant::now();
        match self.try_renew() {
            Ok(Some(place)) => {
                let seconds = began.elapsed().as_secs_f64();
                let (payments, labels) = (place.entries, place.labels);
                tracing::info!(payments, labels, seconds, "snapshot made");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no snapshot was made; the last one stays"),
        }
    }

    /// Makes the next snapshot, and says where it stands; nothing where it would be the last one.
    fn try_renew(&mut self) -> Result<Option<Reach>, SnapshotError> {
        if self.place == Some(self.journal.reach()) {
            return Ok(None);
        }
        // A copy: what failed in the middle of the journal could not go on.
        let found = match &self.unsaved {
            Some(unsaved) => Some(Remembered::clone(unsaved)),
            None => self.snapshots.load(&self.journal)?,
        };
        let mut remembered = found.ok_or(SnapshotError::Missing)?;
        let before = remembered.place();
        remembered.catch_up(self.journal.clone())?;
        let place = remembered.place();
        let is_new = place != before || self.unsaved.is_some();
        if is_new {
            let bytes = self.snapshots.save(&remembered, &self.journal)?;
            self.meters.profiles(bytes);
            self.unsaved = None;
        }
        self.place = Some(place);
        Ok(is_new.then_some(place))
    }
}

impl Meters {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let meters = Self::default();
        telemetry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("phalanx");
            registry.register(
                "state_snapshot_age_seconds",
                "Since the snapshot that a restart would begin from became durable",
                meters.age.clone(),
            );
            registry.register(
                "state_recovery_seconds",
                "From the start until payments could be judged",
                meters.recovery.clone(),
            );
            registry.register(
                "profile_bytes",
                "Bytes of all profiles in the last snapshot",
                meters.bytes.clone(),
            );
        });
        meters
    }

    pub(crate) fn recovered(&self, took: Duration) {
        self.recovery.set(took.as_secs_f64());
    }

    pub(crate) fn profiles(&self, bytes: u64) {
        self.bytes.set(bytes);
    }
}

/// How often the thread looks whether it is time.
const LOOK: Duration = Duration::from_secs(5);
