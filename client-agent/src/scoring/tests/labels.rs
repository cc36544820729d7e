//! Labels from a body to the vectors of later payments: each is read from when it was known until
//! the next one was, also after a restart.

use super::*;

const DAY_MS: i64 = 24 * HOUR_MS;

/// The labelled payment: the only one of its day at its terminal.
fn scored(bank: &Bank) -> Scoring {
    let scoring = bank.start();
    let fraud = payment("f", "c1", START_MS, 5_000);
    scoring.score(&body(&fraud)).unwrap();
    scoring
}

fn label(fraud: bool, known_at: i64) -> Value {
    json!({"txn_id": "f", "fraud": fraud, "known_at": known_at, "source": "analyst"})
}

fn tell(scoring: &Scoring, label: &Value) -> LabelAnswer {
    let body = serde_json::to_vec(label).unwrap();
    scoring.label(&body).unwrap().remove(0)
}

fn refusal(scoring: &Scoring, label: &Value) -> ProblemType {
    let answer = tell(scoring, label);
    assert_eq!(answer.status, LabelStatus::Refused);
    answer.problem.unwrap().kind
}

/// Scores a payment at each of these times, and reads from the journal how many frauds its terminal
/// had in the windows that end a label delay before, as ln(1 + frauds).
fn frauds(bank: &Bank, scoring: Scoring, times: &[i64]) -> Vec<f32> {
    for (at, ts) in times.iter().enumerate() {
        let later = payment(&format!("p{at}"), "c2", *ts, 1_000);
        scoring.score(&body(&later)).unwrap();
    }
    drop(scoring);
    let column = FeatureSchema::standard()
        .position("own_frauds_21d")
        .unwrap();
    let journal = open(bank.folder.path());
    let ids = (0..times.len()).map(|at| format!("p{at}"));
    ids.map(|id| journal.find(&id).unwrap().unwrap().vector[column])
        .collect()
}

/// Half a day after the label delay: the labelled payment is in every window.
const READ_MS: i64 = START_MS + 15 * DAY_MS / 2;

// Before the fraud was known, while it was, and after it was withdrawn: in that order and not,
// with the withdrawal told first, with a restart after each. The last payment comes late and reads
// what was known at its own time.
#[test]
fn a_superseded_label_is_read_before_its_withdrawal_and_not_after() {
    let (fraud, genuine) = (
        label(true, READ_MS + 60_000),
        label(false, READ_MS + 180_000),
    );
    let times = [0, 120_000, 240_000, 130_000].map(|after| READ_MS + after);
    let one = 2_f64.ln() as f32;
    for told in [[&fraud, &genuine], [&genuine, &fraud]] {
        let (restarted, whole) = (Bank::new(), Bank::new());
        let scoring = scored(&whole);
        for label in told {
            assert_eq!(tell(&scoring, label).status, LabelStatus::Accepted);
        }
        assert_eq!(frauds(&whole, scoring, &times), [0.0, one, 0.0, one]);
        drop(scored(&restarted));
        for label in told {
            let answer = tell(&restarted.start(), label);
            assert_eq!(answer.status, LabelStatus::Accepted);
        }
        let scoring = restarted.start();
        assert_eq!(frauds(&restarted, scoring, &times), [0.0, one, 0.0, one]);
    }
}

#[test]
fn a_retry_is_a_duplicate_and_is_kept_once() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let undated = json!({"txn_id": "f", "fraud": true, "source": "customer"});
    let first = tell(&scoring, &undated);
    assert_eq!(
        (first.status, first.label_id.as_ref().unwrap().len()),
        (LabelStatus::Accepted, 64)
    );
    let check = |scoring: Scoring| {
        let again = tell(&scoring, &undated);
        assert_eq!(
            (again.status, &again.label_id),
            (LabelStatus::Duplicate, &first.label_id)
        );
    };
    check(scoring);
    check(bank.start());
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    assert_eq!((labels.len(), labels[0].source.as_str()), (1, "customer"));
    assert!(labels[0].known_at >= START_MS);
}

/// What was said of the labelled payment, in order of arrival, and whether each was known after
/// those before it.
fn told(bank: &Bank) -> (Vec<bool>, bool) {
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    let is_later = labels.is_sorted_by(|one, next| one.known_at < next.known_at);
    (labels.iter().map(|label| label.fraud).collect(), is_later)
}

