//! `Desk`: everything the coordinator keeps whatever the phase: identity, registry, plans, ledger,
//! history, the epoch in force, the next round's number, and what waits for the host. Phases read
//! and write it; what a phase collects is its own.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::blame::{Misbehaviour, Refusal};
use crate::coordinator::Coordinator;
use crate::coordinator::Settings;
use crate::coordinator::audits::{Audits, Kept};
use crate::coordinator::catch_up::CatchUp;
use crate::coordinator::epoch::{Epoch, Member};
use crate::coordinator::history::History;
use crate::coordinator::plans::{Adopted, Plans};
use crate::coordinator::reading::Read;
use crate::coordinator::registry::{Arrival, Registry};
use crate::credential::{Identity, Role};
use crate::event::CoordinatorEvent;
use crate::id::{Attempt, ClientId, Context, EpochId, PlanId, RoundId, Seat};
use crate::ledger::{Ledger, LedgerError};
use crate::limits::{ATTEMPTS_MAX, BURNT_ROUNDS_MAX, ENDED_ATTEMPTS_MAX};
use crate::message::{Abandoned, Cause, CheckIn, RoundResult, ToClient, Welcome};
use crate::operator::Waiting;
use crate::party::Outbox;
use crate::plan::SignedPlan;
use crate::signed::Seen;
use crate::time::{Duration, Time};

/// What is kept whatever the phase.
pub(crate) struct Desk {
    /// The moment of the input that is being handled.
    pub(crate) now: Time,
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) plans: Plans,
    pub(crate) ledger: Ledger,
    pub(crate) history: History,
    pub(crate) audits: Audits,
    pub(crate) catch_up: CatchUp,
    pub(crate) epoch: Option<Epoch>,
    /// The number of the last roster offered.
    pub(crate) epochs: EpochId,
    /// Members of the largest roster whose banks may all hold its keys: banks assume a third of
    /// those to collude, in whatever cohort.
    pub(crate) seated_most: u16,
    /// The number of the attempt that runs, or of the next one.
    pub(crate) next: (RoundId, Attempt),
    /// Round numbers burnt in this epoch since the operator last started something.
    pub(crate) burnt: u32,
    /// What keeps a waiting plan from its next round, after the last input.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) out: Outbox<Coordinator>,
    pub(crate) seen: Seen,
    ended: VecDeque<Context>,
}

impl Desk {
    pub(crate) fn new(identity: Identity, settings: Settings, now: Time) -> Self {
        Self {
            now,
            registry: Registry::new(settings.grace),
            plans: Plans::default(),
            ledger: Ledger::new(identity.authority.session()),
            history: History::default(),
            audits: Audits::default(),
            catch_up: CatchUp::default(),
            epoch: None,
            epochs: EpochId(0),
            seated_most: 0,
            next: (RoundId(1), Attempt(0)),
            burnt: 0,
            waiting: None,
            out: Outbox::default(),
            seen: Seen::default(),
            ended: VecDeque::new(),
            identity,
            settings,
        }
    }

    /// Checks who is behind a check-in, and remembers where it stands.
    ///
    /// # Errors
    /// What to tell the client. What it did wrong, if anything, is reported here.
    pub(crate) fn admit(&mut self, from: ClientId, said: &CheckIn) -> Result<(), Refusal> {
        let (authority, now) = (self.identity.authority, self.now);
        let admitted = authority.admit_again(&said.credential, Role::Bank, now, &mut self.seen);
        let credential = match admitted {
            Ok(credential) if credential.id == from => credential,
            Ok(_) => {
                self.blame(
                    from,
                    Misbehaviour::Credential("another certificate's".to_owned()),
                );
                return Err(Refusal::Role);
            }
            Err(error) => {
                self.blame(from, Misbehaviour::Credential(error.to_string()));
                return Err(Refusal::Role);
            }
        };
        if self.registry.is_barred(from) {
            return Err(Refusal::Barred);
        }
        let name = credential.name.clone();
        match self.registry.check_in(self.now, credential, said) {
            Err(misbehaviour) => {
                self.blame(from, misbehaviour);
                return Err(Refusal::Barred);
            }
            Ok(Arrival::Arrived) => {
                self.out.report(CoordinatorEvent::ClientArrived(from, name));
                self.compare_ledgers(from, said);
            }
            Ok(Arrival::Moved) => self.compare_ledgers(from, said),
            Ok(Arrival::Same) => {}
        }
        Ok(())
    }

