//! `Federation`: the coordinator and real banks, wired in memory. Messages pass by value, time
//! passes only when nobody has anything to do, and a crash is recovery from the records. What a
//! test wants to lose, spoil or repeat, it says in a hook.

use std::collections::VecDeque;
use std::sync::Arc;

use crypto::{Digest, Seed, SigningKey};

use crate::blame::{Misbehaviour, Refusal};
use crate::bucket::BucketKey;
use crate::client::consent::Policy;
use crate::client::{Client, Contribution, Heard, Installed, Order, Outcome, Task};
use crate::coordinator::{Coordinator, FromPeer, Reading, Settings};
use crate::credential::{Authority, Credential, Identity, Role};
use crate::event::{ClientEvent, CoordinatorEvent};
use crate::fixture::{self, key};
use crate::id::{ClientId, PlanId};
use crate::message::{OperatorMessage, RoundResult, ToClient, ToCoordinator};
use crate::operator::{Command, Reply, Status};
use crate::party::{Output, Party};
use crate::plan::{Kind, Plan, SignedPlan, Work};
use crate::record::{ClientRecord, CoordinatorRecord};
use crate::signed::Signed;
use crate::time::{Duration, Time};
use crate::vector;

pub(super) const OPERATOR: ClientId = ClientId(Digest([200; 32]));

/// What a hook makes of one message: nothing, itself, or others.
pub(super) type Up = Box<dyn FnMut(usize, ToCoordinator) -> Vec<ToCoordinator>>;
pub(super) type Down = Box<dyn FnMut(usize, ToClient) -> Vec<ToClient>>;

enum Envelope {
    Up(usize, ToCoordinator),
    Down(usize, ToClient),
}

/// One bank and its host.
pub(super) struct Bank {
    pub(super) client: Client,
    pub(super) records: Vec<ClientRecord>,
    pub(super) is_up: bool,
    pub(super) installed: Vec<Installed>,
    pub(super) refused: Vec<Refusal>,
    pub(super) events: Vec<ClientEvent>,
    pub(super) results: usize,
    /// What its host kept of the banks' bucket key.
    pub(super) kept: Option<BucketKey>,
    policy: Policy,
}

pub(super) struct Federation {
    pub(super) now: Time,
    pub(super) coordinator: Coordinator,
    pub(super) records: Vec<CoordinatorRecord>,
    pub(super) events: Vec<CoordinatorEvent>,
    pub(super) banks: Vec<Bank>,
    pub(super) up: Up,
    pub(super) down: Down,
    /// Picks the next message by chance where it is some.
    pub(super) shuffle: Option<u64>,
    /// The coordinator crashes instead of carrying out this output.
    pub(super) crash_at: Option<usize>,
    pub(super) carried: usize,
    /// What a bank answers to an order.
    pub(super) work: fn(usize, &Order) -> Result<Contribution, String>,
    replies: Vec<Reply>,
    /// What the coordinator's host was asked to read.
    pub(super) readings: Vec<Reading>,
    queue: VecDeque<Envelope>,
}

pub(super) fn authority() -> Authority {
    Authority(key(1).verify_key())
}

pub(super) fn bank_id(bank: usize) -> ClientId {
    ClientId(Digest([u8::try_from(bank + 10).unwrap(); 32]))
}

pub(super) fn bank_key(bank: usize) -> SigningKey {
    key(u8::try_from(bank + 10).unwrap())
}

pub(super) fn credential(role: Role, name: &str, id: ClientId, key: &SigningKey) -> Credential {
    Credential {
        role,
        name: name.to_owned(),
        id,
        key: key.verify_key(),
        serial: 1,
        expires: Time(u64::MAX),
    }
}

pub(super) fn issue(credential: Credential) -> Signed<Credential> {
    Signed::sign(credential, &key(1))
}

pub(super) fn bank_credential(bank: usize) -> Signed<Credential> {
    let name = format!("Bank {bank}");
    issue(credential(
        Role::Bank,
        &name,
        bank_id(bank),
        &bank_key(bank),
    ))
}

pub(super) fn operator_credential() -> Signed<Credential> {
    issue(credential(Role::Operator, "Consortium", OPERATOR, &key(3)))
}

pub(super) fn coordinator_identity() -> Identity {
    let id = ClientId(Digest([201; 32]));
    Identity {
        credential: issue(credential(Role::Coordinator, "Coordinator", id, &key(2))),
        key: key(2),
        authority: authority(),
    }
}

