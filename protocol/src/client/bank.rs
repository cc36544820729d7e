//! `Bank`: who this client is and what it knows and remembers, whatever phase it is in. Secrets of
//! a round are not here but in the phases.

use std::collections::VecDeque;
use std::sync::Arc;

use crypto::{Digest, Seed, VerifyKey};

use crate::blame::{Misbehaviour, Refusal};
use crate::bucket::BucketKey;
use crate::client::consent::Policy;
use crate::client::keyring::{Keyring, Seating};
use crate::client::memory::Memory;
use crate::client::{Client, Objection};
use crate::credential::Identity;
use crate::event::ClientEvent;
use crate::id::{Attempt, ClientId, Context, EpochId, RoundId};
use crate::ledger::Ledger;
use crate::message::{Ack, CheckIn, Declined, Holding, RoundOutcome, RoundResult, ToCoordinator};
use crate::party::Outbox;
use crate::plan::Kind;
use crate::record::ClientRecord;
use crate::signed::Seen;
use crate::time::Time;

/// Rosters kept for checking results: the running epoch's, and the one before it, whose last
/// result may arrive after the next agreement.
const SEATINGS_KEPT: usize = 2;

/// Attempts whose late messages are told from another's: more than a round number may have.
const CONTEXTS_KEPT: usize = 16;

/// A client without its phase.
pub(crate) struct Bank {
    pub(crate) identity: Identity,
    pub(crate) policy: Policy,
    pub(crate) memory: Memory,
    pub(crate) ledger: Ledger,
    /// The key of the last coordinator whose credential was admitted.
    pub(crate) coordinator: Option<VerifyKey>,
    /// The last acknowledgement given since the start: what a result of its attempt must hold.
    pub(crate) acked: Option<Ack>,
    /// The last result applied: its place in the ledger is taken.
    pub(crate) applied: Option<RoundOutcome>,
    /// The attempt whose result was audited last, or is.
    pub(crate) audited: Option<Context>,
    /// The round whose sum was found false: no other is joined.
    pub(crate) false_sum: Option<RoundId>,
    pub(crate) seen: Seen,
    seed: Seed,
    seatings: VecDeque<Arc<Seating>>,
    contexts: VecDeque<Context>,
    declined: Option<Declined>,
    answered: Option<Context>,
    bucket_key: Option<BucketKey>,
}

impl Bank {
    /// A bank that remembers `memory` and `ledger` and has met nobody since its start.
    pub(crate) fn new(
        identity: Identity,
        policy: Policy,
        memory: Memory,
        ledger: Ledger,
        seed: Seed,
    ) -> Self {
        Self {
            identity,
            policy,
            memory,
            ledger,
            coordinator: None,
            acked: None,
            applied: None,
            audited: None,
            false_sum: None,
            seen: Seen::default(),
            seed,
            seatings: VecDeque::new(),
            contexts: VecDeque::new(),
            declined: None,
            answered: None,
            bucket_key: None,
        }
    }

    /// This bank's identity.
    pub(crate) fn id(&self) -> ClientId {
        self.identity.credential.unverified().id
    }

    /// The consortium.
    pub(crate) fn session(&self) -> Digest {
        self.identity.authority.session()
    }

    /// Whether this institution counts merchants with the others, and so needs the bucket key.
    pub(crate) fn takes_part_in_risk(&self) -> bool {
        self.policy.kinds.contains(&Kind::Risk)
    }

    /// Whether a result is of use here: risk counts cannot be read without the bucket key.
    pub(crate) fn can_use(&self, result: &RoundResult) -> bool {
        let kind = result.plan.plan.unverified().work.kind();
        kind != Kind::Risk || self.takes_part_in_risk()
    }

    /// The bucket key, if anything may be counted under it: once results stand under one, under
    /// that one alone.
    pub(crate) fn bucket_key(&self) -> Option<&BucketKey> {
        let ledgers = self.ledger.bucket_key();
        self.bucket_key.as_ref().filter(|key| {
            self.takes_part_in_risk() && ledgers.is_none_or(|under| under == key.commitment())
        })
    }

    /// Holds this bucket key from here on; the host keeps it.
    pub(crate) fn hold(&mut self, key: BucketKey) {
        self.bucket_key = Some(key);
    }

