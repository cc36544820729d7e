//! What is told of alarms in one life of an agent, and in the next one, which reads the journal
//! again.

use serde_json::{Value, json};

use super::super::alarm::Figure;
use super::*;

/// A watch, and who tells of it.
struct Life {
    telling: Telling,
    alarms: Alarms,
}

impl Life {
    fn begin(kept: Kept) -> Self {
        Self {
            telling: Telling::new("bank-1", kept),
            alarms: Alarms::default(),
        }
    }

    /// One that has nothing to read again.
    fn live(kept: Kept) -> Self {
        let mut life = Self::begin(kept);
        assert!(!life.telling.caught_up(&life.alarms));
        life
    }

    /// Evaluates a change of the channel, one a day from `day` on.
    fn evaluate(&mut self, day: i32, changes: &[f64]) {
        for (day, change) in (day..).zip(changes) {
            self.take(
                day,
                vec![Figure::of(Rule::Feature, "channel", *change, *change)],
            );
        }
    }

    fn take(&mut self, day: i32, figures: Vec<Figure>) -> bool {
        let events = self.alarms.weigh(day, &figures);
        let evaluation = Evaluation {
            day,
            figures,
            events,
        };
        self.telling.weigh(&evaluation, &self.alarms)
    }

    /// What waits, as state, day since which it is and day on which it turned; the stream then has
    /// all of it.
    fn told(&mut self) -> Vec<(Turn, i32, i32)> {
        let events: Vec<AlarmEvent> = self.telling.kept.waiting.iter().cloned().collect();
        for event in &events {
            assert!(self.telling.confirmed(event.alert_id()));
        }
        let events = events.into_iter();
        events
            .map(|event| (event.state, event.since_day, event.day))
            .collect()
    }

    /// The process ends, and another one begins with what is on disk.
    fn again(self) -> Self {
        let text = serde_json::to_vec(self.telling.kept()).unwrap();
        Self::begin(serde_json::from_slice(&text).unwrap())
    }
}

const HIGH: f64 = 0.4;
/// What raises twice in a row, and what goes.
const RISE: [f64; 2] = [HIGH, HIGH];
const FALL: [f64; 2] = [0.0, 0.0];

#[test]
fn an_alarm_is_told_when_it_rises_and_when_it_goes_each_by_an_id_of_its_own() {
    let mut life = Life::live(Kept::default());
    life.evaluate(10, &[HIGH]);
    assert_eq!(life.telling.first(), None);
    life.evaluate(11, &[0.5, HIGH, 0.07, 0.0, 0.0]);
    let told: Vec<Value> = life
        .telling
        .kept
        .waiting
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    let event = |id: &str, state: &str, value: f64, day: i32| {
        json!({
            "event": "alert", "alert_id": id, "state": state, "rule": "feature",
            "subject": "channel", "value": value, "threshold": 0.1, "since_day": 11, "day": day,
            "bank": "bank-1",
        })
    };
    // printf '["bank-1","feature","channel",11,"raised"]' | sha256sum
    let (raised, cleared) = (
        "9f2c655021e67d023f0f40c0ac309621",
        "0c2b8bba471a074a999af087b23793b2",
    );
    let expected = [
        event(raised, "raised", 0.5, 11),
        event(cleared, "cleared", 0.0, 15),
    ];
    assert_eq!(told, expected);
    // The same rule of another bank is another alarm.
    let mut other = Telling::new("bank-2", Kept::default());
    other.caught_up(&life.alarms);
    let id = other.event(Turn::Raised, (Rule::Feature, "channel"), 11, None);
    assert_ne!(id.alert_id(), raised);
}

// Planted faults: told while the past is read, the day of the fall before is told a second time;
// without what was kept, the rise is.
#[test]
fn a_start_that_comes_to_the_same_alarms_tells_nothing_again() {
    let past = [RISE, FALL, RISE].concat();
    let mut life = Life::live(Kept::default());
    life.evaluate(10, &past);
    let expected = [
        (Turn::Raised, 11, 11),
        (Turn::Cleared, 11, 13),
        (Turn::Raised, 15, 15),
    ];
    assert_eq!(life.told(), expected);
    let mut life = life.again();
    life.evaluate(10, &past);
    assert!(!life.telling.caught_up(&life.alarms));
    assert!(life.told().is_empty());
    life.evaluate(16, &FALL);
    assert_eq!(life.told(), [(Turn::Cleared, 15, 17)]);
    // Nor does it where the alarm went.
    let mut life = life.again();
    life.evaluate(10, &[&past[..], &FALL].concat());
    assert!(!life.telling.caught_up(&life.alarms));
    assert!(life.told().is_empty());
}

#[test]
fn what_was_not_confirmed_waits_after_a_start_and_is_told_once() {
    let past = [RISE, FALL].concat();
    let mut life = Life::live(Kept::default());
    life.evaluate(10, &past);
    let mut life = life.again();
    life.evaluate(10, &past);
    life.telling.caught_up(&life.alarms);
    let expected = [(Turn::Raised, 11, 11), (Turn::Cleared, 11, 13)];
    assert_eq!(life.told(), expected);
}

