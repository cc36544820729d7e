//! Who keeps the snapshot new: a thread that loads the last one, replays what the journal got
//! since, writes the next one and forgets it. The worker that scores knows nothing of it and never
//! waits for it. What a snapshot is, `snapshot.rs` says.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::telemetry::Telemetry;
use host::telemetry::prometheus_client::metrics::gauge::Gauge;
use host::workers;

use super::{SnapshotError, Snapshots};
use crate::journal::{Follower, Reach};
use crate::scoring::{Beside, Part, Remembered};

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
    beside: Beside,
}

/// What the thread has.
struct Work {
    snapshots: Snapshots,
    journal: Follower,
    /// What the start could not save: until there is a snapshot, the next one goes on from it.
    unsaved: Option<Box<Remembered>>,
    /// Where the last snapshot stands.
    place: Option<Reach>,
    /// How old the last one was at a moment: the machine's clock is asked once, as it may be set.
    age: Option<(Duration, Instant)>,
    /// Why the last try made none.
    refused: Option<String>,
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
        let of_start = |_| "the start could not write it".to_owned();
        let mut work = Work {
            snapshots,
            journal,
            refused: unsaved.as_ref().map(of_start),
            unsaved,
            place: None,
            age: None,
            meters,
        };
        let thread = workers::behind("snapshots", move || work.run(every, &left))?;
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
        self.age = self.snapshots.age().map(|age| (age, made));
        loop {
            self.tell();
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
                (self.age, self.refused) = (Some((Duration::ZERO, Instant::now())), None);
            }
            Ok(None) => self.refused = None,
            Err(error) => {
                tracing::warn!(%error, "no snapshot was made; the last one stays");
                self.refused = Some(error.to_string());
            }
        }
    }

    /// Says how old the last snapshot is, and whether the next one can be made.
    fn tell(&self) {
        let age = self.age.map(|(age, since)| age + since.elapsed());
        let last = match age {
            Some(age) => format!("the last one is {} s old", age.as_secs()),
            None => "there is none".to_owned(),
        };
        if let Some(age) = age {
            self.meters.age.set(age.as_secs_f64());
        }
        let found = match &self.refused {
            Some(why) => Err(format!("{last}, and the next was not made: {why}")),
            None => Ok(last),
        };
        self.meters.beside.tell(Part::Snapshot, found);
    }

    /// Makes the next snapshot, and says where it stands; nothing where it would be the last one.
    fn try_renew(&mut self) -> Result<Option<Reach>, SnapshotError> {
        if self.place == Some(self.journal.reach()) {
            return Ok(None);
        }
        // The state is large, and the worker has it too: what cannot be saved is not copied, but
        // goes on from where it has come to.
        if let Some(mut unsaved) = self.unsaved.take() {
            let made = self.make(&mut unsaved, None);
            if made.is_err() {
                self.unsaved = Some(unsaved);
            }
            return made;
        }
        let loaded = self.snapshots.load(&self.journal)?;
        let mut loaded = loaded.ok_or(SnapshotError::Missing)?;
        let saved = loaded.place();
        self.make(&mut loaded, Some(saved))
    }

    /// Brings what is remembered up to the journal, and saves it unless the last snapshot, which
    /// stands at `saved`, has as much.
    fn make(
        &mut self,
        remembered: &mut Remembered,
        saved: Option<Reach>,
    ) -> Result<Option<Reach>, SnapshotError> {
        remembered.catch_up(self.journal.clone())?;
        let place = remembered.place();
        let is_new = saved != Some(place);
        if is_new {
            let bytes = self.snapshots.save(remembered, &self.journal)?;
            self.meters.profiles(bytes);
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

    /// The same, which also say in `GET /healthz` whether snapshots are made.
    pub(crate) fn telling(self, beside: Beside) -> Self {
        Self { beside, ..self }
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;
    use crate::snapshot::DRAFT;
    use crate::snapshot::tests::{sample, whole};

    // A draft that is a folder is what a full disk is: no file can be written. The last snapshot
    // stays, and is told with its age, which a clock set back does not hide.
    #[test]
    fn a_keeper_that_can_make_no_snapshot_says_so_and_how_old_the_last_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshots, journal) = sample(folder.path(), 100);
        let (telemetry, beside) = (Telemetry::default(), Beside::default());
        let ahead = SystemTime::now() + Duration::from_secs(7_200);
        let file = File::options().append(true).open(snapshots.path()).unwrap();
        file.set_modified(ahead).unwrap();
        assert_eq!(snapshots.age(), Some(Duration::ZERO));
        let mut work = Work {
            unsaved: Some(Box::new(whole(&journal.follow()))),
            journal: journal.follow(),
            place: None,
            age: snapshots.age().map(|age| (age, Instant::now())),
            refused: None,
            meters: Meters::new(&telemetry).telling(beside.clone()),
            snapshots,
        };
        let tell = |work: &mut Work| {
            work.renew();
            work.tell();
            beside.of(Part::Snapshot)
        };
        let draft = folder.path().join(DRAFT);
        std::fs::create_dir(&draft).unwrap();
        let why = tell(&mut work).unwrap_err();
        assert!(
            why.starts_with("the last one is 0 s old, and the next"),
            "{why}"
        );
        // What could not be saved is kept for the next try.
        assert!(work.unsaved.is_some());
        work.age = Some((Duration::from_secs(7_000), Instant::now()));
        let why = tell(&mut work).unwrap_err();
        assert!(why.starts_with("the last one is 70"), "{why}");
        let shown = telemetry.render();
        assert!(
            shown.contains("phalanx_state_snapshot_age_seconds 70"),
            "{shown}"
        );
        std::fs::remove_dir(&draft).unwrap();
        assert_eq!(tell(&mut work), Ok("the last one is 0 s old".to_owned()));
        assert!(work.unsaved.is_none());
    }
}
