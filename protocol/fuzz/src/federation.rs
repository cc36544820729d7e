//! `Federation`: the real coordinator and real banks wired in memory, driven by a script. Messages
//! pass by value; time passes when the script says so; a crash is recovery from the records. Every
//! output goes past `contract`. Who lies, and how, is the targets' affair.

use std::collections::VecDeque;

use protocol::client::{Client, Contribution, Heard, Order, Outcome, Task};
use protocol::coordinator::{Coordinator, FromPeer, Settings};
use protocol::id::ClientId;
use protocol::message::{ToClient, ToCoordinator};
use protocol::operator::Command;
use protocol::party::{Output, Party};
use protocol::plan::Plan;
use protocol::record::{CoordinatorRecord, Lifetime, is_needed};
use protocol::time::{Duration, Time};

use super::consortium::{self, BANKS, OPERATOR};
use super::contract::{self, Journal, OUTPUTS_MAX};
use super::script::Script;

/// Messages kept for saying again.
const HISTORY_MAX: usize = 512;

/// Messages after which the parties, left alone, must have nothing more to say.
const DELIVERIES_MAX: usize = 5_000;

/// No clock gets here: beyond it a heartbeat's next moment does not exist.
const TIME_MAX: u64 = 1 << 62;

/// Something on its way.
pub(super) enum Envelope {
    Up(usize, ToCoordinator),
    Down(usize, ToClient),
}

/// One bank and its host.
pub(super) struct Bank {
    pub(super) client: Client,
    pub(super) is_up: bool,
    /// The host keeps orders until the script says what comes of them.
    pub(super) is_slow: bool,
    pub(super) orders: Vec<Order>,
    journal: Journal,
    life: u64,
    outputs_left: Option<usize>,
}

/// The coordinator and its banks.
pub(super) struct Federation {
    pub(super) queue: VecDeque<Envelope>,
    pub(super) banks: Vec<Bank>,
    /// What banks said, and to whom the coordinator said what.
    pub(super) said_up: Vec<(usize, ToCoordinator)>,
    pub(super) said_down: Vec<(usize, ToClient)>,
    pub(super) log: Vec<CoordinatorRecord>,
    now: Time,
    coordinator: Coordinator,
    outputs_left: Option<usize>,
}

impl Federation {
    /// Everybody connected, and a plan adopted: the first check-ins are on their way.
    pub(super) fn new(plan: Plan) -> Self {
        let now = Time(1_000);
        let mut federation = Self {
            queue: VecDeque::new(),
            banks: (0..BANKS)
                .map(|bank| Bank::new(bank, 0, Journal::default()))
                .collect(),
            said_up: Vec::new(),
            said_down: Vec::new(),
            log: Vec::new(),
            now,
            coordinator: recovered(Vec::new(), now),
            outputs_left: None,
        };
        let plan = Box::new(consortium::signed_plan(plan));
        federation.hear(OPERATOR, consortium::operated(Command::Start(plan)));
        for bank in 0..BANKS {
            federation.connect(bank);
        }
        federation
    }

    /// What can happen to anybody anywhere, by number: delivery, time, loss and death.
    pub(super) fn befall(&mut self, op: u8, script: &mut Script<'_>) {
        match op % 8 {
            0..=2 => self.deliver(1 + usize::from(op / 8)),
            3 => self.deliver(DELIVERIES_MAX),
            4 => self.pass(script),
            5 => {
                let bank = script.below(BANKS);
                if self.banks[bank].is_up && script.is_odd() {
                    self.cut(bank);
                } else {
                    self.connect(bank);
                }
            }
            6 => {
                let bank = script.below(BANKS);
                match script.byte() {
                    after @ 1..=16 => self.banks[bank].outputs_left = Some(usize::from(after)),
                    _ => self.restart(bank),
                }
            }
            _ => match script.byte() {
                after @ 1..=32 => self.outputs_left = Some(usize::from(after)),
                after => self.crash(after % 2 == 1),
            },
        }
    }

    /// The coordinator hears something from anybody.
    pub(super) fn hear(&mut self, from: ClientId, message: ToCoordinator) {
        self.notice(from, FromPeer::Message(message));
    }

