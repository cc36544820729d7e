//! `History`: what became of every round, for the operator. Counts, names and what public sums
//! say, not the sums themselves; nothing here decides anything.

use std::collections::BTreeMap;

use crypto::Digest;

use crate::coordinator::round::Round;
use crate::id::{RoundId, Seat, Seats};
use crate::limits::ROUNDS_LISTED_MAX;
use crate::message::{Abandoned, Cause, RoundResult};
use crate::moments::Moment;
use crate::operator::{RoundDetail, RoundEnd, RoundSummary};
use crate::plan::{Evaluated, Work};
use crate::time::Time;
use crate::{genesis, histogram, moments, vector};

/// What became of every round.
#[derive(Default)]
pub(crate) struct History {
    rounds: Vec<Past>,
}

/// One round number, with its last attempt.
struct Past {
    summary: RoundSummary,
    names: BTreeMap<Seat, String>,
    survivors: Seats,
    threshold: u16,
    committed: Option<Committed>,
}

/// What a result says.
struct Committed {
    head: Digest,
    count: u32,
    update_norm: Option<f64>,
    measures: Option<histogram::Measures>,
    moments: Option<Vec<Option<Moment>>>,
}

impl History {
    /// An attempt opened. It replaces an earlier one at the same number.
    pub(crate) fn open(&mut self, round: &Round, opened: Time) {
        let members = round
            .cohort()
            .iter()
            .filter_map(|seat| round.members.at(seat));
        let names = members.map(|member| (member.seat, member.name.clone()));
        let past = Past {
            summary: round.summary(opened),
            names: names.collect(),
            survivors: Seats::default(),
            threshold: round.terms.threshold,
            committed: None,
        };
        match self.rounds.last_mut() {
            Some(last) if last.summary.round == past.summary.round => *last = past,
            Some(_) | None => self.rounds.push(past),
        }
    }

    /// U1 of the running attempt.
    pub(crate) fn note_escrowed(&mut self, seats: &Seats) {
        self.running(|past| past.summary.escrowed = count(seats));
    }

    /// A masked update of the running attempt came in.
    pub(crate) fn note_bytes(&mut self, bytes: usize) {
        self.running(|past| past.summary.bytes_in += bytes as u64);
    }

    /// U2 of the running attempt.
    pub(crate) fn note_survivors(&mut self, seats: &Seats) {
        self.running(|past| {
            past.summary.survivors = count(seats);
            past.survivors = seats.clone();
        });
    }

    /// The running attempt ended without a result.
    pub(crate) fn abandon(&mut self, closed: Time, cause: Cause) {
        self.running(|past| {
            past.summary.end = Some(RoundEnd::Abandoned(cause));
            past.summary.closed = Some(closed);
        });
    }

    /// The running attempt was committed; `head` is the ledger's after it. Where the attempt's
    /// own records are gone, the result says who survived, and those at least had escrowed.
    pub(crate) fn commit(&mut self, closed: Time, head: Digest, result: &RoundResult) {
        self.note_survivors(&result.survivors);
        let plan = result.plan.plan.unverified();
        let width = plan.width;
        let bytes = result.survivors.len() * result.sum.len() * width.bytes();
        self.running(|past| {
            let summary = &mut past.summary;
            summary.escrowed = summary.escrowed.max(summary.survivors);
            summary.bytes_in = summary.bytes_in.max(bytes as u64);
            summary.end = Some(RoundEnd::Committed);
            summary.closed = Some(closed);
            past.committed = Some(Committed {
                head,
                count: vector::banks(&result.sum),
                update_norm: update_norm(&plan.work, &result.sum),
                measures: measures(&plan.work, &result.sum),
                moments: moments(&plan.work, &result.sum),
            });
        });
    }

    /// When the last round opened.
    pub(crate) fn last_opened(&self) -> Option<Time> {
        Some(self.rounds.last()?.summary.opened)
    }

    /// The last attempt, if it ended without a result.
    pub(crate) fn last_abandoned(&self) -> Option<Abandoned> {
        let summary = &self.rounds.last()?.summary;
        match summary.end? {
            RoundEnd::Abandoned(cause) => Some(Abandoned {
                round: summary.round,
                attempt: summary.attempt,
                cause,
            }),
            RoundEnd::Committed => None,
        }
    }

