//! The queue in memory: every alert there is room for, found by its decision, sorted with the worst
//! first, grouped by account. Nothing here touches the journal; `keeper.rs` fills it from there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::alert::{Alert, State, Verdict};
use crate::scoring::decision::Decision;

/// Alerts by the number of their decision in the journal.
pub(super) struct Index {
    alerts: BTreeMap<u64, Alert>,
    /// Who goes first where there is no more room.
    leaving: BTreeSet<Leaving>,
    most: usize,
}

/// The order in which alerts go: those that are closed, the oldest first; then those with the
/// lowest score, of these the oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Leaving {
    is_wanted: bool,
    score: u16,
    sequence: u64,
}

/// An alert's place in the queue: the highest score first, of equal ones the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    score: Reverse<u16>,
    sequence: u64,
}

/// What of the queue is asked for.
pub(super) struct Wanted {
    /// All states where none is named.
    pub(super) state: Option<State>,
    /// One account alone.
    pub(super) account: Option<String>,
    /// The account of this alert alone, for who shall not see its token.
    pub(super) of: Option<String>,
    /// One row for each account: its worst alert.
    pub(super) grouping: Grouping,
    pub(super) limit: usize,
    /// What comes behind this place.
    pub(super) after: Option<Place>,
}

/// How rows are made of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Each alert is a row.
    Alerts,
    /// Each account is one: its worst alert.
    Accounts,
}

/// A page of the queue.
#[derive(Serialize, ToSchema)]
#[schema(as = AlertListing)]
pub(super) struct Listing {
    /// Rows, the worst first.
    pub(super) alerts: Vec<Row>,
    /// What `after` continues from; null at the end.
    pub(super) next: Option<String>,
    /// Rows on all pages together.
    pub(super) total: usize,
}

/// A decision that a person should see.
// No `Debug`: it holds tokens.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Alert)]
pub(super) struct Row {
    /// The decision's id.
    pub(super) decision_id: String,
    /// The payment's id.
    pub(super) txn_id: String,
    /// Token of the card, or of the account where there is no card.
    pub(super) account: String,
    /// Whether somebody has to look at it.
    pub(super) state: State,
    /// Once it is closed.
    pub(super) verdict: Option<Verdict>,
    /// While it is snoozed, milliseconds since 1970-01-01 UTC.
    pub(super) snoozed_until: Option<u64>,
    /// Null where no model was asked.
    #[schema(minimum = 1, maximum = 999)]
    pub(super) score: Option<u16>,
    /// The policy's band, where it has any.
    pub(super) band: Option<String>,
    /// What was answered.
    pub(super) decision: Decision,
    /// Code of the weightiest reason.
    pub(super) reason_code: Option<String>,
    /// Its sentence.
    pub(super) reason: Option<String>,
    /// Time of the payment, milliseconds since 1970-01-01 UTC.
    pub(super) ts: i64,
    /// Time of the decision, likewise.
    pub(super) scored_at: u64,
    /// Seconds since the decision.
    pub(super) age_s: u64,
    /// The amount, in minor units of the currency.
    pub(super) amount_minor: i64,
    /// Its currency.
    pub(super) currency: String,
    /// Token of where the money went.
    pub(super) outlet: Option<String>,
    /// Alerts of the same account among those asked for, this one included; of one alert alone, the
    /// open ones.
    pub(super) payments: usize,
    /// Seconds since the oldest of them.
    pub(super) oldest_age_s: u64,
}

/// What the alerts of one account come to.
struct Account {
    worst: Place,
    payments: usize,
    oldest: u64,
}

impl Index {
    pub(super) fn new(most: usize) -> Self {
        Self {
            alerts: BTreeMap::new(),
            leaving: BTreeSet::new(),
            most,
        }
    }

    /// Takes an alert in. Gives back the one that has to go for it, which may be the same.
    pub(super) fn open(&mut self, sequence: u64, alert: Alert) -> Option<u64> {
        self.leaving.insert(Leaving::of(sequence, &alert));
        self.alerts.insert(sequence, alert);
        if self.alerts.len() <= self.most {
            return None;
        }
        let gone = self.leaving.pop_first()?.sequence;
        self.alerts.remove(&gone);
        Some(gone)
    }