    /// The coordinator notices something about a connection.
    pub(super) fn notice(&mut self, from: ClientId, heard: FromPeer) {
        self.coordinator.handle_message(self.now, from, heard);
        self.drain();
    }

    /// A bank hears something.
    pub(super) fn tell(&mut self, bank: usize, heard: Heard) {
        if let Heard::Message(ToClient::Round(offer)) = &heard {
            self.banks[bank].journal.note_offer(offer);
        }
        self.banks[bank].client.handle_message(self.now, (), heard);
        self.pump(bank);
    }

    /// A bank's work ends.
    pub(super) fn finish(
        &mut self,
        bank: usize,
        order: &Order,
        what: Result<Contribution, String>,
    ) {
        let outcome = Outcome {
            context: order.context,
            contribution: what,
        };
        self.banks[bank].client.handle_outcome(self.now, outcome);
        self.pump(bank);
    }

    /// Delivers so many messages, in order. With room for all of them, there must be an end.
    pub(super) fn deliver(&mut self, most: usize) {
        for _ in 0..most {
            match self.queue.pop_front() {
                None => return,
                Some(Envelope::Up(bank, message)) => {
                    self.hear(consortium::bank_id(bank), message);
                }
                Some(Envelope::Down(bank, message)) => self.tell(bank, Heard::Message(message)),
            }
        }
        assert!(most < DELIVERIES_MAX, "messages without end");
    }

    pub(super) fn connect(&mut self, bank: usize) {
        self.banks[bank].is_up = true;
        self.tell(bank, Heard::Connected);
    }

    fn cut(&mut self, bank: usize) {
        self.banks[bank].is_up = false;
        self.queue.retain(|envelope| match envelope {
            Envelope::Up(at, _) | Envelope::Down(at, _) => *at != bank,
        });
        self.tell(bank, Heard::Gone);
        self.notice(consortium::bank_id(bank), FromPeer::Gone);
    }

    fn restart(&mut self, bank: usize) {
        let old = &mut self.banks[bank];
        let (journal, life) = (std::mem::take(&mut old.journal), old.life + 1);
        *old = Bank::new(bank, life, journal);
        self.pump(bank);
        self.cut(bank);
        self.connect(bank);
    }

    /// The coordinator's process dies and recovers; a tidy host has let go of what ended.
    fn crash(&mut self, is_tidy: bool) {
        self.outputs_left = None;
        self.queue.clear();
        let mut log = self.log.clone();
        if is_tidy {
            let numbered = (0_u64..).zip(log.iter().map(CoordinatorRecord::lifetime));
            let is_end = |(_, lifetime): &(u64, Lifetime)| {
                matches!(lifetime, Lifetime::Commits | Lifetime::Abandons)
            };
            let ends: Vec<_> = numbered.filter(is_end).collect();
            let mut numbers = 0..;
            log.retain(|record| {
                let number = numbers.next().unwrap_or(u64::MAX);
                record.lifetime() != Lifetime::Attempt || is_needed(number, &ends)
            });
        }
        self.coordinator = recovered(log, self.now);
        self.drain();
        for bank in 0..BANKS {
            if self.banks[bank].is_up {
                self.tell(bank, Heard::Gone);
                self.tell(bank, Heard::Connected);
            }
        }
    }

    /// Time passes: to the next moment somebody waits for, or by some span.
    fn pass(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let later = match choice % 4 {
            0..=2 => {
                let clients = self.banks.iter().map(|bank| bank.client.next_timeout());
                let next = clients.chain([self.coordinator.next_timeout()]);
                next.flatten().min().unwrap_or(self.now)
            }
            _ => self.now.after(Duration(1 << (choice / 4).min(44))),
        };
        self.now = Time(later.max(self.now).0.min(TIME_MAX));
        if is_due(&self.coordinator, self.now) {
            self.coordinator.handle_timeout(self.now);
            self.drain();
            assert!(!is_due(&self.coordinator, self.now), "it would spin");
        }
        for bank in 0..BANKS {
            let client = &mut self.banks[bank].client;
            if is_due(client, self.now) {
                client.handle_timeout(self.now);
                assert!(!is_due(client, self.now), "it would spin");
                self.pump(bank);
            }
        }
    }

