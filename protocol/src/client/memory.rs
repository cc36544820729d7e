//! The monotone facts a client keeps over restarts, rebuilt from its records: what was joined,
//! acknowledged and revealed, and whose word a roster needs. No secret is among them.

use std::collections::BTreeSet;

use crypto::Digest;

use crate::blame::Refusal;
use crate::id::{Attempt, ClientId, EpochId, RoundId};
use crate::plan::{Kind, Plan, Work};
use crate::record::ClientRecord;
use crate::time::Time;

/// What happened, as far as it binds what may happen.
#[derive(Default)]
pub(crate) struct Memory {
    epoch: Option<EpochId>,
    governors: Vec<ClientId>,
    seated_most: u16,
    joined: Option<(RoundId, Attempt)>,
    day: u64,
    joined_on_day: BTreeSet<RoundId>,
    acked: Option<RoundId>,
    settled: Option<RoundId>,
    revealed: BTreeSet<(Kind, Digest)>,
    risk_day_end: u32,
}

impl Memory {
    /// Whether risk counts were ever revealed.
    pub(crate) fn has_revealed_counts(&self) -> bool {
        self.risk_day_end > 0
    }

    /// Takes in a record that is durable, or will be before anything that depends on it.
    pub(crate) fn remember(&mut self, record: &ClientRecord) {
        match record {
            ClientRecord::EpochJoined(epoch, _root, governors) => {
                self.epoch = self.epoch.max(Some(*epoch));
                self.governors.clone_from(governors);
                let seated = u16::try_from(governors.len()).unwrap_or(u16::MAX);
                self.seated_most = self.seated_most.max(seated);
            }
            ClientRecord::Joined(at, round, attempt) => self.remember_joined(*at, *round, *attempt),
            ClientRecord::Acked(round) => self.acked = self.acked.max(Some(*round)),
            ClientRecord::Revealed(_, kind, base, day_end) => {
                self.revealed.insert((*kind, *base));
                self.risk_day_end = self.risk_day_end.max(day_end.unwrap_or(0));
            }
            ClientRecord::Applied(result) => {
                let round = result.outcome.unverified().round;
                self.settled = self.settled.max(Some(round));
            }
            ClientRecord::Abandoned(..) => {}
        }
    }

    fn remember_joined(&mut self, at: Time, round: RoundId, attempt: Attempt) {
        self.joined = self.joined.max(Some((round, attempt)));
        // A clock set back does not give a day's rounds again: the day only moves forward.
        if at.day() > self.day {
            self.day = at.day();
            self.joined_on_day.clear();
        }
        self.joined_on_day.insert(round);
    }

    /// The highest epoch keys were ever sent for.
    pub(crate) fn epoch(&self) -> Option<EpochId> {
        self.epoch
    }

    /// Members of the last roster that was agreed on; empty before the first.
    pub(crate) fn governors(&self) -> &[ClientId] {
        &self.governors
    }

    /// Members of the largest roster that was ever agreed on: a later one may be composed.
    pub(crate) fn seated_most(&self) -> u16 {
        self.seated_most
    }

    /// Whether this round number was acknowledged, or an earlier one.
    pub(crate) fn has_acked(&self, round: RoundId) -> bool {
        self.acked >= Some(round)
    }

    /// Round numbers joined today, without `round` itself: another attempt at it costs nothing.
    pub(crate) fn joined_today(&self, now: Time, round: RoundId) -> u32 {
        if now.day() > self.day {
            return 0;
        }
        let others = self
            .joined_on_day
            .iter()
            .filter(|&&joined| joined != round)
            .count();
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// Whether this attempt comes after everything used so far (secagg.md §3.4, A6 and A7).
    pub(crate) fn check_order(&self, round: RoundId, attempt: Attempt) -> Result<(), Refusal> {
        let is_used = self.joined >= Some((round, attempt));
        if is_used || self.has_acked(round) || self.settled >= Some(round) {
            return Err(Refusal::Stale(round));
        }
        Ok(())
    }

    /// Whether nothing of this kind was revealed on this base yet: two sums over one base with
    /// different survivors differ by single banks' vectors.
    pub(crate) fn check_base(&self, plan: &Plan, base: Digest) -> Result<(), Refusal> {
        let kind = plan.work.kind();
        let is_counted = match &plan.work {
            Work::Risk(terms) => terms.from_day < self.risk_day_end,
            Work::Pretrain(_) | Work::Finetune(_) | Work::Evaluate(_) => false,
        };
        if is_counted || self.revealed.contains(&(kind, base)) {
            return Err(Refusal::BaseRevealed(kind));
        }
        Ok(())
    }
}
