//! Bytes for one value: whatever they are, they are refused, or they are the one encoding of what
//! they say. What is public and takes a decoded value before anybody verified it goes on from
//! there: plans, results, frames.

use crypto::Digest;
use protocol::credential::{Credential, Role};
use protocol::ledger::Ledger;
use protocol::limits::{FRAME_BYTES_MAX, HEADER_WORDS, WORDS_MAX};
use protocol::message::{OperatorMessage, RoundResult, ToClient, ToCoordinator};
use protocol::operator::{Command, Reply};
use protocol::plan::{Plan, Work};
use protocol::record::{ClientRecord, CoordinatorRecord};
use protocol::signed::Signed;
use protocol::time::Time;
use protocol::{genesis, terms, vector, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::consortium;
use super::tampering;

/// Parameters of a model that one input may cost: the plan's own limit costs a fuzzer seconds.
const PARAMETERS_MAX: usize = 1 << 16;

/// Bytes from a bank or the operator.
///
/// # Panics
/// If they are read and not written back.
pub fn to_coordinator(bytes: &[u8]) {
    decoded::<ToCoordinator>(bytes);
}

/// Bytes from the coordinator.
///
/// # Panics
/// If they are read and not written back.
pub fn to_client(bytes: &[u8]) {
    decoded::<ToClient>(bytes);
}

/// Bytes of the operator's door, either way.
///
/// # Panics
/// If they are read and not written back.
pub fn operator(bytes: &[u8]) {
    decoded::<OperatorMessage>(bytes);
    decoded::<Command>(bytes);
    decoded::<Reply>(bytes);
}

/// Bytes from the coordinator's disk.
///
/// # Panics
/// If they are read and not written back.
pub fn coordinator_record(bytes: &[u8]) {
    if let Some(record) = decoded::<CoordinatorRecord>(bytes) {
        let _ = record.lifetime();
    }
}

/// Bytes from a bank's disk.
///
/// # Panics
/// If they are read and not written back.
pub fn client_record(bytes: &[u8]) {
    decoded::<ClientRecord>(bytes);
}

/// Bytes of a credential, as they lie beside a certificate.
///
/// # Panics
/// If they are read and not written back, or admitted without the authority's word.
pub fn credential(bytes: &[u8]) {
    let Some(credential) = decoded::<Signed<Credential>>(bytes) else {
        return;
    };
    let authority = consortium::authority();
    for role in [Role::Bank, Role::Coordinator, Role::Operator] {
        let admitted = authority.admit(&credential, role, Time(0));
        assert!(admitted.is_err() || credential.unverified().role == role);
    }
}

/// Bytes of a connection: a header, and what comes after it.
///
/// # Panics
/// If a header announces more than a frame may hold, or other than what it was made for.
pub fn frame(bytes: &[u8]) {
    let header = wire::header(bytes).expect("no input is longer than a frame");
    assert_eq!(wire::length(header), Ok(bytes.len()));
    let Some((&header, rest)) = bytes.split_first_chunk::<{ wire::HEADER_BYTES }>() else {
        return;
    };
    let Ok(length) = wire::length(header) else {
        return;
    };
    assert!(length <= FRAME_BYTES_MAX);
    if let Some(message) = rest.get(..length) {
        to_coordinator(message);
        to_client(message);
    }
}

/// Bytes of a plan: one that is in range has terms, words and parameters for every cohort.
///
/// # Panics
/// If a plan that is in range leads out of it.
pub fn plan(bytes: &[u8]) {
    let Some(plan) = decoded::<Plan>(bytes) else {
        return;
    };
    if terms::validate(&plan).is_err() {
        return;
    }
    let words = terms::words(&plan).expect("a plan in range has a vector in range");
    assert!(words <= WORDS_MAX);
    for members in [0, 1, 3, 4, 5, 128, 129, 1_000, u16::MAX] {
        if let Ok(terms) = terms::for_cohort(&plan.cohort, members) {
            assert!(terms.needed() <= members && 2 * terms.threshold > members);
            let bits = terms::value_bits(&plan, members);
            assert!((2..=31).contains(&bits), "{bits} bits");
        }
    }
    if let Some(model) = plan.work.model() {
        let total = genesis::total(&model.layout);
        assert!(total as u64 <= WORDS_MAX, "{total} parameters");
        if total <= PARAMETERS_MAX {
            assert_eq!(genesis::parameters(model).len(), total);
        }
    }
    contribute(&plan, words);
}

/// Bytes of a result: whatever it says, with its digests and signatures made good, it is the next
/// one of an empty ledger, or the ledger stays as it was.
///
/// # Panics
/// If a refused result leaves something behind.
pub fn result(bytes: &[u8]) {
    let Some(result) = decoded::<RoundResult>(bytes) else {
        return;
    };
    // Whoever applies a result has checked its plan.
    let plan = result.plan.plan.unverified();
    let model = plan.work.model();
    let is_large = model.is_some_and(|model| genesis::total(&model.layout) > PARAMETERS_MAX);
    if is_large || terms::validate(plan).is_err() {
        return;
    }
    for result in [tampering::result(&result), result] {
        let mut ledger = Ledger::new(consortium::authority().session());
        let before = standing(&ledger);
        match ledger.apply(&result) {
            Ok(applied) => {
                assert_eq!(ledger.length(), 1);
                assert_eq!(applied.banks as usize, result.survivors.len());
            }
            Err(_) => assert_eq!(standing(&ledger), before),
        }
    }
}

fn standing(ledger: &Ledger) -> (u64, Digest) {
    (ledger.length(), ledger.head())
}

/// Encodes the largest update of a small plan: its length is the plan's, and it adds to a sum.
fn contribute(plan: &Plan, words: u64) {
    let Work::Finetune(training) = &plan.work else {
        return;
    };
    let length = words as usize - HEADER_WORDS;
    if length > PARAMETERS_MAX {
        return;
    }
    let seed = consortium::seed(0, 0);
    let bits = terms::value_bits(plan, 1_000);
    let vector = vector::encode_update(&vec![f32::MAX; length], u64::MAX, training, bits, &seed)
        .expect("a finite update of the plan's length has an encoding");
    assert_eq!(vector.len() as u64, words);
    let mut sum = vec![0; vector.len()];
    let bytes = vector::to_bytes(&vector, plan.width);
    let added = vector::add(&mut sum, &bytes, plan.width);
    assert!(added.is_ok() && sum == vector);
    let sum = vector::decode_sum(&sum, 1, bits, plan.work.kind(), plan.width);
    let sum = sum.expect("one honest vector is a sum");
    assert_eq!(vector::mean_update(&sum, training).len(), length);
}

/// A value from bytes, whose encoding must be these bytes.
fn decoded<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value = wire::decode::<T>(bytes).ok()?;
    assert_eq!(wire::encode(&value), bytes, "one encoding");
    Some(value)
}
