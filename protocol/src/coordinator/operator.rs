//! The operator's door: proof of role, then one answer for each command. Nothing that is told
//! here could hold a bank's figure.

use crate::blame::{Misbehaviour, Refusal};
use crate::coordinator::Coordinator;
use crate::credential::{Credential, Role};
use crate::id::{ClientId, PlanId};
use crate::message::{Cause, OperatorMessage, ToClient};
use crate::operator::{Command, PlanStatus, Reply, Status};
use crate::plan::SignedPlan;
use crate::record::CoordinatorRecord;
use crate::signed::Signed;

impl Coordinator {
    /// The operator asks for something.
    pub(super) fn on_operator(&mut self, from: ClientId, message: OperatorMessage) {
        if let Err(misbehaviour) = self.check_operator(from, &message.operator) {
            self.desk.blame(from, misbehaviour);
            self.desk.out.send(from, ToClient::Refused(Refusal::Role));
            return;
        }
        let reply = match message.command {
            Command::Status => Reply::Status(self.status()),
            Command::Start(plan) => self.start(*plan),
            Command::Stop(plan) => self.stop(plan),
            Command::Rounds(most) => Reply::Rounds(self.desk.history.summaries(most)),
            Command::Round(round) => match self.desk.history.detail(round) {
                Some(detail) => Reply::Round(Box::new(detail)),
                None => Reply::Refused(format!("no round {}", round.0)),
            },
            Command::Bar(name) => self.bar(&name),
        };
        self.desk
            .out
            .send(from, ToClient::Operator(Box::new(reply)));
    }

    fn check_operator(
        &self,
        from: ClientId,
        credential: &Signed<Credential>,
    ) -> Result<(), Misbehaviour> {
        let authority = &self.desk.identity.authority;
        let credential = authority
            .admit(credential, Role::Operator, self.desk.now)
            .map_err(|error| Misbehaviour::Credential(error.to_string()))?;
        if credential.id != from {
            return Err(Misbehaviour::Credential("another certificate's".to_owned()));
        }
        Ok(())
    }

    /// Adopts a plan. One that waits or runs already is answered as the first time.
    fn start(&mut self, plan: SignedPlan) -> Reply {
        let id = plan.plan.unverified().id();
        if self.desk.plans.get(id).is_some() {
            return Reply::Started(id);
        }
        let authority = &self.desk.identity.authority;
        match self.desk.plans.check(&plan, authority, self.desk.now) {
            Ok(id) => {
                self.remember(CoordinatorRecord::PlanAdopted(plan));
                Reply::Started(id)
            }
            Err(why) => Reply::Refused(why),
        }
    }

    /// Ends a plan. Its running attempt is abandoned while nobody can have acknowledged, and
    /// finished otherwise.
    fn stop(&mut self, plan: PlanId) -> Reply {
        if self.desk.plans.get(plan).is_none() {
            return Reply::Refused("no such plan waits or runs".to_owned());
        }
        let running = self.phase.may_stop();
        if let Some(round) = running.filter(|round| round.plan_id() == plan) {
            let record = round.abandoned(self.desk.now, Cause::Operator);
            self.remember(record);
        }
        self.remember(CoordinatorRecord::PlanEnded(plan));
        Reply::Done
    }

    fn bar(&mut self, name: &str) -> Reply {
        let clients = self.desk.registry.named(name);
        if clients.is_empty() {
            return Reply::Refused(format!("no client is named {name:?}"));
        }
        for client in clients {
            if !self.desk.registry.is_barred(client) {
                self.remember(CoordinatorRecord::Barred(client));
                self.desk
                    .out
                    .send(client, ToClient::Refused(Refusal::Barred));
            }
        }
        Reply::Done
    }

    fn status(&self) -> Status {
        let desk = &self.desk;
        let stage = self.phase.stage();
        let round = stage.round().map(|round| round.manifest());
        let members = desk.epoch.as_ref().map(|epoch| &epoch.members);
        let plan = |adopted: &crate::coordinator::plans::Adopted| PlanStatus {
            id: adopted.id,
            name: adopted.plan().name.clone(),
            kind: adopted.plan().work.kind(),
            done: desk.ledger.step(&adopted.id),
            rounds: adopted.plan().rounds,
        };
        Status {
            phase: stage.step().0.to_owned(),
            round: round.map(|manifest| (manifest.round, manifest.attempt)),
            epoch: desk.epoch.as_ref().map(|epoch| epoch.id),
            deadline: stage.ends(desk),
            clients: desk
                .registry
                .statuses(|id| members.is_some_and(|members| members.member(id).is_some())),
            plans: desk.plans.iter().map(plan).collect(),
            ledger: desk.ledger.length(),
            head: desk.ledger.head(),
            burnt: desk.burnt,
            waiting: stage.waiting(desk),
        }
    }
}
