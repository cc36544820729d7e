//! A party on an imagined host: it is there or it is not, it has a disk, and it asks to be woken.
//! Dying, starting again and dialling are here; what travels is `network.rs`.

use protocol::client::{Client, Heard};
use protocol::coordinator::{Coordinator, FromPeer};
use protocol::party::{Output, Party};
use protocol::time::{Duration, Time};
use rand::RngExt;

use super::disk::Disk;
use super::invariant::Invariant;
use super::oracle::Violation;
use super::scenario::Fault;
use super::{Happening, Who, World};

/// One process.
pub(crate) struct Host<P: Party> {
    pub(crate) party: Option<P>,
    pub(crate) disk: Disk<P::Record>,
    /// Grows with every start: what belongs to an earlier life is ignored.
    pub(crate) life: u64,
    woken: Option<Time>,
}

impl<P: Party> Default for Host<P> {
    fn default() -> Self {
        Self {
            party: None,
            disk: Disk::default(),
            life: 0,
            woken: None,
        }
    }
}

impl<P: Party> Host<P> {
    /// Does something with the party, if it lives.
    pub(crate) fn with(&mut self, deed: impl FnOnce(&mut P)) {
        if let Some(party) = &mut self.party {
            deed(party);
        }
    }

    pub(crate) fn next_output(&mut self) -> Option<Output<P>> {
        self.party.as_mut().and_then(Party::poll_output)
    }

    /// When to wake the party, if that was not arranged already.
    pub(crate) fn wants_waking(&mut self) -> Option<Time> {
        let at = self.party.as_ref().and_then(Party::next_timeout);
        if at == self.woken {
            return None;
        }
        self.woken = at;
        at
    }

    /// Whether a wake-up call of `life` is for now.
    pub(crate) fn is_due(&mut self, now: Time, life: u64) -> bool {
        let due = self.life == life && self.woken.is_some_and(|at| at <= now);
        if due {
            self.woken = None;
        }
        due
    }

    fn die(&mut self) {
        self.party = None;
        self.woken = None;
        self.life += 1;
    }
}

impl World {
    pub(super) fn crash(&mut self, who: Who) -> Result<(), Violation> {
        let away = Duration(self.chance.random_range(200..6_000));
        let kept = self.chance.random_range(0..100);
        let was_alive = match who {
            Who::Coordinator => {
                let alive = self.coordinator.party.is_some();
                self.coordinator.die();
                self.coordinator.disk.lose(kept);
                alive
            }
            Who::Bank(bank) => {
                let alive = self.banks[bank].party.is_some();
                self.banks[bank].die();
                self.banks[bank].disk.lose(kept);
                alive
            }
        };
        if !was_alive {
            return Ok(());
        }
        self.tell(&("crash", who));
        self.oracle.story.crashes += 1;
        self.schedule(away, Happening::Start(who));
        match who {
            Who::Coordinator => (0..self.banks.len()).try_for_each(|bank| self.cut(bank)),
            Who::Bank(bank) => self.cut(bank),
        }
    }

    pub(super) fn start(&mut self, who: Who) -> Result<(), Violation> {
        self.tell(&("start", who));
        match who {
            Who::Coordinator => {
                let records = self.coordinator.disk.records(&|record| {
                    self.scenario
                        .sabotage
                        .is_some_and(|sabotage| sabotage.forgets(record))
                });
                self.readable.clear();
                for record in &records {
                    self.oracle.coordinator_remembers(record)?;
                    self.keep_readable(record);
                }
                let identity = self.cast.coordinator_identity();
                let settings = self.cast.settings;
                let recovered = Coordinator::recover(identity, settings, records, self.now)
                    .map_err(|error| Violation::new(Invariant::Recovery, error))?;
                self.coordinator.party = Some(recovered);
                for bank in 0..self.banks.len() {
                    let after = Duration(self.chance.random_range(10..2_000));
                    self.schedule(after, Happening::Dial { bank });
                }
                self.carry_out_coordinator()
            }
            Who::Bank(bank) => {
                let records = self.banks[bank].disk.records(&|_| false);
                let (identity, policy) = (self.cast.identity(bank), self.cast.policy.clone());
                let seed = self.cast.seed(bank, self.banks[bank].life);
                let kept = self.kept[bank].clone().into();
                let recovered = Client::recover(identity, policy, records, kept, seed)
                    .map_err(|error| Violation::new(Invariant::Recovery, error))?;
                self.banks[bank].party = Some(recovered);
                self.schedule(Duration(10), Happening::Dial { bank });
                self.carry_out_bank(bank)
            }
        }
    }

    pub(super) fn dial(&mut self, bank: usize) -> Result<(), Violation> {
        if self.links[bank].is_some() || self.banks[bank].party.is_none() {
            return Ok(());
        }
        if self.coordinator.party.is_none() {
            return Ok(());
        }
        self.sequence += 1;
        self.links[bank] = Some(self.sequence);
        self.tell_bank(bank, Heard::Connected)
    }

    pub(super) fn cut(&mut self, bank: usize) -> Result<(), Violation> {
        if self.links[bank].take().is_none() {
            return Ok(());
        }
        let after = Duration(self.chance.random_range(50..3_000));
        self.schedule(after, Happening::Dial { bank });
        self.tell_bank(bank, Heard::Gone)?;
        let from = self.cast.id(bank);
        self.tell_coordinator(from, FromPeer::Gone)
    }
}

impl From<Fault> for Happening {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::CrashCoordinator => Self::Crash(Who::Coordinator),
            Fault::CrashBank(bank) => Self::Crash(Who::Bank(bank)),
            Fault::Cut(bank) => Self::Cut { bank },
        }
    }
}