fn policy() -> Policy {
    Policy {
        kinds: [Kind::Pretrain, Kind::Finetune, Kind::Risk, Kind::Evaluate].into(),
        members_min: 3,
        honest_min: 3,
        colluders_min: None,
        schemas: [fixture::model().schema.digest()].into(),
        layouts: [fixture::model().layout.digest()].into(),
        rounds_per_day: 100,
        joins_per_epoch_max: 100,
        audit_chunks: 2,
    }
}

/// A plan that `members` banks can run.
pub(super) fn plan(work: Work, rounds: u32, members: u16) -> Plan {
    let mut plan = fixture::plan(work, rounds);
    plan.cohort.members_min = members;
    plan
}

pub(super) fn signed_plan(plan: Plan) -> SignedPlan {
    SignedPlan {
        plan: Signed::sign(plan, &key(3)),
        operator: operator_credential(),
    }
}

/// A one-hot of the bank, and a number only this bank of sixteen has: a sum tells who is in it.
pub(super) fn counts(bank: usize, words: usize) -> Vec<u32> {
    let mut counts = vec![0; words];
    counts[bank] = 1;
    counts[words - 1] = 1 << (bank % 16);
    counts
}

/// The sum of these banks' counts.
pub(super) fn summed(banks: &[usize], words: usize) -> Vec<i32> {
    let mut sum = vec![0; words];
    for &bank in banks {
        for (total, count) in sum.iter_mut().zip(counts(bank, words)) {
            *total += i32::try_from(count).unwrap();
        }
    }
    sum
}

fn work(bank: usize, order: &Order) -> Result<Contribution, String> {
    let words = usize::try_from(crate::terms::words(&order.plan).unwrap()).unwrap() - 6;
    Ok(match order.plan.work {
        Work::Risk(_) | Work::Evaluate(_) => Contribution::Counts(counts(bank, words)),
        Work::Pretrain(_) | Work::Finetune(_) => Contribution::Update {
            delta: (0..words)
                .map(|at| ((at + bank) % 7) as f32 * 0.01 - 0.02)
                .collect(),
            examples: 500 + bank as u64,
        },
    })
}

impl Bank {
    pub(super) fn new(
        bank: usize,
        records: Vec<ClientRecord>,
        kept: Option<BucketKey>,
        life: u64,
        policy: Policy,
    ) -> Self {
        let identity = Identity {
            credential: bank_credential(bank),
            key: bank_key(bank),
            authority: authority(),
        };
        let entropy = Seed::from_entropy([u8::try_from(bank).unwrap(); 32]);
        let seed = Seed::from_entropy(entropy.bytes32("life", life));
        let (known, key) = (records.clone(), kept.clone());
        let client = Client::recover(identity, policy.clone(), known, key.into(), seed).unwrap();
        Self {
            client,
            records,
            is_up: false,
            installed: Vec::new(),
            refused: Vec::new(),
            events: Vec::new(),
            results: 0,
            kept,
            policy,
        }
    }

    /// What it found the coordinator, or a peer, to have done wrong.
    pub(super) fn blamed(&self) -> Vec<Misbehaviour> {
        let blamed = self.events.iter().filter_map(|event| match event {
            ClientEvent::Misbehaved(misbehaviour) => Some(misbehaviour.clone()),
            _ => None,
        });
        blamed.collect()
    }

    /// How its audits ended.
    pub(super) fn audits(&self) -> Vec<&ClientEvent> {
        let is_end = |event: &&ClientEvent| {
            matches!(
                event,
                ClientEvent::AuditPassed(..)
                    | ClientEvent::Unaudited(..)
                    | ClientEvent::FalseSum { .. }
            )
        };
        self.events.iter().filter(is_end).collect()
    }
}

impl Federation {
    /// A coordinator and so many banks, all connected.
    pub(super) fn new(banks: usize) -> Self {
        Self::with_policy(banks, |_, policy| policy)
    }

    pub(super) fn with_policy(banks: usize, each: fn(usize, Policy) -> Policy) -> Self {
        let kept = fixture::bucket_key(&authority().session());
        Self::with_keys(banks, each, Some(&kept))
    }

