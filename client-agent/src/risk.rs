//! The federation's risk counts, on both sides of the secure sum: what this bank counts for one
//! plan, and the table that all results add up to. The counting and the table are `features`';
//! here a plan's terms and the banks' bucket key become theirs, and a result finds its way in, or
//! waits for the key that it was counted under.

use std::sync::Arc;

use crypto::Digest;
use features::{RiskCounts, RiskError, RiskKey, RiskTable, RiskTerms};
use protocol::bucket::BucketKey;
use protocol::plan;
use serde::Serialize;
use utoipa::ToSchema;

use crate::history::History;
use crate::training::TrainingError;

/// The federation's table as far as results have come.
#[derive(Clone, Debug, Default)]
pub struct SharedRisk {
    key: Option<BucketKey>,
    waiting: Vec<Waiting>,
    table: Option<Arc<RiskTable>>,
    /// Grows with every result taken up: what was encoded with an older table is stale.
    version: u64,
    dropped: u64,
}

/// A result that came before the key it was counted under, as it does to a newcomer.
#[derive(Clone, Debug)]
struct Waiting {
    terms: plan::RiskTerms,
    under: Digest,
    payload: Vec<i32>,
}

/// The federation's risk table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RiskSummary {
    /// The newest released day, days since 1970-01-01 UTC.
    pub newest_day: Option<i32>,
    /// Buckets of the last result that too few banks had payments in.
    pub buckets_dropped: u64,
}

