//! What is watched, so that every [`Invariant`] is held: safety after every step, liveness after
//! calm.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;
use protocol::bucket::BucketKey;
use protocol::client::{Client, Contribution, Order};
use protocol::event::{ClientEvent, CoordinatorEvent};
use protocol::id::{ClientId, Context, EpochId, PlanId, RoundId};
use protocol::limits::HEADER_WORDS;
use protocol::message::{RoundResult, ToClient, ToCoordinator};
use protocol::record::{ClientRecord, CoordinatorRecord};
use protocol::{vector, wire};

use super::Story;
use super::actors::Host;
use super::cast::Cast;
use super::invariant::Invariant;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {found}")]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// What was found.
    pub found: String,
}

impl Violation {
    pub(crate) fn new(invariant: Invariant, found: impl std::fmt::Display) -> Self {
        Self {
            invariant,
            found: found.to_string(),
        }
    }
}

/// What has been said and remembered in a world.
pub(crate) struct Oracle {
    pub(crate) story: Story,
    ids: Vec<ClientId>,
    last_plan: (PlanId, u32),
    rosters: BTreeMap<EpochId, Vec<ClientId>>,
    /// Contexts of the manifests that are durable at the coordinator, with their rounds.
    opened: BTreeMap<Context, RoundId>,
    /// Sequences of the results that are durable at the coordinator.
    committed: BTreeMap<u64, Digest>,
    committed_rounds: BTreeMap<RoundId, Context>,
    of_plan: BTreeMap<PlanId, BTreeSet<RoundId>>,
    contributions: BTreeMap<(Context, usize), Vec<i64>>,
    last_made: BTreeMap<usize, Contribution>,
    masked: BTreeMap<(Context, usize), Digest>,
    acked: Vec<BTreeSet<RoundId>>,
    revealed: Vec<BTreeSet<RoundId>>,
    acks: BTreeMap<(usize, RoundId), Digest>,
    heads: BTreeMap<u64, Digest>,
    /// Bucket keys that any bank ever kept, and the one that each attempt's counts are under.
    keys: Vec<BucketKey>,
    under: BTreeMap<Context, Option<Digest>>,
}

impl Oracle {
    pub(crate) fn new(cast: &Cast) -> Self {
        let ids: Vec<_> = (0..).map_while(|bank| cast.try_id(bank)).collect();
        Self {
            story: Story::default(),
            last_plan: cast.last_plan(),
            rosters: BTreeMap::new(),
            opened: BTreeMap::new(),
            committed: BTreeMap::new(),
            committed_rounds: BTreeMap::new(),
            of_plan: BTreeMap::new(),
            contributions: BTreeMap::new(),
            last_made: BTreeMap::new(),
            masked: BTreeMap::new(),
            acked: vec![BTreeSet::new(); ids.len()],
            revealed: vec![BTreeSet::new(); ids.len()],
            acks: BTreeMap::new(),
            heads: BTreeMap::new(),
            keys: Vec::new(),
            under: BTreeMap::new(),
            ids,
        }
    }

    /// A bank begins to work for an attempt.
    pub(crate) fn contributes(
        &mut self,
        bank: usize,
        order: &Order,
        contribution: &Contribution,
    ) -> Result<(), Violation> {
        if !self.opened.contains_key(&order.context) {
            return Err(Violation::new(Invariant::WorkForRecorded, order.round.0));
        }
        let counted = order.bucket_key.as_ref().map(BucketKey::commitment);
        if self.under.get(&order.context) != Some(&counted) {
            return Err(Violation::new(Invariant::OneBucketKey, order.round.0));
        }
        let expected = Cast::expected(order, contribution);
        self.contributions.insert((order.context, bank), expected);
        Ok(())
    }

    /// A bank's host keeps a bucket key.
    pub(crate) fn bank_keeps(&mut self, key: &BucketKey) {
        if !self.keys.contains(key) {
            self.keys.push(key.clone());
        }
    }

    /// Bytes that the coordinator hears, says or records.
    pub(crate) fn coordinator_has(&self, bytes: &[u8]) -> Result<(), Violation> {
        for key in self.keys.iter().map(BucketKey::expose) {
            if bytes.windows(key.len()).any(|window| window == key) {
                let found = format!("{} bytes with it", bytes.len());
                return Err(Violation::new(Invariant::BucketKeyUnseen, found));
            }
        }
        Ok(())
    }

    /// The contribution before this one, for a saboteur who sends stale updates.
    pub(crate) fn earlier(&mut self, bank: usize, made: &Contribution) -> Contribution {
        self.last_made
            .insert(bank, made.clone())
            .unwrap_or_else(|| made.clone())
    }

