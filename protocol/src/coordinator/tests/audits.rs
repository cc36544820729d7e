//! Spot audits (A20): honest sums pass, whoever is absent and whatever was restarted; a false sum
//! raises the alarm; and an answer that nothing signed holds is no answer.

use std::sync::Arc;

use super::rig::{Federation, bank_id, counts, plan};
use crate::blame::{Misbehaviour, Refusal};
use crate::coordinator::{Reading, Stretches};
use crate::event::{ClientEvent, CoordinatorEvent};
use crate::fixture::{self, key};
use crate::id::{Context, RoundId, Seat, Seats};
use crate::limits::AUDIT_PAGE_BYTES_MAX;
use crate::message::{
    AuditPart, AuditRequest, Audited, Opening, RoundOutcome, RoundResult, Stretch, ToClient,
    ToCoordinator,
};
use crate::party::{Output, Party};
use crate::plan::{Plan, RiskTerms, Width, Work};
use crate::signed::Signed;
use crate::vector;

/// Counts in three chunks, of which the last is short.
fn large() -> Work {
    counted(13_000)
}

/// Three counts a bucket.
fn counted(buckets: u32) -> Work {
    let Work::Risk(terms) = fixture::risk() else {
        panic!("it is a risk plan");
    };
    Work::Risk(RiskTerms {
        buckets,
        days: 1,
        ..terms
    })
}

/// Runs until each of these banks' first audits have ended.
#[track_caller]
fn run_audits(federation: &mut Federation, banks: &[usize]) {
    federation.run(|federation| {
        let has_ended = |&bank: &usize| !federation.banks[bank].audits().is_empty();
        banks.iter().all(has_ended)
    });
}

#[test]
fn honest_sums_pass_with_and_without_dropouts() {
    let plain = [(3, 0), (5, 0), (5, 1), (8, 2)].map(|sizes| (sizes, Width::Full));
    for ((banks, absent), width) in plain.into_iter().chain([((5, 1), Width::Packed)]) {
        let mut federation = Federation::new(banks);
        let present: Vec<usize> = (0..banks - absent).collect();
        let first_absent = banks - absent;
        federation.up = Box::new(move |bank, message| match message {
            ToCoordinator::Masked(_) if bank >= first_absent => Vec::new(),
            other => vec![other],
        });
        let plan = Plan {
            width,
            ..plan(large(), 1, 3)
        };
        federation.start(plan);
        run_audits(&mut federation, &present);
        federation.assert_sum_of(&present);
        for bank in present {
            let passed = ClientEvent::AuditPassed(RoundId(1), 2);
            assert_eq!(federation.banks[bank].audits(), [&passed]);
            assert_eq!(federation.banks[bank].blamed(), []);
        }
    }
}

/// Beyond 128 members a bank shares masks with some, and an absent one's are opened with those.
#[test]
fn sums_of_a_sparse_graph_pass_and_false_ones_do_not() {
    let mut federation = Federation::new(130);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Masked(_) if bank >= 128 => Vec::new(),
        other => vec![other],
    });
    federation.down = Box::new(|bank, message| match message {
        ToClient::Audited(audited) if bank == 7 => vec![ToClient::Audited(spoilt(audited))],
        other => vec![other],
    });
    federation.start(plan(counted(100), 1, 100));
    let present: Vec<usize> = (0..128).collect();
    run_audits(&mut federation, &present);
    federation.assert_sum_of(&present);
    let degree = federation.results()[0].manifest.unverified().degree;
    assert!(degree < 129, "the graph is full");
    for bank in present {
        let audits = federation.banks[bank].audits();
        match bank {
            7 => assert!(
                matches!(audits[..], [ClientEvent::Unaudited(..)]),
                "{audits:?}"
            ),
            _ => assert_eq!(audits, [&ClientEvent::AuditPassed(RoundId(1), 1)]),
        }
    }
}