impl SharedRisk {
    /// Reads results under this key from here on, and takes up those that waited for it. Gives
    /// the table if there were any.
    pub fn keep(&mut self, key: BucketKey) -> Option<Arc<RiskTable>> {
        self.key = Some(key);
        let mut table = None;
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting {
                terms,
                under,
                payload,
            } = &waiting;
            match self.absorb(terms, *under, payload) {
                Ok(absorbed) => table = absorbed.or(table),
                Err(error) => tracing::warn!(%error, "risk counts are of no use here"),
            }
        }
        table
    }

    /// Whether what is counted under these terms may join the table: a day that was counted by
    /// another delay than the rest cannot be counted again.
    ///
    /// # Errors
    /// [`RiskError::Delay`] where the table was counted by another, and [`RiskError::TooFar`] where
    /// the plan's days are beyond any calendar.
    pub fn admit(&self, terms: &plan::RiskTerms, key: &BucketKey) -> Result<(), RiskError> {
        let terms = terms_of(terms, key)?;
        match self.table.as_ref().map(|table| table.admit(&terms)) {
            // The operator starts anew.
            Some(Err(RiskError::OtherTable)) | None => Ok(()),
            Some(admitted) => admitted,
        }
    }

    /// Takes up a result's payload, and gives the table with it; none where the key that it was
    /// counted under has not come: then it waits. A result with another salt or size begins a
    /// table of its own: the operator has started anew.
    ///
    /// # Errors
    /// [`RiskError`] where the payload is no sum of counts under these terms, counts a day again,
    /// or by another delay; the table is as it was.
    pub fn absorb(
        &mut self,
        terms: &plan::RiskTerms,
        under: Digest,
        payload: &[i32],
    ) -> Result<Option<Arc<RiskTable>>, RiskError> {
        let Some(key) = self.key.as_ref().filter(|key| key.commitment() == under) else {
            self.waiting.push(Waiting {
                terms: terms.clone(),
                under,
                payload: payload.to_vec(),
            });
            return Ok(None);
        };
        let terms = terms_of(terms, key)?;
        let sum = payload.iter().copied().map(i64::from).collect::<Vec<_>>();
        let fresh = || Arc::new(RiskTable::new(terms.buckets, terms.key.clone()));
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
        Ok(Some(table))
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

/// This bank's counts for a plan: one per payload word, in two's complement. All zero where it has
/// nothing.
///
/// # Errors
/// Where the plan's days are beyond any calendar, and where the history cannot be read back.
pub fn count(
    history: &History,
    terms: &plan::RiskTerms,
    key: &BucketKey,
) -> Result<Vec<u32>, TrainingError> {
    let mut counts = RiskCounts::new(terms_of(terms, key)?);
    history.replay_known(|transaction, known| counts.add(transaction, known))?;
    Ok(counts.into_words())
}

/// A plan's terms in the words of `features`, with merchants hashed under the banks' key.
fn terms_of(terms: &plan::RiskTerms, key: &BucketKey) -> Result<RiskTerms, RiskError> {
    let from_day = i32::try_from(terms.from_day);
    let too_far = |_| RiskError::TooFar {
        from_day: i32::MAX,
        max: usize::from(terms.days),
    };
    Ok(RiskTerms {
        buckets: terms.buckets,
        key: RiskKey::new(*key.table_key(&terms.salt).expose()),
        from_day: from_day.map_err(too_far)?,
        days: terms.days,
        label_delay_days: terms.label_delay_days,
        banks_min: terms.banks_min,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Verdict;
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

    fn key(byte: u8) -> BucketKey {
        BucketKey::new(&Digest([0; 32]), [byte; 32])
    }

    fn holding(key: &BucketKey) -> SharedRisk {
        let mut shared = SharedRisk::default();
        assert!(shared.keep(key.clone()).is_none());
        shared
    }

    // The same payments under another key, or another salt, lie in other buckets.
    #[test]
    fn buckets_are_the_keys_and_the_salts() {
        let history = sample(20, 20);
        let plan = terms(3);
        let salted = plan::RiskTerms {
            salt: Digest([8; 32]),
            ..plan.clone()
        };
        let words = count(&history, &plan, &key(1)).unwrap();
        assert_ne!(count(&history, &plan, &key(2)).unwrap(), words);
        assert_ne!(count(&history, &salted, &key(1)).unwrap(), words);
        let again = count(&history, &plan, &key(1)).unwrap();
        assert_eq!(again, words);
    }

    // Counted a second time from the payments themselves, bucket by bucket.
    #[test]
    fn counts_are_exact() {
        let history = sample(20, 20);
        let plan = terms(3);
        let words = count(&history, &plan, &key(1)).unwrap();
        let terms = terms_of(&plan, &key(1)).unwrap();
        assert_eq!(words.len() as u64, terms.words());
        let mut expected = vec![0_u32; words.len()];
        let replayed = history.replay(|payment, transaction| {
            let (Some(outlet), day) = (transaction.outlet(), payment.day() - 17_002) else {
                return;
            };
            if (0..3).contains(&day) {
                for bucket in terms.buckets_of(outlet) {
                    let bucket = bucket as usize;
                    let cell = 2 * (day as usize * 64 + bucket);
                    let is_fraud = matches!(payment.verdict, Verdict::Fraud { .. });
                    expected[cell] += 1;
                    expected[cell + 1] += u32::from(is_fraud);
                    expected[2 * 3 * 64 + bucket] = 1;
                }
            }
        });
        replayed.unwrap();
        assert_eq!(words, expected);
        assert!(words.iter().sum::<u32>() > 50);
        let later = plan::RiskTerms {
            from_day: 30_000,
            ..plan
        };
        assert!(
            count(&history, &later, &key(1))
                .unwrap()
                .iter()
                .all(|&word| word == 0)
        );
    }

    #[test]
    fn results_add_up_and_a_day_counts_once() {
        let (key, under) = (key(1), key(1).commitment());
        let mut shared = holding(&key);
        let mut payload = vec![0_i32; 3 * 64];
        (payload[0], payload[1], payload[128]) = (5, 1, 2);
        (payload[2], payload[129]) = (3, 1);
        shared.absorb(&terms(1), under, &payload).unwrap();
        let summary = RiskSummary {
            newest_day: Some(17_002),
            buckets_dropped: 1,
        };
        assert_eq!((shared.version(), shared.summary()), (1, summary));
        assert!(matches!(
            shared.absorb(&terms(1), under, &payload),
            Err(RiskError::Overlap(_))
        ));
        let next = plan::RiskTerms {
            from_day: 17_003,
            ..terms(1)
        };
        shared.absorb(&next, under, &payload).unwrap();
        assert_eq!(shared.summary().newest_day, Some(17_003));
        let other = plan::RiskTerms {
            salt: Digest([8; 32]),
            from_day: 16_000,
            ..terms(1)
        };
        shared.absorb(&other, under, &payload).unwrap();
        assert_eq!(
            (shared.version(), shared.summary().newest_day),
            (3, Some(16_000))
        );
    }

    #[test]
    fn counts_by_another_delay_never_join_the_table() {
        let (key, under) = (key(1), key(1).commitment());
        let mut shared = holding(&key);
        let other = plan::RiskTerms {
            from_day: 17_003,
            label_delay_days: 9,
            ..terms(1)
        };
        assert_eq!(shared.admit(&other, &key), Ok(()));
        shared.absorb(&terms(1), under, &[3; 3 * 64]).unwrap();
        let expected = RiskError::Delay {
            found: 9,
            expected: 7,
        };
        assert_eq!(shared.admit(&other, &key), Err(expected.clone()));
        let absorbed = shared.absorb(&other, under, &[3; 3 * 64]);
        assert_eq!((absorbed.unwrap_err(), shared.version()), (expected, 1));
        let next = plan::RiskTerms {
            label_delay_days: 7,
            ..other.clone()
        };
        assert_eq!(shared.admit(&next, &key), Ok(()));
        let salted = plan::RiskTerms {
            salt: Digest([8; 32]),
            ..other
        };
        assert_eq!(shared.admit(&salted, &key), Ok(()));
    }

    #[test]
    fn a_sum_of_another_length_changes_nothing() {
        let mut shared = holding(&key(1));
        let under = key(1).commitment();
        assert!(shared.absorb(&terms(1), under, &[0; 5]).is_err());
        assert_eq!((shared.version(), shared.table().is_none()), (0, true));
    }

    /// A newcomer replays the ledger before it has the key; a key that gave way reads nothing.
    #[test]
    fn results_wait_for_the_key_they_were_counted_under() {
        let under = key(2).commitment();
        let mut shared = holding(&key(1));
        for from_day in [17_002, 17_003] {
            let terms = plan::RiskTerms {
                from_day,
                ..terms(1)
            };
            let absorbed = shared.absorb(&terms, under, &[3; 3 * 64]).unwrap();
            assert!(absorbed.is_none() && shared.table().is_none());
        }
        assert!(shared.keep(key(3)).is_none());
        assert_eq!(shared.version(), 0);
        let table = shared.keep(key(2)).unwrap();
        assert_eq!(shared.summary().newest_day, Some(17_003));
        assert_eq!(table.window("anything", 17_003, 2), Some((6, 6)));
        assert_eq!(shared.version(), 2);
        assert!(shared.keep(key(2)).is_none(), "taken up once");
    }
}
