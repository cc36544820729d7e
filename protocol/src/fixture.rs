//! Plans, manifests and results for tests: valid ones, which a test then spoils in one place.

use crypto::{Digest, SigningKey};
use proptest::prelude::ProptestConfig;

use crate::bucket::BucketKey;
use crate::credential::{Credential, Role};
use crate::id::{Attempt, ClientId, EpochId, RoundId, Seat, Seats};
use crate::ledger::Ledger;
use crate::limits::PROTOCOL_VERSION;
use crate::masking::seats_digest;
use crate::message::{Due, Manifest, RoundOutcome, RoundResult};
use crate::plan::{
    Base, CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Kind, Layout, ModelTerms, Newton,
    Part, Plan, Privacy, RiskTerms, SchemaText, ServerRule, SignedPlan, TensorSpec, Training,
    Width, Work,
};
use crate::signed::{Signable, Signed};
use crate::terms;
use crate::time::{Duration, Time};
use crate::vector;

/// So many cases of a property, or as many as the environment asks for.
pub(crate) fn cases(few: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let unasked = 256;
    if asked.cases == unasked {
        ProptestConfig::with_cases(few)
    } else {
        asked
    }
}

/// Every width that a plan may ask for.
pub(crate) const WIDTHS: [Width; 2] = [Width::Full, Width::Packed];

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

pub(crate) fn signed<T: Signable>(body: T) -> Signed<T> {
    Signed::sign(body, &key(1))
}

pub(crate) fn session() -> Digest {
    Digest([7; 32])
}

pub(crate) fn seats(numbers: impl IntoIterator<Item = u16>) -> Seats {
    numbers.into_iter().map(Seat).collect()
}

fn tensor(name: &str, shape: &[u32], part: Part, init: Init) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        shape: shape.to_vec(),
        part,
        init,
    }
}

/// Encoder 12 and 4, energy 3, head 5, encoder 2: parts that do not lie together.
pub(crate) fn model() -> ModelTerms {
    let layout = Layout(vec![
        tensor("encoder.weight", &[3, 4], Part::Encoder, Init::Uniform(0.5)),
        tensor("encoder.bias", &[4], Part::Encoder, Init::Zeros),
        tensor("energy", &[3], Part::Energy, Init::Normal(0.1)),
        tensor("head", &[5], Part::Head, Init::Constant(-4.0)),
        tensor("encoder.scale", &[2], Part::Encoder, Init::Constant(1.0)),
    ]);
    ModelTerms {
        schema: SchemaText("language = 1".to_owned()),
        layout,
        genesis_seed: 11,
        base: None,
    }
}

/// A base of these parts, of a model that nobody has.
pub(crate) fn base(parts: &[Part]) -> Base {
    Base {
        root: Digest([3; 32]),
        parts: parts.to_vec(),
    }
}

pub(crate) fn training() -> Training {
    Training {
        model: model(),
        parts: vec![Part::Encoder, Part::Head],
        from_day: 100,
        to_day: 130,
        label_delay_days: 7,
        steps: 60,
        batch: 128,
        rate: 2e-3,
        rate_encoder: 5e-4,
        rate_end: 0.02,
        proximal: 0.0,
        examples_cap: 1_000,
        clip_norm: 10.0,
        range: 0.5,
        value_bits: 16,
        server: ServerRule::FedAvg { rate: 1.0 },
    }
}

/// Newton's method on a linear head of four weights and a bias: 5 values of slope and 15 of
/// curvature.
pub(crate) fn newton() -> Training {
    let mut training = training();
    let head = [
        tensor("head.weight", &[1, 4], Part::Head, Init::Zeros),
        tensor("head.bias", &[1], Part::Head, Init::Constant(-4.0)),
    ];
    training.model.layout.0.splice(3..4, head);
    training.parts = vec![Part::Head];
    training.range = 1.0;
    training.value_bits = 20;
    training.server = ServerRule::Newton(Newton {
        radius: 0.5,
        ridge: 1e-3,
    });
    training
}

pub(crate) fn risk() -> Work {
    Work::Risk(RiskTerms {
        buckets: 5,
        salt: Digest([9; 32]),
        from_day: 100,
        days: 2,
        label_delay_days: 7,
        banks_min: 2,
    })
}

