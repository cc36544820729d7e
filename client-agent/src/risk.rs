//! The federation's risk counts, on both sides of the secure sum: what this bank counts for one
//! plan, and the table that all results add up to. The counting and the table are `features`';
//! here a plan's terms become theirs, and a result finds its way in.

use std::sync::Arc;

use features::{RiskCounts, RiskError, RiskTable, RiskTerms};
use protocol::plan;
use serde::Serialize;

use crate::history::{History, Verdict};

/// The federation's table as far as results have come.
#[derive(Clone, Debug, Default)]
pub struct SharedRisk {
    table: Option<Arc<RiskTable>>,
    /// Grows with every result taken up: what was encoded with an older table is stale.
    version: u64,
    dropped: u64,
}

/// What the status says of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RiskSummary {
    /// The newest released day, days since 1970-01-01 UTC.
    pub newest_day: Option<i32>,
    /// Buckets of the last result that too few banks had payments in.
    pub buckets_dropped: u64,
}

impl SharedRisk {
    /// Takes up a result's payload, and gives the table with it. A result with another salt or
    /// size begins a table of its own: the operator has started anew.
    ///
    /// # Errors
    /// [`RiskError`] where the payload is no sum of counts under these terms, or counts a day
    /// again; the table is as it was.
    pub fn absorb(
        &mut self,
        terms: &plan::RiskTerms,
        payload: &[i32],
    ) -> Result<Arc<RiskTable>, RiskError> {
        let terms = terms_of(terms)?;
        let sum = payload.iter().copied().map(i64::from).collect::<Vec<_>>();
        let fresh = || Arc::new(RiskTable::new(terms.buckets, terms.salt));
        let mut table = self.table.clone().unwrap_or_else(fresh);
        let absorbed = match Arc::make_mut(&mut table).absorb(&terms, &sum) {
            Err(RiskError::OtherTable) => {
                table = fresh();
                Arc::make_mut(&mut table).absorb(&terms, &sum)
            }
            absorbed => absorbed,
        };
        absorbed?;
        self.table = Some(Arc::clone(&table));
        self.version += 1;
        let few = 1..i64::from(terms.banks_min);
        let presence = sum.len().saturating_sub(terms.buckets as usize);
        self.dropped = sum[presence..]
            .iter()
            .filter(|banks| few.contains(banks))
            .count() as u64;
        Ok(table)
    }

    /// The table, if there was a result.
    #[must_use]
    pub fn table(&self) -> Option<&Arc<RiskTable>> {
        self.table.as_ref()
    }

    /// How many results it has taken up.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the status says.
    #[must_use]
    pub fn summary(&self) -> RiskSummary {
        let newest_day = self.table.as_ref().and_then(|table| table.newest_day());
        RiskSummary {
            newest_day,
            buckets_dropped: self.dropped,
        }
    }
}

/// This bank's counts for a plan: one per payload word. All zero where it has nothing.
///
/// # Errors
/// Where the plan's days are beyond any calendar.
pub fn count(history: &History, terms: &plan::RiskTerms) -> Result<Vec<u32>, RiskError> {
    let mut counts = RiskCounts::new(terms_of(terms)?);
    history.replay(|payment, transaction| {
        let known_at = match payment.verdict {
            Verdict::Fraud { known_at } => Some(known_at),
            Verdict::Genuine | Verdict::Unknown => None,
        };
        counts.add(transaction, known_at);
    });
    Ok(counts.into_words())
}

/// A plan's terms in the words of `features`.
fn terms_of(terms: &plan::RiskTerms) -> Result<RiskTerms, RiskError> {
    let from_day = i32::try_from(terms.from_day);
    let too_far = |_| RiskError::TooFar {
        from_day: i32::MAX,
        max: usize::from(terms.days),
    };
    Ok(RiskTerms {
        buckets: terms.buckets,
        salt: terms.salt.0,
        from_day: from_day.map_err(too_far)?,
        days: terms.days,
        label_delay_days: terms.label_delay_days,
        banks_min: terms.banks_min,
    })
}

#[cfg(test)]
mod tests {
    use crypto::Digest;

    use super::*;
    use crate::history::tests::sample;

    fn terms(days: u16) -> plan::RiskTerms {
        plan::RiskTerms {
            buckets: 64,
            salt: Digest([7; 32]),
            from_day: 17_002,
            days,
            label_delay_days: 7,
            banks_min: 2,
        }
    }

    // Counted a second time from the payments themselves, bucket by bucket.
    #[test]
    fn counts_are_exact() {
        let history = sample(20, 20);
        let plan = terms(3);
        let words = count(&history, &plan).unwrap();
        let terms = terms_of(&plan).unwrap();
        assert_eq!(words.len() as u64, terms.words());
        let mut expected = vec![0_u32; words.len()];
        history.replay(|payment, transaction| {
            let (Some(outlet), day) = (transaction.outlet(), payment.day() - 17_002) else {
                return;
            };
            if (0..3).contains(&day) {
                let bucket = terms.bucket(outlet) as usize;
                let cell = 2 * (day as usize * 64 + bucket);
                expected[cell] += 1;
                expected[cell + 1] += u32::from(matches!(payment.verdict, Verdict::Fraud { .. }));
                expected[2 * 3 * 64 + bucket] = 1;
            }
        });
        assert_eq!(words, expected);
        assert!(words.iter().sum::<u32>() > 50);
        let later = plan::RiskTerms {
            from_day: 30_000,
            ..plan
        };
        assert!(
            count(&history, &later)
                .unwrap()
                .iter()
                .all(|&word| word == 0)
        );
    }

    #[test]
    fn results_add_up_and_a_day_counts_once() {
        let mut shared = SharedRisk::default();
        let mut payload = vec![0_i32; 3 * 64];
        (payload[0], payload[1], payload[128]) = (5, 1, 2);
        (payload[2], payload[129]) = (3, 1);
        shared.absorb(&terms(1), &payload).unwrap();
        let summary = RiskSummary {
            newest_day: Some(17_002),
            buckets_dropped: 1,
        };
        assert_eq!((shared.version(), shared.summary()), (1, summary));
        assert!(matches!(
            shared.absorb(&terms(1), &payload),
            Err(RiskError::Overlap(_))
        ));
        let next = plan::RiskTerms {
            from_day: 17_003,
            ..terms(1)
        };
        shared.absorb(&next, &payload).unwrap();
        assert_eq!(shared.summary().newest_day, Some(17_003));
        let other = plan::RiskTerms {
            salt: Digest([8; 32]),
            from_day: 16_000,
            ..terms(1)
        };
        shared.absorb(&other, &payload).unwrap();
        assert_eq!(
            (shared.version(), shared.summary().newest_day),
            (3, Some(16_000))
        );
    }

    #[test]
    fn a_sum_of_another_length_changes_nothing() {
        let mut shared = SharedRisk::default();
        assert!(shared.absorb(&terms(1), &[0; 5]).is_err());
        assert_eq!((shared.version(), shared.table().is_none()), (0, true));
    }
}
