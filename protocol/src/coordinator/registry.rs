//! `Registry`: which banks ever checked in, which are here, where each stands, and which are
//! barred. Whether their messages are right is the phases' affair; seats are the epoch's.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;

use crate::blame::{Misbehaviour, Refusal};
use crate::credential::Credential;
use crate::id::{ClientId, EpochId};
use crate::limits::{ASIDE_DOUBLINGS_MAX, ASIDE_MS, MEMBERS_MAX, NAME_BYTES_MAX, RESEND_MS};
use crate::message::{CheckIn, Holding};
use crate::operator::ClientStatus;
use crate::signed::{Signed, Verified};
use crate::time::{Duration, Time};

/// The banks this coordinator knows.
pub(crate) struct Registry {
    clients: BTreeMap<ClientId, Client>,
    barred: BTreeSet<ClientId>,
    seated: BTreeSet<ClientId>,
    grace: Duration,
}

/// One bank's certificate and where it stands.
struct Client {
    credential: Verified<Credential>,
    presence: Presence,
    seen: Time,
    standing: Option<Standing>,
    refusal: Option<Refusal>,
    aside: Time,
    lapses: u32,
    is_superseded: bool,
    offered: Option<(u64, Time)>,
}

#[derive(Clone, Copy)]
enum Presence {
    Here(Time),
    Gone(Time),
}

/// What a client last said of itself.
#[derive(Clone, Copy, PartialEq)]
struct Standing {
    epoch: Option<(EpochId, Digest)>,
    ledger: u64,
    head: Digest,
    bucket_key: Holding,
}

/// What a check-in changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It was not here before.
    Arrived,
    /// It was here, and says something else than before.
    Moved,
    /// A heartbeat.
    Same,
}

