//! A plan of which a trainer reads the work and the rounds alone; the bench of a round takes this
//! file too.

use protocol::plan::{CohortTerms, Deadlines, Plan, Privacy, Width, Work};
use protocol::time::{Duration, Time};

/// So many rounds of this work, on terms that any coordinator would take.
pub(crate) fn plan(work: Work, rounds: u32) -> Plan {
    let span = Duration(1_000);
    Plan {
        name: "sample".to_owned(),
        work,
        rounds,
        cohort: CohortTerms {
            members_min: 3,
            colluders: None,
            honest_min: 3,
        },
        deadlines: Deadlines {
            selection: span,
            agreement: span,
            escrow: span,
            collection: span,
            acknowledgement: span,
            reveal: span,
        },
        privacy: Privacy::None,
        nonce: 0,
        expires: Time(u64::MAX),
        width: Width::Full,
    }
}