    /// The coordinator decides something.
    pub(crate) fn coordinator_persists(
        &mut self,
        record: &CoordinatorRecord,
    ) -> Result<(), Violation> {
        if let CoordinatorRecord::Committed(_, result) = record {
            self.check_sum(result)?;
        }
        Ok(())
    }

    fn check_sum(&self, result: &RoundResult) -> Result<(), Violation> {
        let manifest = result.manifest.unverified();
        let context = result.outcome.unverified().context;
        if result.survivors.len() < usize::from(manifest.threshold) {
            return Err(Violation::new(
                Invariant::EnoughSurvivors,
                result.survivors.len(),
            ));
        }
        let roster = self.rosters.get(&manifest.epoch);
        let roster =
            roster.ok_or_else(|| Violation::new(Invariant::KnownRoster, manifest.epoch.0))?;
        let payload = vector::payload(&result.sum);
        let mut expected = vec![0; payload.len()];
        for seat in result.survivors.iter() {
            let id = roster[usize::from(seat.0)];
            let bank = self.ids.iter().position(|known| *known == id);
            let made = bank.and_then(|bank| self.contributions.get(&(context, bank)));
            let made =
                made.ok_or_else(|| Violation::new(Invariant::SurvivorsContributed, seat.0))?;
            expected
                .iter_mut()
                .zip(made)
                .for_each(|(sum, part)| *sum += part);
        }
        // Rounding of a fixed point may move each update by one; counts are exact, and heights
        // are a hundred at least.
        let slack = result.survivors.len() as i64;
        let differs =
            |(found, expected): (&i32, &i64)| (i64::from(*found) - expected).abs() > slack;
        if payload.iter().zip(&expected).any(differs) {
            let found = format!(
                "round {}: {payload:?}, expected {expected:?}",
                manifest.round.0
            );
            return Err(Violation::new(Invariant::ExactSum, found));
        }
        Ok(())
    }

    /// A record of the coordinator's is durable.
    pub(crate) fn coordinator_remembers(
        &mut self,
        record: &CoordinatorRecord,
    ) -> Result<(), Violation> {
        match record {
            CoordinatorRecord::EpochOpened(roster) => {
                let roster = roster.unverified();
                let ids = roster.members.iter().map(|member| member.unverified().id);
                self.rosters.insert(roster.epoch, ids.collect());
            }
            CoordinatorRecord::RoundOpened(_, manifest) => {
                let manifest = manifest.unverified();
                let context = manifest.context();
                self.opened.insert(context, manifest.round);
                self.under.insert(context, manifest.bucket_key);
            }
            CoordinatorRecord::Committed(_, result) => self.commit(result)?,
            CoordinatorRecord::Abandoned(..) => self.story.abandoned += 1,
            CoordinatorRecord::PlanAdopted(_)
            | CoordinatorRecord::PlanEnded(_)
            | CoordinatorRecord::Barred(_)
            | CoordinatorRecord::KeyBundle(_)
            | CoordinatorRecord::Encapsulations(_)
            | CoordinatorRecord::EpochAgreed(_)
            | CoordinatorRecord::EpochAbandoned(_)
            | CoordinatorRecord::Escrow(_)
            | CoordinatorRecord::Escrowed(_)
            | CoordinatorRecord::Masked(_)
            | CoordinatorRecord::Survived(_)
            | CoordinatorRecord::Ack(_)
            | CoordinatorRecord::Acknowledged(_)
            | CoordinatorRecord::Reveal(_) => {}
        }
        Ok(())
    }

    fn commit(&mut self, result: &RoundResult) -> Result<(), Violation> {
        let (outcome, manifest) = (result.outcome.unverified(), result.manifest.unverified());
        let before = self.committed.insert(outcome.sequence, outcome.sum);
        if before.is_some_and(|before| before != outcome.sum) {
            return Err(Violation::new(
                Invariant::OneResultForPlace,
                outcome.sequence,
            ));
        }
        let before = self.committed_rounds.insert(outcome.round, outcome.context);
        if before.is_some_and(|before| before != outcome.context) {
            return Err(Violation::new(
                Invariant::OneResultForRound,
                outcome.round.0,
            ));
        }
        if before.is_none() {
            self.story.committed += 1;
            self.story.dropouts += (manifest.cohort.len() - result.survivors.len()) as u64;
        }
        self.of_plan
            .entry(manifest.plan)
            .or_default()
            .insert(outcome.round);
        Ok(())
    }

