//! The counts, from a store that is free and from an agent that holds it, and what is said.

use host::telemetry::Telemetry;
use host::tls::Files;
use serde_json::{Value, json};

use super::*;
use crate::scoring::tests::socket::{door, with_server};
use crate::scoring::tests::{Bank, bundle, stream, write_private};
use crate::scoring::{Scoring, Slot, Times, Tokens};

fn settled(bank: &Bank) -> Scoring {
    let scoring = bank.start();
    scoring.score(&stream(0)).unwrap();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    for number in 1..6 {
        scoring.score(&stream(number)).unwrap();
    }
    let label = json!({"txn_id": "t3", "fraud": true, "source": "analyst"});
    scoring.label(label.to_string().as_bytes()).unwrap();
    scoring
}

#[test]
fn a_running_agent_is_asked_where_it_is_named_or_found_and_says_what_its_store_says() {
    let bank = Bank::new();
    let scoring = settled(&bank);
    let error = count_of((None, bank.path()), 30).unwrap_err();
    assert_eq!(error.exit_code(), 74, "{error}");
    let mut told = None;
    with_server(door(scoring).router(), |address| {
        let (named, nowhere) = (format!("http://{address}/"), bank.path().join("nowhere"));
        let asked = count_of((Some(named.as_str()), nowhere.as_path()), 30).unwrap();
        assert_eq!((asked.days, asked.decisions), (1, 6));
        let error = count_of((Some("ftp://a"), bank.path()), 30);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("--agent: ftp://a, "), "{error}");

        address::publish(bank.path(), "http.addr", address).unwrap();
        told = Some(count_of((None, bank.path()), 30).unwrap());
        let error = count_of((None, bank.path()), 10_000)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("schema: field days: found 10000, expected"),
            "{error}"
        );
    });
    let told = told.unwrap();
    assert_eq!((told.days, told.decisions, told.unscored), (1, 6, 1));
    let sum = |of: fn(&crate::journal::Cell) -> u64| told.cells.iter().map(of).sum::<u64>();
    assert_eq!((sum(|cell| cell.payments), sum(|cell| cell.frauds)), (5, 1));
    // By hand from `stream`: the fourth payment is of 1,000 and three times 900.
    assert_eq!(sum(|cell| cell.fraud_minor), 3_700);
}

#[test]
fn a_store_that_nobody_holds_is_read() {
    let bank = Bank::new();
    drop(settled(&bank));
    let told = count_of((None, bank.path()), 30).unwrap();
    assert_eq!((told.days, told.decisions, told.unscored), (1, 6, 1));
    let nowhere = bank.path().join("nowhere");
    let error = count_of((None, nowhere.as_path()), 30).unwrap_err();
    assert!(error.to_string().starts_with("store.folder: "), "{error}");
    assert!(!nowhere.exists());
}

fn count_of(from: (Option<&str>, &Path), days: u32) -> Result<Tally, CommandError> {
    count(from, days, (&Credentials::default(), &asks_nobody()))
}

fn asks_nobody() -> HttpConfig {
    HttpConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        bearer_token: None,
        times: Times::default(),
    }
}

/// The sample with this bank's store, and tokens.
fn config(folder: &Path, bank: &Bank, tokens: &Path) -> PathBuf {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config");
    let sample = std::fs::read_to_string(samples.join("client-agent.toml")).unwrap();
    let mut config: toml::Table = toml::from_str(&sample).unwrap();
    for (section, key, path) in [
        ("store", "folder", bank.path().to_owned()),
        ("http", "bearer_token", tokens.to_owned()),
        ("consent", "file", samples.join("consent.toml")),
        ("schema", "file", samples.join("schemas/standard.toml")),
        ("scoring", "policy", samples.join("policy.toml")),
    ] {
        config[section][key] = toml::Value::from(path.to_str().unwrap());
    }
    let path = folder.join("client-agent.toml");
    std::fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    path
}