// As where nobody was told before: what is open is told with the day since which it is, and what
// is over is not told.
#[test]
fn a_start_tells_what_it_missed_where_that_still_counts() {
    let mut life = Life::begin(Kept::default());
    life.evaluate(10, &[RISE, FALL, RISE, RISE].concat());
    assert!(life.told().is_empty());
    assert!(life.telling.caught_up(&life.alarms));
    assert_eq!(life.told(), [(Turn::Raised, 15, 17)]);
    // It went while nobody told of it.
    let mut life = life.again();
    life.evaluate(10, &[RISE, FALL, RISE, RISE, FALL].concat());
    assert!(life.telling.caught_up(&life.alarms));
    let gone = life.telling.first().unwrap();
    assert_eq!((gone.value, gone.threshold), (None, 0.1));
    assert_eq!(life.told(), [(Turn::Cleared, 15, 19)]);
}

// Mature payments are measured from the start on, and twice before they raise an alarm. Planted
// fault: told at once, each start clears it and raises it again.
#[test]
fn an_alarm_that_the_journal_does_not_tell_again_is_open_until_it_was_measured_twice() {
    let measured = |change: f64| vec![Figure::of(Rule::Calibration, "score", change, change)];
    let mut life = Life::live(Kept::default());
    for _ in 0..2 {
        life.take(10, measured(0.9));
    }
    assert_eq!(life.told(), [(Turn::Raised, 10, 10)]);
    for (change, expected) in [(0.9, vec![]), (0.1, vec![(Turn::Cleared, 10, 12)])] {
        let mut life = Life::begin(life.telling.kept().clone());
        life.evaluate(5, &[0.0; 4]);
        assert!(!life.telling.caught_up(&life.alarms));
        assert!(!life.take(12, measured(change)));
        life.take(12, measured(change));
        assert_eq!(life.told(), expected, "{change}");
    }
}

// Measures are evaluated several times a day.
#[test]
fn what_rises_a_second_time_on_a_day_is_told_on_the_next() {
    let mut life = Life::live(Kept::default());
    for change in [RISE, FALL, RISE].concat() {
        life.evaluate(10, &[change]);
    }
    let expected = [(Turn::Raised, 10, 10), (Turn::Cleared, 10, 10)];
    assert_eq!(life.told(), expected);
    life.evaluate(11, &[HIGH]);
    assert_eq!(life.told(), [(Turn::Raised, 11, 11)]);
}

#[test]
fn where_too_many_wait_the_oldest_stay_and_the_others_are_counted_and_told_if_they_still_count() {
    let mut life = Life::live(Kept::default());
    let figures = |change: f64| -> Vec<Figure> {
        (0..WAITING_MAX + 2)
            .map(|at| Figure::of(Rule::Missing, &format!("f{at:03}"), change, change))
            .collect()
    };
    life.take(1, figures(HIGH));
    life.take(2, figures(HIGH));
    let last = |life: &Life| {
        let last = life.telling.kept.waiting.back();
        last.map(|event| event.subject.clone())
    };
    assert_eq!(life.telling.kept.waiting.len(), WAITING_MAX);
    assert_eq!(last(&life).as_deref(), Some("f255"));
    assert_eq!(life.telling.take_left_out(), 2);
    // It is counted when it turns, and told once there is room.
    life.take(3, figures(HIGH));
    assert_eq!(life.telling.take_left_out(), 0);
    let first = life.telling.first().unwrap().alert_id().to_owned();
    life.telling.confirmed(&first);
    assert!(life.take(4, figures(HIGH)));
    assert_eq!(last(&life).as_deref(), Some("f256"));
    assert_eq!(life.telling.kept.waiting.len(), WAITING_MAX);
}

#[test]
fn what_was_told_of_alarms_long_gone_is_forgotten_and_of_open_ones_is_not() {
    let mut life = Life::live(Kept::default());
    life.evaluate(1, &RISE);
    life.told();
    for first in (0..TOLD_MAX).step_by(WAITING_MAX / 2) {
        for change in [HIGH, HIGH, 0.0, 0.0] {
            let names = (first..first + WAITING_MAX / 2).map(|at| format!("f{at}"));
            let figures = names.map(|name| Figure::of(Rule::Missing, &name, change, change));
            life.take(3, figures.collect());
        }
        life.told();
    }
    let told = &life.telling.kept.told;
    assert_eq!(told.len(), TOLD_MAX);
    assert!(told.iter().any(|last| last.subject == "channel"));
    assert!(!told.iter().any(|last| last.subject == "f0"));
}

#[test]
fn a_rule_has_one_word_wherever_it_is_told() {
    for rule in Rule::ALL {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.word());
    }
}
