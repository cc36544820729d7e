//! An agent in this process, on a socket of loopback: router, door, worker and journal are those
//! that `phalanx-agent serve` puts together; history, models and the federation are the test's.
//! Who uses it hard: `swap.rs` and `malformed.rs`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use client_agent::journal::Journal;
use client_agent::scoring::{
    AnswerAfter, Bundle, Door, Head, Policy, Scoring, Settings, Slot, agent_router,
};
use crypto::sha256;
use features::{FeatureEncoder, FeatureSchema, RiskSettings};
use host::disk::Store;
use host::shutdown::Shutdown;
use host::telemetry::Telemetry;
use model::{Calibration, NetworkSize, Usual, genesis, layout};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A served agent, without a model until one is installed.
pub(crate) struct Stage {
    pub(crate) scoring: Scoring,
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
    /// Goes last.
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (telemetry, door) = (Telemetry::default(), Door::default());
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/policy.toml");
        let text = std::fs::read_to_string(&policy).unwrap();
        let settings = Settings {
            policy: Policy::parse(&text, &policy).unwrap(),
            queue_max: 1_024,
            answer_after: AnswerAfter::Flush,
        };
        let journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
        let encoder = FeatureEncoder::new(FeatureSchema::standard(), RiskSettings::default());
        let scoring = Scoring::start(settings, encoder, journal, &telemetry).unwrap();
        door.open(scoring.clone());
        let runtime = Runtime::new().unwrap();
        let router = agent_router(&telemetry, &door, || Value::Null, || false);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let served = host::telemetry::serve(any, router, Shutdown::default());
        Self {
            address: runtime.block_on(served).unwrap(),
            scoring,
            _runtime: runtime,
            _folder: folder,
        }
    }
}

/// The model of a version: its parameters, and so its digest, are no other version's.
pub(crate) fn bundle(version: u64) -> Bundle {
    let (schema, size) = (FeatureSchema::standard(), NetworkSize::default());
    let parameters = genesis(&layout(&schema, size), version);
    let bytes: Vec<u8> = parameters.iter().flat_map(|of| of.to_le_bytes()).collect();
    Bundle {
        slot: Slot::Live,
        head: Head::Federation,
        version,
        digest: sha256(&[bytes.as_slice()]).0,
        parameters: Arc::new(parameters),
        size,
        calibration: Calibration::default(),
        usual: Some(Usual::new(schema.groups().len())),
    }
}

/// A payment of one of fifty cards, all at one terminal.
pub(crate) fn payment(txn_id: &str, number: u64) -> Value {
    json!({
        "txn_id": txn_id, "ts": START_MS + 100 * number, "rail": "card",
        "amount_minor": 1_000 + number % 900, "currency": "EUR",
        "account_tok": format!("a{}", number % 50), "card_tok": format!("c{}", number % 50),
        "terminal_tok": "t1", "mcc": 5_411,
    })
}

/// A day in November 2016.
const START_MS: u64 = 1_480_000_000_000;
