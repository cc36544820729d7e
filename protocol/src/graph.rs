//! The mask graph: who shares a mask with whom (PROTOCOL.md §10). Everybody up to
//! [`FULL_GRAPH_MEMBERS_MAX`] members; above, a circulant on a permutation that all members'
//! nonces choose. Public, so that every client can check that no survivor is isolated.

use crypto::{Digest, Seed, Stream};

use crate::id::{RoundId, Seat, Seats};
use crate::limits::FULL_GRAPH_MEMBERS_MAX;

#[cfg(test)]
mod tests;

/// Who shares a mask with whom.
#[derive(Clone, Debug)]
pub struct Graph {
    cohort: Vec<Seat>,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Full,
    /// Places on a circle: each is joined to the `reach` next on either side.
    Circle {
        place_of: Vec<usize>,
        member_at: Vec<usize>,
        reach: usize,
    },
}

/// A row of the table of sparse graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sparse {
    /// Cohorts up to this size.
    pub(crate) members_max: u16,
    /// Mask neighbours of each bank (k).
    pub(crate) degree: u16,
    /// Colluding neighbours of any bank, exceeded with probability 2^-80 (ck).
    pub(crate) colluding: u16,
}

/// Up to a third of colluders, `m_min` up to 10, a tenth of random dropouts survived except with
/// 2^-20: table 3.9 of secagg.md. The test below computes `colluding` again.
const SPARSE: [Sparse; 4] = [
    Sparse {
        members_max: 200,
        degree: 94,
        colluding: 64,
    },
    Sparse {
        members_max: 300,
        degree: 118,
        colluding: 82,
    },
    Sparse {
        members_max: 500,
        degree: 142,
        colluding: 99,
    },
    Sparse {
        members_max: 1_000,
        degree: 168,
        colluding: 118,
    },
];

/// The row for a cohort of this size; none where the graph is full.
pub(crate) fn sparse(members: u16) -> Option<Sparse> {
    if members <= FULL_GRAPH_MEMBERS_MAX {
        return None;
    }
    let last = SPARSE[SPARSE.len() - 1];
    Some(
        SPARSE
            .into_iter()
            .find(|row| members <= row.members_max)
            .unwrap_or(last),
    )
}

/// The seed of a round's graph: every member's epoch nonce is in it, so nobody chooses it alone.
#[must_use]
pub fn seed(roster: &Digest, nonces: &[[u8; 32]], round: RoundId) -> Digest {
    crypto::tagged(
        "csa1/graph",
        &[&roster.0, &nonces.concat(), &round.0.to_be_bytes()],
    )
}

impl Graph {
    /// The graph of a cohort. Full where `degree` reaches everybody; an odd degree counts as the
    /// even one below it.
    #[must_use]
    pub fn new(cohort: &Seats, degree: u16, seed: &Digest) -> Self {
        let cohort = cohort.iter().collect::<Vec<_>>();
        let shape = if usize::from(degree) + 1 >= cohort.len() {
            Shape::Full
        } else {
            let member_at = permutation(cohort.len(), seed);
            let mut place_of = vec![0; cohort.len()];
            for (place, &member) in member_at.iter().enumerate() {
                place_of[member] = place;
            }
            Shape::Circle {
                place_of,
                member_at,
                reach: usize::from(degree / 2),
            }
        };
        Self { cohort, shape }
    }

    /// The members that share a mask with `seat`; none for a stranger.
    #[must_use]
    pub fn neighbours(&self, seat: Seat) -> Seats {
        let Some(member) = self.member(seat) else {
            return Seats::default();
        };
        match &self.shape {
            Shape::Full => self
                .cohort
                .iter()
                .copied()
                .filter(|&other| other != seat)
                .collect(),
            Shape::Circle {
                place_of,
                member_at,
                reach,
            } => {
                let (place, count) = (place_of[member], member_at.len());
                let steps = (1..=*reach).flat_map(|step| [step, count - step]);
                steps
                    .map(|step| self.cohort[member_at[(place + step) % count]])
                    .collect()
            }
        }
    }

    /// The survivor with the fewest surviving neighbours, and how many it has.
    fn fewest_surviving(&self, survivors: &Seats) -> Option<(Seat, usize)> {
        let counts = survivors.iter().map(|seat| {
            let neighbours = self.neighbours(seat);
            (
                seat,
                neighbours
                    .iter()
                    .filter(|&other| survivors.contains(other))
                    .count(),
            )
        });
        counts.min_by_key(|&(_, count)| count)
    }

    /// The survivor that keeps fewer than `d_min = ck + m_min` neighbours, if there is one: then
    /// fewer than `m_min` honest banks may be alone in their component. In a full graph everybody
    /// keeps everybody.
    #[must_use]
    pub fn isolated(&self, survivors: &Seats, honest_min: u16) -> Option<Seat> {
        let least = usize::from(neighbours_min(self.cohort.len(), honest_min)?);
        let (seat, count) = self.fewest_surviving(survivors)?;
        (count < least).then_some(seat)
    }

    fn member(&self, seat: Seat) -> Option<usize> {
        self.cohort.binary_search(&seat).ok()
    }
}

/// Surviving neighbours that each survivor needs (d_min); none in a full graph.
fn neighbours_min(members: usize, honest_min: u16) -> Option<u16> {
    let row = sparse(u16::try_from(members).unwrap_or(u16::MAX))?;
    Some(row.colluding.saturating_add(honest_min))
}

/// A uniform permutation of `0..count` (Fisher and Yates; Durstenfeld 1964).
fn permutation(count: usize, seed: &Digest) -> Vec<usize> {
    let mut stream = Seed::from_entropy(seed.0).stream("csa1/graph", 0);
    let mut order = (0..count).collect::<Vec<_>>();
    for last in (1..count).rev() {
        order.swap(last, below(last + 1, &mut stream));
    }
    order
}

/// Uniform below `bound`: what would favour the low numbers is drawn again.
fn below(bound: usize, stream: &mut Stream) -> usize {
    let bound = u32::try_from(bound).expect("cohorts are far below 2^32");
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let mut bytes = [0; 4];
        stream.fill(&mut bytes);
        let draw = u32::from_le_bytes(bytes);
        if draw < fair {
            return (draw % bound) as usize;
        }
    }
}
