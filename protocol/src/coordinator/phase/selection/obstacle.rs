//! What keeps a waiting plan's round from opening, in counts, for the operator. It decides
//! nothing: the selection does, by the same predicates and the same terms.

use super::takes_part;
use crate::coordinator::desk::Desk;
use crate::coordinator::handover;
use crate::coordinator::plans::Adopted;
use crate::id::ClientId;
use crate::limits::SPARSE_HONEST_MAX;
use crate::operator::{Reason, Waiting};
use crate::plan::Kind;
use crate::terms::{self, Unfit};

/// The first obstacle that more patience does not remove. None where there is none: then a round
/// opens, or waits for a pause, for banks that are expected back, or for the keys.
pub(super) fn find(adopted: &Adopted, desk: &Desk) -> Option<Waiting> {
    if desk.identity.credential.unverified().expires < desk.now {
        return Some(waiting(Reason::Credential, 0, 1));
    }
    let needed = adopted.plan().cohort.members_min;
    let mut left = desk.registry.here();
    for Step(reason, holds) in STEPS {
        left.retain(|&id| holds(adopted, id, desk));
        if left.len() < usize::from(needed) {
            return Some(waiting(reason, left.len(), needed));
        }
    }
    let ready = u16::try_from(left.len()).unwrap_or(u16::MAX);
    let cohort = &adopted.plan().cohort;
    let Err(unfit) = terms::for_roster(cohort, ready, desk.seated_most) else {
        let is_lost = adopted.plan().work.kind() == Kind::Risk && handover::is_lost(desk);
        return is_lost.then(|| waiting(Reason::BucketKey, 0, needed));
    };
    let colluders = terms::colluders(cohort, ready, desk.seated_most);
    Some(match unfit {
        // The steps above, and the registry's bound, leave none of these.
        Unfit::Few | Unfit::Many | Unfit::BelowPlan => waiting(Reason::Absent, ready, needed),
        Unfit::HonestMin | Unfit::Colluders | Unfit::Honest | Unfit::Threshold => {
            let expected = u32::from(colluders) + u32::from(cohort.honest_min);
            waiting(Reason::Honest, ready, expected)
        }
        Unfit::SparseColluders => waiting(Reason::Sparse, ready, 3 * u32::from(colluders)),
        Unfit::SparseHonest => waiting(Reason::SparseHonest, cohort.honest_min, SPARSE_HONEST_MAX),
    })
}

/// What makes a connected bank a ready one, in the order in which it is told. The last of each
/// kind are the selection's own, so that whoever is left is ready.
const STEPS: [Step; 6] = [
    Step(Reason::Absent, |_, id, desk| {
        !desk.registry.is_superseded(id)
    }),
    Step(Reason::Expired, |_, id, desk| {
        desk.registry.is_in_force(id, desk.now)
    }),
    Step(Reason::Aside, |_, id, desk| {
        desk.registry.is_eligible(id, desk.now)
    }),
    Step(Reason::Behind, |_, id, desk| desk.is_caught_up(id)),
    Step(Reason::Declined, |adopted, id, desk| {
        !adopted.is_declined_by(id, desk.now)
    }),
    Step(Reason::Complaints, takes_part),
];

/// Why a bank is not ready, and whether it is past that.
struct Step(Reason, fn(&Adopted, ClientId, &Desk) -> bool);

fn waiting(reason: Reason, found: impl TryInto<u32>, expected: impl TryInto<u32>) -> Waiting {
    Waiting {
        reason,
        found: found.try_into().unwrap_or(u32::MAX),
        expected: expected.try_into().unwrap_or(u32::MAX),
    }
}
