//! Many payments in one body: their order, a refusal among answers, the bounds, and who waits for
//! whom.

use std::future::poll_fn;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;

use super::refusals::unserved;
use super::socket::{ask, door, with_server};
use super::*;
use crate::scoring::batch::{BATCH_BYTES_MAX, BATCHES_MAX, LINES_MAX, Told, pass_on, score_lines};
use crate::scoring::times::Times;

#[test]
fn answers_come_in_the_order_of_the_lines_and_a_bad_line_harms_no_other() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let mut long = payment("t11", "c0", START_MS, 100);
    long["colour"] = json!("x".repeat(70_000));
    let mut lines: Vec<Vec<u8>> = (0..40).map(stream).collect();
    let bad = [
        (7, b"{".to_vec(), "schema"),
        (8, Vec::new(), "schema"),
        (9, b"{\"txn\":{}}".to_vec(), "missing_field"),
        (10, b"{\"pan\":1,\"txn\":{}}".to_vec(), "pan_detected"),
        (11, body(&long), "too_large"),
    ];
    for (at, line, _) in &bad {
        lines[*at].clone_from(line);
    }
    with_server(door(scoring.clone()).router(), |address| {
        let (head, told) = post(address, &lines.join(&b'\n'));
        assert!(head.contains(" 200 OK"), "{head}");
        assert!(head.contains("application/x-ndjson"), "{head}");
        assert_eq!(told.len(), lines.len());
        for (at, told) in told.iter().enumerate() {
            match bad.iter().find(|(place, _, _)| *place == at) {
                Some((_, _, kind)) => {
                    assert_eq!(
                        (&told["line"], &told["type"]),
                        (&json!(at + 1), &json!(kind))
                    );
                }
                None => {
                    assert_eq!(told["txn_id"], format!("t{at}"));
                    assert_eq!(told["mode"], "full");
                    assert!(told.get("line").is_none(), "{told}");
                }
            }
        }
    });
    assert_eq!(scoring.scored(), 35);
}

#[test]
fn a_retry_within_a_batch_gets_the_first_answer() {
    let bank = Bank::new();
    let other = body(&payment("t0", "c0", START_MS, 1));
    let lines = [stream(0), stream(1), stream(0), other, Vec::new()];
    with_server(door(bank.start()).router(), |address| {
        // The newline at the end ends the last line, and begins none.
        let (_, told) = post(address, &lines.join(&b'\n'));
        assert_eq!(told.len(), 4);
        let replayed: Vec<_> = told[..3].iter().map(|told| &told["replayed"]).collect();
        assert_eq!(replayed, [false, false, true]);
        assert_eq!(told[2]["decision_id"], told[0]["decision_id"]);
        assert_eq!(told[3]["type"], "txn_id_conflict");
        assert_eq!(told[3]["line"], 4);
    });
}

