//! What neither machine may ever do, whatever it hears: say what is not recorded, say two things
//! where one is allowed, or say what cannot be read. Checked of every output in the world.

use std::collections::BTreeMap;

use protocol::bucket::BucketKey;
use protocol::client::Installed;
use protocol::id::{Attempt, Context, RoundId};
use protocol::limits::FRAME_BYTES_MAX;
use protocol::message::{Holding, RoundOffer, RoundResult, ToClient, ToCoordinator};
use protocol::record::{ClientRecord, CoordinatorRecord};
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Outputs in answer to one input: sixteen results and one message for everybody are far fewer.
pub(super) const OUTPUTS_MAX: usize = 256;

/// Asserts that what was said or recorded fits a frame, and is read as it was written.
pub(super) fn assert_travels<T: Serialize + DeserializeOwned>(value: &T) {
    let bytes = wire::encode(value);
    assert!(bytes.len() <= FRAME_BYTES_MAX, "{} bytes", bytes.len());
    let back = wire::decode::<T>(&bytes).expect("a party says what can be read");
    assert_eq!(wire::encode(&back), bytes, "one encoding");
}

/// One bank's records, and what it said that it may not unsay.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) records: Vec<ClientRecord>,
    /// The banks' bucket key, where its host keeps it.
    pub(super) kept: Option<BucketKey>,
    offers: BTreeMap<Context, (RoundId, Attempt)>,
    acks: BTreeMap<RoundId, Vec<u8>>,
    masked: BTreeMap<Context, Vec<u8>>,
}

impl Journal {
    /// The bank is about to hear of an attempt.
    pub(super) fn note_offer(&mut self, offer: &RoundOffer) {
        let manifest = offer.manifest.unverified();
        let attempt = (manifest.round, manifest.attempt);
        self.offers.insert(manifest.context(), attempt);
    }

    /// Asserts that a bank's message follows from its records.
    pub(super) fn assert_may_say(&mut self, message: &ToCoordinator) {
        self.assert_hides_key(message);
        match message {
            ToCoordinator::KeyBundle(bundle) => {
                let said = bundle.unverified();
                self.assert_has("key bundle", |record| {
                    matches!(record, ClientRecord::EpochJoined(epoch, root, _)
                        if (*epoch, *root) == (said.epoch, said.roster))
                });
            }
            ToCoordinator::Escrow(escrow) => self.assert_joined(escrow.header.unverified().context),
            ToCoordinator::Masked(masked) => {
                let context = masked.trailer.unverified().context;
                self.assert_joined(context);
                let bytes = wire::encode(masked);
                let first = self.masked.entry(context).or_insert_with(|| bytes.clone());
                assert_eq!(*first, bytes, "a second masking in one attempt");
            }
            ToCoordinator::Ack(ack) => {
                let (round, _) = self.attempt(ack.unverified().context);
                let is_acked = |record: &ClientRecord| *record == ClientRecord::Acked(round);
                self.assert_has("acknowledgement", is_acked);
                let bytes = wire::encode(ack);
                let first = self.acks.entry(round).or_insert_with(|| bytes.clone());
                assert_eq!(*first, bytes, "a second acknowledgement of {round:?}");
            }
            ToCoordinator::Reveal(reveal) => {
                let (said, _) = self.attempt(reveal.unverified().context);
                self.assert_has(
                    "reveal",
                    |record| matches!(record, ClientRecord::Revealed(round, ..) if *round == said),
                );
            }
            ToCoordinator::CheckIn(said) => {
                let is_applied =
                    |record: &&ClientRecord| matches!(record, ClientRecord::Applied(_));
                let applied = self.records.iter().filter(is_applied).count();
                assert_eq!(said.ledger, applied as u64, "results that are not recorded");
                if let Holding::Held(said) = said.bucket_key {
                    let kept = self.kept.as_ref().map(BucketKey::commitment);
                    assert_eq!(kept, Some(said), "a key that is not kept");
                }
            }
            ToCoordinator::Encapsulations(_)
            | ToCoordinator::Declined(_)
            | ToCoordinator::Complaint(_)
            | ToCoordinator::Audit(_)
            | ToCoordinator::SealedKeys(_)
            | ToCoordinator::KeyComplaint(_) => {}
            ToCoordinator::Operator(_) => panic!("a bank is no operator"),
        }
    }

