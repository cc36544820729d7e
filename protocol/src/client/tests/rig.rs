//! `Rig`: real banks with real keys, and a coordinator that does what the test says. It computes
//! honest messages, opens sums, and keeps every output of every bank in the order it came.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{Digest, Seed, SigningKey};

use super::attempted::Attempted;
use crate::blame::Misbehaviour;
use crate::bucket::BucketKey;
use crate::client::consent::Policy;
use crate::client::{Client, Contribution, Heard, Installed, Order, Outcome, Task};
use crate::credential::{Authority, Credential, Identity, Role};
use crate::event::ClientEvent;
use crate::fixture::{self, key, seats};
use crate::graph;
use crate::id::{Attempt, ClientId, Context, EpochId, RoundId, Seat, Seats};
use crate::ledger::Ledger;
use crate::limits::PROTOCOL_VERSION;
use crate::message::{
    Bundles, Due, Encapsulation, Incoming, KeyBundle, Manifest, Roster, RoundOffer, RoundOutcome,
    RoundResult, ToClient, ToCoordinator, Welcome,
};
use crate::party::{Output, Party};
use crate::plan::{Kind, Plan, SignedPlan, Work};
use crate::record::ClientRecord;
use crate::signed::Signed;
use crate::terms;
use crate::time::Time;
use crate::vector;

pub(super) const NOW: Time = Time(1_000);
pub(super) const END: Time = Time(500_000);

pub(super) fn authority() -> Authority {
    Authority(key(1).verify_key())
}

pub(super) fn coordinator_key() -> SigningKey {
    key(2)
}

pub(super) fn bank_key(seat: u16) -> SigningKey {
    let mut seed = [9; 32];
    seed[..2].copy_from_slice(&seat.to_be_bytes());
    SigningKey::from_seed(seed)
}

pub(super) fn bank_id(seat: u16) -> ClientId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&seat.to_be_bytes());
    ClientId(Digest(id))
}

pub(super) fn credential(role: Role, name: &str, id: ClientId, key: &SigningKey) -> Credential {
    let (key, expires) = (key.verify_key(), Time(1_000_000));
    Credential {
        role,
        name: name.to_owned(),
        id,
        key,
        serial: 1,
        expires,
    }
}

pub(super) fn bank_credential(seat: u16) -> Signed<Credential> {
    let name = format!("Bank {seat}");
    let body = credential(Role::Bank, &name, bank_id(seat), &bank_key(seat));
    Signed::sign(body, &key(1))
}

pub(super) fn identity(seat: u16) -> Identity {
    Identity {
        credential: bank_credential(seat),
        key: bank_key(seat),
        authority: authority(),
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        kinds: [Kind::Pretrain, Kind::Finetune, Kind::Risk, Kind::Evaluate].into(),
        members_min: 5,
        honest_min: 3,
        colluders_min: None,
        schemas: [fixture::model().schema.digest()].into(),
        layouts: [fixture::model().layout.digest()].into(),
        rounds_per_day: 10,
        joins_per_epoch_max: 2,
        audit_chunks: 0,
    }
}

/// What a bank asked of its host in answer to one input, in order.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) sent: Vec<ToCoordinator>,
    pub(super) records: Vec<ClientRecord>,
    pub(super) events: Vec<ClientEvent>,
    pub(super) orders: Vec<Order>,
    pub(super) installs: Vec<Installed>,
    pub(super) kept: Vec<BucketKey>,
    /// The outputs by kind, as they came: `persist`, `send`, `perform`, `report`.
    pub(super) order: Vec<&'static str>,
}

impl Answer {
    /// The misbehaviours reported.
    pub(super) fn blamed(&self) -> Vec<Misbehaviour> {
        let blamed = self.events.iter().filter_map(|event| {
            if let ClientEvent::Misbehaved(misbehaviour) = event {
                Some(misbehaviour.clone())
            } else {
                None
            }
        });
        blamed.collect()
    }