#[test]
fn a_batch_beyond_its_bounds_is_refused_whole() {
    let bank = Bank::new();
    let scoring = bank.start();
    with_server(door(scoring.clone()).router(), |address| {
        let lines = vec![b"{}".to_vec(); LINES_MAX];
        let (head, told) = post(address, &lines.join(&b'\n'));
        assert!(head.contains(" 200 OK"), "{head}");
        assert_eq!(told.len(), LINES_MAX);
        assert_eq!(told[LINES_MAX - 1]["line"], LINES_MAX);

        let (head, problem) = post(address, &vec![stream(0); LINES_MAX + 1].join(&b'\n'));
        assert!(head.contains(" 413 "), "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert_eq!(problem[0]["type"], "too_large");
        let detail = problem[0]["detail"].as_str().unwrap();
        assert!(
            detail.contains("1001 lines") && detail.contains("at most 1000"),
            "{detail}"
        );

        let length = BATCH_BYTES_MAX + 1;
        let head = format!("POST /v1/score/batch HTTP/1.1\r\nContent-Length: {length}\r\n");
        let (head, text) = ask(address, head.as_bytes(), b"");
        assert!(
            head.contains(" 413 ") && text.contains("too_large"),
            "{head} {text}"
        );

        let (head, problem) = post(address, b"");
        assert!(head.contains(" 400 "), "{head}");
        assert_eq!(problem[0]["type"], "schema");
    });
    assert_eq!(scoring.scored(), 0);
}

#[test]
fn batches_at_once_are_bounded() {
    let bank = Bank::new();
    let scoring = bank.start();
    with_server(door(scoring.clone()).router(), |address| {
        let rooms = scoring.0.batches.rooms.clone();
        let all = u32::try_from(BATCHES_MAX).unwrap();
        let held = rooms.try_acquire_many_owned(all).unwrap();
        let (head, problem) = post(address, &stream(0));
        assert!(head.contains(" 503 "), "{head}");
        assert_eq!(problem[0]["type"], "overloaded");
        drop(held);
        assert_eq!(post(address, &stream(0)).1[0]["txn_id"], "t0");
    });
}

// More slow senders than rooms, and fewer than bodies.
#[test]
fn a_body_on_its_way_in_keeps_no_room() {
    let bank = Bank::new();
    with_server(door(bank.start()).router(), |address| {
        let slow = (0..=BATCHES_MAX).map(|_| {
            let mut slow = TcpStream::connect(address).unwrap();
            let head = "POST /v1/score/batch HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{";
            slow.write_all(head.as_bytes()).unwrap();
            slow
        });
        let slow: Vec<TcpStream> = slow.collect();
        assert_eq!(post(address, &stream(0)).1[0]["txn_id"], "t0");
        drop(slow);
    });
}

#[test]
fn answers_that_nobody_reads_are_broken_off_and_do_not_look_whole() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (tell, lines) = mpsc::channel(1);
    let (pass, told) = mpsc::channel(1);
    tell.try_send(b"first".to_vec()).unwrap();
    runtime.block_on(async {
        let passing = tokio::spawn(pass_on(Duration::from_millis(20), lines, pass));
        tell.send(b"second".to_vec()).await.unwrap();
        passing.await.unwrap();
        assert!(tell.send(b"third".to_vec()).await.is_err());
        let mut told = Told {
            lines: told,
            left: 3,
        };
        let mut next = async || poll_fn(|context| Pin::new(&mut told).poll_next(context)).await;
        assert_eq!(next().await.unwrap().unwrap(), b"first");
        assert!(next().await.unwrap().is_err());
        assert!(next().await.is_none());
    });
}

// Nobody serves the queue of one at first, and another's payment fills it.
#[test]
fn a_line_waits_where_a_single_request_is_refused() {
    let telemetry = Telemetry::default();
    let (scoring, queue) = unserved(&telemetry);
    let others = scoring.enqueue(&stream(9), Instant::now()).unwrap();
    assert_eq!(
        scoring.score(&stream(8)).unwrap_err().kind,
        ProblemType::Overloaded
    );
    let body = [stream(0), stream(1)].join(&b'\n');
    let (tell, mut told) = mpsc::channel(2);
    std::thread::scope(|scope| {
        scope.spawn(|| score_lines(&scoring, Times::default(), &body, &tell));
        for _ in 0..3 {
            let Job::Score { reply, .. } = queue.recv().unwrap() else {
                panic!("nothing else was sent");
            };
            let answer = Err(Problem::new(ProblemType::Unavailable, "asked"));
            assert!(reply.send(answer).is_ok());
        }
    });
    for line in 1..=2 {
        let problem: Value = serde_json::from_slice(&told.blocking_recv().unwrap()).unwrap();
        assert_eq!(
            (&problem["line"], &problem["detail"]),
            (&json!(line), &json!("asked"))
        );
    }
    drop(others);
}

#[test]
fn a_reader_that_leaves_ends_the_batch() {
    let bank = Bank::new();
    let scoring = bank.start();
    let lines: Vec<Vec<u8>> = (0..500).map(stream).collect();
    let body = lines.join(&b'\n');
    let (tell, mut told) = mpsc::channel(1);
    std::thread::scope(|scope| {
        scope.spawn(|| score_lines(&scoring, Times::default(), &body, &tell));
        assert!(told.blocking_recv().is_some());
        drop(told);
    });
    // One was read, one lay ready, one was being told, and eight were on their way.
    let scored = scoring.scored();
    assert!(scored <= 11, "{scored}");
}

/// Sends a batch and reads head and lines of the answer.
fn post(address: SocketAddr, body: &[u8]) -> (String, Vec<Value>) {
    // HTTP/1.0 knows no chunks: the lines come as they are.
    let length = body.len();
    let head = format!("POST /v1/score/batch HTTP/1.0\r\nContent-Length: {length}\r\n");
    let (head, text) = ask(address, head.as_bytes(), body);
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (head, lines.collect())
}
