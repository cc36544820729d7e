//! What the host reads of the records it was given to keep: the party remembers where things are,
//! not the things. Results of past rounds and masked vectors would fill any memory.

use std::ops::Range;
use std::sync::Arc;

use crate::id::{Attempt, ClientId, Context, RoundId, Seat};
use crate::message::RoundResult;
use crate::record::CoordinatorRecord;

/// What the host is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A committed result, by its place in the ledger from 0.
    Result(u64),
    /// Bytes of masked vectors.
    Vectors(Stretches),
}

/// The same bytes of several recorded masked vectors, for one auditor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretches {
    /// Who asked.
    pub to: ClientId,
    /// The attempt, by its context.
    pub context: Context,
    /// Its round.
    pub round: RoundId,
    /// Its number.
    pub attempt: Attempt,
    /// Which chunk.
    pub chunk: u32,
    /// The first survivor's place in U2.
    pub from: u16,
    /// Whose vectors.
    pub seats: Vec<Seat>,
    /// Which bytes of each.
    pub bytes: Range<u64>,
}

/// What came of a [`Reading`].
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// The result at this place; none where the host could not read it.
    Result(u64, Option<Arc<RoundResult>>),
    /// One stretch a seat; none where they are no longer kept.
    Vectors(Stretches, Option<Vec<Vec<u8>>>),
}

impl Reading {
    /// Reads from records in memory.
    #[must_use]
    pub fn among<'a, I>(self, records: I) -> Read
    where
        I: IntoIterator<Item = &'a CoordinatorRecord>,
        I::IntoIter: Clone,
    {
        let records = records.into_iter();
        match self {
            Self::Result(place) => {
                let mut results = records.filter_map(CoordinatorRecord::result);
                let result = usize::try_from(place).ok().and_then(|at| results.nth(at));
                Read::Result(place, result.cloned())
            }
            Self::Vectors(stretches) => {
                let pieces = stretches.among(records);
                Read::Vectors(stretches, pieces)
            }
        }
    }
}

impl Stretches {
    fn among<'a>(
        &self,
        records: impl Iterator<Item = &'a CoordinatorRecord> + Clone,
    ) -> Option<Vec<Vec<u8>>> {
        let start = usize::try_from(self.bytes.start).ok()?;
        let end = usize::try_from(self.bytes.end).ok()?;
        let of = |seat: &Seat| {
            let mut vectors = records.clone().filter_map(CoordinatorRecord::vector);
            let is_asked = |(context, owner, _): &(Context, Seat, &[u8])| {
                (*context, *owner) == (self.context, *seat)
            };
            let (_, _, words) = vectors.find(is_asked)?;
            Some(words.get(start..end)?.to_vec())
        };
        self.seats.iter().map(of).collect()
    }
}