/// An answer with one bit of a vector turned.
fn spoilt(mut audited: Box<Audited>) -> Box<Audited> {
    if let Audited::Chunk(_, stretch) = &mut *audited {
        stretch.pieces[0].bytes.0[5] ^= 1;
    }
    audited
}

/// A bank that was away from the round, but sat in its roster, audits it like the others.
#[test]
fn every_member_of_the_roster_may_audit() {
    let mut federation = Federation::new(5);
    federation.start(plan(fixture::risk(), 1, 3));
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Escrow(_) if bank == 4 => Vec::new(),
        other => vec![other],
    });
    run_audits(&mut federation, &[0, 1, 2, 3, 4]);
    let passed = ClientEvent::AuditPassed(RoundId(1), 1);
    assert_eq!(federation.banks[4].audits(), [&passed]);
}

#[test]
fn coordinator_that_restarts_still_answers() {
    let mut federation = Federation::new(5);
    federation.start(plan(large(), 1, 3));
    federation.down = Box::new(|_, message| match message {
        ToClient::Audited(_) => Vec::new(),
        other => vec![other],
    });
    federation.run_to(1);
    federation.crash();
    federation.down = Box::new(|_, message| vec![message]);
    run_audits(&mut federation, &[0, 1, 2, 3, 4]);
    for bank in 0..5 {
        let passed = ClientEvent::AuditPassed(RoundId(1), 2);
        assert_eq!(federation.banks[bank].audits(), [&passed]);
    }
}

/// A result whose sum is changed and signed again, as a lying coordinator would.
fn falsified(result: &RoundResult, change: fn(&mut [i32])) -> RoundResult {
    let mut result = result.clone();
    change(&mut result.sum);
    let outcome = RoundOutcome {
        sum: vector::sum_root(&result.sum),
        ..result.outcome.unverified().clone()
    };
    result.outcome = Signed::sign(outcome, &key(2));
    result
}

fn add(sum: &mut [i32], bank: usize, times: i32) {
    let counts = counts(bank, sum.len() - 6);
    for (word, count) in sum[6..].iter_mut().zip(counts) {
        *word += times * i32::try_from(count).unwrap();
    }
}

#[test]
fn false_sum_raises_the_alarm_and_ends_the_banks_part() {
    let lies: [fn(&mut [i32]); 4] = [
        |sum| sum[9] += 1,
        |sum| sum[6..].rotate_left(1),
        |sum| add(sum, 1, 1),
        |sum| add(sum, 2, -1),
    ];
    // The first word that each of them changes.
    let words = [9, 10, 7, 8];
    for (lie, word) in lies.into_iter().zip(words) {
        let mut federation = Federation::new(5);
        federation.down = Box::new(move |_, message| match message {
            ToClient::Result(result) => {
                vec![ToClient::Result(Arc::new(falsified(&result, lie)))]
            }
            other => vec![other],
        });
        federation.start(plan(fixture::risk(), 1, 3));
        run_audits(&mut federation, &[0, 1, 2, 3, 4]);
        for bank in 0..5 {
            let ends = federation.banks[bank].audits();
            let [ClientEvent::FalseSum { word: found, .. }] = ends[..] else {
                panic!("{word}: {ends:?}");
            };
            assert_eq!(*found, word);
        }
    }
}

/// One bank alone is lied to, once: it declines whatever comes, and the others go on.
#[test]
fn bank_that_found_a_false_sum_joins_no_further_round() {
    let mut federation = Federation::new(5);
    federation.start(plan(fixture::risk(), 1, 3));
    federation.run_to(1);
    federation.banks[4].client.distrust(RoundId(1));
    federation.start(plan(fixture::evaluate(), 1, 3));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 2);
    federation.assert_sum_of(&[0, 1, 2, 3]);
    let declined = CoordinatorEvent::Declined(bank_id(4), Refusal::FalseSum(RoundId(1)));
    assert!(federation.events.contains(&declined));
}

