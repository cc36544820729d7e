//! Whether to take a seat in an attempt: every check of a manifest before anything is remembered,
//! trained or sent (PROTOCOL.md §4). What is the coordinator's fault comes first, what this
//! institution will not do after it. A checked offer is a [`Sitting`].

use std::sync::Arc;

use crypto::VerifyKey;

use crate::blame::{Misbehaviour, Refusal};
use crate::bucket::BucketKey;
use crate::client::Objection;
use crate::client::bank::Bank;
use crate::client::keyring::{Keyring, Seating};
use crate::credential::Role;
use crate::graph::{self, Graph};
use crate::id::{Context, RoundId, Seat, Seats};
use crate::limits::PROTOCOL_VERSION;
use crate::message::{Manifest, RoundOffer};
use crate::plan::{Kind, Plan, SchemaText};
use crate::terms::{self, Terms};
use crate::time::Time;

/// One attempt as this client sits in it: public terms, all checked.
pub(crate) struct Sitting {
    /// The attempt.
    pub(crate) context: Context,
    /// Its terms.
    pub(crate) manifest: Manifest,
    /// The plan behind it.
    pub(crate) plan: Plan,
    /// Our seat.
    pub(crate) seat: Seat,
    /// Who the others are.
    pub(crate) seating: Arc<Seating>,
    /// Who shares a mask with whom.
    pub(crate) graph: Graph,
}

impl Sitting {
    /// The round number.
    pub(crate) fn round(&self) -> RoundId {
        self.manifest.round
    }

    /// The arithmetic of the round.
    pub(crate) fn terms(&self) -> Terms {
        terms::of_manifest(&self.manifest)
    }

    /// The key of a cohort member.
    pub(crate) fn key(&self, seat: Seat) -> &VerifyKey {
        let key = self.seating.key(seat);
        key.expect("the cohort was checked to be seats of the roster")
    }

    /// Our mask neighbours in a set of seats.
    pub(crate) fn neighbours_in(&self, seats: &Seats) -> Seats {
        let neighbours = self.graph.neighbours(self.seat);
        neighbours
            .iter()
            .filter(|&seat| seats.contains(seat))
            .collect()
    }

    /// A set that would be opened, or opens something: seats of `whole`, and enough of them,
    /// whoever colludes (A9).
    pub(crate) fn check_set(
        &self,
        what: &'static str,
        set: &Seats,
        whole: &Seats,
    ) -> Result<(), Misbehaviour> {
        if !set.is_canonical() {
            return Err(Misbehaviour::Malformed(what, "seats are not ascending"));
        }
        if let Some(stranger) = set.iter().find(|&seat| !whole.contains(seat)) {
            return Err(Misbehaviour::Stranger(stranger, what));
        }
        let terms = self.terms();
        if !terms.suffice(set) {
            return Err(Misbehaviour::TooFew(
                what,
                set.len(),
                usize::from(terms.needed()),
            ));
        }
        Ok(())
    }
}

/// What an offer comes to.
pub(crate) enum Answer {
    /// Take the seat.
    Sit(Box<Sitting>),
    /// One of the two sides is behind the other: say where we stand.
    CheckIn,
}

/// Checks an offer whose manifest's signature was verified.
pub(crate) fn consider(
    now: Time,
    offer: &RoundOffer,
    keyring: Option<&Keyring>,
    bank: &mut Bank,
) -> Result<Answer, Objection> {
    let manifest = offer.manifest.unverified();
    if manifest.version != PROTOCOL_VERSION || manifest.session != bank.identity.authority.session()
    {
        return Err(Misbehaviour::Context("manifest").into());
    }
    let Some(keyring) = keyring.filter(|keyring| keyring.seating.epoch == manifest.epoch) else {
        return Ok(Answer::CheckIn);
    };
    if keyring.seating.root != manifest.roster {
        return Err(Misbehaviour::Context("manifest").into());
    }
    if let Some(round) = bank.false_sum {
        return Err(Refusal::FalseSum(round).into());
    }
    bank.memory.check_order(manifest.round, manifest.attempt)?;
    if manifest.due.end <= now {
        return Err(Refusal::Stale(manifest.round).into());
    }
    let plan = check_plan(now, offer, bank)?;
    if manifest.head != bank.ledger.head() {
        return Ok(Answer::CheckIn);
    }
    // Before the base: that of a plan's first round is a genesis as large as the plan's layout.
    bank.policy
        .check(plan, manifest, bank.memory.seated_most())?;
    check_base(manifest, plan, bank)?;
    let sitting = take_seat(manifest, plan, keyring)?;
    bank.policy
        .check_day(bank.memory.joined_today(now, manifest.round))?;
    let spends = bank.ledger.spends(plan, manifest.base)?;
    bank.memory.check_base(plan, spends)?;
    check_bucket_key(manifest, plan, bank)?;
    Ok(Answer::Sit(Box::new(sitting)))
}