    pub(super) fn at(&self, sequence: u64) -> Option<&Alert> {
        self.alerts.get(&sequence)
    }

    /// Changes an alert, which may change who goes first.
    pub(super) fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Alert)) {
        if let Some(alert) = self.alerts.get_mut(&sequence) {
            self.leaving.remove(&Leaving::of(sequence, alert));
            change(alert);
            self.leaving.insert(Leaving::of(sequence, alert));
        }
    }

    /// How many alerts are in each state, in the order of [`State::ALL`].
    pub(super) fn counts(&self, now_ms: u64) -> [usize; 3] {
        let mut counts = [0; 3];
        for alert in self.alerts.values() {
            let state = alert.state(now_ms);
            let places = counts.iter_mut().zip(State::ALL);
            places
                .filter(|(_, of)| *of == state)
                .for_each(|(count, _)| *count += 1);
        }
        counts
    }

    /// Seconds since the oldest open alert was decided; 0 where none is open.
    pub(super) fn oldest_open_s(&self, now_ms: u64) -> u64 {
        let mut alerts = self.alerts.values();
        let oldest = alerts.find(|alert| alert.state(now_ms) == State::Open);
        oldest.map_or(0, |alert| now_ms.saturating_sub(alert.scored_at) / 1_000)
    }

    pub(super) fn list(&self, now_ms: u64, wanted: &Wanted) -> Listing {
        let (places, accounts) = self.places(now_ms, wanted);
        let total = places.len();
        let behind = |place: &&Place| wanted.after.is_none_or(|after| **place > after);
        let mut rest = places.iter().filter(behind);
        let page: Vec<&Place> = rest.by_ref().take(wanted.limit).collect();
        let next = match rest.next() {
            Some(_) => page.last().map(|last| last.to_cursor()),
            None => None,
        };
        let rows = page.into_iter().filter_map(|place| {
            let alert = self.alerts.get(&place.sequence)?;
            Some(Row::new(
                now_ms,
                alert,
                accounts.get(alert.account.as_str()),
            ))
        });
        Listing {
            alerts: rows.collect(),
            next,
            total,
        }
    }

    /// One alert as a row, with what else is open of its account.
    pub(super) fn row(&self, now_ms: u64, sequence: u64) -> Option<Row> {
        let alert = self.alerts.get(&sequence)?;
        let wanted = Wanted {
            state: Some(State::Open),
            account: Some(alert.account.clone()),
            of: None,
            grouping: Grouping::Accounts,
            limit: 1,
            after: None,
        };
        let (_, accounts) = self.places(now_ms, &wanted);
        Some(Row::new(
            now_ms,
            alert,
            accounts.get(alert.account.as_str()),
        ))
    }

    /// The worst open alert of another account that comes behind this one, else the worst of all
    /// others.
    pub(super) fn next(&self, now_ms: u64, sequence: u64) -> Option<&Alert> {
        let alert = self.alerts.get(&sequence)?;
        let (here, wanted) = (Place::of(sequence, alert), Wanted::queue());
        let (places, _) = self.places(now_ms, &wanted);
        let others = places.iter().filter_map(|place| {
            let other = self.alerts.get(&place.sequence)?;
            (other.account != alert.account).then_some((place, other))
        });
        let others: Vec<(&Place, &Alert)> = others.collect();
        let behind = others.iter().find(|(place, _)| **place > here);
        behind.or_else(|| others.first()).map(|(_, other)| *other)
    }

    /// The places of the rows asked for, in order, and what the accounts come to.
    fn places(&self, now_ms: u64, wanted: &Wanted) -> (Vec<Place>, BTreeMap<&str, Account>) {
        let mut accounts: BTreeMap<&str, Account> = BTreeMap::new();
        let mut places = Vec::new();
        for (sequence, alert) in &self.alerts {
            if !wanted.admits(now_ms, alert) {
                continue;
            }
            let place = Place::of(*sequence, alert);
            let account = accounts.entry(&alert.account).or_insert(Account {
                worst: place,
                payments: 0,
                oldest: alert.scored_at,
            });
            account.worst = account.worst.min(place);
            account.payments += 1;
            account.oldest = account.oldest.min(alert.scored_at);
            places.push(place);
        }
        if wanted.grouping == Grouping::Accounts {
            places = accounts.values().map(|account| account.worst).collect();
        }
        places.sort_unstable();
        (places, accounts)
    }
}

