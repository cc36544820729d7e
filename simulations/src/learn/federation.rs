//! A federation in process: each round the banks train on their own rows, encode what changed in
//! the fixed point of the protocol, sum, and step the model by the server's rule. Who takes part
//! and whose vector is lost is drawn from the seed. Local steps run on all processors.

use crypto::Seed;
use model::schedule::{Best, Place, ROWS_MIN};
use model::{Examples, Learner};
use protocol::genesis;
use protocol::id::Seat;
use protocol::ledger::Optimizer;
use protocol::plan::{self, ServerRule, Training};
use protocol::vector;

use super::Failed;
use super::recipe::{Kind, Moments, Together, schedule};
use super::sum::{Summing, Vector, WIDTH};
use super::training::{Network, number, on_all_processors};

/// A bank at one kind of training.
pub(super) struct Member {
    /// Its number.
    pub(super) bank: u16,
    /// Its rows.
    pub(super) rows: Examples,
    /// Its parameters' moments, from round to round.
    learner: Option<Learner>,
}

/// A run of rounds of one kind.
pub(super) struct Federation<'a> {
    pub(super) network: Network<'a>,
    pub(super) kind: Kind,
    pub(super) rounds: u32,
    /// Rounds without a better mean of the banks' held-out losses that are borne.
    pub(super) patience: Option<u32>,
    pub(super) training: Training,
    pub(super) together: &'a Together,
    pub(super) seed: Seed,
}

/// The model after all rounds, or after the best one where patience ended.
pub(super) struct Learnt {
    /// Its parameters.
    pub(super) parameters: Vec<f32>,
    /// Mean training loss of the banks, round by round.
    pub(super) losses: Vec<f32>,
}

impl Member {
    /// A bank that begins.
    pub(super) fn new(bank: u16, rows: Examples) -> Self {
        Self {
            bank,
            rows,
            learner: None,
        }
    }

    /// Examples behind its update: rows in pretraining, labelled rows in fine-tuning.
    pub(super) fn weight(&self, kind: Kind) -> u64 {
        let rows = match kind {
            Kind::Pretrain if self.rows.len() < ROWS_MIN => 0,
            Kind::Pretrain => self.rows.len(),
            Kind::Finetune => self.rows.labelled().len(),
        };
        rows as u64
    }
}

/// What one bank's local steps came to.
struct Step {
    member: Member,
    delta: Vec<f32>,
    loss: Option<f32>,
    /// In pretraining.
    held_out: Option<f32>,
}