    /// The coordinator says something.
    pub(crate) fn coordinator_sends(&self, message: &ToClient) -> Result<(), Violation> {
        match message {
            ToClient::Round(offer) => {
                let manifest = offer.manifest.unverified();
                if !self.opened.contains_key(&manifest.context()) {
                    return Err(Violation::new(
                        Invariant::OfferAfterPersist,
                        manifest.round.0,
                    ));
                }
            }
            ToClient::Result(result) => {
                let sequence = result.outcome.unverified().sequence;
                if !self.committed.contains_key(&sequence) {
                    return Err(Violation::new(Invariant::ResultAfterPersist, sequence));
                }
            }
            ToClient::Welcome(_)
            | ToClient::Roster(_)
            | ToClient::Bundles(_)
            | ToClient::Encapsulations(_)
            | ToClient::EscrowBundle(_)
            | ToClient::Survivors(_)
            | ToClient::Acks(_)
            | ToClient::Abandoned(_)
            | ToClient::Refused(_)
            | ToClient::Audited(_)
            | ToClient::Handover(_)
            | ToClient::SealedKey(_)
            | ToClient::Operator(_) => {}
        }
        Ok(())
    }

    /// A record of a bank's is durable.
    pub(crate) fn bank_remembers(&mut self, bank: usize, record: &ClientRecord) {
        match record {
            ClientRecord::Acked(round) => {
                self.acked[bank].insert(*round);
            }
            ClientRecord::Revealed(round, ..) => {
                self.revealed[bank].insert(*round);
            }
            ClientRecord::EpochJoined(..)
            | ClientRecord::Joined(..)
            | ClientRecord::Applied(_)
            | ClientRecord::Abandoned(..) => {}
        }
    }

    /// A bank says something.
    pub(crate) fn bank_sends(
        &mut self,
        bank: usize,
        message: &ToCoordinator,
    ) -> Result<(), Violation> {
        match message {
            ToCoordinator::Masked(masked) => {
                let context = masked.trailer.unverified().context;
                self.check_masked(bank, context, &masked.words.0)
            }
            ToCoordinator::Ack(ack) => {
                let round = self.round(ack.unverified().context)?;
                if !self.acked[bank].contains(&round) {
                    return Err(Violation::new(Invariant::AckAfterPersist, round.0));
                }
                let said = crypto::sha256(&[&wire::encode(ack)]);
                let before = self.acks.insert((bank, round), said);
                if before.is_some_and(|before| before != said) {
                    return Err(Violation::new(Invariant::OneAck, round.0));
                }
                Ok(())
            }
            ToCoordinator::Reveal(reveal) => {
                let round = self.round(reveal.unverified().context)?;
                if !self.revealed[bank].contains(&round) {
                    return Err(Violation::new(Invariant::RevealAfterPersist, round.0));
                }
                Ok(())
            }
            ToCoordinator::CheckIn(_)
            | ToCoordinator::KeyBundle(_)
            | ToCoordinator::Encapsulations(_)
            | ToCoordinator::Declined(_)
            | ToCoordinator::Audit(_)
            | ToCoordinator::Escrow(_)
            | ToCoordinator::Complaint(_)
            | ToCoordinator::SealedKeys(_)
            | ToCoordinator::KeyComplaint(_)
            | ToCoordinator::Operator(_) => Ok(()),
        }
    }

    fn round(&self, context: Context) -> Result<RoundId, Violation> {
        let round = self.opened.get(&context).copied();
        round.ok_or_else(|| Violation::new(Invariant::SpeechForRecorded, context.0))
    }

    /// Puts what a bank made for an attempt in the place of what it masked, for a saboteur.
    pub(crate) fn unmask(&self, bank: usize, context: Context, words: &mut [u8]) {
        let Some(plain) = self.contributions.get(&(context, bank)) else {
            return;
        };
        let width = word_bytes(words, plain);
        let words = words.chunks_exact_mut(width).skip(HEADER_WORDS);
        for (word, plain) in words.zip(plain) {
            word.copy_from_slice(&plain.to_le_bytes()[..width]);
        }
    }

    fn check_masked(
        &mut self,
        bank: usize,
        context: Context,
        words: &[u8],
    ) -> Result<(), Violation> {
        self.round(context)?;
        let digest = crypto::sha256(&[words]);
        let before = self.masked.insert((context, bank), digest);
        if before.is_some_and(|before| before != digest) {
            return Err(Violation::new(Invariant::OneMasking, bank));
        }
        let Some(plain) = self.contributions.get(&(context, bank)) else {
            return Err(Violation::new(Invariant::MaskedWasMade, bank));
        };
        let width = word_bytes(words, plain);
        let masked = words.chunks_exact(width).skip(HEADER_WORDS);
        let shown = masked
            .zip(plain)
            .filter(|(word, plain)| plain.to_le_bytes().starts_with(word))
            .count();
        if 4 * shown > plain.len() {
            return Err(Violation::new(
                Invariant::NothingUnmasked,
                format!("{shown} words"),
            ));
        }
        Ok(())
    }

