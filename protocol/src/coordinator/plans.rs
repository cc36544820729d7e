//! `Plans`: the plans adopted and not ended, in the order of adoption. The first one runs, one
//! round at a time; the others wait. What a plan may say is `terms.rs`; rounds are the phases'.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::credential::{Authority, Credential, Role};
use crate::id::{ClientId, PlanId};
use crate::limits::{DECLINED_MS, PLANS_MAX};
use crate::plan::{Plan, SignedPlan};
use crate::signed::{Signed, Verified};
use crate::terms;
use crate::time::{Duration, Time};

/// The plans adopted and not ended.
#[derive(Default)]
pub(crate) struct Plans {
    queue: VecDeque<Adopted>,
    ended: BTreeSet<PlanId>,
}

/// A plan whose signature was checked, and what became of it so far.
pub(crate) struct Adopted {
    pub(crate) id: PlanId,
    plan: Verified<Plan>,
    operator: Signed<Credential>,
    declined: BTreeMap<ClientId, Time>,
    is_spent: bool,
}

impl Adopted {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// As it travels.
    pub(crate) fn signed(&self) -> SignedPlan {
        SignedPlan {
            plan: self.plan.as_signed().clone(),
            operator: self.operator.clone(),
        }
    }

    /// The last moment at which a client may accept it.
    pub(crate) fn expires(&self) -> Time {
        self.plan.expires.min(self.operator.unverified().expires)
    }

    /// Whether a client said that it takes no part in this plan, and is not to be asked yet.
    pub(crate) fn is_declined_by(&self, id: ClientId, now: Time) -> bool {
        self.declined.get(&id).is_some_and(|&until| now < until)
    }

    /// When the next client that declined is asked again.
    pub(crate) fn next_asking(&self, now: Time) -> Option<Time> {
        self.declined.values().copied().filter(|&at| at > now).min()
    }

    /// Whether the base was revealed without a result: no honest client reveals it again.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }
}

impl Plans {
    /// Whether a plan may be adopted.
    ///
    /// # Errors
    /// What was found and what was expected, for the operator.
    pub(crate) fn check(
        &self,
        signed: &SignedPlan,
        authority: &Authority,
        now: Time,
    ) -> Result<PlanId, String> {
        let operator = authority
            .admit(&signed.operator, Role::Operator, now)
            .map_err(|error| error.to_string())?;
        let plan = signed.plan.clone().verify(&operator.key);
        let plan = plan.map_err(|_| "the plan is not signed by its operator".to_owned())?;
        terms::validate(&plan)?;
        let id = plan.id();
        if plan.expires < now {
            return Err(format!("expires is {:?}, it is {now:?}", plan.expires));
        }
        if self.ended.contains(&id) {
            return Err("the plan ended already, expected another nonce".to_owned());
        }
        if self.queue.len() >= PLANS_MAX {
            return Err(format!("{PLANS_MAX} plans wait already"));
        }
        Ok(id)
    }

    /// Takes a plan that was checked into the queue. None where its signature does not verify,
    /// which only a foreign record can bring about.
    pub(crate) fn adopt(&mut self, signed: SignedPlan) -> Option<&Adopted> {
        let key = signed.operator.unverified().key;
        let plan = signed.plan.verify(&key).ok()?;
        self.queue.push_back(Adopted {
            id: plan.id(),
            plan,
            operator: signed.operator,
            declined: BTreeMap::new(),
            is_spent: false,
        });
        self.queue.back()
    }

    /// The plan that runs.
    pub(crate) fn front(&self) -> Option<&Adopted> {
        self.queue.front()
    }

    pub(crate) fn get(&self, id: PlanId) -> Option<&Adopted> {
        self.queue.iter().find(|adopted| adopted.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Adopted> {
        self.queue.iter()
    }

    /// Ends a plan: it runs no further round.
    pub(crate) fn end(&mut self, id: PlanId) -> Option<Adopted> {
        self.ended.insert(id);
        let place = self.queue.iter().position(|adopted| adopted.id == id)?;
        self.queue.remove(place)
    }

    /// A round of this plan was revealed, and came to nothing.
    pub(crate) fn spend(&mut self, id: PlanId) {
        self.each_with(id, |adopted| adopted.is_spent = true);
    }

    /// A client takes no part in this plan, whatever the round. It is asked again later, so that
    /// a plan that nobody wants comes to its last attempt, and to its end.
    pub(crate) fn note_declined(&mut self, id: PlanId, client: ClientId, now: Time) {
        self.each_with(id, |adopted| {
            let until = now.after(Duration(DECLINED_MS));
            adopted.declined.insert(client, until);
        });
    }

    /// Everybody is asked again: a new epoch is a new occasion.
    pub(crate) fn forget_declined(&mut self) {
        self.queue
            .iter_mut()
            .for_each(|adopted| adopted.declined.clear());
    }

    fn each_with(&mut self, id: PlanId, change: impl FnMut(&mut Adopted)) {
        self.queue
            .iter_mut()
            .filter(|adopted| adopted.id == id)
            .for_each(change);
    }
}
