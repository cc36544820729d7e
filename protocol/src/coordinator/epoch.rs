//! `Epoch`: the key agreement in force, its members, and who quarrelled with whom in it.
//! How an epoch comes about is `phase/agreement.rs`; who is connected is the registry's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crypto::{Digest, VerifyKey};

use crate::coordinator::handover::Handover;
use crate::id::{ClientId, EpochId, RoundId, Seat};
use crate::limits::COMPLAINTS_MAX;
use crate::message::Roster;

/// One bank's place in a roster. Made by [`Members`] alone, so that what a stranger says can
/// never reach a phase.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) seat: Seat,
    pub(crate) id: ClientId,
    pub(crate) key: VerifyKey,
    pub(crate) name: String,
}

/// The members of a roster in seat order. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Members(Arc<[Member]>);

impl Members {
    /// The members of our own roster: every credential in it was admitted before it was signed.
    pub(crate) fn of(roster: &Roster) -> Self {
        let members = (0..).zip(&roster.members).map(|(seat, credential)| {
            let credential = credential.unverified();
            Member {
                seat: Seat(seat),
                id: credential.id,
                key: credential.key,
                name: credential.name.clone(),
            }
        });
        Self(members.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    /// The member behind a connection.
    pub(crate) fn member(&self, id: ClientId) -> Option<&Member> {
        let place = self.0.binary_search_by_key(&id, |member| member.id).ok()?;
        self.0.get(place)
    }

    /// The member on a seat.
    pub(crate) fn at(&self, seat: Seat) -> Option<&Member> {
        self.0.get(usize::from(seat.0))
    }
}

/// A key agreement in force.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) id: EpochId,
    pub(crate) root: Digest,
    pub(crate) members: Members,
    pub(crate) complaints: Complaints,
    pub(crate) handover: Handover,
    nonces: Vec<[u8; 32]>,
}

impl Epoch {
    /// `nonces` are those of the members' key bundles, in seat order.
    pub(crate) fn new(id: EpochId, root: Digest, members: Members, nonces: Vec<[u8; 32]>) -> Self {
        Self {
            id,
            root,
            members,
            complaints: Complaints::default(),
            handover: Handover::default(),
            nonces,
        }
    }

    /// What a client that holds this epoch's keys says in its check-in.
    pub(crate) fn name(&self) -> (EpochId, Digest) {
        (self.id, self.root)
    }

    /// The seed of a round's mask graph: every member's chance is in it.
    pub(crate) fn graph_seed(&self, round: RoundId) -> Digest {
        crate::graph::seed(&self.root, &self.nonces, round)
    }
}

/// The complaints of an epoch. Which side of a quarrel lies cannot always be seen from here, so
/// both are counted, and either count ends it: a storm of complaints costs a few attempts at most.
/// The counts are not recorded: after a restart everybody has a clean sheet.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    unproven: BTreeMap<Seat, usize>,
    accusers: BTreeMap<Seat, BTreeSet<Seat>>,
}

impl Complaints {
    /// `from` complained and could not show it.
    pub(crate) fn note_unproven(&mut self, from: Seat) {
        let count = self.unproven.entry(from).or_default();
        *count = count.saturating_add(1);
    }

    /// `from` complained about `about`, and may be right.
    pub(crate) fn note_accused(&mut self, about: Seat, from: Seat) {
        self.accusers.entry(about).or_default().insert(from);
    }

    /// Whether a seat is left out of the epoch's further cohorts: it complained twice without
    /// showing anything, or two members complained about it.
    pub(crate) fn leave_out(&self, seat: Seat) -> bool {
        let unproven = self.unproven.get(&seat).copied().unwrap_or(0);
        let accusers = self.accusers.get(&seat).map_or(0, BTreeSet::len);
        unproven >= COMPLAINTS_MAX || accusers >= COMPLAINTS_MAX
    }
}
