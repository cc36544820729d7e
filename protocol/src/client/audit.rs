//! Spot audits: whether a result's sum is the sum of what was masked (PROTOCOL.md §7, A20). After
//! each result this bank draws some chunks, asks the coordinator for every survivor's masked words
//! there, takes the masks off itself, and compares. Which chunks it draws nobody knows before the
//! result is signed.
//!
//! Each part of an answer is held against something that was signed before the sum was made:
//! vectors and roots against the acknowledgements, secrets against the escrow headers, all that
//! was opened against the outcome. An answer that fails is blamed and asked for again; no answer
//! is no proof, and no accusation. The answers are `coordinator/audits.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crypto::mask::{self, MaskKey, Sign};
use crypto::{Digest, Key, merkle};

use crate::blame::Misbehaviour;
use crate::client::bank::{Bank, blame};
use crate::client::keyring::Seating;
use crate::client::{Client, Link};
use crate::event::ClientEvent;
use crate::graph::Graph;
use crate::id::{Context, RoundId, Seat};
use crate::limits::{AUDIT_HEARTBEATS_MAX, HEARTBEAT_MS};
use crate::masking::{self, SecretKind};
use crate::message::{
    AbsentKeys, AuditPart, AuditRequest, Audited, EscrowHeader, Opening, RoundResult, Stretch,
    ToCoordinator,
};
use crate::opened::{Opened, Pair};
use crate::plan::Width;
use crate::signed::Seen;
use crate::time::{Duration, Time};
use crate::vector::{self, CHUNK_WORDS};

/// One result's audit.
pub(crate) struct Audit {
    result: Arc<RoundResult>,
    seating: Arc<Seating>,
    /// Chunks still to be audited.
    chunks: Vec<u32>,
    passed: u32,
    checked: Option<Checked>,
    asked: Time,
    heartbeats: u32,
}

/// An opening that holds, and what was added up with it.
struct Checked {
    roots: Vec<Digest>,
    masks: Vec<(MaskKey, Sign)>,
    /// The sum of the running chunk over the first `added` survivors, still masked.
    words: Vec<u32>,
    added: usize,
}

/// What an answer leads to.
enum Step {
    /// Ask on.
    On,
    /// Every chunk was as it should be.
    Passed,
    /// The sum is not the survivors'.
    False(ClientEvent),
}

impl Client {
    /// A result was applied: its audit begins, if this institution wants one. A result of a roster
    /// that this client never sat in cannot be audited: it knows no key to hold the parts against.
    pub(crate) fn begin_audit(&mut self, now: Time, result: &Arc<RoundResult>) {
        if let Some(audit) = self.audit.take() {
            self.give_up(audit.round(), "a later result came first");
        }
        if self.bank.policy.audit_chunks == 0 {
            return;
        }
        let manifest = result.manifest.unverified();
        let Some(seating) = self.bank.seating(&manifest.roster) else {
            return self.give_up(manifest.round, "its roster is not known here");
        };
        let chunks = draw(&mut self.bank, vector::chunks(manifest.words));
        let audit = Audit {
            result: Arc::clone(result),
            seating,
            chunks,
            passed: 0,
            checked: None,
            asked: now,
            heartbeats: 0,
        };
        // The answers to earlier audits are late from here on, whoever sat in those attempts.
        self.bank.keep_context(audit.context());
        self.bank.audited = Some(audit.context());
        self.ask(audit, now);
    }

