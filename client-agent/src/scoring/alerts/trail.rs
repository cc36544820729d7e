//! Which payments an account made, without a list for every account: each of the last payments
//! knows how far back the one before it of the same account lies.

use std::collections::{BTreeMap, VecDeque};

use crypto::sha256;

/// The last payments of the journal. Four bytes each, and some forty for every account among them.
pub(super) struct Trail {
    /// Number of the first payment that is remembered.
    first: u64,
    /// From each payment to the one before it of the same account; 0 where there is none.
    steps: VecDeque<u32>,
    /// The last payment of an account.
    last: BTreeMap<u64, u64>,
    most: usize,
}

impl Trail {
    pub(super) fn new(most: usize) -> Self {
        Self {
            first: 0,
            steps: VecDeque::new(),
            last: BTreeMap::new(),
            most,
        }
    }

    /// Remembers a payment. Numbers follow each other; where one was left out, the trail begins
    /// anew.
    pub(super) fn push(&mut self, sequence: u64, account: &str) {
        if sequence != self.first + self.steps.len() as u64 {
            self.steps.clear();
            self.last.clear();
            self.first = sequence;
        }
        let before = self.last.insert(key_of(account), sequence);
        let step = before.filter(|before| *before >= self.first);
        let step = step.map_or(0, |before| sequence - before);
        // Below the bound, which is below four thousand million.
        self.steps.push_back(u32::try_from(step).unwrap_or(0));
        if self.steps.len() > self.most {
            self.steps.pop_front();
            self.first += 1;
        }
        // Accounts of which nothing is left go together, not one by one.
        if self.last.len() > self.most + self.most / 4 {
            let first = self.first;
            self.last.retain(|_, at| *at >= first);
        }
    }

    /// Payments of an account, the last first. Among them may be some of another one, whose token
    /// has the same key.
    pub(super) fn back(&self, account: &str) -> impl Iterator<Item = u64> {
        let mut at = self.last.get(&key_of(account)).copied();
        std::iter::from_fn(move || {
            let here = at.filter(|here| *here >= self.first)?;
            let nth = usize::try_from(here - self.first).ok()?;
            let step = self.steps.get(nth).copied().filter(|step| *step > 0);
            at = step.and_then(|step| here.checked_sub(u64::from(step)));
            Some(here)
        })
    }
}

fn key_of(account: &str) -> u64 {
    let digest = sha256(&[account.as_bytes()]).0;
    let half = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_payments_come_back_the_last_first() {
        let mut trail = Trail::new(100);
        for (sequence, account) in (0..).zip(["a", "b", "a", "a", "c", "b"]) {
            trail.push(sequence, account);
        }
        let back = |account| trail.back(account).collect::<Vec<_>>();
        assert_eq!(back("a"), [3, 2, 0]);
        assert_eq!(back("b"), [5, 1]);
        assert_eq!(back("c"), [4]);
        assert!(back("d").is_empty());
    }

    #[test]
    fn what_lies_too_far_back_is_forgotten_and_memory_has_a_bound() {
        let mut trail = Trail::new(8);
        for sequence in 0..1_000 {
            trail.push(sequence, &format!("once {sequence}"));
            assert!(trail.steps.len() <= 8 && trail.last.len() <= 10);
        }
        for sequence in 1_000..1_008 {
            trail.push(sequence, ["x", "y"][(sequence % 2) as usize]);
        }
        assert_eq!(
            trail.back("x").collect::<Vec<_>>(),
            [1_006, 1_004, 1_002, 1_000]
        );
        trail.push(1_008, "z");
        assert_eq!(trail.back("x").collect::<Vec<_>>(), [1_006, 1_004, 1_002]);
        assert!(trail.back("once 999").next().is_none());
    }

    #[test]
    fn a_gap_begins_anew() {
        let mut trail = Trail::new(8);
        trail.push(0, "a");
        trail.push(5, "a");
        trail.push(6, "a");
        assert_eq!(trail.back("a").collect::<Vec<_>>(), [6, 5]);
    }
}
