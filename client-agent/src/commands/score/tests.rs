//! Scoring a stream through a real door on loopback: order, lines, repeats, forms, and an agent
//! that is away.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use host::http::Terms;
use host::telemetry::Telemetry;
use host::tls::Files;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::source::Input;
use super::*;
use crate::config::HistoryConfig;
use crate::scoring::tests::socket::{door, with_server, with_terms};
use crate::scoring::tests::{Bank, bundle, stream, write_private};
use crate::scoring::{Door, Router, Scoring, Slot, Tokens, status_router};

#[test]
fn answers_stand_in_the_order_of_the_payments_with_eight_connections() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    with_server(agent(bank.start()), |address| {
        let arguments = arguments(&dir, address, &payments(300));
        let (summary, code) = run(&arguments);
        let answers = lines(&arguments.out);
        let ids = answers.iter().map(|answer| answer["txn_id"].clone());
        let expected: Vec<Value> = (0..300).map(|at| json!(format!("t{at}"))).collect();
        assert_eq!(ids.collect::<Vec<_>>(), expected);
        assert!(answers[7]["decision_id"].is_string(), "{}", answers[7]);
        assert_eq!((arguments.connections, code), (8, None));
        // Without a model each is answered by the configured decision.
        let found = (&summary["payments"], &summary["decisions"]["review"]);
        assert_eq!(found, (&json!(300), &json!(300)));
        let found = (&summary["fallback"], &summary["last_line"]);
        assert_eq!(found, (&json!(300), &json!(300)));
        assert_eq!(summary["stopped"], Value::Null);
    });
}

// Planted fault: lanes that are dealt to in turn.
#[test]
fn payments_of_one_account_reach_the_agent_in_their_order() {
    let mut lone = payments(300);
    for card in 1..5 {
        lone = lone.replace(&format!("acc-c{card}"), "acc-c0");
    }
    for (text, accounts) in [(lone, 1), (payments(300), 5)] {
        let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
        with_server(agent(bank.start()), |address| {
            let arguments = arguments(&dir, address, &text);
            assert_eq!((arguments.connections, run(&arguments).1), (8, None));
            let number = |answer: &Value| {
                let id = answer["decision_id"].as_str().unwrap();
                u64::from_str_radix(id.split_once('-').unwrap().1, 16).unwrap()
            };
            let numbers: Vec<u64> = lines(&arguments.out).iter().map(number).collect();
            assert_eq!(numbers.len(), 300);
            for account in 0..accounts {
                let own = numbers.iter().skip(account).step_by(accounts);
                assert!(own.is_sorted(), "account {account} of {accounts}");
            }
        });
    }
}

#[test]
fn the_agent_of_the_sample_configuration_is_asked_where_none_is_named() {
    let sample = include_str!("../../../../ops/config/client-agent.toml");
    let sample: toml::Table = toml::from_str(sample).unwrap();
    let address = sample["http"]["address"].as_str().unwrap();
    assert_eq!(AGENT, format!("http://{address}"));
}

#[test]
fn parquet_comes_as_a_stream_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let column =
        |name: &str| StringArray::from_iter_values((0..40).map(|at| format!("{name}{at}")));
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(column("t"))),
        ("who", Arc::new(column("a"))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let (map, key) = (
        file("map.toml", PARQUET.as_bytes()),
        file("key", &[b'k'; 16]),
    );
    let payments = file("payments.parquet", &bytes);
    let mut arguments = arguments(&dir, SocketAddr::from(([127, 0, 0, 1], 1)), "");
    (arguments.input, arguments.map, arguments.key) = ("-".into(), Some(map), Some(key));
    let read = |input: Input| {
        let feed = arguments.feed().unwrap();
        arguments.check(feed.as_ref()).unwrap();
        let (mut found, path) = (Vec::new(), arguments.input.as_path());
        let source = Source::of(path, input, feed, None, ProgressBar::hidden());
        let ended = source.read(|payment| {
            found.push((payment.line, payment.queue, payment.body.unwrap()));
            ControlFlow::Continue(())
        });
        assert_eq!(ended.unwrap(), Ended::Whole);
        found
    };
    let streamed = read(Input::Stream(Box::new(std::io::Cursor::new(bytes))));
    assert_eq!(streamed.len(), 40);
    assert!(streamed == read(Input::File(File::open(payments).unwrap())));
}

