//! A whole federation in one thread: an event queue, an imagined clock, one seeded generator. The
//! parties are the protocol's own, unchanged; their hosts are made up here, and everything a host
//! may suffer they suffer. What must hold all the while is `oracle.rs`.

use std::collections::BTreeMap;

use protocol::bucket::BucketKey;
use protocol::client::{Client, Heard, Outcome, Task};
use protocol::coordinator::{Coordinator, FromPeer, Read};
use protocol::id::ClientId;
use protocol::message::{OperatorMessage, ToClient, ToCoordinator};
use protocol::operator::Command;
use protocol::party::{Output, Party};
use protocol::record::CoordinatorRecord;
use protocol::time::{Duration, Time};
use protocol::wire;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

mod actors;
mod cast;
mod disk;
pub mod invariant;
mod network;
mod note;
pub mod oracle;
pub mod regressions;
pub mod run;
pub mod sabotage;
pub mod scenario;

#[cfg(test)]
mod tests;

use actors::Host;
use cast::Cast;
use oracle::{Oracle, Violation};
use sabotage::Sabotage;
use scenario::Scenario;

/// Where the world's clock starts.
const DAWN: Time = Time(1_700_000_000_000);

/// Events after which a world that neither ends nor fails is itself a failure.
const EVENTS_MAX: u64 = 2_000_000;

/// Who something happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The coordinator.
    Coordinator,
    /// A bank, by its number.
    Bank(usize),
}

/// What happens at one moment.
enum Happening {
    /// A frame of a bank's connection reaches the coordinator.
    Up {
        bank: usize,
        link: u64,
        frame: Vec<u8>,
    },
    /// A frame of a bank's connection reaches the bank.
    Down {
        bank: usize,
        link: u64,
        frame: Vec<u8>,
    },
    /// A bank's task has ended.
    Outcome {
        bank: usize,
        life: u64,
        outcome: Box<Outcome>,
    },
    /// The coordinator's disk has read what it was asked for.
    Read { life: u64, read: Box<Read> },
    /// A party asked to be woken.
    Wake { who: Who, life: u64 },
    /// A bank dials.
    Dial { bank: usize },
    /// A bank's connection breaks.
    Cut { bank: usize },
    /// A process dies.
    Crash(Who),
    /// A process starts again.
    Start(Who),
    /// The operator starts the plan of this number.
    Operator(usize),
    /// The hardship ends.
    Calm,
}

/// A federation and what befalls it.
pub struct World {
    now: Time,
    sequence: u64,
    queue: BTreeMap<(Time, u64), Happening>,
    chance: ChaCha8Rng,
    scenario: Scenario,
    cast: Cast,
    coordinator: Host<Coordinator>,
    /// What the coordinator may ask its disk for: masked vectors and results.
    readable: Vec<CoordinatorRecord>,
    banks: Vec<Host<Client>>,
    /// What each bank's host keeps of the banks' bucket key: it survives every death.
    kept: Vec<Option<BucketKey>>,
    /// The serial number of each bank's live connection.
    links: Vec<Option<u64>>,
    is_calm: bool,
    oracle: Oracle,
    trace: bool,
}

/// How a world ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// Rounds committed.
    pub committed: u64,
    /// Attempts without a result.
    pub abandoned: u64,
    /// Banks missing from a committed sum.
    pub dropouts: u64,
    /// Sums that a bank audited and found right.
    pub audits: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Events carried out.
    pub events: u64,
}

impl World {
    /// A world of this scenario.
    #[must_use]
    pub fn new(scenario: Scenario, trace: bool) -> Self {
        let cast = Cast::new(&scenario);
        let banks = scenario.banks;
        let mut world = Self {
            now: DAWN,
            sequence: 0,
            queue: BTreeMap::new(),
            chance: ChaCha8Rng::seed_from_u64(scenario.seed),
            oracle: Oracle::new(&cast),
            coordinator: Host::default(),
            readable: Vec::new(),
            banks: (0..banks).map(|_| Host::default()).collect(),
            kept: vec![None; banks],
            links: vec![None; banks],
            is_calm: false,
            scenario,
            cast,
            trace,
        };
        world.schedule(Duration(0), Happening::Start(Who::Coordinator));
        for bank in 0..banks {
            world.schedule(Duration(1 + bank as u64), Happening::Start(Who::Bank(bank)));
        }
        for plan in 0..world.cast.plans.len() - 1 {
            let at = Duration(1_000 + 500 * plan as u64);
            world.schedule(at, Happening::Operator(plan));
        }
        world.schedule(Duration(world.scenario.hardship_ms), Happening::Calm);
        for (at, fault) in world.scenario.faults.clone() {
            world.schedule(Duration(at), fault.into());
        }
        world
    }