// Planted faults: the configuration's tokens are not shown; they go before those that are named.
#[test]
fn an_agent_that_asks_for_a_token_is_shown_that_of_its_configuration_or_the_one_named() {
    let (bank, dir) = (Bank::new(), tempfile::tempdir().unwrap());
    let [tokens, other] = ["tokens", "other"].map(|name| dir.path().join(name));
    write_private(&tokens, &format!("# ours\n{}\n", "t".repeat(32)));
    write_private(&other, &"o".repeat(32));
    let mut arguments = Arguments {
        config: config(dir.path(), &bank, &tokens),
        budget: 20,
        min_precision: 0.0,
        from_days: 30,
        maturity_days: 0,
        agent: None,
        credentials: Credentials::default(),
        json: true,
    };
    let guard = Tokens::read(&tokens).unwrap();
    let router = door(settled(&bank)).router().into();
    let router = guard.guard(router, &Telemetry::default());
    with_server(router, |address| {
        address::publish(bank.path(), "http.addr", address).unwrap();
        let unscored = |arguments: &Arguments| {
            let plan: Value = serde_json::from_str(&plan(arguments)?.text).unwrap();
            Ok::<_, CommandError>(plan["unscored"].clone())
        };
        for agent in [
            None,
            Some(address.to_string()),
            Some(format!("http://{address}/")),
        ] {
            arguments.agent = agent;
            assert_eq!(unscored(&arguments).unwrap(), json!(1));
        }
        arguments.credentials.token_file = Some(other.clone());
        let error = unscored(&arguments).unwrap_err();
        let expected = format!(
            "found status 401 for the first token of {}",
            other.display()
        );
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(error.exit_code(), 69);

        write_private(&tokens, &"u".repeat(32));
        write_private(&other, &"t".repeat(32));
        assert_eq!(unscored(&arguments).unwrap(), json!(1));
        arguments.credentials.token_file = None;
        let error = unscored(&arguments).unwrap_err().to_string();
        assert!(error.contains(&tokens.display().to_string()), "{error}");

        let error = count_of((None, bank.path()), 30).unwrap_err().to_string();
        assert!(
            error.contains("found status 401, expected --token-file"),
            "{error}"
        );
        let tls = Files {
            certificate: "http.pem".into(),
            key: "http.key".into(),
            client_ca: None,
        };
        let door = HttpConfig {
            tls: Some(tls),
            ..asks_nobody()
        };
        let error = count((None, bank.path()), 30, (&Credentials::default(), &door));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("--ca: nothing, expected "), "{error}");
    });
}

#[test]
fn no_token_of_a_configuration_goes_in_clear_to_another_machine() {
    for (agent, expected) in [
        ("127.0.0.1:8443", false),
        ("http://127.0.0.1:8443/", false),
        ("http://[::1]:8443", false),
        ("https://agent.bank.example:8443", false),
        ("https://10.0.0.1:8443", false),
        ("http://10.0.0.1:8443", true),
        ("http://agent.bank.example:8443", true),
        ("agent.bank.example:8443", true),
        ("http://127.0.0.1.bank.example:8443", true),
    ] {
        assert_eq!(is_overheard(agent), expected, "{agent}");
    }
}

fn said(precision_min: f64) -> (String, Value) {
    let cell = |day, score, payments, frauds| crate::journal::Cell {
        day,
        score,
        payments,
        frauds,
        fraud_minor: 500 * frauds,
    };
    let tally = Tally {
        days: 2,
        decisions: 61,
        broken_off: precision_min > 0.5,
        unscored: 1,
        cells: vec![
            cell(0, 810, 40, 0),
            cell(0, 850, 10, 0),
            cell(1, 850, 10, 8),
        ],
    };
    let terms = Terms {
        budget: 20,
        precision_min,
        from_days: 1,
        maturity_days: 1,
        live: 784,
    };
    let plan = Plan::compute(&tally, &terms).unwrap();
    let text = table::table(&plan, &terms, true);
    (text, serde_json::to_value(&plan).unwrap())
}

#[test]
fn the_table_marks_the_live_and_the_recommended_row() {
    let (text, plan) = said(0.12);
    let line = |score: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.trim_start().starts_with(score))
            .unwrap()
    };
    assert!(line("784 ").ends_with("live"), "{text}");
    assert!(line("811 ").ends_with("recommended"), "{text}");
    assert!(line("811 ").contains("80.0 % (54.1 to 93.1)"), "{text}");
    assert!(line("811 ").contains("8 (100.0 %)"), "{text}");
    assert!(line("860 ").contains(" - "), "{text}");
    assert!(
        text.contains("decided without a model, and in no row: 1\n"),
        "{text}"
    );
    assert!(
        text.contains("recommended: score_bands.review = 811 (live: 784)"),
        "{text}"
    );
    assert_eq!(
        (&plan["recommended"], &plan["live"]),
        (&json!(811), &json!(784))
    );
    assert!(!text.contains("counting ended"), "{text}");
    let (text, plan) = said(0.99);
    assert!(text.contains("\ncounting ended before"), "{text}");
    assert!(
        text.contains("no threshold has at most 20 alerts"),
        "{text}"
    );
    assert_eq!(plan["recommended"], Value::Null);
}