const PARQUET: &str = r#"
[feed]
name = "stream"
format = "parquet"
[fields]
txn_id = "id"
ts = { const = "2026-03-01T08:00:00Z" }
amount_minor = { const = "1250" }
currency = { const = "EUR" }
rail = { const = "card" }
account_tok = "who"
"#;

#[test]
fn a_bad_line_is_told_with_its_number_and_the_others_are_scored() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    with_server(agent(bank.start()), |address| {
        let mut text = payments(2);
        text += "nonsense\n\n{\"txn\":{\"txn_id\":\"half\"}}\n";
        text += &format!("\"{}\"\n", "x".repeat(100_000));
        // A payment alone, and no line end behind it.
        let whole: Value = serde_json::from_slice(&stream(2)).unwrap();
        text += &whole["txn"].to_string();
        let mut arguments = arguments(&dir, address, &text);
        let (summary, code) = run(&arguments);
        let found = lines(&arguments.out);
        let ids: Vec<&Value> = found.iter().map(|line| &line["txn_id"]).collect();
        let expected = [
            json!("t0"),
            json!("t1"),
            Value::Null,
            json!("half"),
            Value::Null,
        ];
        assert_eq!(ids[..5], expected.iter().collect::<Vec<_>>());
        assert_eq!((ids.len(), ids[5]), (6, &json!("t2")));
        let problem = |at: usize| (&found[at]["line"], &found[at]["problem"]["type"]);
        assert_eq!(problem(2), (&json!(3), &json!("schema")));
        assert_eq!(problem(3), (&json!(5), &json!("missing_field")));
        assert_eq!(problem(4), (&json!(6), &json!("too_large")));
        assert_eq!((&summary["problems"], code), (&json!(3), Some(1)));

        arguments.out = dir.path().join("answers.csv");
        assert_eq!(run(&arguments).1, Some(1));
        let mut reader = csv::Reader::from_path(&arguments.out).unwrap();
        let row = reader.records().nth(3).unwrap().unwrap();
        assert_eq!(&row[0], "half");
        let problem = row.get(row.len() - 1).unwrap();
        assert!(
            problem.starts_with("line 5: missing_field: field "),
            "{row:?}"
        );
    });
}

#[test]
fn a_second_run_is_all_replayed_and_a_question_leaves_no_trace() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let scoring = bank.start();
    with_server(agent(scoring.clone()), |address| {
        let mut arguments = arguments(&dir, address, &payments(40));
        arguments.purpose = Some(Purpose::Whatif);
        for _ in 0..2 {
            let (summary, _) = run(&arguments);
            assert_eq!((&summary["payments"], scoring.scored()), (&json!(40), 0));
            assert_eq!(summary["replayed"], 0);
            assert_eq!(lines(&arguments.out)[0]["decision_id"], Value::Null);
        }
        arguments.purpose = None;
        assert_eq!(run(&arguments).0["replayed"], 0);
        let first = lines(&arguments.out);
        assert_eq!(run(&arguments).0["replayed"], 40);
        let second = lines(&arguments.out);
        let ids = |answers: &[Value]| -> Vec<Value> {
            let ids = answers.iter().map(|answer| answer["decision_id"].clone());
            ids.collect()
        };
        assert_eq!(ids(&first), ids(&second));
        assert_eq!(scoring.scored(), 40);
    });
}

