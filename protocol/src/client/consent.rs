//! What this institution will not do, whatever the plan says and whoever signed it. Checked after
//! everything the protocol itself demands (`client/offer.rs`), before anything is remembered or
//! sent; each answer is a [`Refusal`], told to the coordinator so that nobody waits.

use std::collections::BTreeSet;

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::blame::Refusal;
use crate::message::Manifest;
use crate::plan::{Kind, Plan};
use crate::terms;

/// One institution's own limits. Nothing on a list is nothing allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Kinds of plan this institution takes part in.
    pub kinds: BTreeSet<Kind>,
    /// Smallest cohort it sits in.
    pub members_min: u16,
    /// Fewest honest banks in an opened sum (m_min of secagg.md §2).
    pub honest_min: u16,
    /// Fewest banks assumed to collude; `None` asks for `floor((n-1)/3)`, where n are the members
    /// of the largest roster this bank ever agreed on.
    pub colluders_min: Option<u16>,
    /// Feature schemas it encodes its data with, by digest.
    pub schemas: BTreeSet<Digest>,
    /// Model layouts it trains and judges, by digest: a crafted network is refused here.
    pub layouts: BTreeSet<Digest>,
    /// Round numbers it joins in one UTC day.
    pub rounds_per_day: u32,
    /// Members it accepts at once beyond those of the last agreed roster.
    pub joins_per_epoch_max: u16,
    /// Chunks of each result that it audits (PROTOCOL.md §7), at most
    /// [`AUDIT_CHUNKS_MAX`](crate::limits::AUDIT_CHUNKS_MAX); 0 audits nothing.
    pub audit_chunks: u16,
}

impl Policy {
    /// Whether the terms of a round are acceptable here, `seated` being the members of the
    /// largest roster this bank ever agreed on.
    pub(crate) fn check(
        &self,
        plan: &Plan,
        manifest: &Manifest,
        seated: u16,
    ) -> Result<(), Refusal> {
        let kind = plan.work.kind();
        if !self.kinds.contains(&kind) {
            return Err(Refusal::KindNotAllowed(kind));
        }
        self.check_cohort(manifest, seated)?;
        let Some(model) = plan.work.model() else {
            return Ok(());
        };
        let schema = model.schema.digest();
        if !self.schemas.contains(&schema) {
            return Err(Refusal::SchemaNotApproved(schema));
        }
        let layout = model.layout.digest();
        if !self.layouts.contains(&layout) {
            return Err(Refusal::LayoutNotApproved(layout));
        }
        Ok(())
    }

    fn check_cohort(&self, manifest: &Manifest, seated: u16) -> Result<(), Refusal> {
        let found = u16::try_from(manifest.cohort.len()).unwrap_or(u16::MAX);
        if found < self.members_min {
            return Err(Refusal::CohortTooSmall {
                found,
                minimum: self.members_min,
            });
        }
        // Of the roster's members, not of the cohort's: the coordinator says who is in a cohort,
        // and may say it around those that collude with it (A9).
        let minimum = self
            .colluders_min
            .unwrap_or_else(|| terms::default_colluders(seated.max(found)));
        if manifest.colluders < minimum {
            return Err(Refusal::ColludersTooFew {
                found: manifest.colluders,
                minimum,
            });
        }
        if manifest.honest_min < self.honest_min {
            return Err(Refusal::Plan(format!(
                "keeps {} honest banks in a sum, this institution asks for {}",
                manifest.honest_min, self.honest_min
            )));
        }
        Ok(())
    }

    /// Whether one more round number may be joined after `joined_today` of them.
    pub(crate) fn check_day(&self, joined_today: u32) -> Result<(), Refusal> {
        if joined_today >= self.rounds_per_day {
            return Err(Refusal::RoundsSpent(self.rounds_per_day));
        }
        Ok(())
    }

    /// Whether a roster may hold so many members that the last agreed one did not.
    pub(crate) fn check_joins(&self, joins: usize) -> Result<(), Refusal> {
        if joins > usize::from(self.joins_per_epoch_max) {
            return Err(Refusal::Roster(format!(
                "{joins} members join at once, this institution accepts {}",
                self.joins_per_epoch_max
            )));
        }
        Ok(())
    }
}
