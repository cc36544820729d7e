//! A bank over real QUIC with a disk of its own: the protocol's client, a known contribution, and
//! a hand on what it says, so that a phase can be held open.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crypto::Digest;
use host::clock::Clock;
use host::disk::{DiskError, RecordLog, Store};
use host::drive::{Body, Input, drive};
use host::identity::{Identity, keep};
use host::quic::{Dialer, Received, Sender};
use host::shutdown::Shutdown;
use protocol::client::consent::Policy;
use protocol::client::{Client, Contribution, Heard, Installed, Outcome, Task};
use protocol::event::ClientEvent;
use protocol::message::ToCoordinator;
use protocol::plan::{Kind, SchemaText, Work};
use protocol::record::ClientRecord;
use protocol::{credential, vector, wire};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What a bank says in a phase, and may be kept from saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// E1.
    KeyBundle,
    /// M1.
    Escrow,
    /// M3.
    Masked,
    /// M5.
    Ack,
    /// M7.
    Reveal,
    /// A question of an audit.
    Audit,
}

/// What a bank shares with the test.
#[derive(Default)]
struct Shared {
    /// Bytes of the frames sent and received, their headers included.
    frames: (u64, u64),
    held: BTreeSet<Said>,
    results: Vec<(Kind, Vec<i32>, u32)>,
    events: Vec<ClientEvent>,
}

/// A running bank; dropping it ends it without a word.
pub struct Bank {
    shared: Arc<Mutex<Shared>>,
    sender: Arc<Mutex<Option<Sender>>>,
    running: Vec<JoinHandle<()>>,
    folder: PathBuf,
    number: u32,
}

/// A policy that allows every kind of plan, for cohorts of four and more, with these schemas and
/// the layout of [`crate::evaluate_plan`].
#[must_use]
pub fn policy(schemas: &[Digest]) -> Policy {
    let evaluate = crate::evaluate_plan(SchemaText(String::new()), 4);
    let layout = evaluate.work.model().map(|model| model.layout.digest());
    Policy {
        kinds: BTreeSet::from([Kind::Pretrain, Kind::Finetune, Kind::Risk, Kind::Evaluate]),
        members_min: 4,
        honest_min: 3,
        colluders_min: Some(1),
        schemas: schemas.iter().copied().collect(),
        layouts: layout.into_iter().collect(),
        rounds_per_day: 100,
        joins_per_epoch_max: 8,
        audit_chunks: 2,
    }
}

impl Bank {
    /// Starts a bank whose every count is `number`, dialling `address` until it is dropped.
    #[must_use]
    pub fn start(folder: &Path, number: u32, address: SocketAddr, policy: Policy) -> Self {
        let identity = Identity::load(folder).expect("an enrolled bank");
        let store = Store::open(&folder.join("store")).expect("a store");
        let mut log = store.log::<ClientRecord>("client").expect("a log");
        let who = credential::Identity {
            credential: identity.credential.clone(),
            key: identity.signing_key(),
            authority: identity.authority,
        };
        let (seed, session) = (
            host::entropy::seed().expect("entropy"),
            identity.authority.session(),
        );
        let kept = keep::load(folder, &session).expect("a sound key");
        let mut client = log
            .recover(|records| Client::recover(who, policy, records, kept.into(), seed))
            .expect("a sound log")
            .expect("recovery");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (inputs, mut received) = mpsc::channel(64);
        let sender = Arc::new(Mutex::new(None));
        let mut body = Hands {
            log,
            sender: Arc::clone(&sender),
            shared: Arc::clone(&shared),
            inputs: inputs.clone(),
            folder: folder.to_owned(),
            session,
            number,
        };
        let carried = tokio::spawn(async move {
            let shutdown = Shutdown::default();
            let clock = Clock::start();
            drive(&mut client, &mut body, &mut received, clock, &shutdown)
                .await
                .expect("a disk");
        });
        let dialer = Dialer::new(&identity).expect("a socket");
        let linked = tokio::spawn(keep_link(
            dialer,
            address,
            Arc::clone(&sender),
            (inputs, Arc::clone(&shared)),
        ));
        Self {
            shared,
            sender,
            running: vec![carried, linked],
            folder: folder.to_owned(),
            number,
        }
    }

    /// Ends it without a word and starts it again from its disk.
    pub async fn kill_and_restart(self, address: SocketAddr, policy: Policy) -> Self {
        let (folder, number) = (self.folder.clone(), self.number);
        self.kill().await;
        Self::start(&folder, number, address, policy)
    }

    /// Ends it without a word.
    pub async fn kill(mut self) {
        for task in self.running.drain(..) {
            task.abort();
            // Aborted is how it was meant to end; then its store is closed.
            let _ = task.await;
        }
    }

    /// Keeps it from saying this until [`Self::release`].
    pub fn hold(&self, said: Said) {
        self.lock(|shared| shared.held.insert(said));
    }

    /// Lets it say everything; what was held is asked for again.
    pub fn release(&self) {
        self.lock(|shared| shared.held.clear());
    }

    /// Results installed so far: kind, payload, banks in the sum.
    #[must_use]
    pub fn results(&self) -> Vec<(Kind, Vec<i32>, u32)> {
        self.lock(|shared| shared.results.clone())
    }