    /// An auditor's question is answered.
    pub(crate) fn on_audited(&mut self, now: Time, audited: Audited) {
        let context = match &audited {
            Audited::Opening(context, _) | Audited::Chunk(context, _) | Audited::Gone(context) => {
                *context
            }
        };
        if self.bank.audited != Some(context) {
            if !self.bank.knows_context(context) {
                blame(Misbehaviour::Context("audit answer"), &mut self.outbox);
            }
            return;
        }
        // Answered before, and repeated on the way.
        let Some(mut audit) = self.audit.take() else {
            return;
        };
        let step = match audited {
            Audited::Gone(_) => return self.give_up(audit.round(), "it is kept no longer"),
            Audited::Opening(_, opening) => audit.on_opening(&opening, &mut self.bank.seen),
            Audited::Chunk(_, stretch) => audit.on_stretch(&stretch),
        };
        match step {
            Ok(Some(Step::On)) => {
                audit.heartbeats = 0;
                self.ask(audit, now);
            }
            Ok(Some(Step::Passed)) => {
                let event = ClientEvent::AuditPassed(audit.round(), audit.passed);
                self.outbox.report(event);
            }
            Ok(Some(Step::False(event))) => {
                self.distrust(audit.round());
                self.outbox.report(event);
            }
            Ok(None) => self.audit = Some(audit),
            Err(misbehaviour) => {
                blame(misbehaviour, &mut self.outbox);
                self.audit = Some(audit);
            }
        }
    }

    /// A heartbeat without an answer: asks again, and gives up after some.
    pub(crate) fn on_audit_timeout(&mut self, now: Time) {
        let Some(mut audit) = self.audit.take_if(|audit| audit.due() <= now) else {
            return;
        };
        audit.heartbeats += 1;
        if audit.heartbeats > AUDIT_HEARTBEATS_MAX {
            return self.give_up(audit.round(), "the coordinator does not answer");
        }
        self.ask(audit, now);
    }

    /// The sum of this round was found false: no further round is joined.
    pub(crate) fn distrust(&mut self, round: RoundId) {
        self.bank.false_sum = Some(round);
    }

    fn ask(&mut self, mut audit: Audit, now: Time) {
        audit.asked = now;
        if matches!(self.link, Link::Up { .. }) {
            self.outbox.send((), ToCoordinator::Audit(audit.request()));
        }
        self.audit = Some(audit);
    }

    fn give_up(&mut self, round: RoundId, why: &'static str) {
        self.outbox.report(ClientEvent::Unaudited(round, why));
    }
}

impl Audit {
    /// When it asks again.
    pub(crate) fn due(&self) -> Time {
        self.asked.after(Duration(HEARTBEAT_MS))
    }

    fn round(&self) -> RoundId {
        self.result.manifest.unverified().round
    }

    fn width(&self) -> Width {
        self.result.plan.plan.unverified().width
    }

    fn context(&self) -> Context {
        self.result.outcome.unverified().context
    }

    fn request(&self) -> AuditRequest {
        let part = match (&self.checked, self.chunks.last()) {
            (Some(checked), Some(&chunk)) => AuditPart::Chunk {
                chunk,
                from: u16::try_from(checked.added).expect("survivors are below MEMBERS_MAX"),
            },
            (_, _) => AuditPart::Opening,
        };
        AuditRequest {
            context: self.context(),
            part,
        }
    }

    /// What took the masks off: goes on only if all of it holds. The second time it is repeated.
    fn on_opening(
        &mut self,
        opening: &Opening,
        seen: &mut Seen,
    ) -> Result<Option<Step>, Misbehaviour> {
        if self.checked.is_some() {
            return Ok(None);
        }
        let opened = self.check_opening(opening, seen)?;
        let nonces: BTreeMap<Seat, [u8; 32]> = opening
            .headers
            .iter()
            .map(|header| (header.unverified().seat, header.unverified().nonce))
            .collect();
        let masks = opened.masks(&self.context(), |seat| nonces.get(&seat).copied());
        let expanded = |(key, sign): &(Key, Sign)| (MaskKey::from(key), *sign);
        self.checked = Some(Checked {
            roots: opening.roots.clone(),
            masks: masks.iter().map(expanded).collect(),
            words: Vec::new(),
            added: 0,
        });
        Ok(Some(Step::On))
    }

