//! Whether a result is what its transcript says: signatures, acknowledgements, and our own place
//! in it (PROTOCOL.md §7). What follows from result and ledger alone is `ledger.rs`.
//!
//! A newcomer catches up on rounds whose rosters it never saw. Of those it checks everything but
//! the signatures on the acknowledgements, and relies on the coordinator's for them: it has no
//! update in those sums to lose, and the chain it gets must end in the head everybody builds on.

use crate::blame::Misbehaviour;
use crate::client::bank::Bank;
use crate::client::phase::acknowledgement::check_acks;
use crate::credential::Role;
use crate::ledger::LedgerError;
use crate::message::{Ack, RoundResult};
use crate::signed::Signed;
use crate::terms;
use crate::time::Time;

/// Checks all of a result that the ledger does not.
pub(crate) fn check(result: &RoundResult, bank: &mut Bank) -> Result<(), Misbehaviour> {
    let coordinator = bank
        .coordinator
        .expect("nothing is heard before the coordinator is known");
    let outcome = result.outcome.clone().verify(&coordinator);
    let outcome = outcome.map_err(|_| Misbehaviour::Signature("result"))?;
    let manifest = bank.seen.verify(result.manifest.clone(), &coordinator);
    let manifest = manifest.map_err(|_| Misbehaviour::Signature("result's manifest"))?;
    check_plan(result, bank)?;

    let (found, allowed) = (result.acks.len(), result.survivors.len());
    if found > allowed {
        let (found, allowed) = (found as u64, allowed as u64);
        return Err(Misbehaviour::Oversized(
            "result's acknowledgements",
            found,
            allowed,
        ));
    }
    let expected = Ack {
        context: outcome.context,
        seat: crate::id::Seat(0),
        escrowed: outcome.escrowed,
        survivors: outcome.survivors,
        masked: outcome.masked,
    };
    let seating = bank.seating(&manifest.roster);
    let threshold = usize::from(manifest.threshold);
    let holds = |ack: &Signed<Ack>| {
        let key = seating.as_ref()?.key(ack.unverified().seat)?;
        Some(bank.seen.check(ack, key).is_ok())
    };
    check_acks(&result.acks, &expected, &result.survivors, threshold, holds)
        .map_err(Misbehaviour::Acks)?;
    if let Some(ours) = &bank.acked
        && ours.context == outcome.context
        && *ours
            != (Ack {
                seat: ours.seat,
                ..expected
            })
    {
        return Err(Misbehaviour::Result(
            "its sets are not those we acknowledged",
        ));
    }
    Ok(())
}

/// The plan must be an operator's of this consortium. A credential that has expired since does not
/// undo what was done under it, so its end is not looked at here.
fn check_plan(result: &RoundResult, bank: &mut Bank) -> Result<(), Misbehaviour> {
    let signed = &result.plan;
    let (authority, seen) = (bank.identity.authority, &mut bank.seen);
    let operator = authority.admit_again(&signed.operator, Role::Operator, Time(0), seen);
    let operator = operator.map_err(|error| Misbehaviour::Credential(error.to_string()))?;
    let plan = seen.verify(signed.plan.clone(), &operator.key);
    let plan = plan.map_err(|_| Misbehaviour::Signature("result's plan"))?;
    terms::validate(&plan).map_err(|_| Misbehaviour::Result("its plan is out of range"))
}

/// What the ledger found wrong, as somebody's fault.
pub(crate) fn fault(error: &LedgerError) -> Misbehaviour {
    Misbehaviour::Result(match error {
        LedgerError::Sequence { .. } => "its place in the ledger is not the next one",
        LedgerError::Differs { what, .. } => what,
        LedgerError::Round { .. } => "its round does not follow the last one",
        LedgerError::Manifest(rule) => rule,
        LedgerError::Step { .. } => "its step is not the plan's next one",
        LedgerError::Survivors(rule) => rule,
        LedgerError::Words { .. } => "its sum has another length",
        LedgerError::Sum(_) => "its sum is nobody's",
        LedgerError::NotFinite { .. } => "the model would leave the numbers",
    })
}