    fn holding(&self) -> Holding {
        match self.bucket_key() {
            Some(key) => Holding::Held(key.commitment()),
            None if self.takes_part_in_risk() => Holding::Lacking,
            None => Holding::Unwanted,
        }
    }

    /// Chance for one use. The seed moves on one way: who takes this machine tonight cannot draw
    /// again what was drawn today, and the chain keys' ratchet is not in vain.
    pub(crate) fn draw(&mut self) -> Seed {
        let drawn = self.seed.derive("client/drawn", 0);
        self.seed = self.seed.derive("client/next", 0);
        drawn
    }

    /// Mixes the moment into the chance to come. A machine set back to a snapshot of its memory
    /// draws the same again, but for the clock, which went on (A13).
    pub(crate) fn stir(&mut self, now: Time) {
        self.seed = self.seed.derive("client/stirred", now.0);
    }

    /// Remembers a fact, durably before anything queued after it.
    pub(crate) fn persist(&mut self, record: ClientRecord, out: &mut Outbox<Client>) {
        self.memory.remember(&record);
        out.persist(record);
    }

    /// Says where this client stands.
    pub(crate) fn check_in(&self, keyring: Option<&Keyring>, out: &mut Outbox<Client>) {
        let epoch = keyring.map(|keyring| (keyring.seating.epoch, keyring.seating.root));
        let check_in = CheckIn {
            credential: self.identity.credential.clone(),
            epoch,
            ledger: self.ledger.length(),
            head: self.ledger.head(),
            bucket_key: self.holding(),
        };
        out.send((), ToCoordinator::CheckIn(Box::new(check_in)));
    }

    /// Answers what cannot be followed with where this client stands, once per attempt: a
    /// coordinator that repeats itself must not be repeated to at the speed of the network.
    pub(crate) fn check_in_once(
        &mut self,
        context: Context,
        keyring: Option<&Keyring>,
        out: &mut Outbox<Client>,
    ) {
        if self.answered != Some(context) {
            self.answered = Some(context);
            self.check_in(keyring, out);
        }
    }

    /// Ends the handling of a roster or an offer that is not accepted.
    pub(crate) fn object(
        &mut self,
        objection: Objection,
        declined: (Option<(RoundId, Attempt)>, EpochId),
        out: &mut Outbox<Client>,
    ) {
        match objection {
            Objection::Theirs(misbehaviour) => blame(misbehaviour, out),
            Objection::Ours(refusal) => {
                let (round, epoch) = declined;
                self.decline(
                    Declined {
                        round,
                        epoch,
                        refusal,
                    },
                    out,
                );
            }
        }
    }

    /// Tells the coordinator what this client will not do; reports it the first time.
    pub(crate) fn decline(&mut self, declined: Declined, out: &mut Outbox<Client>) {
        if self.declined.as_ref() != Some(&declined) {
            out.report(ClientEvent::Declined(declined.refusal.clone()));
            self.declined = Some(declined.clone());
        }
        out.send((), ToCoordinator::Declined(declined));
    }

    /// Why this attempt was declined, if it was the last one declined.
    pub(crate) fn refusal_of(&self, round: RoundId, attempt: Attempt) -> Option<Refusal> {
        let declined = self.declined.as_ref()?;
        (declined.round == Some((round, attempt))).then(|| declined.refusal.clone())
    }

    /// Knows a roster from here on.
    pub(crate) fn keep_seating(&mut self, seating: Arc<Seating>) {
        self.seatings.push_front(seating);
        self.seatings.truncate(SEATINGS_KEPT);
    }

    /// The roster of this root, if this client sat in it since its start.
    pub(crate) fn seating(&self, root: &Digest) -> Option<Arc<Seating>> {
        let found = self.seatings.iter().find(|seating| seating.root == *root);
        found.cloned()
    }

    /// Knows the context of an attempt this client sits in, or whose result it audits.
    pub(crate) fn keep_context(&mut self, context: Context) {
        if !self.knows_context(context) {
            self.contexts.push_front(context);
            self.contexts.truncate(CONTEXTS_KEPT);
        }
    }

    /// Whether it knows the attempt: what arrives for it is late, not foreign.
    pub(crate) fn knows_context(&self, context: Context) -> bool {
        self.contexts.contains(&context)
    }
}

/// Reports what a peer did wrong.
pub(crate) fn blame(misbehaviour: Misbehaviour, out: &mut Outbox<Client>) {
    out.report(ClientEvent::Misbehaved(misbehaviour));
}