#[test]
fn csv_and_parquet_say_what_the_answers_say() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 3)).unwrap();
    with_server(agent(scoring), |address| {
        let mut arguments = arguments(&dir, address, &(payments(30) + "{}\n"));
        assert_eq!(run(&arguments).1, Some(1));
        let answers = lines(&arguments.out);
        let reasons = |at: usize| {
            let reasons = answers[at]["reasons"].as_array().unwrap().iter();
            reasons.map(|reason| reason["code"].as_str().unwrap().to_owned())
        };
        assert!((0..30).any(|at| reasons(at).count() > 0));

        arguments.out = dir.path().join("answers.csv");
        run(&arguments);
        let mut reader = csv::Reader::from_path(&arguments.out).unwrap();
        let header = reader.headers().unwrap().clone();
        let place = |name: &str| header.iter().position(|column| column == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 31);
        for (at, row) in rows[..30].iter().enumerate() {
            let cell = |name: &str| &row[place(name)];
            for name in ["txn_id", "decision", "band", "decision_rule", "policy"] {
                assert_eq!(cell(name), answers[at][name].as_str().unwrap(), "{name}");
            }
            for name in ["probability", "ratio"] {
                let told = answers[at][name].as_f64().map(|told| told as f32);
                assert_eq!(cell(name).parse::<f32>().ok(), told, "{name}");
            }
            assert_eq!(cell("score"), answers[at]["score"].to_string());
            assert_eq!((cell("model_version"), cell("replayed")), ("3", "true"));
            // One that its card has passed by is late.
            let degraded = answers[at]["degraded"].as_array().unwrap();
            let degraded: Vec<&str> = degraded.iter().filter_map(Value::as_str).collect();
            assert_eq!(cell("degraded"), degraded.join(" "));
            let mut codes = reasons(at);
            for number in 1..=6 {
                let told = codes.next().unwrap_or_default();
                assert_eq!(cell(&format!("reason_{number}")), told);
            }
        }
        assert!(rows[30][place("problem")].starts_with("line 31: missing_field"));

        arguments.out = dir.path().join("answers.parquet");
        run(&arguments);
        let batch = parquet_rows(&arguments.out);
        assert_eq!((batch.num_rows(), batch.num_columns()), (31, 23));
        let columns = batch.schema();
        let columns = columns.fields().iter().map(|field| field.name());
        assert!(columns.eq(header.iter()));
        let ids = batch.column_by_name("txn_id").unwrap().as_string::<i32>();
        let scores = batch.column_by_name("score").unwrap();
        let scores = scores.as_primitive::<Int32Type>();
        let rules = batch.column_by_name("decision_rule").unwrap();
        let rules = rules.as_string::<i32>();
        for (at, answer) in answers[..30].iter().enumerate() {
            assert_eq!(ids.value(at), format!("t{at}"));
            assert_eq!(json!(scores.value(at)), answer["score"]);
            assert_eq!(json!(rules.value(at)), answer["decision_rule"]);
        }
        assert!(ids.is_null(30) && scores.is_null(30));
    });
}

// Two rows of twenty are made unreadable; the others become requests that the agent takes.
#[test]
fn a_feed_of_the_banks_own_is_scored_through_its_map() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let config = crate::history::tests::write(dir.path(), 2, 10);
    let text = std::fs::read_to_string(&config.file).unwrap();
    let text = text.replacen("JPY", "y€n", 2);
    with_server(agent(bank.start()), |address| {
        let mut arguments = arguments(&dir, address, &text);
        (arguments.map, arguments.key) = (Some(config.map), Some(config.token_key));
        arguments.format = Some(Format::Csv);
        let (summary, code) = run(&arguments);
        let found = (&summary["payments"], &summary["problems"]);
        assert_eq!((found, code), ((&json!(20), &json!(2)), Some(1)));
        let found = lines(&arguments.out);
        assert_eq!(found[0]["txn_id"], "t0");
        assert_eq!(found[19]["txn_id"], "t19");
        let problem = (&found[1]["line"], &found[1]["problem"]["field"]);
        assert_eq!(problem, (&json!(3), &json!("currency")));
        assert_eq!(summary["last_line"], 21);

        arguments.format = Some(Format::Parquet);
        let error = try_run(&arguments, Patience::default()).unwrap_err();
        let expected = "--format: parquet, expected csv, as the map says";
        assert_eq!(error.to_string(), expected);
    });
}

#[test]
fn an_agent_that_is_not_there_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    // An address of loopback where no other test listens, so that the port stays free.
    let free = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut arguments = arguments(&dir, address, &payments(1));
    let error = try_run(&arguments, Patience::default()).unwrap_err();
    let expected = format!("could not reach the agent at http://{address}: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!((error.exit_code(), arguments.out.exists()), (69, false));

    arguments.agent = "ftp://bank.example".to_owned();
    let error = try_run(&arguments, Patience::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--agent: ftp://bank.example, "),
        "{error}"
    );
    assert_eq!(error.exit_code(), 78);
}

