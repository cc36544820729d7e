//! What a host puts to use of the results: one at a time as they come, and after a start those
//! that still count. Whether a result stands is the ledger's to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::Digest;

use crate::client::Installed;
use crate::ledger::Applied;
use crate::message::RoundResult;
use crate::plan::{Kind, Work};

/// What a restarted host needs again: the newest model of each lineage and kind, and all risk
/// counts.
#[derive(Default)]
pub(crate) struct Installs {
    models: BTreeMap<(Digest, Kind), (u64, Installed)>,
    risks: Vec<(u64, Installed)>,
}

impl Installs {
    pub(crate) fn keep(&mut self, sequence: u64, install: Installed) {
        match &install.result.plan.plan.unverified().work {
            Work::Pretrain(terms) | Work::Finetune(terms) => {
                let kind = install.result.plan.plan.unverified().work.kind();
                self.models
                    .insert((terms.model.lineage(), kind), (sequence, install));
            }
            Work::Risk(_) => self.risks.push((sequence, install)),
            Work::Evaluate(_) => {}
        }
    }

    pub(crate) fn in_order(self) -> Vec<Installed> {
        let mut all = self.risks;
        all.extend(self.models.into_values());
        all.sort_by_key(|(sequence, _)| *sequence);
        all.into_iter().map(|(_, install)| install).collect()
    }
}

/// A result with what it changed.
pub(crate) fn installed(result: Arc<RoundResult>, applied: Applied) -> Installed {
    let Applied {
        parameters,
        step,
        banks,
    } = applied;
    Installed {
        result,
        parameters,
        banks,
        step,
    }
}