impl Wanted {
    /// The queue as people work it: what is open, one row for each account.
    pub(super) fn queue() -> Self {
        Self {
            state: Some(State::Open),
            account: None,
            of: None,
            grouping: Grouping::Accounts,
            limit: LIMIT,
            after: None,
        }
    }

    fn admits(&self, now_ms: u64, alert: &Alert) -> bool {
        let account = self.account.as_deref();
        account.is_none_or(|account| alert.account == account)
            && self.state.is_none_or(|state| alert.state(now_ms) == state)
    }
}

impl Leaving {
    fn of(sequence: u64, alert: &Alert) -> Self {
        let is_wanted = alert.closed.is_none();
        let score = alert.score.filter(|_| is_wanted);
        Self {
            is_wanted,
            score: score.unwrap_or(0),
            sequence,
        }
    }
}

impl Place {
    fn of(sequence: u64, alert: &Alert) -> Self {
        Self {
            score: Reverse(alert.score.unwrap_or(0)),
            sequence,
        }
    }

    fn to_cursor(self) -> String {
        format!("{}-{:x}", self.score.0, self.sequence)
    }

    /// A place as [`Listing::next`] names it.
    pub(super) fn from_cursor(text: &str) -> Option<Self> {
        let (score, sequence) = text.split_once('-')?;
        Some(Self {
            score: Reverse(score.parse().ok()?),
            sequence: u64::from_str_radix(sequence, 16).ok()?,
        })
    }
}

impl Row {
    fn new(now_ms: u64, alert: &Alert, account: Option<&Account>) -> Self {
        let age_s = |since: u64| now_ms.saturating_sub(since) / 1_000;
        let state = alert.state(now_ms);
        let (reason_code, reason) = alert.reason.clone().unzip();
        Self {
            decision_id: alert.decision_id.clone(),
            txn_id: alert.txn_id.clone(),
            account: alert.account.clone(),
            state,
            verdict: alert.closed,
            snoozed_until: alert.snoozed_until.filter(|_| state == State::Snoozed),
            score: alert.score,
            band: alert.band.clone(),
            decision: alert.decision,
            reason_code,
            reason,
            ts: alert.ts,
            scored_at: alert.scored_at,
            age_s: age_s(alert.scored_at),
            amount_minor: alert.amount_minor,
            currency: alert.currency.clone(),
            outlet: alert.outlet.clone(),
            payments: account.map_or(0, |account| account.payments),
            oldest_age_s: account.map_or(0, |account| age_s(account.oldest)),
        }
    }
}