    /// Bytes sent and received over the present link, as QUIC counts them.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().map(Sender::bytes).unwrap_or_default()
    }

    /// Bytes of the frames it sent and received, as the protocol counts them.
    #[must_use]
    pub fn frame_bytes(&self) -> (u64, u64) {
        self.lock(|shared| shared.frames)
    }

    /// Everything it reported.
    #[must_use]
    pub fn events(&self) -> Vec<ClientEvent> {
        self.lock(|shared| shared.events.clone())
    }

    /// Waits until it has reported such an event.
    pub async fn wait_for_event(&self, is_it: impl Fn(&ClientEvent) -> bool) {
        let began = std::time::Instant::now();
        while !self.events().iter().any(&is_it) {
            let (number, events) = (self.number, self.events());
            assert!(
                began.elapsed() < crate::PATIENCE,
                "bank {number}: {events:?}"
            );
            tokio::time::sleep(crate::POLL).await;
        }
    }

    /// Waits until it has installed so many results.
    pub async fn wait_for_results(&self, count: usize) {
        let began = std::time::Instant::now();
        while self.results().len() < count {
            let events = self.events();
            assert!(
                began.elapsed() < crate::PATIENCE,
                "bank {}: {events:?}",
                self.number
            );
            tokio::time::sleep(crate::POLL).await;
        }
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Shared) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// The bank's body.
struct Hands {
    log: RecordLog<ClientRecord>,
    sender: Arc<Mutex<Option<Sender>>>,
    shared: Arc<Mutex<Shared>>,
    inputs: mpsc::Sender<Input<Client>>,
    folder: PathBuf,
    session: Digest,
    number: u32,
}

impl Body<Client> for Hands {
    type Error = DiskError;

    fn persist(&mut self, record: ClientRecord) -> Result<(), DiskError> {
        self.log.append(&record)
    }

    fn settle(&mut self) -> Result<(), DiskError> {
        self.log.settle()
    }

    fn send(&mut self, (): (), message: ToCoordinator) {
        let held = |said| {
            self.shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .held
                .contains(&said)
        };
        if said(&message).is_some_and(held) {
            return;
        }
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.as_ref() {
            let frame = wire::encode(&message);
            let bytes = wire::HEADER_BYTES + frame.len();
            // A frame that is dropped is asked for again.
            if sender.send(frame) {
                let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.frames.0 += bytes as u64;
            }
        }
    }

    fn perform(&mut self, task: Task) -> Result<(), DiskError> {
        match task {
            Task::Contribute(order) => {
                let words = protocol::terms::words(&order.plan).expect("a valid plan");
                let header = protocol::limits::HEADER_WORDS as u64;
                let length = usize::try_from(words - header).expect("a small plan");
                assert!(matches!(order.plan.work, Work::Risk(_) | Work::Evaluate(_)));
                let contribution = Ok(Contribution::Counts(vec![self.number; length]));
                let outcome = Outcome {
                    context: order.context,
                    contribution,
                };
                let inputs = self.inputs.clone();
                tokio::spawn(async move { inputs.send(Input::Outcome(outcome)).await });
            }
            Task::Install(installed) => self.install(&installed),
            Task::Keep(key) => {
                keep::store(&self.folder, &self.session, &key).expect("a writable folder");
            }
        }
        Ok(())
    }

    fn report(&mut self, event: ClientEvent) {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .push(event);
    }
}

impl Hands {
    fn install(&self, installed: &Installed) {
        let kind = installed.result.plan.plan.unverified().work.kind();
        let payload = vector::payload(&installed.result.sum).to_vec();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.results.push((kind, payload, installed.banks));
    }
}

fn said(message: &ToCoordinator) -> Option<Said> {
    match message {
        ToCoordinator::KeyBundle(_) => Some(Said::KeyBundle),
        ToCoordinator::Escrow(_) => Some(Said::Escrow),
        ToCoordinator::Masked(_) => Some(Said::Masked),
        ToCoordinator::Ack(_) => Some(Said::Ack),
        ToCoordinator::Reveal(_) => Some(Said::Reveal),
        ToCoordinator::Audit(_) => Some(Said::Audit),
        ToCoordinator::CheckIn(_)
        | ToCoordinator::Encapsulations(_)
        | ToCoordinator::Declined(_)
        | ToCoordinator::Complaint(_)
        | ToCoordinator::SealedKeys(_)
        | ToCoordinator::KeyComplaint(_)
        | ToCoordinator::Operator(_) => None,
    }
}

async fn keep_link(
    dialer: Dialer,
    address: SocketAddr,
    sender: Arc<Mutex<Option<Sender>>>,
    (inputs, shared): (mpsc::Sender<Input<Client>>, Arc<Mutex<Shared>>),
) {
    let hand = |sender: Option<Sender>, to: &Arc<Mutex<Option<Sender>>>| {
        *to.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    };
    loop {
        let patience = Duration::from_secs(2);
        if let Ok(Ok(mut link)) = tokio::time::timeout(patience, dialer.dial(address)).await {
            hand(Some(link.sender()), &sender);
            if inputs
                .send(Input::Message((), Heard::Connected))
                .await
                .is_err()
            {
                return;
            }
            while let Some(Received { bytes, place }) = link.receive().await {
                let Ok(message) = wire::decode(&bytes) else {
                    break;
                };
                let length = (wire::HEADER_BYTES + bytes.len()) as u64;
                drop(bytes);
                let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
                lock().frames.1 += length;
                let input = Input::Frame((), Heard::Message(message), place);
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            hand(None, &sender);
            if inputs.send(Input::Message((), Heard::Gone)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