    /// Answers a check-in, and has the next result read that the client lacks.
    pub(crate) fn welcome(&mut self, client: ClientId) {
        let welcome = Welcome {
            coordinator: self.identity.credential.clone(),
            ledger: self.ledger.length(),
            head: self.ledger.head(),
        };
        self.out.send(client, ToClient::Welcome(Box::new(welcome)));
        let length = self.ledger.length();
        if let Some(place) = self.registry.next_result(client, length, self.now) {
            self.catch_up.ask(client, place, &mut self.out);
        }
    }

    /// The host has read what it was asked for.
    pub(crate) fn on_read(&mut self, read: Read) {
        let out = &mut self.out;
        match read {
            Read::Result(place, result) => {
                self.catch_up
                    .on_read(place, result, &self.identity.key, out);
            }
            Read::Vectors(stretches, pieces) => self.audits.on_read(stretches, pieces, out),
        }
    }

    /// Whether a client's ledger is ours.
    pub(crate) fn is_caught_up(&self, id: ClientId) -> bool {
        self.registry
            .is_at(id, self.ledger.length(), self.ledger.head())
    }

    /// Until when it is worth waiting for a member's word. None for one that will not come: it is
    /// barred, or restarted without the epoch's keys.
    pub(crate) fn patience(&self, seat: Seat) -> Option<Time> {
        let epoch = self.epoch.as_ref()?;
        let id = epoch.members.at(seat)?.id;
        let is_lost = self.registry.is_barred(id) || self.registry.has_lost(id, epoch.name());
        (!is_lost).then(|| self.registry.waits_until(id))
    }

    /// Whether a plan runs no further round: all are done, its base is spent, its time is over,
    /// or too many attempts failed.
    pub(crate) fn is_over(&self, adopted: &Adopted) -> bool {
        let plan = adopted.plan();
        self.ledger.step(&adopted.id) >= plan.rounds
            || adopted.is_spent()
            || adopted.expires() < self.now
            || self.next.1.0 >= ATTEMPTS_MAX
    }

    /// Whether too many rounds were burnt: nothing opens until the operator starts something.
    pub(crate) fn is_halted(&self) -> bool {
        self.burnt >= BURNT_ROUNDS_MAX
    }

    /// A plan joins the queue. A start is also what the operator says after a halt. False where
    /// its signature does not verify, which only a foreign record can bring about.
    pub(crate) fn adopt(&mut self, plan: SignedPlan) -> bool {
        let Some(adopted) = self.plans.adopt(plan) else {
            return false;
        };
        let (name, kind) = (adopted.plan().name.clone(), adopted.plan().work.kind());
        self.out.report(CoordinatorEvent::PlanAdopted(name, kind));
        self.burnt = 0;
        true
    }

    /// A plan ends; the attempts it used up are not the next plan's.
    pub(crate) fn end_plan(&mut self, id: PlanId, is_running: bool) {
        if let Some(adopted) = self.plans.end(id) {
            let (name, done) = (adopted.plan().name.clone(), self.ledger.step(&id));
            self.out.report(CoordinatorEvent::PlanEnded(name, done));
        }
        if !is_running && self.next.1 > Attempt(0) {
            self.next_round();
        }
    }

