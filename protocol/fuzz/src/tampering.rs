//! Lies that are well told: a message changed in a few bytes, with its digests made again and its
//! signatures given by those whose word it is. What nobody could sign stays as it was.

use std::sync::Arc;

use crypto::{SigningKey, ToCanonical};
use protocol::masking;
use protocol::message::{
    Audited, Escrow, EscrowHeader, Masked, MaskedTrailer, RoundOffer, RoundOutcome, RoundResult,
    ToClient, ToCoordinator,
};
use protocol::plan::{Plan, SignedPlan, Width};
use protocol::signed::{Signable, Signed};
use protocol::{terms, vector, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::consortium;
use super::script::Script;

/// Changes a few places of a value's encoding; none where that is no value any more.
pub(super) fn edited<T: Serialize + DeserializeOwned>(
    value: &T,
    script: &mut Script<'_>,
) -> Option<T> {
    let mut bytes = wire::encode(value);
    for _ in 0..1 + script.byte() % 3 {
        edit(&mut bytes, script);
    }
    wire::decode(&bytes).ok()
}

/// Changes one place of some bytes.
pub(super) fn edit(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    let place = script.below(bytes.len());
    let kind = script.byte();
    let Some(byte) = bytes.get_mut(place) else {
        return bytes.push(kind);
    };
    match kind % 8 {
        0..=2 => *byte ^= 1 << (kind / 8 % 8),
        3 => *byte = script.byte(),
        4 => *byte = byte.wrapping_add(1),
        5 => {
            let fill = if kind > 127 { 0xff } else { 0 };
            let end = bytes.len().min(place + 1 + usize::from(kind / 8 % 8));
            bytes[place..end].fill(fill);
        }
        6 => {
            let end = bytes.len().min(place + 1 + usize::from(kind / 8));
            bytes.drain(place..end);
        }
        _ => {
            let piece = script.take(usize::from(kind / 8));
            bytes.splice(place..place, piece.iter().copied());
        }
    }
}

/// Another message to a client, as a coordinator with all of its own keys and the operator's
/// could send it; the banks' words in it are changed with their keys.
pub(super) fn down(message: &ToClient, script: &mut Script<'_>) -> Option<ToClient> {
    let key = consortium::coordinator_key();
    if script.byte().is_multiple_of(4) {
        return edited(message, script);
    }
    Some(match message {
        ToClient::Welcome(said) => {
            let mut said = said.clone();
            said.coordinator = again(&said.coordinator, &consortium::authority_key(), script)?;
            ToClient::Welcome(said)
        }
        ToClient::Roster(said) => ToClient::Roster(Box::new(again(said, &key, script)?)),
        ToClient::Bundles(said) => {
            let mut said = said.clone();
            let bank = script.below(said.bundles.len());
            let one = said.bundles.get_mut(bank)?;
            *one = again(one, &consortium::bank_key(bank), script)?;
            ToClient::Bundles(said)
        }
        ToClient::Encapsulations(said) => {
            let mut said = said.clone();
            let bank = script.below(said.encapsulations.len());
            let one = said.encapsulations.get_mut(bank)?;
            *one = again(one, &consortium::bank_key(bank), script)?;
            ToClient::Encapsulations(said)
        }
        ToClient::Round(said) => ToClient::Round(Box::new(offer(said, &key, script)?)),
        ToClient::EscrowBundle(said) => {
            let mut said = said.clone();
            let bank = script.below(said.headers.len());
            let one = said.headers.get_mut(bank)?;
            *one = again(one, &consortium::bank_key(bank), script)?;
            ToClient::EscrowBundle(said)
        }
        ToClient::Acks(said) => {
            let mut said = said.clone();
            let place = script.below(said.acks.len());
            let one = said.acks.get_mut(place)?;
            let bank = usize::from(one.unverified().seat.0);
            *one = again(one, &consortium::bank_key(bank % 5), script)?;
            ToClient::Acks(said)
        }
        ToClient::Result(said) => ToClient::Result(Arc::new(result(&edited(&**said, script)?))),
        ToClient::Audited(said) => {
            let mut said = said.clone();
            if let Audited::Opening(_, opening) = &mut *said {
                let bank = script.below(opening.headers.len());
                let one = opening.headers.get_mut(bank)?;
                let seat = usize::from(one.unverified().seat.0);
                *one = again(one, &consortium::bank_key(seat % 5), script)?;
            } else {
                said = edited(&said, script)?;
            }
            ToClient::Audited(said)
        }
        ToClient::SealedKey(said) => {
            let bank = usize::from(said.unverified().from.0);
            let key = consortium::bank_key(bank % 5);
            ToClient::SealedKey(Box::new(again(said, &key, script)?))
        }
        ToClient::Survivors(_)
        | ToClient::Abandoned(_)
        | ToClient::Handover(_)
        | ToClient::Refused(_)
        | ToClient::Operator(_) => edited(message, script)?,
    })
}

/// Another message of a bank, signed with its key.
pub(super) fn up(
    bank: usize,
    message: &ToCoordinator,
    script: &mut Script<'_>,
) -> Option<ToCoordinator> {
    let key = consortium::bank_key(bank);
    if script.byte().is_multiple_of(4) {
        return edited(message, script);
    }
    Some(match message {
        ToCoordinator::KeyBundle(said) => {
            ToCoordinator::KeyBundle(Box::new(again(said, &key, script)?))
        }
        ToCoordinator::Encapsulations(said) => {
            let mut said = said.clone();
            let place = script.below(said.len());
            let one = said.get_mut(place)?;
            *one = again(one, &key, script)?;
            ToCoordinator::Encapsulations(said)
        }
        ToCoordinator::Escrow(said) if script.is_odd() => {
            let mut said = said.clone();
            said.header = again(&said.header, &key, script)?;
            ToCoordinator::Escrow(said)
        }
        ToCoordinator::Escrow(said) => {
            ToCoordinator::Escrow(Box::new(escrow(edited(&**said, script)?, &key)))
        }
        ToCoordinator::Complaint(said) => {
            ToCoordinator::Complaint(Box::new(again(said, &key, script)?))
        }
        ToCoordinator::Masked(said) => {
            ToCoordinator::Masked(Box::new(masked(edited(&**said, script)?, &key)))
        }
        ToCoordinator::Ack(said) => ToCoordinator::Ack(again(said, &key, script)?),
        ToCoordinator::Reveal(said) => ToCoordinator::Reveal(Box::new(again(said, &key, script)?)),
        ToCoordinator::SealedKeys(said) => {
            let mut said = said.clone();
            let place = script.below(said.len());
            let one = said.get_mut(place)?;
            *one = again(one, &key, script)?;
            ToCoordinator::SealedKeys(said)
        }
        ToCoordinator::KeyComplaint(said) => {
            ToCoordinator::KeyComplaint(Box::new(again(said, &key, script)?))
        }
        ToCoordinator::CheckIn(_)
        | ToCoordinator::Declined(_)
        | ToCoordinator::Operator(_)
        | ToCoordinator::Audit(_) => edited(message, script)?,
    })
}

/// A plan with other terms, signed by the operator.
pub(super) fn plan(plan: &SignedPlan, script: &mut Script<'_>) -> Option<SignedPlan> {
    Some(SignedPlan {
        plan: again(&plan.plan, &consortium::operator_key(), script)?,
        operator: plan.operator.clone(),
    })
}

/// A result whose digests and signatures are made again, whatever it says.
pub(super) fn result(said: &RoundResult) -> RoundResult {
    let key = consortium::coordinator_key();
    let mut manifest = said.manifest.unverified().clone();
    let plan: &Plan = said.plan.plan.unverified();
    manifest.plan = plan.id();
    let outcome = RoundOutcome {
        context: manifest.context(),
        round: manifest.round,
        survivors: masking::seats_digest(&said.survivors),
        sum: vector::sum_root(&said.sum),
        ..said.outcome.unverified().clone()
    };
    RoundResult {
        outcome: Signed::sign(outcome, &key),
        manifest: Signed::sign(manifest, &key),
        plan: consortium::signed_plan(plan.clone()),
        ..said.clone()
    }
}

/// A signed body with other contents, signed again.
fn again<T>(said: &Signed<T>, key: &SigningKey, script: &mut Script<'_>) -> Option<Signed<T>>
where
    T: Signable + ToCanonical + Serialize + DeserializeOwned,
{
    Some(Signed::sign(edited(said.unverified(), script)?, key))
}

/// An offer of another manifest, or of another plan with the manifest that it asks for.
fn offer(said: &RoundOffer, key: &SigningKey, script: &mut Script<'_>) -> Option<RoundOffer> {
    if script.is_odd() {
        return Some(RoundOffer {
            manifest: again(&said.manifest, key, script)?,
            plan: said.plan.clone(),
        });
    }
    let plan = plan(&said.plan, script)?;
    let mut manifest = said.manifest.unverified().clone();
    let body = plan.plan.unverified();
    manifest.plan = body.id();
    manifest.words = terms::words(body).unwrap_or(manifest.words);
    if let Ok(terms) = terms::for_cohort(&body.cohort, manifest.cohort.len() as u16) {
        manifest.colluders = terms.colluders;
        manifest.threshold = terms.threshold;
        manifest.honest_min = terms.honest_min;
    }
    manifest.word_bits = body.width.bits();
    manifest.value_bits = terms::value_bits(body, manifest.cohort.len() as u16);
    Some(RoundOffer {
        manifest: Signed::sign(manifest, key),
        plan,
    })
}

/// An escrow whose header is made again.
fn escrow(said: Escrow, key: &SigningKey) -> Escrow {
    let header = EscrowHeader {
        shares: masking::shares_root(&said.share_digests),
        sealed: masking::sealed_digest(&said.sealed),
        escrow_box: masking::box_digest(&said.escrow_box),
        commitments: masking::commitments_digest(&said.commitments),
        ..said.header.unverified().clone()
    };
    Escrow {
        header: Signed::sign(header, key),
        ..said
    }
}

/// A masked vector whose trailer is made again: it is one chunk, whatever its width.
fn masked(said: Masked, key: &SigningKey) -> Masked {
    let trailer = MaskedTrailer {
        root: vector::masked_root(&said.words, Width::Full),
        ..said.trailer.unverified().clone()
    };
    Masked {
        trailer: Signed::sign(trailer, key),
        ..said
    }
}