// The fixture's CA signed the server's certificate for 127.0.0.1, and the client's.
#[test]
fn an_agent_that_asks_who_comes_is_told_by_token_and_certificate() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let file = |name: &str| {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/tls/fixture");
        Some(fixture.join(name))
    };
    let tokens = dir.path().join("tokens");
    write_private(&tokens, &"t".repeat(32));
    let files = Files {
        certificate: file("server.pem").unwrap(),
        key: file("server.key").unwrap(),
        client_ca: file("ca.pem"),
    };
    let terms = Terms {
        tls: Some(files.acceptor().unwrap()),
        ..Terms::default()
    };
    let router = Tokens::read(&tokens).unwrap();
    let router = router.guard(agent(bank.start()), &Telemetry::default());
    with_terms(router, terms, |address| {
        let mut arguments = arguments(&dir, address, &payments(20));
        arguments.agent = format!("https://{address}");
        let whole = || Credentials {
            token_file: Some(tokens.clone()),
            ca: file("ca.pem"),
            certificate: file("client.pem"),
            certificate_key: file("client.key"),
        };
        arguments.credentials = whole();
        let (summary, code) = run(&arguments);
        assert_eq!((&summary["payments"], code), (&json!(20), None));

        let mut no_token = whole();
        no_token.token_file = None;
        let mut no_ca = whole();
        no_ca.ca = None;
        let mut nobody = whole();
        (nobody.certificate, nobody.certificate_key) = (None, None);
        let mut foreign = whole();
        foreign.certificate = file("foreign.pem");
        foreign.certificate_key = file("foreign.key");
        let mut mixed = whole();
        mixed.certificate_key = file("foreign.key");
        for (credentials, expected, exit_code) in [
            (no_token, "expected --token-file with a token", 69),
            (no_ca, "--ca: nothing, expected ", 78),
            (nobody, "could not reach the agent at https://", 69),
            (foreign, "could not reach the agent at https://", 69),
            (mixed, "client.pem: found ", 78),
        ] {
            arguments.credentials = credentials;
            let error = try_run(&arguments, Patience::default()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.exit_code(), exit_code, "{error}");
        }
    });
}

#[test]
fn an_agent_that_takes_nothing_is_waited_for_and_then_given_up() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let door = Door::default();
    with_server(with_status(door.router()), |address| {
        let arguments = arguments(&dir, address, &payments(20));
        let short = Patience {
            pause: Duration::from_millis(1),
            pause_max: Duration::from_millis(4),
            total_max: Duration::from_millis(20),
        };
        let said = try_run(&arguments, short).unwrap();
        let error = said.verdict.unwrap_err();
        assert!(error.to_string().contains("not_ready: "), "{error}");
        assert_eq!(error.exit_code(), 69);
        let summary: Value = serde_json::from_str(&said.text).unwrap();
        assert_eq!(summary["stopped"], error.to_string());
        assert_eq!(summary["last_line"], Value::Null);

        std::thread::scope(|scope| {
            scope.spawn(|| door.open(bank.start()));
            let (summary, code) = run(&arguments);
            assert_eq!((&summary["payments"], code), (&json!(20), None));
        });
    });
}

// The connection breaks after the request was read: whether it was scored nobody can know, so it
// is sent again as it was.
#[test]
fn a_lost_connection_is_followed_by_the_same_request() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let answer = bank.start().score(&stream(0)).unwrap();
    let answer = serde_json::to_string(&answer).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let heard = scope.spawn(|| {
            let replies = [Some("{}"), None, Some(answer.as_str())];
            replies.map(|reply| reply_once(&listener, reply))
        });
        let arguments = arguments(&dir, address, &payments(1));
        assert_eq!(run(&arguments).1, None);
        assert_eq!(lines(&arguments.out)[0]["txn_id"], "t0");
        let [_, first, second] = heard.join().unwrap();
        assert_eq!(first, stream(0));
        assert_eq!(first, second);
    });
}

#[test]
fn who_is_told_to_leave_says_how_far_it_got() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    with_server(agent(bank.start()), |address| {
        let mut arguments = arguments(&dir, address, &payments(50));
        arguments.json = false;
        let shutdown = Shutdown::default();
        shutdown.trigger();
        let said = score_until(&arguments, Patience::default(), &shutdown).unwrap();
        assert!(
            said.text.contains("before the first answer"),
            "{}",
            said.text
        );
        assert_eq!(said.verdict.unwrap_err().exit_code(), 130);
        assert!(lines(&arguments.out).is_empty());
    });
}

