//! What the agent says of itself at `GET /v1/status`: one record, put together from what the
//! link, the learning worker and the events report. Counts, measures and digests only; nothing
//! of a payment.

use std::sync::{Arc, Mutex, PoisonError};

use protocol::histogram::Measures;
use serde::Serialize;
use utoipa::ToSchema;

use crate::history::Summary;
use crate::risk::RiskSummary;
use crate::scoring::Head;

/// The one record; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Status>>);

/// What the agent says of itself: counts, measures and digests, nothing of a payment.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Status {
    /// The bank's name in its credential.
    pub bank: String,
    /// Whether scoring is up: history read, models and counts of earlier runs in place.
    pub ready: bool,
    /// Whether the link to the coordinator is up.
    pub connected: bool,
    /// Results applied.
    pub ledger: u64,
    /// The digest that they lead to, in hex.
    pub head: String,
    /// The model that scores, if there is one.
    pub model: Option<ModelStatus>,
    /// The last model that was not put in place since the one that scores was.
    pub model_refused: Option<RefusedStatus>,
    /// Where the model of the bank's data alone is.
    pub baseline: BaselineStatus,
    /// Rounds since the start.
    pub rounds: Rounds,
    /// Bytes sent to the coordinator since the start, all of QUIC included.
    pub bytes_up: u64,
    /// Bytes received.
    pub bytes_down: u64,
    /// Local training since the start, oldest first.
    pub training: Vec<TrainingStatus>,
    /// The federation's risk table.
    pub risk: RiskSummary,
    /// The consortium's measures, oldest first.
    pub evaluation: Vec<EvaluationStatus>,
    /// Payments scored, earlier runs included.
    pub scored: u64,
    /// The bank's own past.
    pub history: Summary,
    /// How this run began.
    pub recovery: RecoveryStatus,
    /// Alarms about payments and scores that rose and have not gone.
    pub alarms: Vec<AlarmStatus>,
}

/// How this run began: from what, and how much of the journal was replayed. Before its state is
/// `done` nothing of the rest is known: then what can be null is, and the numbers are 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Recovery)]
pub struct RecoveryStatus {
    /// Whether it has begun.
    pub state: RecoveryState,
    /// Where replay began: at a snapshot, or at the history, with all of the journal.
    pub from: Option<Base>,
    /// Payments replayed.
    pub payments: u64,
    /// Labels replayed.
    pub labels: u64,
    /// From the start until payments could be judged.
    #[schema(minimum = 0)]
    pub seconds: f64,
    /// Whether the run before ended without taking its leave. Then requests may have gone without
    /// an answer; each may be sent again with the same `txn_id`.
    pub unclean_stop: Option<bool>,
    /// The last decision of earlier runs that is durable.
    pub last_decision: Option<String>,
}

/// How far the start of a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecoveryState {
    /// History and journal are being read.
    #[default]
    Underway,
    /// Payments can be judged.
    Done,
}

/// What replay of the journal begins from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// The history: all of the journal was replayed.
    Journal,
    /// A snapshot: what came after it was.
    Snapshot,
}

impl Base {
    /// The word in status and log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Snapshot => "snapshot",
        }
    }
}

/// An alarm that is open: payments, or their scores, are not what they were in the bank's quiet
/// past.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlarmStatus {
    /// Which rule: `feature`, values or words are distributed otherwise; `amount`, payments are
    /// dearer or cheaper; `missing`, a field is missing more or less often; `unseen`, more
    /// categories are none of the listed ones; `score`, scores are distributed otherwise;
    /// `embedding`, the encoder places payments elsewhere; `calibration`, fewer or more frauds came
    /// than the scores told.
    pub rule: &'static str,
    /// The feature or field that it is about.
    pub subject: String,
    /// The change at the last evaluation.
    pub value: f64,
    /// The change from which it rises.
    pub threshold: f64,
    /// Day of the evaluation at which it rose, days since 1970-01-01 UTC.
    pub since_day: i32,
}

/// The model that scores.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ModelStatus {
    /// Length of the ledger it belongs to.
    pub version: u64,
    /// Whose head it has.
    pub head: Head,
    /// Digest of its parameters, in hex.
    pub parameters: String,
    /// Digest of its feature schema, in hex.
    pub schema: String,
    /// Slope of its calibration on this bank's held-out cards.
    pub calibration_a: f32,
    /// Offset of it.
    pub calibration_b: f32,
    /// Held-out payments behind the calibration; 0 where it is that of an earlier run.
    pub calibrated_on: u64,
    /// Why the calibration is not to be relied upon; null where it is.
    pub calibration_doubt: Option<String>,
    /// How far the logits that score lie from libtorch's on the bank's own payments, at most, those
    /// of large terms in proportion; null where there was no payment to compare.
    pub parity_max_abs: Option<f32>,
    /// Payments compared.
    pub parity_rows: u64,
}

/// A model that was not put in place.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RefusedStatus {
    /// Length of the ledger it belongs to.
    pub version: u64,
    /// Whose head it has.
    pub head: Head,
    /// Digest of its parameters, in hex.
    pub parameters: String,
    /// What is wrong with it: its arithmetic, its calibration, or that the bank's own is better.
    pub why: String,
}

/// Where the model of the bank's data alone is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BaselineStatus {
    /// Not asked for, no plan has ended, or nothing to learn from.
    #[default]
    None,
    /// Being trained.
    Training,
    /// Scoring beside the live model.
    Ready,
}

