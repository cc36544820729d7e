//! What auditors are told of the last committed sum (PROTOCOL.md §7, A20): what took its masks
//! off, and chunks of the masked vectors with the paths to their signed roots. The vectors
//! themselves are on the host's disk, which is asked for one chunk at a time, for one page of
//! survivors, and by each bank once at a time: the memory this takes is a page for each bank.
//!
//! Nothing is decided here, and nothing that an auditor says changes a round.

use std::collections::BTreeSet;

use crypto::{Digest, merkle};

use crate::coordinator::Coordinator;
use crate::coordinator::reading::{Reading, Stretches};
use crate::coordinator::survived::Survived;
use crate::id::{Attempt, ClientId, Context, RoundId, Seat, Seats};
use crate::limits::AUDIT_PAGE_BYTES_MAX;
use crate::message::{
    AbsentKeys, AuditPart, AuditRequest, Audited, Bulk, Opening, Piece, Stretch, ToClient,
};
use crate::opened::Opened;
use crate::party::Outbox;
use crate::plan::Width;
use crate::vector;

/// What is kept of a committed sum.
pub(crate) struct Kept {
    context: Context,
    round: RoundId,
    attempt: Attempt,
    words: u64,
    width: Width,
    survivors: Seats,
    /// Per survivor in seat order: the digests of its vector's chunks.
    leaves: Vec<Vec<Digest>>,
    opening: Opening,
}

impl Kept {
    /// The sum's survivors, and what took their masks off.
    pub(crate) fn new(survived: Survived, opened: Opened) -> Self {
        let absent = survived.absent();
        let keys = |seat: Seat| {
            let of_seat = opened.pairs.iter().filter(|pair| pair.absent == seat);
            let escrow = survived.escrows.get(&seat);
            AbsentKeys {
                commitments: escrow.map_or_else(Vec::new, |escrow| escrow.commitments.clone()),
                keys: of_seat.map(|pair| *pair.key.expose()).collect(),
            }
        };
        let absent = absent.iter().map(keys).collect();
        let headers = survived.escrowed.iter();
        let headers = headers.filter_map(|seat| Some(survived.escrows.get(&seat)?.header.clone()));
        let manifest = survived.round.manifest();
        Self {
            context: survived.round.context,
            round: manifest.round,
            attempt: manifest.attempt,
            words: manifest.words,
            width: survived.round.width(),
            opening: Opening {
                headers: headers.collect(),
                escrowed: survived.escrowed,
                roots: survived.roots,
                self_secrets: opened.self_secrets.into_iter().map(|(_, b)| b).collect(),
                absent,
            },
            survivors: survived.survivors,
            leaves: survived.leaves,
        }
    }

    /// What the host must read for this page; none where there is no such page.
    fn reading(&self, to: ClientId, chunk: u32, from: u16) -> Option<Stretches> {
        let bytes = vector::chunk(self.words, chunk, self.width)?;
        let length = usize::try_from(bytes.end - bytes.start).ok()?.max(1);
        let page = (AUDIT_PAGE_BYTES_MAX / length).max(1);
        let seats: Vec<_> = self
            .survivors
            .iter()
            .skip(usize::from(from))
            .take(page)
            .collect();
        (!seats.is_empty()).then_some(Stretches {
            to,
            context: self.context,
            round: self.round,
            attempt: self.attempt,
            chunk,
            from,
            seats,
            bytes,
        })
    }

    /// The page, with a path for each piece.
    fn stretch(&self, reading: &Stretches, pieces: Vec<Vec<u8>>) -> Option<Stretch> {
        let leaves = self.leaves.get(usize::from(reading.from)..)?;
        let index = usize::try_from(reading.chunk).ok()?;
        let piece = |(bytes, leaves): (Vec<u8>, &Vec<Digest>)| {
            (index < leaves.len()).then(|| Piece {
                bytes: Bulk(bytes),
                path: merkle::path(leaves, index),
            })
        };
        Some(Stretch {
            chunk: reading.chunk,
            from: reading.from,
            pieces: pieces
                .into_iter()
                .zip(leaves)
                .map(piece)
                .collect::<Option<_>>()?,
        })
    }
}

/// The audits that run.
#[derive(Default)]
pub(crate) struct Audits {
    kept: Option<Kept>,
    /// Those for whom the host reads.
    reading: BTreeSet<ClientId>,
}

impl Audits {
    /// A sum was committed: the one before it is audited no more. None where a restart left
    /// nothing to tell of it.
    pub(crate) fn keep(&mut self, kept: Option<Kept>) {
        self.kept = kept;
    }

    /// A bank asks. Whoever asks again before it is answered is answered once.
    pub(crate) fn on_request(
        &mut self,
        from: ClientId,
        asked: AuditRequest,
        out: &mut Outbox<Coordinator>,
    ) {
        let context = asked.context;
        let kept = self.kept.as_ref().filter(|kept| kept.context == context);
        let answer = match (kept, asked.part) {
            (Some(kept), AuditPart::Opening) => {
                Audited::Opening(context, Box::new(kept.opening.clone()))
            }
            (Some(kept), AuditPart::Chunk { chunk, from: place }) => {
                match kept.reading(from, chunk, place) {
                    Some(_) if self.reading.contains(&from) => return,
                    Some(reading) => {
                        self.reading.insert(from);
                        return out.perform(Reading::Vectors(reading));
                    }
                    None => Audited::Gone(context),
                }
            }
            (None, _) => Audited::Gone(context),
        };
        out.send(from, ToClient::Audited(Box::new(answer)));
    }

    /// The host has read what it was asked for.
    pub(crate) fn on_read(
        &mut self,
        reading: Stretches,
        pieces: Option<Vec<Vec<u8>>>,
        out: &mut Outbox<Coordinator>,
    ) {
        self.reading.remove(&reading.to);
        let kept = self.kept.as_ref();
        let kept = kept.filter(|kept| kept.context == reading.context);
        let stretch = kept.and_then(|kept| kept.stretch(&reading, pieces?));
        let answer = match stretch {
            Some(stretch) => Audited::Chunk(reading.context, Box::new(stretch)),
            None => Audited::Gone(reading.context),
        };
        out.send(reading.to, ToClient::Audited(Box::new(answer)));
    }
}
