//! What must be true in every world, by name. Each invariant has a fault that is planted to show
//! that its oracle is awake: [`Sabotage::against`](super::sabotage::Sabotage::against) knows which.

use std::fmt;

/// What must be true in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Banks work for no attempt that is not on the coordinator's books.
    WorkForRecorded,
    /// Banks mask, acknowledge and reveal for no other attempt either.
    SpeechForRecorded,
    /// No attempt is offered that a lost record could contradict.
    OfferAfterPersist,
    /// No result is published that a lost record could contradict.
    ResultAfterPersist,
    /// No bank acknowledges what it could forget.
    AckAfterPersist,
    /// No bank reveals what it could forget.
    RevealAfterPersist,
    /// A bank gives one acknowledgement for a round number.
    OneAck,
    /// A bank masks one vector in an attempt.
    OneMasking,
    /// What a bank masks was made for the attempt.
    MaskedWasMade,
    /// Of what a bank sends, no more than chance shows of its update.
    NothingUnmasked,
    /// A result is of a roster that the coordinator recorded.
    KnownRoster,
    /// A result has at least the threshold's survivors.
    EnoughSurvivors,
    /// Merchants are counted under the bucket key that the attempt names, by every bank.
    OneBucketKey,
    /// The banks' bucket key is in nothing that the coordinator hears, says or records.
    BucketKeyUnseen,
    /// Every survivor made an update for the attempt.
    SurvivorsContributed,
    /// A result is the sum of its survivors' updates, each of this attempt and each once.
    ExactSum,
    /// There is one result for a place in the ledger.
    OneResultForPlace,
    /// There is one result for a round number.
    OneResultForRound,
    /// Ledgers of one length have one head.
    NoFork,
    /// No audit finds a false sum.
    SumsAreAudited,
    /// No honest bank is blamed.
    BanksUnblamed,
    /// The coordinator, being honest, is not blamed.
    CoordinatorUnblamed,
    /// What a process recorded makes it again.
    Recovery,
    /// Once all is calm, a round commits everywhere.
    CalmCommits,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::WorkForRecorded,
        Self::SpeechForRecorded,
        Self::OfferAfterPersist,
        Self::ResultAfterPersist,
        Self::AckAfterPersist,
        Self::RevealAfterPersist,
        Self::OneAck,
        Self::OneMasking,
        Self::MaskedWasMade,
        Self::NothingUnmasked,
        Self::KnownRoster,
        Self::EnoughSurvivors,
        Self::OneBucketKey,
        Self::BucketKeyUnseen,
        Self::SurvivorsContributed,
        Self::ExactSum,
        Self::OneResultForPlace,
        Self::OneResultForRound,
        Self::NoFork,
        Self::SumsAreAudited,
        Self::BanksUnblamed,
        Self::CoordinatorUnblamed,
        Self::Recovery,
        Self::CalmCommits,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::WorkForRecorded => "work only for a recorded attempt",
            Self::SpeechForRecorded => "banks speak of recorded attempts",
            Self::OfferAfterPersist => "offer after persist",
            Self::ResultAfterPersist => "publish after persist",
            Self::AckAfterPersist => "acknowledge after persist",
            Self::RevealAfterPersist => "reveal after persist",
            Self::OneAck => "one acknowledgement for a round number",
            Self::OneMasking => "one masking of one update",
            Self::MaskedWasMade => "a masked update was made",
            Self::NothingUnmasked => "nothing unmasked leaves a bank",
            Self::KnownRoster => "a result is of a known roster",
            Self::EnoughSurvivors => "no commit below the threshold",
            Self::OneBucketKey => "one bucket key for a round's counts",
            Self::BucketKeyUnseen => "the bucket key stays among the banks",
            Self::SurvivorsContributed => "a survivor contributed",
            Self::ExactSum => "the exact sum",
            Self::OneResultForPlace => "one result for a place in the ledger",
            Self::OneResultForRound => "one result for a round number",
            Self::NoFork => "ledgers never fork",
            Self::SumsAreAudited => "a sum is what was masked",
            Self::BanksUnblamed => "honest banks stay unblamed",
            Self::CoordinatorUnblamed => "the honest coordinator stays unblamed",
            Self::Recovery => "records make the process again",
            Self::CalmCommits => "a round commits after calm",
        })
    }
}
