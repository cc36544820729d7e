//! `Round`: the terms of the attempt that runs, and the two rules its phases share: how many
//! answers are enough, and how long it is worth waiting. What is collected is each phase's own.

use std::collections::BTreeSet;

use crate::coordinator::desk::Desk;
use crate::coordinator::epoch::Members;
use crate::coordinator::handover;
use crate::graph::Graph;
use crate::id::{Context, PlanId, Seat, Seats};
use crate::limits::PROTOCOL_VERSION;
use crate::message::{Abandoned, Cause, Due, Escrow, Manifest, RoundOffer, ToClient};
use crate::operator::RoundSummary;
use crate::plan::{Deadlines, Kind, SignedPlan, Width};
use crate::record::CoordinatorRecord;
use crate::signed::Signed;
use crate::terms::{self, Terms};
use crate::time::{Duration, Time};

/// The terms of the attempt that runs.
pub(crate) struct Round {
    pub(crate) manifest: Signed<Manifest>,
    pub(crate) context: Context,
    pub(crate) plan: SignedPlan,
    pub(crate) terms: Terms,
    pub(crate) graph: Graph,
    pub(crate) members: Members,
}

impl Round {
    /// The attempt that a manifest of ours opened. None where its plan or epoch is not in force,
    /// which only a foreign record can bring about.
    pub(crate) fn new(manifest: Signed<Manifest>, desk: &Desk) -> Option<Self> {
        let body = manifest.unverified();
        let plan = desk.plans.get(body.plan)?.signed();
        let epoch = desk.epoch.as_ref()?;
        if epoch.name() != (body.epoch, body.roster) {
            return None;
        }
        Some(Self {
            context: body.context(),
            plan,
            terms: terms::of_manifest(body),
            graph: Graph::new(&body.cohort, body.degree, &body.graph_seed),
            members: epoch.members.clone(),
            manifest,
        })
    }

    /// The terms of the next attempt, for this cohort. None where the rules allow no such round.
    pub(crate) fn manifest_for(cohort: Seats, desk: &Desk) -> Option<Manifest> {
        let adopted = desk.plans.front()?;
        let plan = adopted.plan();
        let epoch = desk.epoch.as_ref()?;
        let members = u16::try_from(cohort.len()).ok()?;
        let terms = terms::for_roster(&plan.cohort, members, desk.seated_most).ok()?;
        let (round, attempt) = desk.next;
        Some(Manifest {
            version: PROTOCOL_VERSION,
            session: desk.identity.authority.session(),
            epoch: epoch.id,
            roster: epoch.root,
            round,
            attempt,
            plan: adopted.id,
            step: desk.ledger.step(&adopted.id),
            base: desk.ledger.base(plan),
            head: desk.ledger.head(),
            words: terms::words(plan).ok()?,
            word_bits: plan.width.bits(),
            value_bits: terms::value_bits(plan, members),
            cohort,
            colluders: terms.colluders,
            threshold: terms.threshold,
            honest_min: terms.honest_min,
            degree: terms.degree,
            graph_seed: epoch.graph_seed(round),
            due: due(&plan.deadlines, desk.now),
            bucket_key: match plan.work.kind() {
                Kind::Risk => handover::wanted(desk),
                Kind::Pretrain | Kind::Finetune | Kind::Evaluate => None,
            },
        })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.manifest.unverified()
    }

    pub(crate) fn cohort(&self) -> &Seats {
        &self.manifest().cohort
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.plan.plan.unverified().deadlines
    }

    pub(crate) fn kind(&self) -> Kind {
        self.plan.plan.unverified().work.kind()
    }

    pub(crate) fn width(&self) -> Width {
        self.plan.plan.unverified().width
    }

    pub(crate) fn plan_id(&self) -> PlanId {
        self.manifest().plan
    }

    /// When a phase entered now ends, at the latest. A phase entered by replaying records gets
    /// its whole span again; but at the manifest's end the clients have given up.
    pub(crate) fn deadline(&self, now: Time, span: Duration) -> Time {
        now.after(span).min(self.manifest().due.end)
    }