pub(crate) fn evaluate() -> Work {
    Work::Evaluate(EvaluateTerms {
        model: model(),
        of: Evaluated::Scores { bins: 16 },
        from_day: 130,
        to_day: 137,
        label_delay_days: 7,
    })
}

pub(crate) fn plan(work: Work, rounds: u32) -> Plan {
    let phase = Duration::from_secs(30);
    Plan {
        name: "weekly".into(),
        work,
        rounds,
        cohort: CohortTerms {
            members_min: 5,
            colluders: None,
            honest_min: 3,
        },
        deadlines: Deadlines {
            selection: phase,
            agreement: phase,
            escrow: phase,
            collection: phase,
            acknowledgement: phase,
            reveal: phase,
        },
        privacy: Privacy::None,
        nonce: 1,
        expires: Time(1_000_000),
        width: Width::Full,
    }
}

/// The manifest of the plan's next round on this ledger, for members `0..members`.
pub(crate) fn manifest(ledger: &Ledger, plan: &Plan, members: u16) -> Manifest {
    let terms = terms::for_cohort(&plan.cohort, members).unwrap();
    Manifest {
        version: PROTOCOL_VERSION,
        session: session(),
        epoch: EpochId(1),
        roster: Digest([4; 32]),
        round: RoundId(ledger.round().map_or(0, |round| round.0) + 1),
        attempt: Attempt(0),
        plan: plan.id(),
        step: ledger.step(&plan.id()),
        base: ledger.base(plan),
        head: ledger.head(),
        words: terms::words(plan).unwrap(),
        word_bits: plan.width.bits(),
        value_bits: terms::value_bits(plan, members),
        cohort: seats(0..members),
        colluders: terms.colluders,
        threshold: terms.threshold,
        honest_min: terms.honest_min,
        degree: terms.degree,
        graph_seed: Digest([5; 32]),
        due: Due {
            escrow: Time(10),
            collection: Time(20),
            end: Time(30),
        },
        bucket_key: under(plan, &session()),
    }
}

/// The bucket key of every consortium in tests whose banks need not agree on one first.
pub(crate) fn bucket_key(session: &Digest) -> BucketKey {
    BucketKey::new(session, [0xb0; 32])
}

/// What a manifest of this plan says of it.
pub(crate) fn under(plan: &Plan, session: &Digest) -> Option<Digest> {
    (plan.work.kind() == Kind::Risk).then(|| bucket_key(session).commitment())
}

/// The result of the plan's next round, in which these members' vectors are summed.
pub(crate) fn result(ledger: &Ledger, plan: &Plan, vectors: &[Vec<u32>]) -> RoundResult {
    let members = u16::try_from(vectors.len()).unwrap();
    let manifest = manifest(ledger, plan, members);
    let mut words = vec![0_u32; usize::try_from(manifest.words).unwrap()];
    for vector in vectors {
        let bytes = vector::to_bytes(vector, plan.width);
        vector::add(&mut words, &bytes, plan.width).unwrap();
    }
    let sum = vector::integers(&words, plan.width);
    let outcome = RoundOutcome {
        context: manifest.context(),
        round: manifest.round,
        sequence: ledger.length() + 1,
        previous: ledger.head(),
        escrowed: seats_digest(&manifest.cohort),
        survivors: seats_digest(&manifest.cohort),
        masked: Digest([6; 32]),
        revealed: Digest([8; 32]),
        sum: vector::sum_root(&sum),
    };
    RoundResult {
        outcome: signed(outcome),
        survivors: manifest.cohort.clone(),
        manifest: signed(manifest),
        plan: SignedPlan {
            plan: signed(plan.clone()),
            operator: signed(credential()),
        },
        acks: Vec::new(),
        sum,
    }
}

pub(crate) fn credential() -> Credential {
    Credential {
        role: Role::Operator,
        name: "Consortium".into(),
        id: ClientId(Digest([2; 32])),
        key: key(1).verify_key(),
        serial: 1,
        expires: Time(1_000_000),
    }
}