/// Rows of a page where nothing is said of it.
pub(super) const LIMIT: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_772_352_600_000;

    fn alert(sequence: u64, account: &str, score: Option<u16>) -> Alert {
        Alert {
            decision_id: format!("019ca8d2a400-{sequence:x}"),
            txn_id: format!("t{sequence}"),
            account: account.to_owned(),
            ts: 0,
            scored_at: NOW_MS - 60_000 + sequence * 1_000,
            score,
            band: None,
            decision: Decision::Review,
            reason: None,
            amount_minor: 1_250,
            currency: "EUR".to_owned(),
            outlet: None,
            closed: None,
            snoozed_until: None,
        }
    }

    fn index(most: usize, alerts: &[(&str, Option<u16>)]) -> (Index, Vec<u64>) {
        let mut index = Index::new(most);
        let gone = (0..)
            .zip(alerts)
            .filter_map(|(sequence, (account, score))| {
                index.open(sequence, alert(sequence, account, *score))
            });
        let gone = gone.collect();
        (index, gone)
    }

    fn ids(listing: &Listing) -> Vec<&str> {
        let rows = listing.alerts.iter();
        rows.map(|row| row.txn_id.as_str()).collect()
    }

    #[test]
    fn accounts_are_rows_the_worst_first_with_what_they_come_to() {
        let scores = [("a", 500), ("b", 700), ("a", 900), ("a", 900), ("c", 900)];
        let (index, _) = index(9, &scores.map(|(account, score)| (account, Some(score))));
        let listing = index.list(NOW_MS, &Wanted::queue());
        assert_eq!((ids(&listing), listing.total), (vec!["t2", "t4", "t1"], 3));
        let first = &listing.alerts[0];
        assert_eq!(
            (first.payments, first.age_s, first.oldest_age_s),
            (3, 58, 60)
        );
        let each = Wanted {
            grouping: Grouping::Alerts,
            account: Some("a".to_owned()),
            ..Wanted::queue()
        };
        assert_eq!(ids(&index.list(NOW_MS, &each)), ["t2", "t3", "t0"]);
        let next = |sequence| index.next(NOW_MS, sequence).unwrap().txn_id.as_str();
        assert_eq!([2, 4, 1].map(next), ["t4", "t1", "t2"]);
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_or_a_repetition() {
        let alerts: Vec<_> = (0..23).map(|at| ("a", Some(400 + at % 5))).collect();
        let (mut index, _) = index(99, &alerts);
        let mut wanted = Wanted {
            grouping: Grouping::Alerts,
            limit: 5,
            ..Wanted::queue()
        };
        let whole = Wanted {
            limit: 99,
            grouping: Grouping::Alerts,
            ..Wanted::queue()
        };
        let whole = index.list(NOW_MS, &whole);
        let mut seen = Vec::new();
        loop {
            let listing = index.list(NOW_MS, &wanted);
            seen.extend(listing.alerts.iter().map(|row| row.txn_id.clone()));
            let Some(next) = listing.next else { break };
            wanted.after = Place::from_cursor(&next);
            // What is worse than all that was seen belongs on no later page.
            index.open(1_000 + seen.len() as u64, alert(1_000, "z", Some(999)));
        }
        assert_eq!(seen, ids(&whole));
        for wrong in ["", "5", "5-", "-5", "70000-1", "5-g"] {
            assert!(Place::from_cursor(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn closed_alerts_go_first_then_the_lowest_scores_the_oldest_of_them_first() {
        let scores = [Some(500), Some(400), None, Some(400), Some(900)];
        let (mut index, gone) = index(5, &scores.map(|score| ("a", score)));
        assert!(gone.is_empty());
        index.change(4, |alert| alert.closed = Some(Verdict::Fraud));
        let mut open = |sequence, score| index.open(sequence, alert(sequence, "b", Some(score)));
        assert_eq!(open(5, 600), Some(4));
        assert_eq!(open(6, 600), Some(2));
        assert_eq!(open(7, 600), Some(1));
        assert_eq!(open(8, 100), Some(8));
        assert_eq!(open(9, 600), Some(3));
        assert!(index.at(8).is_none() && index.at(9).is_some());
    }

    #[test]
    fn a_snooze_ends_by_itself_and_a_verdict_does_not() {
        let (mut index, _) = index(9, &[("a", Some(500)), ("b", Some(600)), ("c", None)]);
        index.change(0, |alert| alert.snoozed_until = Some(NOW_MS + 1));
        index.change(1, |alert| alert.closed = Some(Verdict::Unknown));
        assert_eq!(index.counts(NOW_MS), [1, 1, 1]);
        assert_eq!(index.counts(NOW_MS + 1), [2, 0, 1]);
        let states = |now_ms| {
            let states = State::ALL.map(|state| Wanted {
                state: Some(state),
                ..Wanted::queue()
            });
            states.map(|wanted| ids(&index.list(now_ms, &wanted)).join(" "))
        };
        assert_eq!(states(NOW_MS), ["t2", "t0", "t1"]);
        assert_eq!(states(NOW_MS + 1), ["t0 t2", "", "t1"]);
        assert_eq!(index.oldest_open_s(NOW_MS), 58);
        assert_eq!(index.oldest_open_s(NOW_MS + 1), 60);
    }
}