    /// Asserts that the input was blamed, and answered with nothing at all.
    #[track_caller]
    pub(super) fn assert_blamed(&self, misbehaviour: Misbehaviour) {
        assert_eq!(self.blamed(), [misbehaviour]);
        assert_eq!(self.sent, [], "nothing is said to a liar");
        assert_eq!(self.records, [], "a lie is not remembered as a fact");
    }

    /// Asserts that nothing came of the input.
    #[track_caller]
    pub(super) fn assert_nothing(&self) {
        assert_eq!(
            self.order,
            Vec::<&str>::new(),
            "{:?} {:?}",
            self.sent,
            self.events
        );
    }

    pub(super) fn bytes(&self) -> Vec<Vec<u8>> {
        self.sent.iter().map(crate::wire::encode).collect()
    }
}

/// One bank on the rig, with everything it ever recorded.
pub(super) struct Node {
    pub(super) client: Client,
    pub(super) journal: Vec<ClientRecord>,
}

impl Node {
    pub(super) fn start(
        seat: u16,
        entropy: u8,
        policy: Policy,
        journal: Vec<ClientRecord>,
    ) -> Self {
        let kept = fixture::bucket_key(&authority().session());
        Self::start_with(seat, entropy, policy, journal, Some(kept))
    }

    /// The same, with the bucket key that its host kept.
    pub(super) fn start_with(
        seat: u16,
        entropy: u8,
        policy: Policy,
        journal: Vec<ClientRecord>,
        kept: Option<BucketKey>,
    ) -> Self {
        let seed = Seed::from_entropy([entropy; 32]).derive("bank", u64::from(seat));
        let known = journal.clone();
        let recovered = Client::recover(identity(seat), policy, known, kept.into(), seed);
        Self {
            client: recovered.unwrap(),
            journal,
        }
    }

    pub(super) fn drain(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Persist(record) => {
                    answer.order.push("persist");
                    self.journal.push(record.clone());
                    answer.records.push(record);
                }
                Output::Send { to: (), message } => {
                    answer.order.push("send");
                    answer.sent.push(message);
                }
                Output::Perform(task) => {
                    answer.order.push("perform");
                    match task {
                        Task::Contribute(order) => answer.orders.push(*order),
                        Task::Install(install) => answer.installs.push(install),
                        Task::Keep(key) => answer.kept.push(key),
                    }
                }
                Output::Report(event) => {
                    answer.order.push("report");
                    answer.events.push(event);
                }
            }
        }
        answer
    }

    pub(super) fn hear(&mut self, heard: Heard) -> Answer {
        self.client.handle_message(NOW, (), heard);
        self.drain()
    }

    pub(super) fn tell(&mut self, message: ToClient) -> Answer {
        self.hear(Heard::Message(message))
    }

    pub(super) fn done(&mut self, context: Context, contribution: Contribution) -> Answer {
        let contribution = Ok(contribution);
        self.client.handle_outcome(
            NOW,
            Outcome {
                context,
                contribution,
            },
        );
        self.drain()
    }
}

/// Real banks in seat order, and what the coordinator knows.
pub(super) struct Rig {
    pub(super) banks: Vec<Node>,
    pub(super) plan: Plan,
    pub(super) ledger: Ledger,
    pub(super) epoch: EpochId,
    pub(super) root: Digest,
    /// Members of the largest roster agreed on.
    pub(super) seated_most: u16,
    nonces: Vec<[u8; 32]>,
}

impl Rig {
    /// So many banks that agreed on keys and wait for a round of this kind.
    pub(super) fn agreed(members: u16, work: Work) -> Self {
        let mut rig = Self::met(members, work);
        rig.agree(EpochId(1), members);
        rig
    }

    /// So many banks that know the coordinator and nothing else.
    pub(super) fn met(members: u16, work: Work) -> Self {
        let banks = (0..members)
            .map(|seat| Node::start(seat, 1, policy(), Vec::new()))
            .collect();
        let rounds = if matches!(work, Work::Risk(_) | Work::Evaluate(_)) {
            1
        } else {
            9
        };
        let mut rig = Self {
            banks,
            plan: fixture::plan(work, rounds),
            ledger: Ledger::new(authority().session()),
            epoch: EpochId(0),
            root: Digest([0; 32]),
            seated_most: 0,
            nonces: Vec::new(),
        };
        for seat in 0..members {
            rig.meet(seat);
        }
        rig
    }