    fn check_opening(&self, opening: &Opening, seen: &mut Seen) -> Result<Opened, Misbehaviour> {
        let outcome = self.result.outcome.unverified();
        let survivors = &self.result.survivors;
        let escrowed = &opening.escrowed;
        demand(
            escrowed.is_canonical() && masking::seats_digest(escrowed) == outcome.escrowed,
            "its U1 is not the acknowledged one",
        )?;
        let absent = escrowed.without(survivors);
        demand(
            opening.headers.len() == escrowed.len()
                && opening.roots.len() == survivors.len()
                && opening.self_secrets.len() == survivors.len()
                && opening.absent.len() == absent.len(),
            "its lists are not of the seats they are about",
        )?;
        demand(
            masking::masked_root(survivors, &opening.roots) == outcome.masked,
            "its roots are not the acknowledged ones",
        )?;
        let headers = self.check_headers(opening, seen)?;
        let mut opened = Opened::default();
        for (seat, secret) in survivors.iter().zip(&opening.self_secrets) {
            let digest =
                masking::secret_digest(SecretKind::SelfMask, &self.context(), seat, secret);
            let signed = headers.get(&seat).map(|header| header.self_secret);
            demand(signed == Some(digest), "a secret is not the signed one")?;
            opened.self_secrets.push((seat, secret.clone()));
        }
        for (seat, keys) in absent.iter().zip(&opening.absent) {
            let signed = headers.get(&seat).map(|header| header.commitments);
            opened.pairs.extend(self.check_pairs(seat, keys, signed)?);
        }
        demand(
            opened.digest() == outcome.revealed,
            "it is not what the outcome says was opened",
        )?;
        Ok(opened)
    }