    /// What the sender of an escrow committed to as its key with `other`; none where they share
    /// no mask.
    pub(crate) fn commitment(&self, escrow: &Escrow, other: Seat) -> Option<[u8; 16]> {
        let neighbours = self.graph.neighbours(escrow.header.unverified().seat);
        let place = neighbours.iter().position(|seat| seat == other)?;
        escrow.commitments.get(place).copied()
    }

    /// What opens the attempt for a member.
    pub(crate) fn offer(&self) -> ToClient {
        ToClient::Round(Box::new(RoundOffer {
            manifest: self.manifest.clone(),
            plan: self.plan.clone(),
        }))
    }

    /// The record that ends this attempt without a result.
    pub(crate) fn abandoned(&self, now: Time, cause: Cause) -> CoordinatorRecord {
        let manifest = self.manifest();
        CoordinatorRecord::Abandoned(
            now,
            Abandoned {
                round: manifest.round,
                attempt: manifest.attempt,
                cause,
            },
        )
    }

    /// The line in the operator's list.
    pub(crate) fn summary(&self, opened: Time) -> RoundSummary {
        let manifest = self.manifest();
        RoundSummary {
            round: manifest.round,
            attempt: manifest.attempt,
            plan: self.plan.plan.unverified().name.clone(),
            kind: self.kind(),
            cohort: self.terms.members,
            escrowed: 0,
            survivors: 0,
            end: None,
            opened,
            closed: None,
            bytes_in: 0,
        }
    }
}

/// The moments told to the clients. The end leaves room for a coordinator that restarts once and
/// gives every phase its span again.
fn due(deadlines: &Deadlines, opened: Time) -> Due {
    let escrow = opened.after(deadlines.escrow);
    let collection = escrow.after(deadlines.collection);
    let all = [
        deadlines.escrow,
        deadlines.collection,
        deadlines.acknowledgement,
        deadlines.reveal,
    ];
    let all = all
        .iter()
        .fold(0_u64, |sum, span| sum.saturating_add(span.0));
    Due {
        escrow,
        collection,
        end: opened.after(Duration(all.saturating_mul(2))),
    }
}

/// Who was asked in a phase, who answered, and who said that no answer will come.
pub(crate) struct Answers<'a> {
    pub(crate) expected: &'a Seats,
    pub(crate) given: Seats,
    pub(crate) withdrawn: &'a BTreeSet<Seat>,
    /// Answers without which the round cannot go on.
    pub(crate) needed: usize,
    pub(crate) deadline: Time,
}

/// What the answers so far mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More may come.
    Wait,
    /// Go on with those who answered.
    Enough,
    /// There will not be enough.
    TooFew,
}

impl Answers<'_> {
    /// When the phase ends at the latest: with enough answers, as soon as nobody who is here owes
    /// one; without, at the deadline, since the absent may come back.
    pub(crate) fn ends(&self, desk: &Desk) -> Time {
        if self.given.len() < self.needed {
            return self.deadline;
        }
        let patience = self.owing(desk).map(|(_, until)| until).max();
        self.deadline.min(patience.unwrap_or(Time(0)))
    }

    pub(crate) fn verdict(&self, desk: &Desk) -> Verdict {
        let is_over = desk.now >= self.ends(desk);
        if self.given.len() >= self.needed {
            return if is_over {
                Verdict::Enough
            } else {
                Verdict::Wait
            };
        }
        let possible = self.given.len() + self.owing(desk).count();
        if is_over || possible < self.needed {
            return Verdict::TooFew;
        }
        Verdict::Wait
    }

    /// Who may still answer, and until when it is worth waiting for it. A member that restarted
    /// has lost the epoch's keys: it dropped out.
    fn owing(&self, desk: &Desk) -> impl Iterator<Item = (Seat, Time)> {
        let missing = self.expected.without(&self.given);
        let missing: Vec<_> = missing
            .iter()
            .filter(|seat| !self.withdrawn.contains(seat))
            .filter_map(|seat| Some((seat, desk.patience(seat)?)))
            .collect();
        missing.into_iter()
    }
}