// The words are the same as the first time, so that the label has the same id.
#[test]
fn a_word_without_a_date_that_goes_back_to_an_earlier_one_is_kept() {
    let bank = Bank::new();
    let mut scoring = scored(&bank);
    let say = |scoring: &Scoring, fraud: bool| {
        tell(
            scoring,
            &json!({"txn_id": "f", "fraud": fraud, "source": "analyst"}),
        )
    };
    let mut ids = Vec::new();
    for fraud in [true, false, true] {
        let answer = say(&scoring, fraud);
        assert_eq!(answer.status, LabelStatus::Accepted);
        assert_eq!(say(&scoring, fraud).status, LabelStatus::Duplicate);
        drop(scoring);
        scoring = bank.start();
        assert_eq!(say(&scoring, fraud).status, LabelStatus::Duplicate);
        ids.push(answer.label_id.unwrap());
    }
    assert!(ids[0] == ids[2] && ids[0] != ids[1]);
    // Which of the two it takes the place of is the one that stands.
    let mut after = label(false, START_MS + 1);
    after["supersedes"] = json!(ids[2]);
    assert_eq!(refusal(&scoring, &after), ProblemType::KnownTooEarly);
    drop(scoring);
    assert_eq!(told(&bank), (vec![true, false, true], true));
}

/// Tells a label as a stream delivers it that took it in at the time `published_ms`.
fn deliver(scoring: &Scoring, published_ms: i64, label: &Value) -> LabelAnswer {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let body = serde_json::to_vec(label).unwrap();
    let taken = scoring.take_labels(Some(published_ms), &body);
    runtime.block_on(taken).unwrap().remove(0)
}

#[test]
fn a_word_that_a_stream_delivers_again_undoes_no_correction() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let say = |fraud: bool| json!({"txn_id": "f", "fraud": fraud, "source": "analyst"});
    let first = deliver(&scoring, START_MS + 1, &say(true));
    assert_eq!(first.status, LabelStatus::Accepted);
    let correction = deliver(&scoring, START_MS + 2, &say(false));
    assert_eq!(correction.status, LabelStatus::Accepted);
    let again = deliver(&scoring, START_MS + 1, &say(true));
    assert_eq!(
        (again.status, again.label_id),
        (LabelStatus::Duplicate, first.label_id)
    );
    // What comes without a stream comes after them.
    assert_eq!(tell(&scoring, &say(true)).status, LabelStatus::Accepted);
    let again = deliver(&scoring, START_MS + 2, &say(false));
    assert_eq!(again.status, LabelStatus::Duplicate);
    drop(scoring);
    assert_eq!(told(&bank), (vec![true, false, true], true));
}

#[test]
fn a_streams_stamp_is_the_date_of_a_word_without_one() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let undated = json!({"txn_id": "f", "fraud": true, "source": "analyst"});
    // The stream's clock may be behind the payment's; a sender's date is the sender's to mend.
    let behind = deliver(&scoring, START_MS - 9, &undated);
    assert_eq!(behind.status, LabelStatus::Accepted);
    let early = deliver(&scoring, START_MS + 9, &label(true, START_MS - 8));
    assert_eq!(early.problem.unwrap().kind, ProblemType::KnownTooEarly);
    for label in [undated, label(true, START_MS + 5)] {
        let answer = deliver(&scoring, START_MS + 9, &label);
        assert_eq!(answer.status, LabelStatus::Accepted);
    }
    let ahead = Clock::start().now().0 + 3_600_000;
    let ahead = i64::try_from(ahead).unwrap();
    let genuine = json!({"txn_id": "f", "fraud": false, "source": "analyst"});
    let future = deliver(&scoring, ahead, &genuine);
    assert_eq!(future.problem.unwrap().kind, ProblemType::TooFuture);
    drop(scoring);
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    let known_at = labels.iter().map(|label| label.known_at - START_MS);
    assert_eq!(known_at.collect::<Vec<_>>(), [0, 9, 5]);
}

// Then labels are known no earlier than the payment, all at the same moment of ours.
#[test]
fn words_of_a_payment_that_is_ahead_of_the_clock_count_as_they_come() {
    let bank = Bank::new();
    let scoring = bank.start();
    let ahead = i64::try_from(Clock::start().now().0).unwrap() + 60_000;
    scoring
        .score(&body(&payment("f", "c1", ahead, 5_000)))
        .unwrap();
    for fraud in [true, false] {
        let undated = json!({"txn_id": "f", "fraud": fraud, "source": "analyst"});
        assert_eq!(tell(&scoring, &undated).status, LabelStatus::Accepted);
    }
    drop(scoring);
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    assert_eq!(labels[0].known_at, ahead);
    assert_eq!(told(&bank), (vec![true, false], true));
}