// Planted fault: the verdict of a write that nobody reads, handed on.
#[test]
fn who_reads_the_answers_may_leave_and_a_full_disk_fails() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let scoring = bank.start();
    with_server(agent(scoring.clone()), |address| {
        let mut arguments = arguments(&dir, address, &payments(300));
        arguments.out = "-".into();
        let onto = |out: Box<dyn Write + Send>, format| {
            let sheet = || Sheet::onto(out, &arguments.out, format);
            let shutdown = Shutdown::default();
            let said = score_onto(sheet, &arguments, Patience::default(), &shutdown).unwrap();
            let summary: Value = serde_json::from_str(&said.text).unwrap();
            assert_eq!(summary["last_line"], Value::Null);
            let stopped = summary["stopped"].as_str().unwrap().to_owned();
            (stopped, said.verdict.err().map(|error| error.exit_code()))
        };
        for format in [Format::Ndjson, Format::Csv] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let left = "could not write standard output: Broken pipe (os error 32)".to_owned();
            assert_eq!(onto(Box::new(writer), format), (left, None));
            let full = File::options().write(true).open("/dev/full").unwrap();
            let full = onto(Box::new(full), format);
            let said = "could not write standard output: No space left on device (os error 28)";
            assert_eq!(full, (said.to_owned(), Some(74)));
        }
        // Nothing is asked behind a reader that left.
        assert!(scoring.scored() < 300, "{}", scoring.scored());
    });
}

#[test]
fn the_payments_themselves_are_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = arguments(&dir, SocketAddr::from(([127, 0, 0, 1], 1)), &payments(1));
    arguments.out = arguments.input.clone();
    let error = try_run(&arguments, Patience::default()).unwrap_err();
    assert!(
        error.to_string().contains("expected another file"),
        "{error}"
    );
}

fn arguments(dir: &TempDir, address: SocketAddr, text: &str) -> Arguments {
    let input = dir.path().join("payments");
    std::fs::write(&input, text).unwrap();
    Arguments {
        agent: address.to_string(),
        input,
        out: dir.path().join("answers.ndjson"),
        map: None,
        key: None,
        format: None,
        out_format: None,
        connections: 8,
        purpose: None,
        json: true,
        credentials: Credentials::default(),
    }
}

/// What the command writes of a feed, sent one payment after the other.
pub(crate) fn scored(scoring: Scoring, feed: &HistoryConfig) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let mut answers = Vec::new();
    with_server(agent(scoring), |address| {
        let arguments = Arguments {
            input: feed.file.clone(),
            map: Some(feed.map.clone()),
            key: Some(feed.token_key.clone()),
            connections: 1,
            ..arguments(&dir, address, "")
        };
        let (summary, code) = run(&arguments);
        assert_eq!(code, None, "{summary}");
        answers = lines(&arguments.out);
    });
    answers
}

/// The first payments of the fixture's stream, one request a line.
fn payments(count: u32) -> String {
    let lines = (0..count).map(|at| String::from_utf8(stream(at)).unwrap() + "\n");
    lines.collect()
}

fn agent(scoring: Scoring) -> Router {
    with_status(door(scoring).router())
}

fn with_status(router: impl Into<Router>) -> Router {
    let status: Router = status_router(|| json!({"ready": true})).into();
    router.into().merge(status)
}

fn try_run(arguments: &Arguments, patience: Patience) -> Result<Said, CommandError> {
    score_until(arguments, patience, &Shutdown::default())
}

/// The summary and the exit code.
fn run(arguments: &Arguments) -> (Value, Option<u8>) {
    let said = try_run(arguments, Patience::default()).unwrap();
    let code = said.verdict.err().map(|error| error.exit_code());
    (serde_json::from_str(&said.text).unwrap(), code)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn parquet_rows(path: &Path) -> RecordBatch {
    let file = File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut batches = builder.build().unwrap();
    batches.next().unwrap().unwrap()
}

/// Reads one request and gives its body; answers with `reply`, or closes without a word.
fn reply_once(listener: &TcpListener, reply: Option<&str>) -> Vec<u8> {
    let (mut socket, _) = listener.accept().unwrap();
    let body = read_request(&socket);
    if let Some(text) = reply {
        let length = text.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close");
        write!(socket, "{head}\r\n\r\n{text}").unwrap();
    }
    body
}

fn read_request(socket: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}