impl Federation<'_> {
    /// Runs all rounds from `start`. `hear` is told of each round that begins.
    pub(super) fn run(
        &self,
        start: Vec<f32>,
        mut members: Vec<Member>,
        summing: &mut Summing,
        hear: &mut dyn FnMut(u32),
    ) -> Result<Learnt, Failed> {
        let ranges = genesis::ranges(&self.training.model.layout, &self.training.parts);
        let mut optimizer = Optimizer::default();
        let (mut parameters, mut losses) = (start, Vec::new());
        let mut best = self.patience.map(Best::new);
        for step in 0..self.rounds {
            hear(step);
            let (present, absent) = self.present(members, step);
            let place = Place {
                step,
                rounds: self.rounds,
            };
            let steps = on_all_processors(present, |member| self.local(member, place, &parameters));
            let mut steps = steps?;
            losses.push(mean(steps.iter().filter_map(|step| step.loss)));
            let lost = self.lost(steps.len(), step);
            let mut vectors = Vec::with_capacity(steps.len());
            for (at, Step { member, delta, .. }) in steps.iter().enumerate() {
                let label = u64::from(step) << 16 | u64::from(member.bank);
                vectors.push(Vector {
                    seat: Seat(member.bank),
                    words: vector::encode_update(
                        delta,
                        member.weight(self.kind),
                        &self.training,
                        self.training.value_bits,
                        &self.seed.derive("rounding", label),
                    )?,
                    arrives: !lost.contains(&at),
                });
            }
            let arrived = steps.len() - lost.len();
            let sum = summing.sum(vectors)?;
            let bits = self.training.value_bits;
            let sum = vector::decode_sum(&sum, arrived, bits, self.kind.of_plan(), WIDTH)?;
            let update = vector::mean_update(&sum, &self.training);
            optimizer.step(&self.training.server, &update, &ranges, &mut parameters);
            let held_out: Vec<f32> = steps.iter().filter_map(|step| step.held_out).collect();
            if let Some(best) = &mut best
                && !held_out.is_empty()
                && best.is_stale(mean(held_out.into_iter()), &parameters)
            {
                break;
            }
            members = steps
                .drain(..)
                .map(|step| step.member)
                .chain(absent)
                .collect();
            members.sort_by_key(|member| member.bank);
        }
        let parameters = best.and_then(Best::into_parameters).unwrap_or(parameters);
        Ok(Learnt { parameters, losses })
    }

    /// One bank's local steps of a round.
    fn local(&self, member: Member, place: Place, parameters: &[f32]) -> Result<Step, Failed> {
        let Member {
            bank,
            rows,
            learner,
        } = member;
        let layout = &self.training.model.layout;
        let ranges = genesis::ranges(layout, &self.training.parts);
        let kept = learner.filter(|_| self.together.moments == Moments::Kept);
        let mut learner = match kept {
            Some(mut learner) => {
                learner.load(parameters)?;
                learner
            }
            None => self.network.learner(parameters)?,
        };
        let label = format!("steps of bank {bank}");
        let seed = number(&self.seed, &label, place.step);
        let moved = |learner: &Learner| -> Vec<f32> {
            let (after, places) = (learner.parameters(), ranges.iter().cloned().flatten());
            places.map(|at| after[at] - parameters[at]).collect()
        };
        let nothing = || vector::nothing(&self.training);
        let (loss, held_out, delta) = match self.kind {
            Kind::Pretrain if rows.len() < ROWS_MIN => (None, None, nothing()),
            Kind::Finetune if rows.labelled().is_empty() => (None, None, nothing()),
            Kind::Pretrain => {
                let terms = schedule(&self.training).pretrain(place, seed);
                let report = learner.pretrain(&rows, &terms, &mut ())?;
                (Some(report.loss), Some(report.held_out), moved(&learner))
            }
            Kind::Finetune if let ServerRule::Newton(_) = self.training.server => {
                let found = learner.curvature(&rows, &mut ())?;
                (Some(found.report.loss), None, found.values)
            }
            Kind::Finetune => {
                let terms = schedule(&self.training).finetune(place, seed);
                let report = learner.finetune(&rows, &terms, &mut ())?;
                (Some(report.loss), None, moved(&learner))
            }
        };
        let learner = Some(learner);
        Ok(Step {
            member: Member {
                bank,
                rows,
                learner,
            },
            delta,
            loss,
            held_out,
        })
    }

    /// Who takes part in a round, and who does not.
    fn present(&self, members: Vec<Member>, step: u32) -> (Vec<Member>, Vec<Member>) {
        let share = self.together.participation;
        let count = ((share * members.len() as f64).round() as usize).max(BANKS_MIN);
        let chosen = self.chosen("present", members.len(), count, step);
        let mut sides = (Vec::new(), Vec::new());
        for (at, member) in members.into_iter().enumerate() {
            match chosen.contains(&at) {
                true => sides.0.push(member),
                false => sides.1.push(member),
            }
        }
        sides
    }

    /// Places of those whose vector is lost.
    fn lost(&self, present: usize, step: u32) -> Vec<usize> {
        let wanted = (self.together.drops * present as f64).round() as usize;
        self.chosen(
            "lost",
            present,
            wanted.min(present.saturating_sub(BANKS_MIN)),
            step,
        )
    }

    /// `count` places of `of`, by lot.
    fn chosen(&self, what: &str, of: usize, count: usize, step: u32) -> Vec<usize> {
        let seed = self.seed.derive(what, u64::from(step));
        let mut order: Vec<usize> = (0..of).collect();
        order.sort_by_cached_key(|&at| seed.bytes32("lot", at as u64));
        order.truncate(count);
        order
    }
}

impl Kind {
    fn of_plan(self) -> plan::Kind {
        match self {
            Self::Pretrain => plan::Kind::Pretrain,
            Self::Finetune => plan::Kind::Finetune,
        }
    }
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / (count.max(1) as f32)
}

/// Banks below which no sum is opened, whatever the shares say.
const BANKS_MIN: usize = 3;
