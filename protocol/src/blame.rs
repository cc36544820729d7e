//! Whose fault: `Misbehaviour` is a peer's, reported and never answered with a crash; `Refusal` is
//! ours, on purpose, and told to the peer. World errors and bugs have no place here.

use crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::id::{EpochId, RoundId, Seat};
use crate::plan::Kind;

/// What a peer did wrong. Each attack of SECURITY.md ends in one of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// A credential that is not the authority's, is over, or belongs to another certificate.
    #[error("credential refused: {0}")]
    Credential(String),
    /// A signature that does not verify.
    #[error("signature of {0} does not verify")]
    Signature(&'static str),
    /// A message for a phase that is not running, neither late nor repeated.
    #[error("{0} is out of order")]
    OutOfOrder(&'static str),
    /// A message for another epoch, round or attempt.
    #[error("{0} belongs to another context")]
    Context(&'static str),
    /// A second, different message where one is allowed.
    #[error("a second, different {0}")]
    Equivocation(&'static str),
    /// A seat that is not in the roster, the cohort or the set it claims.
    #[error("seat {0:?} has no place in {1}")]
    Stranger(Seat, &'static str),
    /// A list, a set or a number that cannot be.
    #[error("malformed {0}: {1}")]
    Malformed(&'static str, &'static str),
    /// A public key or ciphertext that no honest party makes.
    #[error("key agreement with seat {0:?} failed")]
    Agreement(Seat),
    /// The roster changes more than it may, lacks its members' word, or repeats an entity.
    #[error("roster of {0:?} refused: {1}")]
    Roster(EpochId, &'static str),
    /// The threshold, cohort or graph of a manifest is not what the rules give.
    #[error("manifest refused: {0}")]
    Manifest(&'static str),
    /// The round builds on a model or ledger other than ours.
    #[error("base {found} differs from ours {expected}")]
    Base {
        /// The manifest's.
        found: Digest,
        /// Ours.
        expected: Digest,
    },
    /// The two sides of a pair committed to different keys.
    #[error("pair-key commitment of seat {0:?} differs from ours")]
    Commitment(Seat),
    /// A share that does not open or match.
    #[error("share of seat {0:?} is wrong")]
    Share(Seat),
    /// Too few members, or too few honest ones, in a set that would be opened.
    #[error("{0} holds {1} members, {2} are needed")]
    TooFew(&'static str, usize, usize),
    /// The survivor set leaves us or our update out, or changes it.
    #[error("survivor set does not hold our update")]
    LeftOut,
    /// A survivor has too few surviving neighbours.
    #[error("seat {0:?} keeps too few neighbours")]
    Isolated(Seat),
    /// A survivor set for a round number that we acknowledged already.
    #[error("round {0:?} was acknowledged already")]
    SecondAck(RoundId),
    /// Acknowledgements that do not certify our survivor set.
    #[error("acknowledgements do not certify the survivor set: {0}")]
    Acks(&'static str),
    /// A bucket key that does not open, or is another than its sender says.
    #[error("bucket key of seat {0:?} is not the one it says")]
    BucketKey(Seat),
    /// A request to open the other secret of a seat.
    #[error("both secrets of seat {0:?} asked for")]
    BothSecrets(Seat),
    /// A result that does not follow from its transcript.
    #[error("result refused: {0}")]
    Result(&'static str),
    /// An answer to an auditor that is not held by what was signed.
    #[error("audit answer refused: {0}")]
    Audit(&'static str),
    /// A message larger than its phase allows.
    #[error("{0} has {1} bytes or items, at most {2} are allowed")]
    Oversized(&'static str, u64, u64),
}

/// What we will not do, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The plan's signature, credential or terms are not acceptable.
    #[error("plan refused: {0}")]
    Plan(String),
    /// This institution does not take part in such plans.
    #[error("plans of kind {0:?} are not allowed here")]
    KindNotAllowed(Kind),
    /// Fewer members than this institution asks for.
    #[error("cohort of {found} is below this institution's minimum of {minimum}")]
    CohortTooSmall {
        /// Members offered.
        found: u16,
        /// Members asked for.
        minimum: u16,
    },
    /// Fewer assumed colluders, or honest members, than this institution asks for.
    #[error("assumes {found} colluders, this institution asks for {minimum}")]
    ColludersTooFew {
        /// Assumed in the manifest.
        found: u16,
        /// Asked for here.
        minimum: u16,
    },
    /// The feature schema is not on this institution's list.
    #[error("feature schema {0} is not approved here")]
    SchemaNotApproved(Digest),
    /// The layout is not on this institution's list.
    #[error("model layout {0} is not approved here")]
    LayoutNotApproved(Digest),
    /// This institution's rounds for today are used up.
    #[error("{0} rounds today are as many as this institution allows")]
    RoundsSpent(u32),
    /// The same kind of work on the same base was revealed before: once per base.
    #[error("{0:?} on this base was revealed already")]
    BaseRevealed(Kind),
    /// A round or attempt number that was used before.
    #[error("round {0:?} is not after the last one used")]
    Stale(RoundId),
    /// The roster changes more than this institution accepts at once.
    #[error("roster refused: {0}")]
    Roster(String),
    /// The task could not be done here.
    #[error("local work failed: {0}")]
    Local(String),
    /// The peer is barred.
    #[error("barred")]
    Barred,
    /// The caller's role does not open this door.
    #[error("not for this role")]
    Role,
    /// Nothing to do for now.
    #[error("busy")]
    Busy,
    /// The coordinator published a sum that is not the survivors'.
    #[error("sum of round {0:?} was found false by this institution's audit")]
    FalseSum(RoundId),
    /// Risk counts are to be made under a bucket key that is not ours.
    #[error("risk counts under a bucket key that is not held here")]
    BucketKey,
    /// The plan's model starts from one that neither our ledger nor our disk has.
    #[error(
        "plan starts from model {0}, which is not held here, expected it from `phalanx-agent model \
         import`, and the agent started again"
    )]
    ReleaseMissing(Digest),
}
