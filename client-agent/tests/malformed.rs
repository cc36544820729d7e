//! Ten thousand requests that nobody should send, each another and always the same, at an agent on
//! loopback: none of them makes it fail, hang, panic, grow or remember anything; whatever is whole
//! is answered, and refused as a problem of a known kind. What they are: `malformed/generator.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use host::usage::Usage;
use serde_json::{Value, json};

#[path = "malformed/answer.rs"]
mod answer;
#[path = "malformed/generator.rs"]
mod generator;
#[path = "soak/stage.rs"]
mod stage;

use answer::answers;
use generator::{Malformed, Owed, malformed};
use stage::{Stage, bundle, payment};

const REQUESTS: u64 = 10_000;
/// Of these, those after which memory and threads are as they stay.
const WARM_UP: u64 = 1_000;
/// Less than the door's own patience with a silent client: who is waited for so long, hangs.
const PATIENCE: Duration = Duration::from_secs(9);
/// What the whole process, this client with it, may grow by after the warm-up: some hundred times
/// the longest body.
const GROWTH_MB_MAX: f64 = 64.0;
/// Payments that are remembered before.
const KEPT: u64 = 20;

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn ten_thousand_malformed_requests_leave_no_trace() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        told(panic);
    }));
    let stage = Stage::set();
    stage.scoring.install(bundle(1)).unwrap();
    for number in 0..KEPT {
        score(
            &stage,
            &json!({ "txn": payment(&format!("kept-{number}"), number % 5) }),
        );
    }
    let question = json!({ "purpose": "whatif", "txn": payment("question", 3) });
    let before = score(&stage, &question);
    assert!(before["logit"].is_number(), "{before}");

    let mut heard = Heard::default();
    let mut wrong = String::new();
    let mut peak_mb = 0.0;
    for number in 0..REQUESTS {
        if number == WARM_UP {
            peak_mb = Usage::of(std::process::id()).peak_memory_mb;
        }
        let request = malformed(number);
        if let Err(fault) = heard.take(&request, send(stage.address, &request)) {
            wrong += &format!("request {number}, {}: {fault}\n", request.fault);
        }
    }
    assert_eq!(wrong, "");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    let growth_mb = Usage::of(std::process::id()).peak_memory_mb - peak_mb;
    assert!(growth_mb < GROWTH_MB_MAX, "grown by {growth_mb} MB");
    println!("{heard:?}, grown by {growth_mb:.1} MB");
    // Else the requests are not what their generator says.
    assert!(heard.problems > REQUESTS / 3, "{heard:?}");
    assert!(heard.silences < REQUESTS / 4, "{heard:?}");

    assert_eq!(stage.scoring.scored(), KEPT);
    assert_eq!(score(&stage, &question), before);
    let next = score(&stage, &json!({ "txn": payment("next", 3) }));
    assert!(next["decision_id"].is_string(), "{next}");
}

/// What came of requests.
#[derive(Debug, Default)]
struct Heard {
    problems: u64,
    others: u64,
    silences: u64,
}

impl Heard {
    /// Counts what came of one request, and says what is wrong with it.
    fn take(&mut self, request: &Malformed, came: std::io::Result<Vec<u8>>) -> Result<(), String> {
        let came = came.map_err(|error| error.to_string())?;
        // What breaks off may be answered by half.
        let all = match (answers(&came), request.owed) {
            (Ok(all), _) => all,
            (Err(_), Owed::Nothing) => Vec::new(),
            (Err(fault), Owed::Word | Owed::Status) => return Err(fault),
        };
        let Some(first) = all.first() else {
            self.silences += 1;
            return match request.owed {
                Owed::Nothing => Ok(()),
                Owed::Word | Owed::Status => Err("no answer".to_owned()),
            };
        };
        match first.is_problem() {
            true => self.problems += 1,
            false => self.others += 1,
        }
        let fault = match request.owed {
            Owed::Word => first.fault(),
            Owed::Status | Owed::Nothing => all.iter().find_map(answer::Answer::fault_of_layer),
        };
        fault.map_or(Ok(()), Err)
    }
}

/// Sends a request on a connection of its own, and reads until it ends. `Err` only where it does
/// not.
fn send(address: SocketAddr, request: &Malformed) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Whoever refuses early closes before it has read all.
    let _ = stream.write_all(&request.bytes);
    if request.owed == Owed::Nothing {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(error)
        }
        Ok(_) | Err(_) => Ok(came),
    }
}

/// An answer, without what differs between the times it is given.
fn score(stage: &Stage, body: &Value) -> Value {
    let answer = stage.scoring.score(body.to_string().as_bytes());
    let mut answer = serde_json::to_value(answer.unwrap()).unwrap();
    answer["scored_at"] = json!(null);
    answer["latency_us"] = json!(null);
    answer
}