/// The plan's feature schema, where that is what was objected to: its host says what differs.
pub(crate) fn foreign_schema<'a>(
    objection: &Objection,
    offer: &'a RoundOffer,
) -> Option<&'a SchemaText> {
    let model = offer.plan.plan.unverified().work.model()?;
    matches!(objection, Objection::Ours(Refusal::SchemaNotApproved(_))).then_some(&model.schema)
}

/// The plan must be an operator's of this consortium, in force, sound, and the manifest's.
fn check_plan<'a>(
    now: Time,
    offer: &'a RoundOffer,
    bank: &mut Bank,
) -> Result<&'a Plan, Objection> {
    let refused = |why: String| Objection::Ours(Refusal::Plan(why));
    let signed = &offer.plan;
    let (authority, seen) = (bank.identity.authority, &mut bank.seen);
    let operator = authority.admit_again(&signed.operator, Role::Operator, now, seen);
    let operator = operator.map_err(|error| refused(error.to_string()))?;
    let checked = seen.check(&signed.plan, &operator.key);
    checked.map_err(|_| refused("its signature is not the operator's".to_owned()))?;
    let plan = signed.plan.unverified();
    terms::validate(plan).map_err(refused)?;
    if plan.expires < now {
        return Err(refused(format!(
            "expired at {:?}, it is {now:?}",
            plan.expires
        )));
    }
    terms::check(offer.manifest.unverified(), plan).map_err(Misbehaviour::Manifest)?;
    Ok(plan)
}

/// What the vector is relative to must be what our own ledger says, word for word: a coordinator
/// that shows different models to different banks is refused by each of them (A1, A2).
fn check_base(manifest: &Manifest, plan: &Plan, bank: &Bank) -> Result<(), Misbehaviour> {
    let expected = bank.ledger.base(plan);
    if manifest.base != expected {
        return Err(Misbehaviour::Base {
            found: manifest.base,
            expected,
        });
    }
    if manifest.step != bank.ledger.step(&manifest.plan) {
        return Err(Misbehaviour::Manifest("step is not the plan's next one"));
    }
    let (found, expected) = (manifest.bucket_key, bank.ledger.bucket_key());
    if found.is_some() && expected.is_some() && found != expected {
        return Err(Misbehaviour::Manifest("bucket_key is not the ledger's"));
    }
    Ok(())
}

/// Risk counts are made under the manifest's bucket key or not at all: what is hashed under two
/// keys adds up to nothing. The key is compared by name here, before anything is said.
fn check_bucket_key(manifest: &Manifest, plan: &Plan, bank: &Bank) -> Result<(), Refusal> {
    let held = bank.bucket_key().map(BucketKey::commitment);
    match plan.work.kind() {
        Kind::Risk if held.is_none() || held != manifest.bucket_key => Err(Refusal::BucketKey),
        Kind::Risk | Kind::Pretrain | Kind::Finetune | Kind::Evaluate => Ok(()),
    }
}

/// Our place in the cohort, and the graph that nobody may choose alone.
fn take_seat(manifest: &Manifest, plan: &Plan, keyring: &Keyring) -> Result<Sitting, Misbehaviour> {
    let seating = &keyring.seating;
    if let Some(stranger) = manifest
        .cohort
        .iter()
        .find(|&seat| seating.key(seat).is_none())
    {
        return Err(Misbehaviour::Stranger(stranger, "cohort"));
    }
    if !manifest.cohort.contains(keyring.seat) {
        return Err(Misbehaviour::Stranger(keyring.seat, "cohort"));
    }
    if manifest.graph_seed != graph::seed(&seating.root, &seating.nonces, manifest.round) {
        return Err(Misbehaviour::Manifest("graph_seed is not the members'"));
    }
    if !keyring.reaches(manifest.round) {
        return Err(Misbehaviour::Manifest(
            "round leaps over more numbers than a ratchet may",
        ));
    }
    Ok(Sitting {
        context: manifest.context(),
        manifest: manifest.clone(),
        plan: plan.clone(),
        seat: keyring.seat,
        seating: Arc::clone(seating),
        graph: Graph::new(&manifest.cohort, manifest.degree, &manifest.graph_seed),
    })
}
