//! Every bound, in one list, each with its reason. A constant that nothing uses fails a test.

/// The version in every manifest and in the ALPN `phalanx/1`.
pub const PROTOCOL_VERSION: u16 = 1;

/// Members of a roster: beyond it the all-to-all shares of an escrow outgrow the update itself.
pub const MEMBERS_MAX: usize = 1_000;

/// Members of a round: the sum of two tells each of them the other's.
pub const MEMBERS_MIN: u16 = 3;

/// Honest banks in an opened sum, at least: m_min of secagg.md §2.
pub const HONEST_MIN: u16 = 3;

/// A name in a credential or plan: legal names are shorter, and it is repeated in every roster.
pub const NAME_BYTES_MAX: usize = 128;

/// Words of one vector: 40 MiB at 32 bits, the largest model and risk table planned for.
pub const WORDS_MAX: u64 = 10 << 20;

/// One frame: the largest vector and its envelope.
pub const FRAME_BYTES_MAX: usize = 48 << 20;

/// A frame that is no vector, escrow bundle or result: read without waiting for a bulk place.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Header words before the payload: four canaries, a count and a weight.
pub const HEADER_WORDS: usize = 6;

/// Bits of a word on the ring, where the plan asks for no fewer.
pub const WORD_BITS: u8 = 32;

/// Bits of a packed word: 12 for values of a thousand banks, three bytes on the way.
pub const WORD_BITS_PACKED: u8 = 24;

/// Bits of a trained value, sign included: fewer would be noise,
pub const VALUE_BITS_MIN: u8 = 8;

/// and with no more a thousand of them fit a word of 32 bits.
pub const VALUE_BITS_MAX: u8 = 20;

/// Guard bits of the ring: honest sums use at most a quarter of it, so garbage shows.
pub const GUARD_BITS: u8 = 2;

/// Steps a hash ratchet may be moved at once: 50 ms of hashing.
pub const RATCHET_STEPS_MAX: u64 = 100_000;

/// Burnt round numbers in one epoch before the coordinator stops and raises an alarm.
pub const BURNT_ROUNDS_MAX: u32 = 3;

/// Attempts at one round number before its plan's round is given up.
pub const ATTEMPTS_MAX: u16 = 8;

/// Plans waiting at the coordinator: an operator's queue, not a peer's.
pub const PLANS_MAX: usize = 256;

/// Tensors in a layout.
pub const TENSORS_MAX: usize = 1_024;

/// A feature schema in a plan: sixteen times the standard one.
pub const SCHEMA_BYTES_MAX: usize = 32 << 10;

/// Dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 8;

/// Rounds of one plan: years of daily rounds.
pub const ROUNDS_MAX: u32 = 10_000;

/// Local steps or rows in a step: far beyond any recipe, and no overflow in sight.
pub const STEPS_MAX: u32 = 1_000_000;

/// Milliseconds a phase may wait: 30 days.
pub const PHASE_MS_MAX: u64 = 30 * 86_400_000;

/// Bins of an evaluation histogram.
pub const BINS_MAX: u32 = 65_536;

/// Columns of a feature schema.
pub const COLUMNS_MAX: u32 = 1_024;

/// Weights of a head that Newton's method steps: half a million words of curvature, and some
/// hundred million multiplications, for every party that follows the rounds.
pub const NEWTON_WEIGHTS_MAX: u32 = 1_024;

/// Milliseconds between a client's heartbeats while it waits for something.
pub const HEARTBEAT_MS: u64 = 2_000;

/// Largest cohort with a full mask graph; above it the graph is sparse.
pub const FULL_GRAPH_MEMBERS_MAX: u16 = 128;

/// Honest banks that the degrees of the sparse graph were computed for.
pub const SPARSE_HONEST_MAX: u16 = 10;

/// Summaries in one answer to the operator.
pub const ROUNDS_LISTED_MAX: u32 = 1_000;

/// How long a bank that spoilt a key agreement is left out, the first time: five heartbeats.
pub const ASIDE_MS: u64 = 5 * HEARTBEAT_MS;

/// Doublings of [`ASIDE_MS`]: three hours in the end.
pub const ASIDE_DOUBLINGS_MAX: u32 = 10;

/// Models that plans ended with, from which new lineages may start without a file: a month of
/// weekly plans.
pub const RELEASES_KEPT: usize = 4;

/// A bank that declined a plan is asked again an hour later.
pub const DECLINED_MS: u64 = 3_600_000;

/// A client that still lacks a result after five heartbeats is sent it again.
pub const RESEND_MS: u64 = 5 * HEARTBEAT_MS;

/// Signatures a party need not check again: a roster's credentials, and a round's escrow headers
/// and acknowledgements of as many, with room for what is said meanwhile.
pub const SIGNATURES_SEEN_MAX: usize = 4 * MEMBERS_MAX;

/// Ended attempts whose late messages the coordinator tells from foreign ones.
pub const ENDED_ATTEMPTS_MAX: usize = 16;

/// Bytes of masked vectors in one answer to an auditor, at least one chunk: a page for each of a
/// hundred banks is 13 MB, and a chunk of a hundred vectors comes in fifty answers.
pub const AUDIT_PAGE_BYTES_MAX: usize = 128 << 10;

/// Heartbeats without an answer after which an audit is given up.
pub const AUDIT_HEARTBEATS_MAX: u32 = 5;

/// Chunks that a bank may ask to audit of one result.
pub const AUDIT_CHUNKS_MAX: u16 = 1_024;

/// Complaints in one epoch that end in a seat being left out: one may be a machine's fault.
pub const COMPLAINTS_MAX: usize = 2;