    /// An honest peer is never blamed.
    pub(crate) fn coordinator_reports(
        &self,
        event: &CoordinatorEvent,
        liar: Option<usize>,
    ) -> Result<(), Violation> {
        match event {
            CoordinatorEvent::Misbehaved(id, sin) => {
                let is_liar = liar.is_some_and(|bank| self.ids.get(bank) == Some(id));
                if is_liar {
                    Ok(())
                } else {
                    Err(Violation::new(Invariant::BanksUnblamed, sin))
                }
            }
            CoordinatorEvent::ClientArrived(..)
            | CoordinatorEvent::ClientLeft(_)
            | CoordinatorEvent::PhaseEntered(_)
            | CoordinatorEvent::PlanAdopted(..)
            | CoordinatorEvent::PlanEnded(..)
            | CoordinatorEvent::EpochAgreed(..)
            | CoordinatorEvent::EpochAbandoned(_)
            | CoordinatorEvent::RoundOpened(..)
            | CoordinatorEvent::Dropout(..)
            | CoordinatorEvent::RoundCommitted { .. }
            | CoordinatorEvent::RoundAbandoned(..)
            | CoordinatorEvent::Halted(_)
            | CoordinatorEvent::Declined(..)
            | CoordinatorEvent::UpdateReceived(..)
            | CoordinatorEvent::Waiting(_)
            | CoordinatorEvent::BucketKeyAwaited(_) => Ok(()),
        }
    }

    /// An honest coordinator is never blamed, and its results always follow.
    pub(crate) fn bank_reports(
        &mut self,
        bank: usize,
        event: &ClientEvent,
        liar: Option<usize>,
    ) -> Result<(), Violation> {
        match event {
            ClientEvent::FalseSum { .. } => Err(Violation::new(
                Invariant::SumsAreAudited,
                format!("bank {bank}: {event:?}"),
            )),
            ClientEvent::AuditPassed(..) => {
                self.story.audits += 1;
                Ok(())
            }
            ClientEvent::Misbehaved(sin) if liar.is_none() => {
                let found = format!("bank {bank}: {sin}");
                Err(Violation::new(Invariant::CoordinatorUnblamed, found))
            }
            ClientEvent::Misbehaved(_)
            | ClientEvent::Welcomed
            | ClientEvent::EpochAgreed(..)
            | ClientEvent::Joined(..)
            | ClientEvent::ForeignSchema(_)
            | ClientEvent::Declined(_)
            | ClientEvent::UpdateSent(..)
            | ClientEvent::Acked(_)
            | ClientEvent::Revealed(_)
            | ClientEvent::Applied(..)
            | ClientEvent::Abandoned(..)
            | ClientEvent::Unaudited(..)
            | ClientEvent::Refused(_)
            | ClientEvent::BucketKeyKept(_) => Ok(()),
        }
    }

    /// What the banks have applied.
    pub(crate) fn compare_ledgers(&mut self, banks: &[Host<Client>]) -> Result<(), Violation> {
        for party in banks.iter().filter_map(|host| host.party.as_ref()) {
            let (length, head) = (party.ledger().length(), party.ledger().head());
            let known = *self.heads.entry(length).or_insert(head);
            if known != head {
                return Err(Violation::new(Invariant::NoFork, length));
            }
        }
        Ok(())
    }

    /// Whether the last plan is done everywhere.
    pub(crate) fn is_content(&self, banks: &[Host<Client>]) -> bool {
        let (plan, rounds) = self.last_plan;
        let done = self.of_plan.get(&plan).map_or(0, BTreeSet::len);
        let newest = self.committed.keys().max().copied();
        let caught_up = |host: &Host<Client>| {
            host.party.as_ref().map(|party| party.ledger().length()) == newest
        };
        done == rounds as usize && banks.iter().all(caught_up)
    }

    /// The calm is over, and the last plan is not done everywhere.
    pub(crate) fn restless(&self, banks: &[Host<Client>]) -> Violation {
        let lengths = banks
            .iter()
            .map(|host| host.party.as_ref().map(|p| p.ledger().length()));
        let found = format!(
            "{} commits, ledgers {:?}, last plan {:?}",
            self.committed.len(),
            lengths.collect::<Vec<_>>(),
            self.of_plan.get(&self.last_plan.0).map_or(0, BTreeSet::len)
        );
        Violation::new(Invariant::CalmCommits, found)
    }
}

/// How wide the words of a vector with this payload are.
fn word_bytes(words: &[u8], payload: &[i64]) -> usize {
    words.len() / (HEADER_WORDS + payload.len())
}