    pub(super) fn bank(&mut self, seat: u16) -> &mut Node {
        &mut self.banks[usize::from(seat)]
    }

    /// Connects a bank; the coordinator welcomes it.
    pub(super) fn meet(&mut self, seat: u16) -> Answer {
        let answer = self.bank(seat).hear(Heard::Connected);
        assert!(matches!(answer.sent[..], [ToCoordinator::CheckIn(_)]));
        let welcome = self.welcome();
        self.bank(seat).tell(welcome)
    }

    pub(super) fn welcome(&self) -> ToClient {
        let id = ClientId(Digest([200; 32]));
        let body = credential(Role::Coordinator, "Coordinator", id, &coordinator_key());
        ToClient::Welcome(Box::new(Welcome {
            coordinator: Signed::sign(body, &key(1)),
            ledger: self.ledger.length(),
            head: self.ledger.head(),
        }))
    }

    /// The bank dies, and starts again with its journal and fresh entropy.
    pub(super) fn restart(&mut self, seat: u16) -> Answer {
        let journal = std::mem::take(&mut self.bank(seat).journal);
        *self.bank(seat) = Node::start(seat, 2, policy(), journal);
        let answer = self.bank(seat).drain();
        self.meet(seat);
        answer
    }

    pub(super) fn roster(&self, epoch: EpochId, members: u16) -> Roster {
        Roster {
            epoch,
            members: (0..members).map(bank_credential).collect(),
        }
    }

    /// E1 of the first `members` banks.
    pub(super) fn key_bundles(&mut self, epoch: EpochId, members: u16) -> Vec<Signed<KeyBundle>> {
        let roster = Signed::sign(self.roster(epoch, members), &coordinator_key());
        let bundles = (0..members).map(|seat| {
            let answer = self
                .bank(seat)
                .tell(ToClient::Roster(Box::new(roster.clone())));
            match &answer.sent[..] {
                [ToCoordinator::KeyBundle(bundle)] => *bundle.clone(),
                other => panic!("{other:?} {:?}", answer.events),
            }
        });
        bundles.collect()
    }

    /// A whole key agreement of the first `members` banks.
    pub(super) fn agree(&mut self, epoch: EpochId, members: u16) {
        self.agree_with(epoch, members, Clone::clone);
    }

    /// The same, with every encapsulation changed on its way.
    pub(super) fn agree_with(
        &mut self,
        epoch: EpochId,
        members: u16,
        change: impl Fn(&Signed<Encapsulation>) -> Signed<Encapsulation>,
    ) {
        let bundles = self.key_bundles(epoch, members);
        self.epoch = epoch;
        self.root = self.roster(epoch, members).root();
        self.seated_most = self.seated_most.max(members);
        self.nonces = bundles
            .iter()
            .map(|bundle| bundle.unverified().nonce)
            .collect();
        let mut incoming = BTreeMap::<u16, Vec<_>>::new();
        for seat in 0..members {
            let bundles = Bundles {
                epoch,
                bundles: bundles.clone(),
            };
            let answer = self.bank(seat).tell(ToClient::Bundles(Box::new(bundles)));
            let [ToCoordinator::Encapsulations(list)] = &answer.sent[..] else {
                panic!("{:?}", answer.events);
            };
            for encapsulation in list {
                let to = encapsulation.unverified().to.0;
                incoming.entry(to).or_default().push(change(encapsulation));
            }
        }
        for seat in 0..members {
            let encapsulations = incoming.remove(&seat).unwrap_or_default();
            let incoming = Incoming {
                epoch,
                encapsulations,
            };
            let answer = self
                .bank(seat)
                .tell(ToClient::Encapsulations(Box::new(incoming)));
            let [ToCoordinator::CheckIn(check_in)] = &answer.sent[..] else {
                panic!("{:?}", answer.events);
            };
            assert_eq!(check_in.epoch, Some((epoch, self.root)));
        }
    }