    /// Asserts that a result is put to use only once it is recorded.
    pub(super) fn assert_may_install(&self, installed: &Installed) {
        let installed = wire::encode(&*installed.result);
        self.assert_has("installed result", |record| {
            matches!(record, ClientRecord::Applied(result) if wire::encode(&**result) == installed)
        });
    }

    fn assert_hides_key(&self, message: &ToCoordinator) {
        let Some(kept) = &self.kept else {
            return;
        };
        let bytes = wire::encode(message);
        let mut windows = bytes.windows(kept.expose().len());
        let is_shown = windows.any(|window| window == kept.expose());
        assert!(!is_shown, "the banks' key in the clear");
    }

    fn assert_joined(&self, context: Context) {
        let (round, attempt) = self.attempt(context);
        self.assert_has("update or escrow", |record| {
            matches!(record, ClientRecord::Joined(_, joined, again)
                if (*joined, *again) == (round, attempt))
        });
    }

    fn attempt(&self, context: Context) -> (RoundId, Attempt) {
        let offered = self.offers.get(&context).copied();
        offered.expect("a bank speaks of attempts that it was offered")
    }

    fn assert_has(&self, what: &str, is: impl Fn(&ClientRecord) -> bool) {
        assert!(self.records.iter().rev().any(is), "{what} said too early");
    }
}

/// Whether what the coordinator's message depends on is in its log.
pub(super) fn is_recorded(log: &[CoordinatorRecord], message: &ToClient) -> bool {
    let has = |is: &dyn Fn(&CoordinatorRecord) -> bool| log.iter().rev().any(is);
    match message {
        ToClient::Roster(said) => has(
            &|record| matches!(record, CoordinatorRecord::EpochOpened(roster) if *roster == **said),
        ),
        ToClient::Bundles(said) => said.bundles.iter().all(|bundle| {
            has(&|record| matches!(record, CoordinatorRecord::KeyBundle(ours) if ours == bundle))
        }),
        ToClient::Encapsulations(said) => said.encapsulations.iter().all(|one| {
            has(&|record| {
                matches!(record, CoordinatorRecord::Encapsulations(list) if list.contains(one))
            })
        }),
        ToClient::Round(said) => has(&|record| {
            matches!(record, CoordinatorRecord::RoundOpened(_, manifest)
                if *manifest == said.manifest)
        }),
        ToClient::EscrowBundle(said) => {
            has(&|record| *record == CoordinatorRecord::Escrowed(said.escrowed.clone()))
        }
        ToClient::Survivors(said) => {
            has(&|record| *record == CoordinatorRecord::Survived(said.survivors.clone()))
        }
        ToClient::Acks(said) => {
            has(&|record| *record == CoordinatorRecord::Acknowledged(said.acks.clone()))
        }
        ToClient::Result(said) => has(&|record| is_committed(record, said)),
        ToClient::Abandoned(said) => has(
            &|record| matches!(record, CoordinatorRecord::Abandoned(_, ended) if ended == said),
        ),
        ToClient::Welcome(_)
        | ToClient::Refused(_)
        | ToClient::Operator(_)
        | ToClient::Audited(_)
        | ToClient::Handover(_)
        | ToClient::SealedKey(_) => true,
    }
}

fn is_committed(record: &CoordinatorRecord, said: &RoundResult) -> bool {
    matches!(record, CoordinatorRecord::Committed(_, result)
        if result.outcome.unverified() == said.outcome.unverified())
}