/// Spoils every answer to bank 0; the round has an absent member, so that there are pair keys.
fn lied_to(lie: impl Fn(&mut Audited) + 'static) -> Federation {
    let mut federation = Federation::new(5);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Masked(_) if bank == 4 => Vec::new(),
        other => vec![other],
    });
    federation.down = Box::new(move |bank, message| match message {
        ToClient::Audited(mut audited) if bank == 0 => {
            lie(&mut audited);
            vec![ToClient::Audited(audited)]
        }
        other => vec![other],
    });
    federation.start(plan(large(), 1, 3));
    run_audits(&mut federation, &[0, 1]);
    federation
}

#[track_caller]
fn assert_no_answer(federation: &Federation, why: &'static str) {
    let unaudited = ClientEvent::Unaudited(RoundId(1), "the coordinator does not answer");
    assert_eq!(federation.banks[0].audits(), [&unaudited], "{why}");
    let blamed = federation.banks[0].blamed();
    assert!(!blamed.is_empty(), "{why}");
    for misbehaviour in blamed {
        assert_eq!(misbehaviour, Misbehaviour::Audit(why));
    }
    let passed = ClientEvent::AuditPassed(RoundId(1), 2);
    assert_eq!(federation.banks[1].audits(), [&passed], "{why}");
}

