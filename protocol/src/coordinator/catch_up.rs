//! Banks whose ledger is behind. Each gets the next result that it lacks, and asks again once it
//! has applied it. The host reads one result at a time, for all who lack the same: a consortium
//! that comes back from a long sleep takes the memory of a few results, not of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::SigningKey;

use crate::coordinator::Coordinator;
use crate::coordinator::reading::Reading;
use crate::id::ClientId;
use crate::message::{RoundResult, ToClient};
use crate::party::Outbox;
use crate::signed::Signed;

/// Who waits for which result.
#[derive(Default)]
pub(crate) struct CatchUp {
    behind: BTreeMap<ClientId, u64>,
    reading: Option<u64>,
}

impl CatchUp {
    /// A bank lacks the result at this place.
    pub(crate) fn ask(&mut self, client: ClientId, place: u64, out: &mut Outbox<Coordinator>) {
        self.behind.insert(client, place);
        self.read_next(out);
    }

    /// The host has read a result, or could not: then its banks ask again with a heartbeat.
    pub(crate) fn on_read(
        &mut self,
        place: u64,
        result: Option<Arc<RoundResult>>,
        key: &SigningKey,
        out: &mut Outbox<Coordinator>,
    ) {
        self.reading = None;
        let result = result.map(|result| resigned(result, key));
        self.behind.retain(|&client, lacks| {
            if *lacks == place
                && let Some(result) = &result
            {
                out.send(client, ToClient::Result(Arc::clone(result)));
            }
            *lacks != place
        });
        self.read_next(out);
    }

    fn read_next(&mut self, out: &mut Outbox<Coordinator>) {
        if self.reading.is_none() {
            self.reading = self.behind.values().min().copied();
            if let Some(place) = self.reading {
                out.perform(Reading::Result(place));
            }
        }
    }
}

/// Our own signatures, renewed where they are a former key's: clients know only today's.
fn resigned(result: Arc<RoundResult>, key: &SigningKey) -> Arc<RoundResult> {
    let today = key.verify_key();
    let is_ours = result.outcome.clone().verify(&today).is_ok()
        && result.manifest.clone().verify(&today).is_ok();
    if is_ours {
        return result;
    }
    Arc::new(RoundResult {
        outcome: Signed::sign(result.outcome.unverified().clone(), key),
        manifest: Signed::sign(result.manifest.unverified().clone(), key),
        ..(*result).clone()
    })
}