#[test]
fn each_refusal_says_why_and_changes_nothing() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let mut stranger = label(true, START_MS + 1);
    stranger["txn_id"] = json!("h1");
    assert_eq!(refusal(&scoring, &stranger), ProblemType::UnknownTxn);
    let early = label(true, START_MS - 1);
    assert_eq!(refusal(&scoring, &early), ProblemType::KnownTooEarly);
    let far = label(true, 3_900_000_000_000);
    assert_eq!(refusal(&scoring, &far), ProblemType::TooFuture);
    let mut after = label(false, START_MS + 2);
    after["supersedes"] = json!("ab".repeat(32));
    assert_eq!(refusal(&scoring, &after), ProblemType::UnknownLabel);
    let first = tell(&scoring, &label(true, START_MS + 2));
    after["supersedes"] = json!(first.label_id);
    assert_eq!(refusal(&scoring, &after), ProblemType::KnownTooEarly);
    after["known_at"] = json!(START_MS + 3);
    assert_eq!(tell(&scoring, &after).status, LabelStatus::Accepted);
    for more in 10..40 {
        tell(&scoring, &label(true, START_MS + more));
    }
    let more = label(true, START_MS + 99);
    assert_eq!(refusal(&scoring, &more), ProblemType::TooManyLabels);
    assert_eq!(
        tell(&scoring, &label(true, START_MS + 2)).status,
        LabelStatus::Duplicate
    );
    drop(scoring);
    let journal = open(bank.folder.path());
    assert_eq!(journal.labels_of("f").unwrap().len(), 32);
    assert_eq!(journal.follow().reach().labels, 32);
}

/// The labelled payment's label that happened at a time, and is known since another.
fn dated(event_at: i64, known_at: i64) -> Value {
    let mut dated = label(true, known_at);
    dated["event_at"] = json!(event_at);
    dated
}

// Planted faults: an event that is not held against `known_at`, or against the payment.
#[test]
fn an_event_lies_before_it_is_known_and_not_a_year_before_its_payment() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let (longest, known_at) = (START_MS - 366 * DAY_MS, START_MS + 5);
    for (event_at, kind) in [
        (known_at + 1, ProblemType::KnownTooEarly),
        (longest - 1, ProblemType::Schema),
        (0, ProblemType::Schema),
        (3_900_000_000_000, ProblemType::TooFuture),
    ] {
        let answer = tell(&scoring, &dated(event_at, known_at));
        assert_eq!(answer.status, LabelStatus::Refused, "{event_at}");
        let problem = answer.problem.unwrap();
        let found = (problem.kind, problem.field.as_deref());
        assert_eq!(found, (kind, Some("event_at")), "{event_at}");
    }
    let taken = [longest, START_MS - 1, START_MS, known_at];
    for event_at in taken {
        let answer = tell(&scoring, &dated(event_at, known_at));
        assert_eq!(answer.status, LabelStatus::Accepted, "{event_at}");
        let again = tell(&scoring, &dated(event_at, known_at));
        assert_eq!(again.status, LabelStatus::Duplicate, "{event_at}");
    }
    assert_eq!(
        tell(&scoring, &label(true, known_at)).status,
        LabelStatus::Accepted
    );
    drop(scoring);
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    let told: Vec<_> = labels.iter().map(|label| label.event_at).collect();
    let expected = taken.map(Some).into_iter().chain([None]);
    assert!(told.into_iter().eq(expected));
}

// The event may be ahead of our clock, or of the stream's, as far as a payment may.
#[test]
fn a_word_without_a_date_is_known_no_earlier_than_its_event() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let ahead = i64::try_from(Clock::start().now().0).unwrap() + 60_000;
    let say = |event_at: i64| {
        let mut undated = dated(event_at, 0);
        undated["known_at"] = Value::Null;
        undated
    };
    let streamed = deliver(&scoring, START_MS + 1, &say(START_MS + 9));
    assert_eq!(streamed.status, LabelStatus::Accepted);
    assert_eq!(tell(&scoring, &say(ahead)).status, LabelStatus::Accepted);
    drop(scoring);
    let labels = open(bank.folder.path()).labels_of("f").unwrap();
    let known_at: Vec<_> = labels.iter().map(|label| label.known_at).collect();
    assert_eq!(known_at, [START_MS + 9, ahead]);
}

#[test]
fn a_list_is_answered_in_its_order() {
    let bank = Bank::new();
    let scoring = scored(&bank);
    let mut unknown = label(true, START_MS + 5);
    unknown["txn_id"] = json!("nobody");
    let one = label(true, START_MS + 5);
    let mut list = vec![unknown; 150];
    list[120] = one.clone();
    list[149] = one;
    let answers = scoring.label(&serde_json::to_vec(&list).unwrap()).unwrap();
    let kept: Vec<usize> = (0..150)
        .filter(|&at| answers[at].status != LabelStatus::Refused)
        .collect();
    assert_eq!(kept, [120, 149]);
    assert_eq!(answers[149].status, LabelStatus::Duplicate);
    assert_eq!(answers[120].label_id, answers[149].label_id);
    let told = serde_json::to_value(&answers[120]).unwrap();
    assert_eq!(told["status"], "accepted");
    assert!(told.get("problem").is_none());
}