impl Registry {
    /// Nobody yet. A client that is gone is waited for during `grace`.
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            clients: BTreeMap::new(),
            barred: BTreeSet::new(),
            seated: BTreeSet::new(),
            grace,
        }
    }

    /// Takes a bank into the book, as one that is gone.
    ///
    /// One entry per legal entity: a certificate under a name that is known replaces the former
    /// for the next roster if its credential's serial is higher, and is refused otherwise.
    pub(crate) fn enrol(
        &mut self,
        now: Time,
        credential: Verified<Credential>,
    ) -> Result<(), Misbehaviour> {
        let refused = |why: &str| Err(Misbehaviour::Credential(why.to_owned()));
        if credential.name.is_empty() || credential.name.len() > NAME_BYTES_MAX {
            return refused("name is empty or too long");
        }
        if let Some(known) = self.clients.get_mut(&credential.id) {
            if credential.serial < known.credential.serial {
                return refused("serial is below one shown before");
            }
            known.credential = credential;
            return Ok(());
        }
        let is_other = |client: &Client| client.credential.name == credential.name;
        if self
            .clients
            .values()
            .any(|client| is_other(client) && client.credential.serial >= credential.serial)
        {
            return refused("name is another certificate's, and the serial is not higher");
        }
        if self
            .clients
            .values()
            .filter(|client| !client.is_superseded)
            .count()
            >= MEMBERS_MAX
        {
            return refused("as many banks as a roster holds are enrolled");
        }
        for former in self.clients.values_mut().filter(|client| is_other(client)) {
            former.is_superseded = true;
        }
        self.clients
            .insert(credential.id, Client::gone(now, credential));
        Ok(())
    }

    /// A client says where it stands.
    pub(crate) fn check_in(
        &mut self,
        now: Time,
        credential: Verified<Credential>,
        said: &CheckIn,
    ) -> Result<Arrival, Misbehaviour> {
        let id = credential.id;
        self.enrol(now, credential)?;
        let client = self.clients.get_mut(&id).expect("it was enrolled above");
        let standing = Some(Standing {
            epoch: said.epoch,
            ledger: said.ledger,
            head: said.head,
            bucket_key: said.bucket_key,
        });
        let arrival = match client.presence {
            Presence::Gone(_) => Arrival::Arrived,
            Presence::Here(_) if client.standing != standing => Arrival::Moved,
            Presence::Here(_) => Arrival::Same,
        };
        if arrival == Arrival::Arrived {
            client.presence = Presence::Here(now);
            client.offered = None;
        }
        client.seen = now;
        client.standing = standing;
        Ok(arrival)
    }

    /// A connection ended; whether there was one.
    pub(crate) fn leave(&mut self, now: Time, id: ClientId) -> bool {
        match self.clients.get_mut(&id) {
            Some(client) if client.is_here() => {
                client.presence = Presence::Gone(now);
                true
            }
            Some(_) | None => false,
        }
    }

    pub(crate) fn bar(&mut self, id: ClientId) {
        self.barred.insert(id);
    }

    pub(crate) fn is_barred(&self, id: ClientId) -> bool {
        self.barred.contains(&id)
    }

    /// Whether a client is connected and not barred.
    pub(crate) fn is_here(&self, id: ClientId) -> bool {
        !self.is_barred(id) && self.clients.get(&id).is_some_and(Client::is_here)
    }

    /// Everybody who is connected and not barred.
    pub(crate) fn here(&self) -> Vec<ClientId> {
        let ids = self.clients.keys().copied();
        ids.filter(|&id| self.is_here(id)).collect()
    }

    /// Every certificate ever seen under a legal entity's name.
    pub(crate) fn named(&self, name: &str) -> Vec<ClientId> {
        let named =
            |(&id, client): (&ClientId, &Client)| (client.credential.name == name).then_some(id);
        self.clients.iter().filter_map(named).collect()
    }

    /// The credential of a client.
    pub(crate) fn credential(&self, id: ClientId) -> Option<&Signed<Credential>> {
        Some(self.clients.get(&id)?.credential.as_signed())
    }

    /// Whether a client said that it holds the keys of this epoch.
    pub(crate) fn holds(&self, id: ClientId, epoch: (EpochId, Digest)) -> bool {
        self.standing(id)
            .is_some_and(|standing| standing.epoch == Some(epoch))
    }

    /// Whether a client said that its ledger is at this place.
    pub(crate) fn is_at(&self, id: ClientId, ledger: u64, head: Digest) -> bool {
        self.standing(id)
            .is_some_and(|standing| standing.ledger == ledger && standing.head == head)
    }

    /// What a client last said of the banks' bucket key.
    pub(crate) fn bucket_key(&self, id: ClientId) -> Option<Holding> {
        Some(self.standing(id)?.bucket_key)
    }

    /// Whether a client is here, but no longer has the keys of this epoch: it restarted, and has
    /// dropped out of whatever runs.
    pub(crate) fn has_lost(&self, id: ClientId, epoch: (EpochId, Digest)) -> bool {
        self.is_here(id) && !self.holds(id, epoch)
    }

    /// Until when it is worth waiting for a client's word: while it is here, and a grace after.
    pub(crate) fn waits_until(&self, id: ClientId) -> Time {
        if self.is_barred(id) {
            return Time(0);
        }
        match self.clients.get(&id).map(|client| client.presence) {
            Some(Presence::Here(_)) => Time(u64::MAX),
            Some(Presence::Gone(since)) => since.after(self.grace),
            None => Time(0),
        }
    }

    /// Since when a client is here.
    pub(crate) fn here_since(&self, id: ClientId) -> Option<Time> {
        match self.clients.get(&id)?.presence {
            Presence::Here(since) => Some(since),
            Presence::Gone(_) => None,
        }
    }

    /// Whether a legal entity came again under another certificate.
    pub(crate) fn is_superseded(&self, id: ClientId) -> bool {
        let client = self.clients.get(&id);
        client.is_some_and(|client| client.is_superseded)
    }

    /// Whether a bank's credential has not ended: every member refuses a roster with one that has.
    pub(crate) fn is_in_force(&self, id: ClientId, now: Time) -> bool {
        let client = self.clients.get(&id);
        client.is_some_and(|client| now <= client.credential.expires)
    }

    /// Whether a bank may sit in the next roster: here, the entity's last certificate, in force,
    /// and not set aside.
    pub(crate) fn is_eligible(&self, id: ClientId, now: Time) -> bool {
        let client = self.clients.get(&id);
        self.is_here(id)
            && !self.is_superseded(id)
            && self.is_in_force(id, now)
            && client.is_some_and(|client| client.aside <= now)
    }

    /// Remembers who sits in the roster that was agreed on; they answered, so their lapses are
    /// forgotten.
    pub(crate) fn seat(&mut self, members: impl Iterator<Item = ClientId>) {
        self.seated = members.collect();
        for id in &self.seated {
            if let Some(client) = self.clients.get_mut(id) {
                client.lapses = 0;
            }
        }
    }

    /// Members of the last roster that are not here, with the moment they left: worth waiting for.
    pub(crate) fn seated_and_gone(&self) -> impl Iterator<Item = (ClientId, Time)> {
        self.seated.iter().filter_map(|&id| {
            let client = self.clients.get(&id)?;
            match client.presence {
                Presence::Gone(since) if !self.is_barred(id) && !client.is_superseded => {
                    Some((id, since))
                }
                Presence::Gone(_) | Presence::Here(_) => None,
            }
        })
    }

    /// Leaves a bank that spoilt an agreement or a round out for a while, each time twice as long.
    pub(crate) fn set_aside(&mut self, id: ClientId, now: Time) {
        if let Some(client) = self.clients.get_mut(&id) {
            let span = ASIDE_MS << client.lapses.min(ASIDE_DOUBLINGS_MAX);
            client.aside = now.after(Duration(span));
            client.lapses = client.lapses.saturating_add(1);
        }
    }

    /// When the next bank that was set aside counts again.
    pub(crate) fn next_return(&self, now: Time) -> Option<Time> {
        let asides = self.clients.values().map(|client| client.aside);
        asides.filter(|&aside| aside > now).min()
    }

    /// Remembers a client's last refusal.
    pub(crate) fn note_refusal(&mut self, id: ClientId, refusal: Refusal) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.refusal = Some(refusal);
        }
    }

    /// A client is sent the result at this place.
    pub(crate) fn offer(&mut self, id: ClientId, place: u64, now: Time) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.offered = Some((place, now));
        }
    }

    /// The place of the result that a client lacks first, unless it was sent it a moment ago.
    pub(crate) fn next_result(&mut self, id: ClientId, length: u64, now: Time) -> Option<u64> {
        let client = self.clients.get(&id)?;
        let from = client.standing?.ledger;
        let is_repeat = client
            .offered
            .is_some_and(|(offered, at)| offered == from && now < at.after(Duration(RESEND_MS)));
        if from >= length || is_repeat {
            return None;
        }
        self.offer(id, from, now);
        Some(from)
    }

    /// How everybody who ever checked in stands, by name.
    pub(crate) fn statuses(&self, seated: impl Fn(ClientId) -> bool) -> Vec<ClientStatus> {
        let status = |(&id, client): (&ClientId, &Client)| ClientStatus {
            name: client.credential.name.clone(),
            connected: client.is_here(),
            seen: client.seen,
            seated: seated(id),
            barred: self.is_barred(id),
            ledger: client.standing.map_or(0, |standing| standing.ledger),
            refusal: client.refusal.as_ref().map(ToString::to_string),
        };
        let mut statuses: Vec<_> = self.clients.iter().map(status).collect();
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        statuses
    }

    fn standing(&self, id: ClientId) -> Option<Standing> {
        self.clients.get(&id)?.standing
    }
}

impl Client {
    fn gone(now: Time, credential: Verified<Credential>) -> Self {
        Self {
            credential,
            presence: Presence::Gone(now),
            seen: now,
            standing: None,
            refusal: None,
            aside: Time(0),
            lapses: 0,
            is_superseded: false,
            offered: None,
        }
    }

    fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Here(_))
    }
}