    /// Every header is its seat's own word on this attempt.
    fn check_headers<'a>(
        &self,
        opening: &'a Opening,
        seen: &mut Seen,
    ) -> Result<BTreeMap<Seat, &'a EscrowHeader>, Misbehaviour> {
        let mut headers = BTreeMap::new();
        for (seat, header) in opening.escrowed.iter().zip(&opening.headers) {
            let body = header.unverified();
            demand(
                (body.context, body.seat) == (self.context(), seat),
                "a header is of another attempt or seat",
            )?;
            let key = self.seating.key(seat);
            let is_signed = key.is_some_and(|key| seen.check(header, key).is_ok());
            demand(is_signed, "a header is not signed by its seat")?;
            headers.insert(seat, body);
        }
        Ok(headers)
    }

    /// The keys of an absent member with its surviving neighbours, as it committed to them.
    fn check_pairs(
        &self,
        absent: Seat,
        keys: &AbsentKeys,
        signed: Option<Digest>,
    ) -> Result<Vec<Pair>, Misbehaviour> {
        demand(
            signed == Some(masking::commitments_digest(&keys.commitments)),
            "commitments are not the signed ones",
        )?;
        let manifest = self.result.manifest.unverified();
        let graph = Graph::new(&manifest.cohort, manifest.degree, &manifest.graph_seed);
        let neighbours = graph.neighbours(absent);
        demand(
            keys.commitments.len() == neighbours.len(),
            "commitments are not of the neighbours",
        )?;
        let survived = |(seat, _): &(Seat, _)| self.result.survivors.contains(*seat);
        let mut pairs = Vec::new();
        let mut given = keys.keys.iter();
        for (survivor, commitment) in neighbours.iter().zip(&keys.commitments).filter(survived) {
            let key = given.next().map(|&key| Key::from_bytes(key));
            let key = key.filter(|key| masking::commitment(key) == *commitment);
            let key = key.ok_or(Misbehaviour::Audit("a pair key is not the committed one"))?;
            pairs.push(Pair {
                survivor,
                absent,
                key,
            });
        }
        demand(given.next().is_none(), "it holds more pair keys than pairs")?;
        Ok(pairs)
    }

    /// Some survivors' masked words: adds them up, and opens the chunk after the last.
    fn on_stretch(&mut self, stretch: &Stretch) -> Result<Option<Step>, Misbehaviour> {
        let (words, width) = (self.result.manifest.unverified().words, self.width());
        let (Some(checked), Some(&chunk)) = (&mut self.checked, self.chunks.last()) else {
            return Ok(None);
        };
        let is_asked = stretch.chunk == chunk && usize::from(stretch.from) == checked.added;
        if !is_asked {
            return Ok(None);
        }
        let bytes = vector::chunk(words, chunk, width).expect("chunks are drawn from the vector");
        let count = vector::chunks(words);
        let place = merkle::Place {
            index: usize::try_from(chunk).unwrap_or(usize::MAX),
            count: usize::try_from(count).unwrap_or(usize::MAX),
        };
        let left = &checked.roots[checked.added..];
        demand(
            (1..=left.len()).contains(&stretch.pieces.len()),
            "it holds no piece, or more than were asked for",
        )?;
        for (root, piece) in left.iter().zip(&stretch.pieces) {
            let is_whole = piece.bytes.0.len() as u64 == bytes.end - bytes.start;
            demand(
                is_whole && merkle::verify_chunk(root, &piece.bytes.0, place, &piece.path),
                "a piece is not under the acknowledged root",
            )?;
        }
        if checked.words.is_empty() {
            checked.words =
                vec![0; usize::try_from(bytes.end - bytes.start).unwrap_or(0) / width.bytes()];
        }
        for piece in &stretch.pieces {
            vector::add(&mut checked.words, &piece.bytes, width).expect("the length was checked");
        }
        checked.added += stretch.pieces.len();
        if checked.added < checked.roots.len() {
            return Ok(Some(Step::On));
        }
        Ok(Some(self.open_chunk(chunk)))
    }

    /// Takes the masks off one chunk of the sum, and compares it with the published one.
    fn open_chunk(&mut self, chunk: u32) -> Step {
        let (round, width) = (self.round(), self.width());
        let checked = self.checked.as_mut().expect("a chunk follows an opening");
        let first = u64::from(chunk) * CHUNK_WORDS;
        mask::apply_from(&checked.masks, first, &mut checked.words);
        let start = usize::try_from(first).expect("a vector is below WORDS_MAX");
        let published = &self.result.sum[start..start + checked.words.len()];
        let summed = vector::integers(&checked.words, width);
        let pairs = published.iter().zip(summed).zip(first..);
        let mut differing = pairs.filter(|((found, expected), _)| *found != expected);
        let differs = differing
            .next()
            .map(|((&found, expected), word)| (word, found, expected));
        if let Some((word, found, expected)) = differs {
            return Step::False(ClientEvent::FalseSum {
                round,
                chunk,
                word,
                found,
                expected,
            });
        }
        checked.words.clear();
        checked.added = 0;
        self.chunks.pop();
        self.passed += 1;
        if self.chunks.is_empty() {
            Step::Passed
        } else {
            Step::On
        }
    }
}

/// The chunks to audit, as many as this institution asks for, drawn after the result was signed.
fn draw(bank: &mut Bank, count: u32) -> Vec<u32> {
    let wanted = u32::from(bank.policy.audit_chunks).min(count);
    let seed = bank.draw();
    let mut drawn = BTreeSet::new();
    for at in 0.. {
        if drawn.len() as u64 == u64::from(wanted) {
            break;
        }
        let bytes = seed.bytes32("audited chunk", at);
        let (number, _) = bytes.split_first_chunk().expect("32 bytes begin with 8");
        // Off an even draw by less than 2^-32.
        let chunk = u64::from_le_bytes(*number) % u64::from(count);
        drawn.insert(u32::try_from(chunk).expect("below a number of 32 bits"));
    }
    drawn.into_iter().collect()
}

fn demand(holds: bool, or_else: &'static str) -> Result<(), Misbehaviour> {
    if holds {
        Ok(())
    } else {
        Err(Misbehaviour::Audit(or_else))
    }
}
