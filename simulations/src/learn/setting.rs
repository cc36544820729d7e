//! The settings that are compared, and their names.

use clap::ValueEnum;
use features::{FeatureSchema, Role};
use serde::{Deserialize, Serialize};

/// Who learns from what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum Setting {
    /// Each bank its own model, from its own rows, labels and risk counts
    Local,
    /// Each bank its own model, with everybody's risk counts
    LocalSharedRisk,
    /// One model from sums, with everybody's risk counts
    Federated,
    /// The federation's encoder, and the bank's own head where its validation slice prefers it
    Personal,
    /// One model on everybody's rows: what no real consortium could do
    Pooled,
    /// The last banks, without labels, by a model that the others fine-tuned
    NewBank,
    /// The same banks, where they take part
    NewBankMember,
    /// No labels at all: how surprising the amount is to the pretrained encoder
    Unsupervised,
    /// The same score of the federated model, whose encoder was fine-tuned since
    UnsupervisedLive,
    /// No labels and nothing learnt: the amount over the card's median
    Ratio,
}

impl Setting {
    /// All of them, in the order of a table.
    pub(crate) const ALL: [Self; 10] = [
        Self::Local,
        Self::LocalSharedRisk,
        Self::Federated,
        Self::Personal,
        Self::Pooled,
        Self::NewBank,
        Self::NewBankMember,
        Self::Unsupervised,
        Self::UnsupervisedLive,
        Self::Ratio,
    ];

    /// Its name in files and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::LocalSharedRisk => "local_shared_risk",
            Self::Federated => "federated",
            Self::Personal => "personal",
            Self::Pooled => "pooled",
            Self::NewBank => "new_bank",
            Self::NewBankMember => "new_bank_member",
            Self::Unsupervised => "unsupervised",
            Self::UnsupervisedLive => "unsupervised_live",
            Self::Ratio => "ratio",
        }
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Local => "local only",
            Self::LocalSharedRisk => "local, shared risk",
            Self::Federated => "federated",
            Self::Personal => "personal heads",
            Self::Pooled => "pooled",
            Self::NewBank => "new bank",
            Self::NewBankMember => "new bank, as member",
            Self::Unsupervised => "no labels: surprise",
            Self::UnsupervisedLive => "surprise, live model",
            Self::Ratio => "no labels: ratio",
        }
    }

    /// Whether a schema has what it is about.
    pub(super) fn is_of(self, schema: &FeatureSchema) -> bool {
        match self {
            Self::LocalSharedRisk => !schema
                .indices(|role| matches!(role, Role::SharedRisk))
                .is_empty(),
            Self::Ratio => schema.position(RATIO).is_some(),
            Self::Local
            | Self::Federated
            | Self::Personal
            | Self::Pooled
            | Self::NewBank
            | Self::NewBankMember
            | Self::Unsupervised
            | Self::UnsupervisedLive => true,
        }
    }

    /// Whether it depends on labels in training.
    pub(super) fn is_labelled(self) -> bool {
        match self {
            Self::Local
            | Self::LocalSharedRisk
            | Self::Federated
            | Self::Personal
            | Self::Pooled
            | Self::NewBank
            | Self::NewBankMember
            | Self::UnsupervisedLive => true,
            Self::Unsupervised | Self::Ratio => false,
        }
    }
}

/// The column of the plain rule: the amount over the card's median, as a logarithm.
pub(super) const RATIO: &str = "amount_over_median";