    /// The same, with what every host kept of the banks' bucket key.
    pub(super) fn with_keys(
        banks: usize,
        each: fn(usize, Policy) -> Policy,
        kept: Option<&BucketKey>,
    ) -> Self {
        let settings = Settings {
            banks_expected: Some(u16::try_from(banks).unwrap()),
            ..Settings::default()
        };
        let now = Time(1_000);
        let coordinator = Coordinator::recover(coordinator_identity(), settings, [], now).unwrap();
        let mut federation = Self {
            now,
            coordinator,
            records: Vec::new(),
            events: Vec::new(),
            banks: (0..banks)
                .map(|bank| Bank::new(bank, Vec::new(), kept.cloned(), 0, each(bank, policy())))
                .collect(),
            up: Box::new(|_, message| vec![message]),
            down: Box::new(|_, message| vec![message]),
            shuffle: None,
            crash_at: None,
            carried: 0,
            work,
            replies: Vec::new(),
            readings: Vec::new(),
            queue: VecDeque::new(),
        };
        for bank in 0..banks {
            federation.connect(bank);
        }
        federation
    }

    pub(super) fn connect(&mut self, bank: usize) {
        self.banks[bank].is_up = true;
        self.tell(bank, Heard::Connected);
    }

    /// The connection is lost, with all that was on the way.
    pub(super) fn cut(&mut self, bank: usize) {
        if !std::mem::take(&mut self.banks[bank].is_up) {
            return;
        }
        self.queue.retain(|envelope| match envelope {
            Envelope::Up(at, _) | Envelope::Down(at, _) => *at != bank,
        });
        self.tell(bank, Heard::Gone);
        self.coordinator
            .handle_message(self.now, bank_id(bank), FromPeer::Gone);
        self.drain();
    }

    /// The bank's process dies and starts again with its records, and connects.
    pub(super) fn restart(&mut self, bank: usize) {
        self.cut(bank);
        let old = &self.banks[bank];
        let (records, policy) = (old.records.clone(), old.policy.clone());
        let (kept, life) = (old.kept.clone(), self.now.0);
        self.banks[bank] = Bank::new(bank, records, kept, life, policy);
        self.connect(bank);
    }

    /// The coordinator dies and recovers from its records; all connections are made anew.
    pub(super) fn crash(&mut self) {
        self.queue.clear();
        self.recover();
        for bank in 0..self.banks.len() {
            if self.banks[bank].is_up {
                self.tell(bank, Heard::Gone);
                self.tell(bank, Heard::Connected);
            }
        }
        self.drain();
    }

    fn recover(&mut self) {
        let settings = self.coordinator.desk.settings;
        let (identity, records) = (coordinator_identity(), self.records.clone());
        self.coordinator = Coordinator::recover(identity, settings, records, self.now).unwrap();
    }

    /// A command of the operator, answered.
    pub(super) fn operate(&mut self, command: Command) -> Reply {
        let message = ToCoordinator::Operator(Box::new(OperatorMessage {
            operator: operator_credential(),
            command,
        }));
        loop {
            self.hear(OPERATOR, message.clone());
            if let Some(reply) = self.replies.pop() {
                return reply;
            }
            // The coordinator crashed before it answered.
        }
    }

    pub(super) fn bank_policy(&self, bank: usize) -> Policy {
        self.banks[bank].policy.clone()
    }

    pub(super) fn start(&mut self, plan: Plan) -> PlanId {
        let reply = self.operate(Command::Start(Box::new(signed_plan(plan))));
        let Reply::Started(id) = reply else {
            panic!("not started: {reply:?}");
        };
        id
    }

    pub(super) fn status(&mut self) -> Status {
        let reply = self.operate(Command::Status);
        let Reply::Status(status) = reply else {
            panic!("no status: {reply:?}");
        };
        status
    }