    /// Carries out what the coordinator asks for.
    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.coordinator.poll_output() {
            if spent(&mut self.outputs_left) {
                return self.crash(false);
            }
            outputs += 1;
            assert!(
                outputs <= OUTPUTS_MAX,
                "more outputs than any input asks for"
            );
            match output {
                Output::Persist(record) => {
                    contract::assert_travels(&record);
                    self.log.push(record);
                }
                Output::Send { to, message } => self.send(to, message),
                Output::Report(_) => {}
                Output::Perform(reading) => {
                    let read = reading.among(&self.log);
                    self.coordinator.handle_outcome(self.now, read);
                }
            }
        }
    }

    fn send(&mut self, to: ClientId, message: ToClient) {
        contract::assert_travels(&message);
        let is_early = !contract::is_recorded(&self.log, &message);
        assert!(!is_early, "said too early: {message:?}");
        let Some(bank) = (0..BANKS).find(|&bank| consortium::bank_id(bank) == to) else {
            return;
        };
        if self.said_down.len() < HISTORY_MAX {
            self.said_down.push((bank, message.clone()));
        }
        if self.banks[bank].is_up {
            self.queue.push_back(Envelope::Down(bank, message));
        }
    }

    /// Carries out what a bank asks for.
    fn pump(&mut self, bank: usize) {
        let mut outputs = 0;
        while let Some(output) = self.banks[bank].client.poll_output() {
            let at = &mut self.banks[bank];
            if spent(&mut at.outputs_left) {
                return self.restart(bank);
            }
            outputs += 1;
            assert!(
                outputs <= OUTPUTS_MAX,
                "more outputs than any input asks for"
            );
            match output {
                Output::Persist(record) => {
                    contract::assert_travels(&record);
                    at.journal.records.push(record);
                }
                Output::Send { to: (), message } => {
                    contract::assert_travels(&message);
                    at.journal.assert_may_say(&message);
                    if self.said_up.len() < HISTORY_MAX {
                        self.said_up.push((bank, message.clone()));
                    }
                    if at.is_up {
                        self.queue.push_back(Envelope::Up(bank, message));
                    }
                }
                Output::Perform(Task::Contribute(order)) if at.is_slow => at.orders.push(*order),
                Output::Perform(Task::Contribute(order)) => {
                    let outcome = Outcome {
                        context: order.context,
                        contribution: consortium::contribution(bank, &order),
                    };
                    at.client.handle_outcome(self.now, outcome);
                }
                Output::Perform(Task::Install(install)) => at.journal.assert_may_install(&install),
                Output::Perform(Task::Keep(key)) => at.journal.kept = Some(key),
                Output::Report(_) => {}
            }
        }
    }
}

impl Bank {
    fn new(bank: usize, life: u64, journal: Journal) -> Self {
        let (identity, policy) = (consortium::bank_identity(bank), consortium::policy());
        let seed = consortium::seed(bank, life);
        let (records, kept) = (journal.records.clone(), journal.kept.clone().into());
        let client = Client::recover(identity, policy, records, kept, seed)
            .expect("a client recovers from its own records");
        Self {
            client,
            is_up: false,
            is_slow: false,
            orders: Vec::new(),
            journal,
            life,
            outputs_left: None,
        }
    }

    /// The records, for seeds.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }
}

fn recovered(log: Vec<CoordinatorRecord>, now: Time) -> Coordinator {
    let settings = Settings {
        banks_expected: Some(BANKS as u16),
        ..Settings::default()
    };
    Coordinator::recover(consortium::coordinator_identity(), settings, log, now)
        .expect("a coordinator recovers from its own records")
}

fn is_due<P: Party>(party: &P, now: Time) -> bool {
    party.next_timeout().is_some_and(|at| at <= now)
}

/// Counts one output; whether it is the one that does not happen any more.
fn spent(left: &mut Option<usize>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(outputs) => {
            *outputs -= 1;
            false
        }
        None => false,
    }
}