    /// The last rounds, newest first.
    pub(crate) fn summaries(&self, most: u32) -> Vec<RoundSummary> {
        let most = most.min(ROUNDS_LISTED_MAX) as usize;
        let newest = self.rounds.iter().rev().take(most);
        newest.map(|past| past.summary.clone()).collect()
    }

    /// Everything public about one round.
    pub(crate) fn detail(&self, round: RoundId) -> Option<RoundDetail> {
        let place = self
            .rounds
            .binary_search_by_key(&round, |past| past.summary.round);
        let past = self.rounds.get(place.ok()?)?;
        let names = |seats: &Seats| {
            let names = seats
                .iter()
                .filter_map(|seat| past.names.get(&seat).cloned());
            names.collect::<Vec<_>>()
        };
        let committed = past.committed.as_ref();
        Some(RoundDetail {
            summary: past.summary.clone(),
            cohort: past.names.values().cloned().collect(),
            survivors: names(&past.survivors),
            threshold: past.threshold,
            head: committed.map(|committed| committed.head),
            count: committed.map(|committed| committed.count),
            update_norm: committed.and_then(|committed| committed.update_norm),
            measures: committed.and_then(|committed| committed.measures.clone()),
            moments: committed.and_then(|committed| committed.moments.clone()),
        })
    }

    fn running(&mut self, change: impl FnOnce(&mut Past)) {
        if let Some(past) = self.rounds.last_mut() {
            change(past);
        }
    }
}

fn count(seats: &Seats) -> u16 {
    u16::try_from(seats.len()).unwrap_or(u16::MAX)
}

/// L2 norm of a training round's mean update: of the slope alone, where curvature is behind it.
fn update_norm(work: &Work, sum: &[i32]) -> Option<f64> {
    match work {
        Work::Pretrain(training) | Work::Finetune(training) => {
            let mean = vector::mean_update(sum, training);
            let of_parts = genesis::count(&training.model.layout, &training.parts);
            let squares = mean
                .iter()
                .take(of_parts)
                .map(|&value| f64::from(value) * f64::from(value));
            Some(squares.sum::<f64>().sqrt())
        }
        Work::Risk(_) | Work::Evaluate(_) => None,
    }
}

/// What the summed histograms of an evaluation say.
fn measures(work: &Work, sum: &[i32]) -> Option<histogram::Measures> {
    match evaluated(work)? {
        Evaluated::Scores { .. } => Some(histogram::Measures::new(vector::payload(sum))),
        Evaluated::Moments { .. } => None,
    }
}

/// What summed totals of columns say.
fn moments(work: &Work, sum: &[i32]) -> Option<Vec<Option<Moment>>> {
    match evaluated(work)? {
        Evaluated::Scores { .. } => None,
        Evaluated::Moments { .. } => Some(moments::moments(vector::payload(sum))),
    }
}

fn evaluated(work: &Work) -> Option<Evaluated> {
    match work {
        Work::Evaluate(terms) => Some(terms.of),
        Work::Pretrain(_) | Work::Finetune(_) | Work::Risk(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    // Slopes of 3 and 4, and curvature that is no part of a step: banks of one weight, 5.
    #[test]
    fn the_norm_of_an_update_leaves_curvature_out() {
        let training = fixture::newton();
        let mut values = [2.0_f32; 20];
        values[..5].copy_from_slice(&[3.0, 0.0, 4.0, 0.0, 0.0]);
        let (range, most) = (training.range, vector::value_max(training.value_bits));
        let word = |value: &f32| (value / 8.0 / range * most as f32) as i32;
        // Four canaries, a bank, its weight of an eighth.
        let header = [0, 0, 0, 0, 1, most / 8];
        let sum: Vec<i32> = header.into_iter().chain(values.iter().map(word)).collect();
        let found = update_norm(&Work::Finetune(training), &sum).unwrap();
        assert!((found - 5.0).abs() < 1e-3, "{found}");
    }
}
