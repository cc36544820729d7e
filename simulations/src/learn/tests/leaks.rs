//! What becomes known too late is not learnt; where it were, that would be seen.

use super::super::consortium::{Shown, Side};
use super::super::feed::Verdict;
use super::*;

fn dealt(ground: &Ground) -> Consortium<'_> {
    let deal = Deal {
        split: Split::Iid,
        banks: 4,
        regional: 1.0,
        table: None,
    };
    Consortium::new(ground, deal, 1, 1).unwrap()
}

/// The training rows of all banks together, with every label.
fn learnt(consortium: &Consortium<'_>, week: &Week) -> model::Examples {
    let shown = Shown {
        week,
        share: 1.0,
        side: Side::Train,
    };
    consortium.training(consortium.ground.pooled().unwrap(), shown)
}

/// The training rows of all banks together, and the outcome of the federation, of a feed.
fn training_and_outcome(args: &Args, feed: Feed) -> (model::Examples, measures::Outcome) {
    let weeks = weeks(args, &feed);
    let ground = ground(args.masks(), feed, FeatureSchema::standard(), &weeks).unwrap();
    let consortium = dealt(&ground);
    let rows = learnt(&consortium, &weeks[0]);
    let terms = args.terms();
    let arms = Arms::new(&consortium, weeks[0], &terms, 1);
    let outcomes = arms.run(Setting::Federated, 1.0, &mut |_| {}).unwrap();
    (rows, outcomes[0].1.clone())
}

/// Turns every fraud that was known from `day` on into a genuine payment; how many there were.
fn forget(feed: &mut Feed, day: i32) -> usize {
    let cutoff = i64::from(day) * feed::DAY_MS;
    let is_late = |verdict| matches!(verdict, Verdict::Fraud { known_at } if known_at >= cutoff);
    let late = feed
        .payments
        .iter_mut()
        .filter(|payment| is_late(payment.verdict));
    late.map(|payment| payment.verdict = Verdict::Genuine)
        .count()
}

/// How frauds that became known too late can leak into what is learnt.
#[derive(Clone, Copy, PartialEq)]
enum Leak {
    None,
    /// Labels are read up to the end of the judged days.
    Cutoff,
    /// Every fraud counts as known when it happened, in labels and in the counts of frauds.
    Foresight,
}

/// What the banks learn from, where the frauds that became known from some day on never do.
fn learnt_from(args: &Args, forgotten_from: Option<i32>, leak: Leak) -> model::Examples {
    let mut feed = feed(args);
    let weeks = weeks(args, &feed);
    if let Some(day) = forgotten_from {
        assert!(forget(&mut feed, day) > 20);
    }
    if leak == Leak::Foresight {
        for payment in &mut feed.payments {
            if let Verdict::Fraud { known_at } = &mut payment.verdict {
                *known_at = payment.ts;
            }
        }
    }
    let mut week = weeks[0];
    if leak == Leak::Cutoff {
        week.test_from = week.test_to;
    }
    let mut ground = ground(args.masks(), feed, FeatureSchema::standard(), &weeks).unwrap();
    if leak == Leak::Foresight {
        ground.delay = 0;
    }
    learnt(&dealt(&ground), &week)
}

/// Labels and values that differ.
fn differences(a: &model::Examples, b: &model::Examples) -> (usize, usize) {
    let unlike = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b);
        pairs.filter(|(a, b)| a.to_bits() != b.to_bits()).count()
    };
    assert_eq!(a.values.len(), b.values.len());
    (unlike(&a.label, &b.label), unlike(&a.values, &b.values))
}

// The truth that judges stays as it is; only what the banks come to believe too late goes.
#[test]
fn a_label_that_came_too_late_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), &[]);
    let whole = feed(&args);
    let week = weeks(&args, &whole)[0];
    let cutoff = i64::from(week.test_from) * feed::DAY_MS;
    let in_training = whole.payments.iter().filter(|payment| {
        let is_late = matches!(payment.verdict, Verdict::Fraud { known_at } if known_at >= cutoff);
        is_late && week.train().contains(&payment.day())
    });
    assert!(
        in_training.count() > 3,
        "some reports of training days come too late"
    );
    let (rows, outcome) = training_and_outcome(&args, whole);
    let frauds = rows.label.iter().filter(|label| **label == 1.0).count();
    assert!(frauds > 10, "{frauds}");
    // What is not known before the judged days is not learnt.
    let late = learnt_from(&args, Some(week.test_from), Leak::None);
    assert_eq!(differences(&rows, &late), (0, 0));
    // What is not known before their end is not read at all.
    let mut forgetful = feed(&args);
    assert!(forget(&mut forgetful, week.test_to) > 20);
    let (rows_late, outcome_late) = training_and_outcome(&args, forgetful);
    assert_eq!(differences(&rows, &rows_late), (0, 0));
    assert_eq!(outcome, outcome_late);
}

// The planted faults: a cutoff that is a week late, and labels that are believed at once. The same
// comparison has to see both; the second in the counts of frauds too.
#[test]
fn a_label_that_is_used_before_it_was_known_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), &[]);
    let from = weeks(&args, &feed(&args))[0].test_from;
    let seen = |leak| {
        let whole = learnt_from(&args, None, leak);
        differences(&whole, &learnt_from(&args, Some(from), leak))
    };
    assert_eq!(seen(Leak::None), (0, 0));
    assert!(seen(Leak::Cutoff).0 > 3);
    let (labels, counts) = seen(Leak::Foresight);
    assert!(labels > 3 && counts > 0, "{labels} labels, {counts} counts");
}