    /// An honest manifest of the plan's next round for these seats.
    pub(super) fn manifest(&self, round: u64, attempt: u16, cohort: &Seats) -> Manifest {
        let members = u16::try_from(cohort.len()).unwrap();
        let seated = self.seated_most;
        let terms = terms::for_roster(&self.plan.cohort, members, seated).unwrap();
        Manifest {
            version: PROTOCOL_VERSION,
            session: authority().session(),
            epoch: self.epoch,
            roster: self.root,
            round: RoundId(round),
            attempt: Attempt(attempt),
            plan: self.plan.id(),
            step: self.ledger.step(&self.plan.id()),
            base: self.ledger.base(&self.plan),
            head: self.ledger.head(),
            words: terms::words(&self.plan).unwrap(),
            word_bits: self.plan.width.bits(),
            value_bits: terms::value_bits(&self.plan, members),
            cohort: cohort.clone(),
            colluders: terms.colluders,
            threshold: terms.threshold,
            honest_min: terms.honest_min,
            degree: terms.degree,
            graph_seed: graph::seed(&self.root, &self.nonces, RoundId(round)),
            due: Due {
                escrow: Time(100_000),
                collection: Time(200_000),
                end: END,
            },
            bucket_key: fixture::under(&self.plan, &authority().session()),
        }
    }

    pub(super) fn signed_plan(&self) -> SignedPlan {
        let id = ClientId(Digest([201; 32]));
        let operator = credential(Role::Operator, "Operator", id, &key(3));
        SignedPlan {
            plan: Signed::sign(self.plan.clone(), &key(3)),
            operator: Signed::sign(operator, &key(1)),
        }
    }

    pub(super) fn offer(&self, manifest: &Manifest) -> ToClient {
        let manifest = Signed::sign(manifest.clone(), &coordinator_key());
        ToClient::Round(Box::new(RoundOffer {
            manifest,
            plan: self.signed_plan(),
        }))
    }

    /// What one bank says to an offer.
    pub(super) fn offered(&mut self, seat: u16, manifest: &Manifest) -> Answer {
        let offer = self.offer(manifest);
        self.bank(seat).tell(offer)
    }

    /// Opens an attempt for every bank of the cohort: their escrows.
    pub(super) fn open(&mut self, manifest: &Manifest) -> Attempted {
        let offer = self.offer(manifest);
        let mut escrows = BTreeMap::new();
        for seat in manifest.cohort.iter() {
            let answer = self.bank(seat.0).tell(offer.clone());
            let [ToCoordinator::Escrow(escrow)] = &answer.sent[..] else {
                panic!("{seat:?}: {:?} {:?}", answer.sent, answer.events);
            };
            let [order] = &answer.orders[..] else {
                panic!("one order for {seat:?}")
            };
            assert_eq!(order.context, manifest.context());
            escrows.insert(seat, *escrow.clone());
        }
        Attempted::new(manifest.clone(), escrows)
    }

    /// Every bank of these seats finishes its work: nothing may leave before the bundle is in.
    pub(super) fn work(&mut self, attempt: &Attempted, seats: &Seats) {
        for seat in seats.iter() {
            let contribution = contribution(&self.plan, seat);
            let answer = self.bank(seat.0).done(attempt.context(), contribution);
            assert_eq!(
                answer.sent,
                [],
                "nothing leaves before every escrow is seen"
            );
        }
    }

    /// Sends M2 to every escrowed bank; the masked vectors of `sending`.
    pub(super) fn collect(&mut self, attempt: &mut Attempted, sending: &Seats) {
        for seat in attempt.escrowed.clone().iter() {
            let answer = self.bank(seat.0).tell(attempt.bundle(seat));
            let [ToCoordinator::Masked(masked)] = &answer.sent[..] else {
                panic!("{seat:?}: {:?} {:?}", answer.sent, answer.events);
            };
            if sending.contains(seat) {
                attempt.masked.insert(seat, *masked.clone());
            }
        }
    }