    /// The phase, without asking.
    pub(super) fn status_name(&self) -> &'static str {
        self.coordinator.phase.stage().step().0
    }

    /// The coordinator hears something from anybody.
    pub(super) fn hear(&mut self, from: ClientId, message: ToCoordinator) {
        self.coordinator
            .handle_message(self.now, from, FromPeer::Message(message));
        self.drain();
    }

    /// Delivers until nothing is on the way.
    pub(super) fn deliver(&mut self) {
        for _ in 0..100_000 {
            if !self.deliver_one() {
                return;
            }
        }
        panic!("messages without end");
    }

    fn deliver_one(&mut self) -> bool {
        let place = match &mut self.shuffle {
            Some(state) if !self.queue.is_empty() => {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                usize::try_from(*state >> 33).unwrap() % self.queue.len()
            }
            Some(_) | None => 0,
        };
        match self.queue.remove(place) {
            None => return false,
            Some(Envelope::Up(bank, message)) => self.hear(bank_id(bank), message),
            Some(Envelope::Down(bank, message)) => {
                let bank_at = &mut self.banks[bank];
                match &message {
                    ToClient::Refused(refusal) => bank_at.refused.push(refusal.clone()),
                    ToClient::Result(_) => bank_at.results += 1,
                    _ => {}
                }
                self.tell(bank, Heard::Message(message));
            }
        }
        true
    }

    /// Lets time pass to the next moment at which somebody wants to act.
    pub(super) fn wait(&mut self) {
        let clients = self.banks.iter().filter(|bank| bank.is_up);
        let timeouts = clients.filter_map(|bank| bank.client.next_timeout());
        let next = timeouts.chain(self.coordinator.next_timeout()).min();
        self.now = next
            .unwrap_or_else(|| self.now.after(Duration(1)))
            .max(self.now);
        if self
            .coordinator
            .next_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.coordinator.handle_timeout(self.now);
            self.drain();
        }
        for bank in 0..self.banks.len() {
            let client = &mut self.banks[bank].client;
            if client.next_timeout().is_some_and(|at| at <= self.now) {
                client.handle_timeout(self.now);
                self.pump(bank);
            }
        }
    }

    /// Runs until so many results are committed and everybody who is connected has them.
    #[track_caller]
    pub(super) fn run_to(&mut self, results: u64) {
        self.run(|federation| {
            let ledger = &federation.coordinator.desk.ledger;
            let mut banks = federation.banks.iter().filter(|bank| bank.is_up);
            ledger.length() >= results
                && banks.all(|bank| bank.client.ledger().head() == ledger.head())
        });
    }

    /// Runs until something is true, for at most 15 minutes of the federation's time.
    #[track_caller]
    pub(super) fn run(&mut self, mut until: impl FnMut(&Self) -> bool) {
        let end = self.now.after(Duration::from_secs(900));
        loop {
            self.deliver();
            if until(self) {
                return;
            }
            assert!(self.now < end, "it never came true: {:?}", self.events);
            self.wait();
        }
    }

    /// The committed results, oldest first.
    pub(super) fn results(&self) -> Vec<&RoundResult> {
        let results = self.records.iter().filter_map(|record| match record {
            CoordinatorRecord::Committed(_, result) => Some(&**result),
            _ => None,
        });
        results.collect()
    }

    /// Asserts that the last result is the exact sum of these banks' counts, and theirs alone.
    #[track_caller]
    pub(super) fn assert_sum_of(&self, banks: &[usize]) {
        self.assert_result_of(self.results().len() - 1, banks);
    }

    /// The same for the result at this place.
    #[track_caller]
    pub(super) fn assert_result_of(&self, place: usize, banks: &[usize]) {
        let result = self.results()[place];
        let payload = vector::payload(&result.sum);
        assert_eq!(payload, summed(banks, payload.len()));
        assert_eq!(vector::banks(&result.sum) as usize, banks.len());
    }

    pub(super) fn blamed(&self) -> Vec<(ClientId, Misbehaviour)> {
        let blamed = self.events.iter().filter_map(|event| match event {
            CoordinatorEvent::Misbehaved(client, misbehaviour) => {
                Some((*client, misbehaviour.clone()))
            }
            _ => None,
        });
        blamed.collect()
    }

    pub(super) fn count(&self, is: impl Fn(&CoordinatorEvent) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }

    fn tell(&mut self, bank: usize, heard: Heard) {
        self.banks[bank].client.handle_message(self.now, (), heard);
        self.pump(bank);
    }

    fn pump(&mut self, bank: usize) {
        while let Some(output) = self.banks[bank].client.poll_output() {
            let at = &mut self.banks[bank];
            match output {
                Output::Persist(record) => at.records.push(record),
                Output::Send { message, .. } if at.is_up => {
                    let messages = (self.up)(bank, message);
                    let messages = messages.into_iter();
                    self.queue
                        .extend(messages.map(|message| Envelope::Up(bank, message)));
                }
                Output::Perform(Task::Contribute(order)) => {
                    let outcome = Outcome {
                        context: order.context,
                        contribution: (self.work)(bank, &order),
                    };
                    at.client.handle_outcome(self.now, outcome);
                }
                Output::Perform(Task::Install(installed)) => at.installed.push(installed),
                Output::Perform(Task::Keep(key)) => at.kept = Some(key),
                Output::Report(event) => at.events.push(event),
                Output::Send { .. } => {}
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.coordinator.poll_output() {
            if self.crash_at == Some(self.carried) {
                self.crash_at = None;
                self.crash();
                return;
            }
            self.carried += 1;
            self.assert_little_waits(&output);
            match output {
                Output::Persist(record) => self.records.push(record),
                Output::Send {
                    to: OPERATOR,
                    message,
                } => match message {
                    ToClient::Operator(reply) => self.replies.push(*reply),
                    other => panic!("said to the operator: {other:?}"),
                },
                Output::Send { to, message } => {
                    assert!(self.is_recorded(&message), "said too early: {message:?}");
                    let Some(bank) = (0..self.banks.len()).find(|&bank| bank_id(bank) == to) else {
                        continue;
                    };
                    if self.banks[bank].is_up {
                        let messages = (self.down)(bank, message);
                        let messages = messages.into_iter();
                        self.queue
                            .extend(messages.map(|message| Envelope::Down(bank, message)));
                    }
                }
                Output::Report(event) => self.events.push(event),
                Output::Perform(reading) => {
                    self.readings.push(reading.clone());
                    let read = reading.among(&self.records);
                    self.coordinator.handle_outcome(self.now, read);
                }
            }
        }
    }

    /// A vector is nobody's any more once its record leaves; a member's bundle is made when it is
    /// that member's turn. So neither is held for all members at once.
    fn assert_little_waits(&self, output: &Output<Coordinator>) {
        if let Output::Persist(CoordinatorRecord::Masked(masked)) = output {
            assert_eq!(Arc::strong_count(masked), 1, "a vector is held");
        }
        let bundle = |output: &&Output<Coordinator>| match output {
            Output::Send { message, .. } => matches!(message, ToClient::EscrowBundle(_)),
            Output::Persist(_) | Output::Report(_) | Output::Perform(_) => false,
        };
        let waiting = self.coordinator.desk.out.iter().filter(bundle).count();
        assert!(waiting <= 1, "{waiting} bundles wait at once");
    }

    /// Whether what a message depends on is in the log: checked of everything that is ever said.
    fn is_recorded(&self, message: &ToClient) -> bool {
        let has = |is: &dyn Fn(&CoordinatorRecord) -> bool| self.records.iter().rev().any(is);
        match message {
            ToClient::Roster(roster) => {
                has(&|record| *record == CoordinatorRecord::EpochOpened((**roster).clone()))
            }
            ToClient::Bundles(bundles) => bundles.bundles.iter().all(|bundle| {
                has(&|record| *record == CoordinatorRecord::KeyBundle(bundle.clone()))
            }),
            ToClient::Round(offer) => has(&|record| {
                matches!(record, CoordinatorRecord::RoundOpened(_, manifest)
                    if *manifest == offer.manifest)
            }),
            ToClient::EscrowBundle(bundle) => {
                has(&|record| *record == CoordinatorRecord::Escrowed(bundle.escrowed.clone()))
            }
            ToClient::Survivors(told) => {
                has(&|record| *record == CoordinatorRecord::Survived(told.survivors.clone()))
            }
            ToClient::Acks(bundle) => {
                has(&|record| *record == CoordinatorRecord::Acknowledged(bundle.acks.clone()))
            }
            ToClient::Result(told) => has(&|record| {
                matches!(record, CoordinatorRecord::Committed(_, result)
                    if result.outcome.unverified() == told.outcome.unverified())
            }),
            ToClient::Abandoned(told) => has(
                &|record| matches!(record, CoordinatorRecord::Abandoned(_, ended) if ended == told),
            ),
            ToClient::Welcome(_)
            | ToClient::Encapsulations(_)
            | ToClient::Refused(_)
            | ToClient::Audited(_)
            | ToClient::Handover(_)
            | ToClient::SealedKey(_)
            | ToClient::Operator(_) => true,
        }
    }
}