    /// A result is next in the ledger; `kept` is what auditors are told of it.
    ///
    /// # Errors
    /// If it is not, which only a foreign record can bring about.
    pub(crate) fn commit(
        &mut self,
        at: Time,
        result: Arc<RoundResult>,
        kept: Option<Kept>,
    ) -> Result<(), LedgerError> {
        self.audits.keep(kept);
        let applied = self.ledger.apply(&result)?;
        let manifest = result.manifest.unverified();
        let survivors = u16::try_from(applied.banks).unwrap_or(u16::MAX);
        let members = u16::try_from(manifest.cohort.len()).unwrap_or(u16::MAX);
        let opened = self.history.last_opened().unwrap_or(at);
        self.out.report(CoordinatorEvent::RoundCommitted {
            round: manifest.round,
            kind: result.plan.plan.unverified().work.kind(),
            survivors,
            dropouts: members.saturating_sub(survivors),
            took: at.since(opened),
            head: self.ledger.head(),
        });
        let place = self.ledger.length() - 1;
        for client in self.registry.here() {
            self.registry.offer(client, place, self.now);
            self.out.send(client, ToClient::Result(Arc::clone(&result)));
        }
        self.end_attempt(manifest.context());
        self.next_round();
        self.history.commit(at, self.ledger.head(), &result);
        Ok(())
    }

    /// An attempt ended without a result. From the acknowledgements on the round number is
    /// burnt; once shares were revealed, so is the base.
    pub(crate) fn abandon(&mut self, at: Time, ended: Abandoned, plan: PlanId, context: Context) {
        let Abandoned {
            round,
            attempt,
            cause,
        } = ended;
        self.out
            .report(CoordinatorEvent::RoundAbandoned(round, attempt, cause));
        self.history.abandon(at, cause);
        self.end_attempt(context);
        match cause {
            Cause::Escrows
            | Cause::Updates
            | Cause::Complaint
            | Cause::Operator
            | Cause::Declined => {
                self.next = (round, Attempt(attempt.0.saturating_add(1)));
            }
            Cause::Acks => self.burn(),
            Cause::Reveals | Cause::Sum => {
                self.plans.spend(plan);
                self.burn();
            }
        }
        for client in self.registry.here() {
            self.out.send(client, ToClient::Abandoned(ended));
        }
    }

    /// Whether a message about this attempt is merely late.
    pub(crate) fn is_ended(&self, context: Context) -> bool {
        self.ended.contains(&context)
    }

    pub(crate) fn blame(&mut self, client: ClientId, misbehaviour: Misbehaviour) {
        self.out
            .report(CoordinatorEvent::Misbehaved(client, misbehaviour));
    }

    /// Blames a member for something that cost others an attempt, and leaves it out for a while.
    pub(crate) fn blame_and_set_aside(&mut self, member: &Member, misbehaviour: Misbehaviour) {
        self.blame(member.id, misbehaviour);
        self.registry.set_aside(member.id, self.now);
    }

    /// When the next attempt may open after one that failed.
    pub(crate) fn after_pause(&self) -> Time {
        self.now.after(Duration(self.settings.pause.0.max(1)))
    }

    fn burn(&mut self) {
        self.next_round();
        self.burnt = self.burnt.saturating_add(1);
        if self.is_halted() {
            self.out.report(CoordinatorEvent::Halted(self.burnt));
        }
    }

    fn next_round(&mut self) {
        self.next = (RoundId(self.next.0.0.saturating_add(1)), Attempt(0));
    }

    fn end_attempt(&mut self, context: Context) {
        self.ended.push_back(context);
        if self.ended.len() > ENDED_ATTEMPTS_MAX {
            self.ended.pop_front();
        }
    }

    /// A client that is ahead of us, or at our place with another head, has another history.
    fn compare_ledgers(&mut self, from: ClientId, said: &CheckIn) {
        let (length, head) = (self.ledger.length(), self.ledger.head());
        if said.ledger > length || (said.ledger == length && said.head != head) {
            let base = Misbehaviour::Base {
                found: said.head,
                expected: head,
            };
            self.blame(from, base);
        }
    }
}
