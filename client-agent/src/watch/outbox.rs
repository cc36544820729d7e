//! Alarms on their way to the bank's stream. They lie on disk until the stream has confirmed them,
//! so that neither a restart nor a server that is away loses one. The watch puts in and waits for
//! no server; `nats/alerts.rs` takes out. What is put in is decided in `telling.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::disk::{DiskError, Store, Table};
use tokio::sync::Notify;

use super::alarm::Alarms;
use super::telling::{AlarmEvent, Kept, Telling};
use super::watching::Evaluation;

/// Where the watch leaves what is to be told; clones share it.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Inner>);

struct Inner {
    telling: Mutex<Telling>,
    changed: Notify,
    left_out: AtomicU64,
    store: Store,
    table: Table,
}

impl Outbox {
    /// With what earlier runs left in `store`. Of another format, or damaged, it is left: then
    /// alarms that are open are told anew.
    ///
    /// # Errors
    /// [`DiskError`] where the store cannot be read.
    pub(crate) fn open(store: &Store, bank: &str) -> Result<Self, DiskError> {
        let table = store.table(TABLE)?;
        let found = table.get(KEPT)?.unwrap_or_default();
        let kept = match found.split_first() {
            None => Kept::default(),
            Some((&VERSION, text)) => serde_json::from_slice(text).unwrap_or_else(|error| {
                tracing::warn!(
                    %error,
                    "what was told of alarms is damaged: open ones are told anew"
                );
                Kept::default()
            }),
            Some((found, _)) => {
                tracing::warn!(
                    found,
                    expected = VERSION,
                    "what was told of alarms has another format: open ones are told anew"
                );
                Kept::default()
            }
        };
        Ok(Self(Arc::new(Inner {
            telling: Mutex::new(Telling::new(bank, kept)),
            changed: Notify::new(),
            left_out: AtomicU64::new(0),
            store: store.clone(),
            table,
        })))
    }

    /// Takes in an evaluation and the alarms after it.
    pub(super) fn weigh(&self, evaluation: &Evaluation, alarms: &Alarms) {
        self.change(|telling| telling.weigh(evaluation, alarms));
    }

    /// The past is read; from here on alarms are told.
    pub(super) fn caught_up(&self, alarms: &Alarms) {
        self.change(|telling| telling.caught_up(alarms));
    }

    /// The oldest that the stream has not confirmed, as soon as there is one.
    pub(crate) async fn first(&self) -> AlarmEvent {
        loop {
            let first = self.telling().first().cloned();
            if let Some(first) = first {
                return first;
            }
            self.0.changed.notified().await;
        }
    }

    /// The stream has it: no later run tells it again. Waits for the disk.
    pub(crate) fn confirmed(&self, alert_id: &str) {
        self.change(|telling| telling.confirmed(alert_id));
    }

    /// How many turns found no room since this was asked last.
    pub(crate) fn take_left_out(&self) -> u64 {
        self.0.left_out.swap(0, Ordering::Relaxed)
    }

    /// Keeps what a change leads to, before anybody hears of it.
    fn change(&self, change: impl FnOnce(&mut Telling) -> bool) {
        let mut telling = self.telling();
        let has_changed = change(&mut telling);
        let left_out = telling.take_left_out();
        let written = has_changed.then(|| self.write(telling.kept()));
        drop(telling);
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "alerts were left out: too many wait for the stream"
            );
            self.0.left_out.fetch_add(left_out, Ordering::Relaxed);
        }
        let Some(written) = written else { return };
        if let Err(error) = written.and_then(|()| self.0.store.flush()) {
            tracing::warn!(
                %error,
                "what is told of alarms is not kept: a restart may tell it again"
            );
        }
        self.0.changed.notify_one();
    }

    fn write(&self, kept: &Kept) -> Result<(), DiskError> {
        let mut value = vec![VERSION];
        value.extend(serde_json::to_vec(kept).expect("it has text keys and plain values"));
        self.0.table.put(KEPT, &value)
    }

    fn telling(&self) -> MutexGuard<'_, Telling> {
        let telling = self.0.telling.lock();
        telling.unwrap_or_else(PoisonError::into_inner)
    }
}

const TABLE: &str = "watch/told";

/// The one entry. It is written whole: a few hundred bytes an alarm, some times a month.
const KEPT: &[u8] = b"kept";

/// Format of the entry, its first byte. A change of meaning is a change of this number.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::super::alarm::{Figure, Rule};
    use super::*;

    /// An agent's life on a store, whose journal is empty.
    struct Life {
        outbox: Outbox,
        alarms: Alarms,
    }

    impl Life {
        fn begin(store: &Store) -> Self {
            let outbox = Outbox::open(store, "bank-1").unwrap();
            let alarms = Alarms::default();
            outbox.caught_up(&alarms);
            Self { outbox, alarms }
        }

        fn evaluate(&mut self, day: i32, change: f64) {
            let figures = vec![Figure::of(Rule::Feature, "channel", change, change)];
            let events = self.alarms.weigh(day, &figures);
            let evaluation = Evaluation {
                day,
                figures,
                events,
            };
            self.outbox.weigh(&evaluation, &self.alarms);
        }

        fn waiting(&self) -> Option<AlarmEvent> {
            self.outbox.telling().first().cloned()
        }
    }

    // Planted faults: a confirmation that is not kept comes again with the next life; an event that
    // is not kept does not.
    #[tokio::test]
    async fn what_the_stream_has_not_confirmed_waits_in_the_next_life_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut life = Life::begin(&store);
        // Whoever sends waits before there is something.
        let sender = life.outbox.clone();
        let waits = tokio::spawn(async move { sender.first().await });
        tokio::task::yield_now().await;
        life.evaluate(1, 0.4);
        life.evaluate(2, 0.4);
        let raised = waits.await.unwrap();

        let life = Life::begin(&store);
        assert_eq!(life.waiting(), Some(raised.clone()));
        assert_eq!(life.outbox.first().await, raised);
        life.outbox.confirmed("another");
        assert_eq!(life.waiting(), Some(raised.clone()));
        life.outbox.confirmed(raised.alert_id());
        assert_eq!(life.waiting(), None);

        // The journal tells the same alarm again.
        let mut life = Life::begin(&store);
        life.evaluate(2, 0.4);
        life.evaluate(3, 0.4);
        assert_eq!(life.waiting(), None);
        life.evaluate(4, 0.0);
        life.evaluate(5, 0.0);
        let cleared = life.waiting().unwrap();
        assert_ne!(cleared.alert_id(), raised.alert_id());
        assert_eq!(life.outbox.take_left_out(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_left() {
        for found in [&b"\x01{\"told\":7}"[..], b"\x02{}"] {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            store.table(TABLE).unwrap().put(KEPT, found).unwrap();
            let mut life = Life::begin(&store);
            assert_eq!(life.waiting(), None);
            life.evaluate(1, 0.4);
            life.evaluate(2, 0.4);
            assert!(life.waiting().is_some());
        }
    }
}