/// A change to an answer, and the name that it is refused by.
struct Lie<T>(fn(&mut T), &'static str);

/// Each of these lies about what took the masks off ends in its name.
fn refused_by_name<const N: usize>(lies: [Lie<Opening>; N]) {
    for Lie(lie, why) in lies {
        let federation = lied_to(move |audited| {
            if let Audited::Opening(_, opening) = audited {
                lie(opening);
            }
        });
        assert_no_answer(&federation, why);
    }
}

#[test]
fn opening_that_nothing_signed_holds_is_refused_by_name() {
    let lies: [Lie<Opening>; 5] = [
        Lie(
            |it| it.escrowed = it.escrowed.iter().skip(1).collect(),
            "its U1 is not the acknowledged one",
        ),
        Lie(
            |it| it.headers.truncate(4),
            "its lists are not of the seats they are about",
        ),
        Lie(
            |it| it.self_secrets.truncate(3),
            "its lists are not of the seats they are about",
        ),
        Lie(
            |it| it.absent.clear(),
            "its lists are not of the seats they are about",
        ),
        Lie(
            |it| it.roots.swap(0, 1),
            "its roots are not the acknowledged ones",
        ),
    ];
    refused_by_name(lies);
}

#[test]
fn secret_or_key_that_nothing_signed_holds_is_refused_by_name() {
    let lies: [Lie<Opening>; 9] = [
        Lie(
            |it| it.headers.swap(0, 1),
            "a header is of another attempt or seat",
        ),
        Lie(
            |it| {
                let mut header = it.headers[1].unverified().clone();
                header.context = Context(header.sealed);
                it.headers[1] = Signed::sign(header, &key(11));
            },
            "a header is of another attempt or seat",
        ),
        Lie(
            |it| {
                let header = it.headers[1].unverified().clone();
                it.headers[1] = Signed::sign(header, &key(2));
            },
            "a header is not signed by its seat",
        ),
        Lie(
            |it| it.self_secrets.swap(0, 1),
            "a secret is not the signed one",
        ),
        Lie(
            |it| it.absent[0].commitments[0][0] ^= 1,
            "commitments are not the signed ones",
        ),
        Lie(
            |it| it.absent[0].keys[0][0] ^= 1,
            "a pair key is not the committed one",
        ),
        Lie(
            |it| it.absent[0].keys.truncate(3),
            "a pair key is not the committed one",
        ),
        Lie(
            |it| it.absent[0].keys.push([0; 32]),
            "it holds more pair keys than pairs",
        ),
        Lie(
            |it| it.absent[0].commitments.truncate(3),
            "commitments are not the signed ones",
        ),
    ];
    refused_by_name(lies);
}

/// Everything else may hold: what is told must also be what the outcome says was opened.
#[test]
fn opening_that_the_outcome_does_not_name_is_refused() {
    let mut federation = Federation::new(5);
    federation.down = Box::new(|bank, message| match message {
        ToClient::Result(result) if bank == 0 => {
            let mut result = (*result).clone();
            let outcome = RoundOutcome {
                revealed: vector::sum_root(&[]),
                ..result.outcome.unverified().clone()
            };
            result.outcome = Signed::sign(outcome, &key(2));
            vec![ToClient::Result(Arc::new(result))]
        }
        other => vec![other],
    });
    federation.start(plan(large(), 1, 3));
    run_audits(&mut federation, &[0, 1]);
    // Its ledger is another from here on, which is blamed besides.
    let why = Misbehaviour::Audit("it is not what the outcome says was opened");
    assert!(federation.banks[0].blamed().contains(&why));
    let unaudited = ClientEvent::Unaudited(RoundId(1), "the coordinator does not answer");
    assert_eq!(federation.banks[0].audits(), [&unaudited]);
}

#[test]
fn piece_that_is_not_under_an_acknowledged_root_is_refused_by_name() {
    let elsewhere = "a piece is not under the acknowledged root";
    let number = "it holds no piece, or more than were asked for";
    let lies: [Lie<Stretch>; 7] = [
        Lie(|it| it.pieces[1].bytes.0[5] ^= 1, elsewhere),
        Lie(|it| it.pieces[0].bytes.0.truncate(7), elsewhere),
        Lie(|it| it.pieces.swap(0, 1), elsewhere),
        Lie(|it| it.pieces[2].path.truncate(0), elsewhere),
        Lie(|it| it.pieces[2].path[0].0[0] ^= 1, elsewhere),
        Lie(|it| it.pieces.clear(), number),
        Lie(|it| it.pieces.push(it.pieces[0].clone()), number),
    ];
    for Lie(lie, why) in lies {
        let federation = lied_to(move |audited| {
            if let Audited::Chunk(_, stretch) = audited {
                lie(stretch);
            }
        });
        assert_no_answer(&federation, why);
    }
}

#[test]
fn answer_about_an_attempt_that_was_not_asked_about_is_foreign() {
    let federation = lied_to(|audited| {
        if let Audited::Opening(context, _) = audited {
            *context = Context(vector::sum_root(&[]));
        }
    });
    assert!(
        federation.banks[0]
            .blamed()
            .contains(&Misbehaviour::Context("audit answer"))
    );
    let unaudited = ClientEvent::Unaudited(RoundId(1), "the coordinator does not answer");
    assert_eq!(federation.banks[0].audits(), [&unaudited]);
}

/// Another chunk, or a page that was there already, is late or repeated: nothing is added twice.
#[test]
fn stretch_of_another_place_is_not_counted() {
    for lie in [
        (|it: &mut Stretch| it.chunk ^= 1) as fn(&mut Stretch),
        |it| it.from += 1,
    ] {
        let federation = lied_to(move |audited| {
            if let Audited::Chunk(_, stretch) = audited {
                lie(stretch);
            }
        });
        let unaudited = ClientEvent::Unaudited(RoundId(1), "the coordinator does not answer");
        assert_eq!(federation.banks[0].audits(), [&unaudited]);
    }
}

#[test]
fn coordinator_that_answers_nobody_wedges_nobody() {
    let mut federation = Federation::new(5);
    federation.down = Box::new(|_, message| match message {
        ToClient::Audited(_) => Vec::new(),
        other => vec![other],
    });
    federation.start(plan(fixture::risk(), 1, 3));
    run_audits(&mut federation, &[0, 1, 2, 3, 4]);
    for bank in 0..5 {
        let unaudited = ClientEvent::Unaudited(RoundId(1), "the coordinator does not answer");
        assert_eq!(federation.banks[bank].audits(), [&unaudited]);
        assert_eq!(federation.banks[bank].blamed(), []);
    }
    federation.start(plan(fixture::evaluate(), 1, 3));
    federation.run_to(2);
}

#[test]
fn later_result_ends_an_audit_that_was_not_answered() {
    let mut federation = Federation::new(5);
    federation.down = Box::new(|_, message| match message {
        ToClient::Audited(_) => Vec::new(),
        other => vec![other],
    });
    federation.start(plan(fixture::risk(), 1, 3));
    federation.start(plan(fixture::evaluate(), 1, 3));
    federation.run_to(2);
    let unaudited = ClientEvent::Unaudited(RoundId(1), "a later result came first");
    assert_eq!(federation.banks[0].audits(), [&unaudited]);
}

/// The outputs that one bank's question leads to.
fn asked(federation: &mut Federation, part: AuditPart) -> (Option<Stretches>, Option<Audited>) {
    let result = federation.results()[0].outcome.unverified();
    let context = result.context;
    let (desk, from) = (&mut federation.coordinator.desk, bank_id(0));
    let request = AuditRequest { context, part };
    desk.audits.on_request(from, request, &mut desk.out);
    match federation.coordinator.poll_output() {
        Some(Output::Perform(Reading::Vectors(reading))) => (Some(reading), None),
        Some(Output::Send {
            message: ToClient::Audited(audited),
            ..
        }) => (None, Some(*audited)),
        _ => (None, None),
    }
}

#[test]
fn one_bank_has_one_page_read_at_a_time() {
    let mut federation = Federation::new(5);
    federation.start(plan(large(), 1, 3));
    run_audits(&mut federation, &[0, 1, 2, 3, 4]);
    let part = AuditPart::Chunk { chunk: 2, from: 3 };
    let (reading, _) = asked(&mut federation, part);
    let reading = reading.unwrap();
    assert_eq!(reading.seats, [Seat(3), Seat(4)]);
    let bytes = reading.bytes.end - reading.bytes.start;
    assert!(bytes as usize * reading.seats.len() <= AUDIT_PAGE_BYTES_MAX);
    assert_eq!(asked(&mut federation, part), (None, None));
}

#[test]
fn question_about_what_is_not_there_is_answered_with_nothing() {
    let mut federation = Federation::new(5);
    federation.start(plan(large(), 1, 3));
    run_audits(&mut federation, &[0]);
    let context = federation.results()[0].outcome.unverified().context;
    let gone = (None, Some(Audited::Gone(context)));
    for part in [
        AuditPart::Chunk { chunk: 3, from: 0 },
        AuditPart::Chunk { chunk: 0, from: 5 },
        AuditPart::Chunk {
            chunk: u32::MAX,
            from: u16::MAX,
        },
    ] {
        assert_eq!(asked(&mut federation, part), gone);
    }
    federation.start(plan(fixture::evaluate(), 1, 3));
    federation.run_to(2);
    assert_eq!(asked(&mut federation, AuditPart::Opening), gone);
}

/// Seats without an escrow are no part of an opening, wherever they are in the roster.
#[test]
fn opening_is_of_the_escrowed_and_no_others() {
    let mut federation = Federation::new(5);
    federation.up = Box::new(|bank, message| match message {
        ToCoordinator::Escrow(_) if bank == 2 => Vec::new(),
        other => vec![other],
    });
    federation.start(plan(fixture::risk(), 1, 3));
    federation.run(|federation| federation.coordinator.desk.ledger.length() == 1);
    let (_, audited) = asked(&mut federation, AuditPart::Opening);
    let Some(Audited::Opening(_, opening)) = audited else {
        panic!("{audited:?}");
    };
    let escrowed: Seats = [0, 1, 3, 4].into_iter().map(Seat).collect();
    assert_eq!((opening.escrowed, opening.headers.len()), (escrowed, 4));
}