    /// Plays until the last plan, which begins in the calm, has committed all its rounds
    /// everywhere.
    ///
    /// # Errors
    /// The first [`Violation`] of the oracle, with the event's number.
    pub fn play(mut self) -> Result<Story, Violation> {
        let end = DAWN.after(Duration(self.scenario.hardship_ms + CALM_MS));
        for event in 0..EVENTS_MAX {
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                break;
            };
            if at > end {
                break;
            }
            self.now = at;
            self.oracle.story.events = event;
            self.happen(happening)?;
            self.oracle.compare_ledgers(&self.banks)?;
            if self.is_calm && self.oracle.is_content(&self.banks) {
                return Ok(self.oracle.story);
            }
        }
        Err(self.oracle.restless(&self.banks))
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Up { bank, link, frame } if self.links[bank] == Some(link) => {
                self.up(bank, &frame)
            }
            Happening::Down { bank, link, frame } if self.links[bank] == Some(link) => {
                self.down(bank, &frame)
            }
            // The connection these frames travelled on is gone, and they with it.
            Happening::Up { .. } | Happening::Down { .. } => Ok(()),
            Happening::Outcome {
                bank,
                life,
                outcome,
            } => {
                if self.banks[bank].life != life {
                    return Ok(());
                }
                let now = self.now;
                self.banks[bank].with(|party| party.handle_outcome(now, *outcome));
                self.carry_out_bank(bank)
            }
            Happening::Read { life, read } => {
                if self.coordinator.life != life {
                    return Ok(());
                }
                let now = self.now;
                self.coordinator
                    .with(|party| party.handle_outcome(now, *read));
                self.carry_out_coordinator()
            }
            Happening::Wake { who, life } => self.wake(who, life),
            Happening::Dial { bank } => self.dial(bank),
            Happening::Cut { bank } => self.cut(bank),
            Happening::Crash(who) => self.crash(who),
            Happening::Start(who) => self.start(who),
            Happening::Operator(plan) => self.operate(plan),
            Happening::Calm => {
                self.tell(&"calm");
                self.is_calm = true;
                let last = self.cast.plans.len() - 1;
                // Everybody is up again by then, and the operator asks for one more plan.
                self.schedule(Duration(10_000), Happening::Operator(last));
                Ok(())
            }
        }
    }

    fn up(&mut self, bank: usize, frame: &[u8]) -> Result<(), Violation> {
        let Ok(message) = wire::decode::<ToCoordinator>(frame) else {
            // A host closes a connection whose frames do not decode.
            return self.cut(bank);
        };
        let from = self.cast.id(bank);
        self.tell_coordinator(from, FromPeer::Message(message))
    }

    fn down(&mut self, bank: usize, frame: &[u8]) -> Result<(), Violation> {
        let Ok(message) = wire::decode::<ToClient>(frame) else {
            return self.cut(bank);
        };
        self.tell_bank(bank, Heard::Message(message))
    }

    fn tell_coordinator(&mut self, from: ClientId, said: FromPeer) -> Result<(), Violation> {
        let now = self.now;
        self.coordinator
            .with(|party| party.handle_message(now, from, said));
        self.carry_out_coordinator()
    }

    fn tell_bank(&mut self, bank: usize, heard: Heard) -> Result<(), Violation> {
        let now = self.now;
        self.banks[bank].with(|party| party.handle_message(now, (), heard));
        self.carry_out_bank(bank)
    }

    fn wake(&mut self, who: Who, life: u64) -> Result<(), Violation> {
        let now = self.now;
        match who {
            Who::Coordinator if self.coordinator.is_due(now, life) => {
                self.coordinator.with(|party| party.handle_timeout(now));
                self.carry_out_coordinator()
            }
            Who::Bank(bank) if self.banks[bank].is_due(now, life) => {
                self.banks[bank].with(|party| party.handle_timeout(now));
                self.carry_out_bank(bank)
            }
            Who::Coordinator | Who::Bank(_) => Ok(()),
        }
    }

    fn operate(&mut self, plan: usize) -> Result<(), Violation> {
        if self.coordinator.party.is_none() {
            self.schedule(Duration(1_000), Happening::Operator(plan));
            return Ok(());
        }
        let command = Command::Start(Box::new(self.cast.plans[plan].clone()));
        let operator = self.cast.operator.clone();
        let message = Box::new(OperatorMessage { operator, command });
        let from = self.cast.operator_id();
        self.tell_coordinator(from, FromPeer::Message(ToCoordinator::Operator(message)))
    }

    /// Carries out what the coordinator asks for; it may die between any two outputs.
    fn carry_out_coordinator(&mut self) -> Result<(), Violation> {
        while let Some(output) = self.coordinator.next_output() {
            if self.dies(self.scenario.crash_per_output) {
                return self.crash(Who::Coordinator);
            }
            self.settle_coordinator(matches!(output, Output::Persist(_)))?;
            match output {
                Output::Persist(record) => {
                    let record = self.decided(record);
                    self.oracle.coordinator_persists(&record)?;
                    self.oracle.coordinator_has(&wire::encode(&record))?;
                    for record in self.written(record) {
                        self.keep_readable(&record);
                        self.coordinator.disk.append(&record);
                    }
                }
                Output::Send { to, message } => {
                    self.oracle.coordinator_sends(&message)?;
                    if let Some(bank) = self.cast.bank(to) {
                        let message = self.said_down(bank, message);
                        self.send_down(bank, &message)?;
                    }
                }
                Output::Perform(reading) => {
                    let read = Box::new(self.rotten(reading.among(&self.readable)));
                    let life = self.coordinator.life;
                    let after = Duration(self.chance.random_range(1..20));
                    self.schedule(after, Happening::Read { life, read });
                }
                Output::Report(event) => {
                    self.tell(&event);
                    self.oracle
                        .coordinator_reports(&event, self.scenario.liar)?;
                }
            }
        }
        self.settle_coordinator(false)?;
        if let Some(at) = self.coordinator.wants_waking() {
            let happening = Happening::Wake {
                who: Who::Coordinator,
                life: self.coordinator.life,
            };
            self.schedule_at(at, happening);
        }
        Ok(())
    }

    fn settle_coordinator(&mut self, more_follow: bool) -> Result<(), Violation> {
        if !more_follow && !self.is_coordinator_hasty() {
            for record in self.coordinator.disk.settle() {
                self.oracle.coordinator_remembers(&record)?;
            }
        }
        Ok(())
    }

    /// Carries out what a bank asks for; it may die between any two outputs.
    fn carry_out_bank(&mut self, bank: usize) -> Result<(), Violation> {
        while let Some(output) = self.banks[bank].next_output() {
            if self.dies(self.scenario.crash_per_output) {
                return self.crash(Who::Bank(bank));
            }
            if !matches!(output, Output::Persist(_)) && !self.is_bank_hasty(bank) {
                for record in self.banks[bank].disk.settle() {
                    self.oracle.bank_remembers(bank, &record);
                }
            }
            match output {
                Output::Persist(record) => self.banks[bank].disk.append(&record),
                Output::Send { to: (), message } => {
                    for message in self.said_up(bank, message) {
                        self.oracle.bank_sends(bank, &message)?;
                        self.send_up(bank, &message)?;
                    }
                }
                Output::Perform(Task::Contribute(order)) => {
                    let mut contribution = self.cast.contribution(bank, &order);
                    if self.scenario.sabotage != Some(Sabotage::WorkUnseen) {
                        let order = self.understood(&order);
                        self.oracle.contributes(bank, &order, &contribution)?;
                    }
                    if self.scenario.sabotage == Some(Sabotage::UpdateOfAnotherRound) {
                        contribution = self.oracle.earlier(bank, &contribution);
                    }
                    let context = order.context;
                    let outcome = Outcome {
                        context,
                        contribution: Ok(contribution),
                    };
                    let life = self.banks[bank].life;
                    let after = Duration(self.chance.random_range(50..self.scenario.training_ms));
                    let outcome = Box::new(outcome);
                    self.schedule(
                        after,
                        Happening::Outcome {
                            bank,
                            life,
                            outcome,
                        },
                    );
                }
                Output::Perform(Task::Install(_)) => {}
                Output::Perform(Task::Keep(key)) => {
                    self.oracle.bank_keeps(&key);
                    self.kept[bank] = Some(key);
                }
                Output::Report(event) => {
                    let event = self.reported(event);
                    self.tell(&(bank, &event));
                    self.oracle.bank_reports(bank, &event, self.scenario.liar)?;
                }
            }
        }
        for record in self.banks[bank].disk.settle() {
            self.oracle.bank_remembers(bank, &record);
        }
        if let Some(at) = self.banks[bank].wants_waking() {
            let happening = Happening::Wake {
                who: Who::Bank(bank),
                life: self.banks[bank].life,
            };
            self.schedule_at(at, happening);
        }
        Ok(())
    }

    fn keep_readable(&mut self, record: &CoordinatorRecord) {
        if record.vector().is_some() || record.result().is_some() {
            self.readable.push(record.clone());
        }
    }

    /// Draws whether something with this share befalls now; nothing does in the calm.
    fn dies(&mut self, per_mille: u32) -> bool {
        !self.is_calm && per_mille > 0 && self.chance.random_range(0..100_000) < per_mille
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.schedule_at(self.now.after(after), happening);
    }

    fn schedule_at(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue
            .insert((at.max(self.now), self.sequence), happening);
    }

    #[expect(clippy::print_stderr, reason = "a trace is what was asked for")]
    fn tell(&self, what: &dyn std::fmt::Debug) {
        if self.trace {
            let seconds = self.now.since(DAWN).0 as f64 / 1_000.0;
            eprintln!("{seconds:>9.3} {what:?}");
        }
    }
}

/// Calm in which the last plan must commit everywhere.
const CALM_MS: u64 = 240_000;