    /// Sends M4 to every survivor; the acknowledgements of `sending`.
    pub(super) fn acknowledge(&mut self, attempt: &mut Attempted, sending: &Seats) {
        let survivors = attempt.survivors();
        self.acknowledge_by(attempt, &survivors);
        attempt
            .acks
            .retain(|ack| sending.contains(ack.unverified().seat));
    }

    /// Sends M4 to these survivors only.
    pub(super) fn acknowledge_by(&mut self, attempt: &mut Attempted, told: &Seats) {
        for seat in told.iter() {
            let answer = self.bank(seat.0).tell(attempt.survivors_message());
            let [ToCoordinator::Ack(ack)] = &answer.sent[..] else {
                panic!("{seat:?}: {:?} {:?}", answer.sent, answer.events);
            };
            attempt.acks.push(ack.clone());
        }
    }

    /// Sends M6 to these banks; their reveals.
    pub(super) fn reveal(&mut self, attempt: &mut Attempted, sending: &Seats) {
        for seat in sending.iter() {
            let answer = self.bank(seat.0).tell(attempt.acks_message());
            let [ToCoordinator::Reveal(reveal)] = &answer.sent[..] else {
                panic!("{seat:?}: {:?} {:?}", answer.sent, answer.events);
            };
            attempt.reveals.push(reveal.unverified().clone());
        }
    }

    /// An attempt up to the point where every escrowed bank's masked vector is in.
    pub(super) fn collected(&mut self, round: u64, attempt: u16, members: u16) -> Attempted {
        let all = seats(0..members);
        let manifest = self.manifest(round, attempt, &all);
        let mut attempt = self.open(&manifest);
        self.work(&attempt, &all);
        self.collect(&mut attempt, &all);
        attempt
    }

    /// A whole round with everybody: its result, applied by nobody yet.
    pub(super) fn round(&mut self, round: u64, members: u16) -> RoundResult {
        let all = seats(0..members);
        let mut attempt = self.collected(round, 0, members);
        self.acknowledge(&mut attempt, &all);
        self.reveal(&mut attempt, &all);
        self.result(&attempt)
    }

    /// M8 of a finished attempt, as the honest coordinator makes it.
    pub(super) fn result(&self, attempt: &Attempted) -> RoundResult {
        let sum = attempt.open_sum();
        let kind = self.plan.work.kind();
        let survivors = attempt.survivors();
        let bits = attempt.manifest.value_bits;
        let sum = vector::decode_sum(&sum, survivors.len(), bits, kind, self.plan.width).unwrap();
        let ack = attempt.acks[0].unverified();
        let outcome = RoundOutcome {
            context: attempt.context(),
            round: attempt.manifest.round,
            sequence: self.ledger.length() + 1,
            previous: self.ledger.head(),
            escrowed: ack.escrowed,
            survivors: ack.survivors,
            masked: ack.masked,
            revealed: Digest([0; 32]),
            sum: vector::sum_root(&sum),
        };
        RoundResult {
            outcome: Signed::sign(outcome, &coordinator_key()),
            manifest: Signed::sign(attempt.manifest.clone(), &coordinator_key()),
            plan: self.signed_plan(),
            acks: attempt.acks.clone(),
            survivors,
            sum,
        }
    }
}

/// What a bank contributes: something of its own, so that a sum says who is in it.
pub(super) fn contribution(plan: &Plan, seat: Seat) -> Contribution {
    let payload = usize::try_from(terms::words(plan).unwrap()).unwrap() - 6;
    match &plan.work {
        Work::Risk(_) | Work::Evaluate(_) => {
            let counts = (0..payload).map(|word| 500 * u32::from(seat.0) + word as u32);
            Contribution::Counts(counts.collect())
        }
        Work::Pretrain(_) | Work::Finetune(_) => {
            let delta = (0..payload).map(|word| 0.001 * (f32::from(seat.0) - word as f32));
            Contribution::Update {
                delta: delta.collect(),
                examples: 700,
            }
        }
    }
}

/// The parameters of an order, as the ledger gives them.
pub(super) fn parameters(rig: &Rig) -> Arc<Vec<f32>> {
    rig.ledger.model(&fixture::model()).unwrap().0
}