/// Rounds since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rounds {
    /// Attempts joined.
    pub joined: u64,
    /// Results applied.
    pub committed: u64,
    /// Offers declined, on purpose.
    pub declined: u64,
    /// Attempts that ended without a result.
    pub abandoned: u64,
    /// Results whose sum was audited and found right.
    pub audited: u64,
    /// Results that could not be audited.
    pub unaudited: u64,
    /// Results whose sum was found false.
    pub false_sums: u64,
}

/// One piece of local training. What a kind of training does not measure is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TrainingStatus {
    /// The round it was for; null for the bank's own models.
    pub round: Option<u64>,
    /// `pretrain` or `finetune`; of the bank's own models `baseline` or `head`.
    pub kind: &'static str,
    /// Which of the plan's rounds, from 0.
    #[schema(format = Int64)]
    pub step: u32,
    /// Training loss.
    pub loss: f32,
    /// Contrast loss on the last tenth in time.
    pub held_out: Option<f32>,
    /// Alignment of payments of one card (Wang & Isola 2020).
    pub alignment: Option<f32>,
    /// Uniformity of the representation.
    pub uniformity: Option<f32>,
    /// Effective rank of the representation: near 1 it has collapsed.
    pub effective_rank: Option<f32>,
    /// Rows trained on.
    pub examples: u64,
    /// Known frauds among them.
    pub frauds: Option<u64>,
    /// How long it took.
    pub seconds: f64,
    /// How long of that it stood back behind payments.
    #[schema(minimum = 0)]
    pub rested_seconds: f64,
}

/// One evaluation of the consortium.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct EvaluationStatus {
    /// The round.
    pub round: u64,
    /// First day judged, days since 1970-01-01 UTC.
    #[schema(format = Int64)]
    pub from_day: u32,
    /// First day not judged, likewise.
    #[schema(format = Int64)]
    pub to_day: u32,
    /// Banks in the sum.
    #[schema(format = Int64)]
    pub banks: u32,
    /// Figures of all banks together.
    #[serde(flatten)]
    pub measures: MeasuresStatus,
}

/// How well the consortium's scores separate and say what they mean.
// As `Measures`, for whose crate there is no HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Measures)]
pub struct MeasuresStatus {
    /// Area under the ROC curve; 0.5 where there are no frauds or nothing else.
    #[schema(minimum = 0, maximum = 1)]
    pub auc: f64,
    /// Average precision; 0 where there are no frauds.
    #[schema(minimum = 0, maximum = 1)]
    pub average_precision: f64,
    /// Expected calibration error over 15 probability groups; 0 where there is nothing.
    #[schema(minimum = 0, maximum = 1)]
    pub calibration_error: f64,
    /// Known frauds judged.
    pub frauds: u64,
    /// Other payments judged.
    pub genuine: u64,
    /// Share of the frauds among the highest scores, as alerts in a thousand payments and recall;
    /// empty where there are no frauds.
    pub recall_at: Vec<(u32, f64)>,
    /// The precision-recall curve as recall and precision, from the highest scores down.
    pub points: Vec<(f64, f64)>,
}

impl From<Measures> for MeasuresStatus {
    fn from(measures: Measures) -> Self {
        let Measures {
            auc,
            average_precision,
            calibration_error,
            frauds,
            genuine,
            recall_at,
            points,
        } = measures;
        Self {
            auc,
            average_precision,
            calibration_error,
            frauds,
            genuine,
            recall_at,
            points,
        }
    }
}

impl Board {
    /// Changes the record.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds a piece of training; the oldest goes above `TRAINING_MAX`.
    pub fn trained(&self, training: TrainingStatus) {
        self.update(|status| keep(&mut status.training, training, TRAINING_MAX));
    }

    /// Adds an evaluation; the oldest goes above `EVALUATIONS_MAX`.
    pub fn evaluated(&self, evaluation: EvaluationStatus) {
        self.update(|status| keep(&mut status.evaluation, evaluation, EVALUATIONS_MAX));
    }

    /// The record as it stands.
    #[must_use]
    pub fn read(&self) -> Status {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn keep<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}

/// Pieces of training kept: several plans of twenty rounds, and the baselines.
const TRAINING_MAX: usize = 512;
/// Evaluations kept; each has a curve of 128 points.
const EVALUATIONS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_training_is_kept_and_the_record_is_shared() {
        let board = Board::default();
        for step in 0..600 {
            board.clone().trained(TrainingStatus {
                step,
                ..TrainingStatus::default()
            });
        }
        let training = board.read().training;
        assert_eq!(training.len(), TRAINING_MAX);
        assert_eq!(training.last().map(|last| last.step), Some(599));
    }

    #[test]
    fn a_fresh_agent_has_no_model_and_no_baseline_and_knows_nothing_of_its_past() {
        let status = serde_json::to_value(Board::default().read()).unwrap();
        assert_eq!(status["model"], serde_json::Value::Null);
        assert_eq!(status["baseline"], "none");
        assert_eq!(status["rounds"]["joined"], 0);
        // It has replayed nothing, and does not know yet what there is to replay.
        let recovery = &status["recovery"];
        assert_eq!(recovery["state"], "underway");
        for unknown in ["from", "unclean_stop", "last_decision"] {
            assert_eq!(recovery[unknown], serde_json::Value::Null, "{unknown}");
        }
    }
}
