//! The alert queue through a real socket: what opens an alert and what closes it, for machines and
//! for people, with a script and without, and who may not.

use std::net::SocketAddr;

use super::socket::{ask, door, exchange, fetch, with_server};
use super::*;

/// A bank whose payments are reviewed for want of a model, which comes after them: three of card
/// `c0`, one of two others.
fn scored(bank: &Bank) -> (Scoring, Vec<String>) {
    let scoring = bank.start();
    let paid = [
        ("c0", 900),
        ("c1", 50_000),
        ("c0", 1_000),
        ("c2", 7_000),
        ("c0", 800),
    ];
    let ids = (0..).zip(paid).map(|(nth, (card, amount))| {
        let ts = START_MS + nth * 60_000;
        let payment = payment(&format!("t{nth}"), card, ts, amount);
        let answer = scoring.score(&body(&payment)).unwrap();
        assert_eq!(answer.decision, Decision::Review);
        answer.decision_id.unwrap()
    });
    let ids = ids.collect();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    (scoring, ids)
}

fn router(bank: &Bank, scoring: Scoring) -> Router {
    agent_router(&bank.telemetry, &door(scoring), || json!({}), || true)
}

/// Asks until the queue has read the journal.
fn current(address: SocketAddr) {
    while fetch(address, "/v1/alerts").0.starts_with("HTTP/1.1 503") {
        std::thread::yield_now();
    }
}

fn post(address: SocketAddr, path: &str, said: &Value) -> (String, Value) {
    let body = said.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
    exchange(address, head.as_bytes(), body.as_bytes())
}

fn submit(address: SocketAddr, path: &str, more: &str, form: &str) -> (String, String) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         {more}Content-Length: {}\r\n",
        form.len()
    );
    ask(address, head.as_bytes(), form.as_bytes())
}

fn page(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, format!("GET {path} HTTP/1.1\r\n").as_bytes(), b"")
}

fn txn_ids(listing: &Value) -> Vec<String> {
    let rows = listing["alerts"].as_array().unwrap().iter();
    let ids = rows.filter_map(|row| row["txn_id"].as_str());
    ids.map(str::to_owned).collect()
}

#[test]
fn the_queue_is_grouped_and_paged() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let (_, grouped) = fetch(address, "/v1/alerts?grouped=true");
        assert_eq!(
            (&grouped["total"], &grouped["next"]),
            (&json!(3), &Value::Null)
        );
        assert_eq!(txn_ids(&grouped), ["t0", "t1", "t3"]);
        let first = &grouped["alerts"][0];
        assert_eq!(
            (&first["account"], &first["payments"]),
            (&json!("c0"), &json!(3))
        );

        let (mut seen, mut path) = (Vec::new(), "/v1/alerts?limit=2".to_owned());
        loop {
            let (_, listing) = fetch(address, &path);
            seen.extend(txn_ids(&listing));
            let Some(next) = listing["next"].as_str() else {
                break;
            };
            path = format!("/v1/alerts?limit=2&after={next}");
        }
        let whole = fetch(address, "/v1/alerts").1;
        assert_eq!((seen.len(), seen), (5, txn_ids(&whole)));
        let (_, of_account) = fetch(address, "/v1/alerts?account=c0&state=all");
        let (_, of_alert) = fetch(address, &format!("/v1/alerts?of={}&state=all", ids[2]));
        assert_eq!(of_account["total"], 3);
        assert_eq!(txn_ids(&of_account), txn_ids(&of_alert));
        for wrong in [
            "state=done",
            "limit=0",
            "limit=201",
            "after=x",
            "grouped=1",
            "of=a&of=b",
        ] {
            let (head, problem) = fetch(address, &format!("/v1/alerts?{wrong}"));
            assert!(head.starts_with("HTTP/1.1 400"), "{wrong}: {head}");
            assert_eq!(problem["type"], "schema");
        }
    });
}

#[test]
fn a_verdict_closes_the_alert_and_is_a_label_once() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let path = format!("/v1/alerts/{}/disposition", ids[0]);
        let fraud = json!({"verdict": "fraud", "analyst": "u-17", "note": "rang the customer"});
        let (head, first) = post(address, &path, &fraud);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let told = |told: &Value| {
            let (alert, label) = (&told["alert"], &told["label"]);
            [&alert["state"], &alert["verdict"], &label["status"]].map(|word| word.clone())
        };
        assert_eq!(told(&first), ["closed", "fraud", "accepted"]);
        let again = post(address, &path, &fraud).1;
        assert_eq!(told(&again), ["closed", "fraud", "duplicate"]);
        assert_eq!(again["label"]["label_id"], first["label"]["label_id"]);

        // A changed mind, and changed back: each is a word of its own.
        for verdict in ["genuine", "fraud"] {
            let said = json!({"verdict": verdict, "analyst": "u-22"});
            let changed = post(address, &path, &said).1;
            assert_eq!(told(&changed), ["closed", verdict, "accepted"]);
        }
        let unsure = json!({"verdict": "unknown", "analyst": "u-17"});
        let (_, unlabelled) = post(address, &path, &unsure);
        assert_eq!(unlabelled["label"], Value::Null);
        assert_eq!(unlabelled["alert"]["verdict"], "unknown");

        let shown = fetch(address, &format!("/v1/alerts/{}", ids[0])).1;
        let history = shown["history"].as_array().unwrap();
        let of = |kind: &str| history.iter().filter(|event| event["kind"] == kind).count();
        assert_eq!((of("label"), of("disposition")), (3, 4));
        assert_eq!(fetch(address, "/v1/alerts").1["total"], 4);
        assert_eq!(fetch(address, "/v1/alerts?state=closed").1["total"], 1);
        // An analyst's label closes one too, by whichever way it comes.
        let label = json!({"txn_id": "t1", "fraud": false, "source": "analyst"});
        post(address, "/v1/labels", &label);
        assert_eq!(fetch(address, "/v1/alerts?state=closed").1["total"], 2);
    });
    let labels = open(bank.folder.path()).labels_of("t0").unwrap();
    let told: Vec<_> = labels
        .iter()
        .map(|label| (label.fraud, label.source.as_str()))
        .collect();
    assert_eq!(
        told,
        [(true, "analyst"), (false, "analyst"), (true, "analyst")]
    );
    let is_later = labels.is_sorted_by(|one, next| one.known_at < next.known_at);
    assert!(is_later && labels[0].label_id == labels[2].label_id);
}

// Whoever says otherwise than the payment's last word, or than their own, is heard; who says it
// again is not.
#[test]
fn a_verdict_is_a_word_of_its_own_after_that_of_another_source() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let path = format!("/v1/alerts/{}/disposition", ids[0]);
        let say = |source: &str, verdict: &str| {
            if source == "analyst" {
                let said = json!({"verdict": verdict, "analyst": "u-17"});
                let (_, told) = post(address, &path, &said);
                assert_eq!(told["alert"]["verdict"], verdict);
                return told["label"]["status"].clone();
            }
            let fraud = verdict == "fraud";
            let label = json!({"txn_id": "t0", "fraud": fraud, "source": source});
            post(address, "/v1/labels", &label).1["status"].clone()
        };
        for (source, verdict) in [
            ("analyst", "fraud"),
            ("issuer", "genuine"),
            ("analyst", "fraud"),
            ("analyst", "genuine"),
            ("analyst", "fraud"),
            ("issuer", "genuine"),
            ("analyst", "genuine"),
        ] {
            assert_eq!(say(source, verdict), "accepted", "{source}: {verdict}");
            assert_eq!(say(source, verdict), "duplicate", "{source}: {verdict}");
        }
    });
}

#[test]
fn an_alert_is_shown_with_the_accounts_payments_and_the_cases_most_alike() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    for (txn_id, fraud) in [("t1", true), ("t2", false), ("t4", true)] {
        let label = json!({"txn_id": txn_id, "fraud": fraud, "source": "chargeback"});
        scoring.label(&serde_json::to_vec(&label).unwrap()).unwrap();
    }
    with_server(router(&bank, scoring), |address| {
        current(address);
        let (head, shown) = fetch(address, &format!("/v1/alerts/{}", ids[0]));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let payments = shown["payments"].as_array().unwrap();
        let told: Vec<_> = payments
            .iter()
            .map(|one| (&one["txn_id"], &one["verdict"]))
            .collect();
        assert_eq!(
            told,
            [
                (&json!("t4"), &json!("fraud")),
                (&json!("t2"), &json!("genuine")),
                (&json!("t0"), &Value::Null)
            ]
        );
        let similar = shown["similar"].as_array().unwrap();
        let place = |id: &str| {
            let journal = fetch(address, &format!("/v1/decisions?txn_id={id}")).1;
            let features = &journal["features"];
            let columns = FeatureSchema::standard().columns().to_vec();
            let row = columns
                .iter()
                .map(|column| features[&column.name].as_f64().unwrap() as f32);
            scorer(1).embedding(&row.collect::<Vec<f32>>()).unwrap()
        };
        let here = place("t0");
        let mut expected: Vec<(f32, &str)> = ["t1", "t2", "t4"]
            .map(|id| {
                let squares = here.iter().zip(place(id)).map(|(a, b)| (a - b) * (a - b));
                (squares.sum::<f32>().sqrt(), id)
            })
            .to_vec();
        expected.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert_eq!(similar.len(), 3);
        for (found, (distance, id)) in similar.iter().zip(expected) {
            assert_eq!(found["txn_id"], id);
            assert!((found["distance"].as_f64().unwrap() as f32 - distance).abs() < 1e-4);
        }
        assert_eq!(shown["answer"]["txn_id"], "t0");
        assert_eq!(shown["transaction"]["card_tok"], "c0");
        assert!(shown["next"].is_string());
        // Other sources are told, and close nothing.
        assert_eq!(shown["alert"]["payments"], 3);
    });
}

// Planted fault: a page that leaves the labels out, or shows the payment's time for that of which a
// label speaks.
#[test]
fn an_alert_shows_every_label_with_its_times() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    let taken_over = START_MS - 5 * 86_400_000;
    let fraud = json!({"txn_id": "t0", "fraud": true, "source": "chargeback",
        "event_at": taken_over, "known_at": START_MS + 60_000});
    let genuine = json!({"txn_id": "t0", "fraud": false, "source": "<issuer>",
        "known_at": START_MS + 120_000});
    for label in [fraud, genuine] {
        let answer = scoring
            .label(label.to_string().as_bytes())
            .unwrap()
            .remove(0);
        assert_eq!(answer.status, LabelStatus::Accepted);
    }
    with_server(router(&bank, scoring), |address| {
        current(address);
        let shown = fetch(address, &format!("/v1/alerts/{}", ids[0])).1;
        let times = |label: &Value| [&label["event_at"], &label["known_at"]].map(Value::clone);
        let labels = shown["labels"].as_array().unwrap();
        let told: Vec<_> = labels.iter().map(times).collect();
        assert_eq!(
            told,
            [
                [json!(taken_over), json!(START_MS + 60_000)],
                [json!(START_MS), json!(START_MS + 120_000)]
            ]
        );
        assert_eq!(labels[0]["withdrawn"], true);
        let of_decision = fetch(address, &format!("/v1/decisions/{}", ids[0])).1;
        assert_eq!(of_decision["labels"], shown["labels"]);
        let alert = format!("/alerts/{}", ids[0]);
        for path in [alert.clone(), format!("{alert}?export=html")] {
            let (_, text) = page(address, &path);
            let section = text.split("<h2>Labels</h2>").nth(1).unwrap();
            let section = section.split("</section>").next().unwrap();
            for word in [
                "2026-02-24 08:00",
                "2026-03-01 08:00",
                "2026-03-01 08:01",
                "2026-03-01 08:02",
                "chargeback",
                "&#60;issuer&#62;",
                "withdrawn",
            ] {
                assert!(section.contains(word), "{word} is not in\n{section}");
            }
            assert_eq!(section.matches("withdrawn").count(), 1);
        }
        let (_, unlabelled) = page(address, &format!("/alerts/{}", ids[1]));
        assert!(!unlabelled.contains("<h2>Labels</h2>"));
    });
}

#[test]
fn an_alert_sleeps_until_its_time_and_not_once_it_is_closed() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let path = format!("/v1/alerts/{}/snooze", ids[3]);
        let until = Clock::start().now().0 + 3_600_000;
        let (head, row) = post(address, &path, &json!({ "until": until }));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(
            (&row["state"], &row["snoozed_until"]),
            (&json!("snoozed"), &json!(until))
        );
        assert_eq!(fetch(address, "/v1/alerts?state=snoozed").1["total"], 1);
        assert_eq!(fetch(address, "/v1/alerts").1["total"], 4);
        let said = json!({"verdict": "suspected", "analyst": "u-1"});
        post(
            address,
            &format!("/v1/alerts/{}/disposition", ids[3]),
            &said,
        );
        let (head, problem) = post(address, &path, &json!({ "until": until }));
        assert!(head.starts_with("HTTP/1.1 409"), "{head}");
        assert_eq!(problem["type"], "alert_closed");
    });
    // What was done is still there after a restart.
    let scoring = bank.start();
    with_server(router(&bank, scoring), |address| {
        current(address);
        assert_eq!(fetch(address, "/v1/alerts?state=closed").1["total"], 1);
    });
}

#[test]
fn what_is_no_alert_is_not_found() {
    let bank = Bank::new();
    let scoring = bank.start();
    scoring.install(bundle(Slot::Live, 1)).unwrap();
    let approved = scoring.score(&stream(0)).unwrap().decision_id.unwrap();
    with_server(router(&bank, scoring), |address| {
        current(address);
        assert_eq!(fetch(address, "/v1/alerts?state=all").1["total"], 0);
        let said = json!({"verdict": "fraud", "analyst": "u-1", "until": "2099-01-01T00:00:00Z"});
        for id in [approved.as_str(), "019ca8d2a400-7", "x", "%ff", "%3Cb%3E"] {
            let path = format!("/v1/alerts/{id}");
            let (head, problem) = fetch(address, &path);
            assert!(head.starts_with("HTTP/1.1 404"), "{id}: {head}");
            assert_eq!(problem["type"], "not_found");
            let (head, _) = post(address, &format!("{path}/disposition"), &said);
            assert!(head.starts_with("HTTP/1.1 404"), "{id}: {head}");
            let (head, text) = page(address, &format!("/alerts/{id}"));
            assert!(head.starts_with("HTTP/1.1 404"), "{id}: {head}");
            assert!(
                head.contains("text/html") && !text.contains("<b>"),
                "{text}"
            );
            let (head, _) = submit(
                address,
                &format!("/alerts/{id}/disposition"),
                "",
                "verdict=fraud&analyst=u-1",
            );
            assert!(head.starts_with("HTTP/1.1 404"), "{id}: {head}");
        }
    });
    assert_eq!(open(bank.folder.path()).follow().reach().labels, 0);
}

#[test]
fn the_page_of_one_account_has_a_row_for_each_of_its_alerts() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        for narrowed in [format!("of={}", ids[2]), "account=c0".to_owned()] {
            let (_, text) = page(address, &format!("/alerts?state=open&{narrowed}"));
            for id in [0, 2, 4].map(|nth: usize| &ids[nth]) {
                assert!(text.contains(&format!("data-id=\"{id}\"")), "{id}: {text}");
            }
        }
    });
}

#[test]
fn the_forms_work_without_a_script() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let path = format!("/alerts/{}", ids[0]);
        let ours = "Origin: http://localhost\r\n";
        let form = "verdict=genuine&analyst=u-17&note=caf%C3%A9+%26+%3Cb%3E";
        let (head, _) = submit(address, &format!("{path}/disposition"), ours, form);
        assert!(head.starts_with("HTTP/1.1 303"), "{head}");
        let back = format!("location: {path}");
        assert!(head.to_ascii_lowercase().contains(&back), "{head}");
        let (head, text) = page(address, &path);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(text.contains("café &#38; &#60;b&#62;") && text.contains("said genuine"));
        assert!(
            !text.contains("/snooze\""),
            "a closed alert offers no snooze"
        );

        let path = format!("/alerts/{}", ids[1]);
        let (head, _) = submit(address, &format!("{path}/snooze"), ours, "hours=24");
        assert!(head.starts_with("HTTP/1.1 303"), "{head}");
        assert_eq!(fetch(address, "/v1/alerts?state=snoozed").1["total"], 1);
        for form in [
            "verdict=maybe&analyst=u-1",
            "verdict=fraud&analyst=",
            "a=1&a=2",
            "%ff",
        ] {
            let (head, text) = submit(address, &format!("{path}/disposition"), ours, form);
            assert!(head.starts_with("HTTP/1.1 400"), "{form}: {head}");
            assert!(text.contains("Back to the queue"), "{text}");
        }
        let long = format!("note={}", "x".repeat(20 << 10));
        let (head, _) = submit(address, &format!("{path}/disposition"), ours, &long);
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    });
}

#[test]
fn a_form_that_trickles_is_not_waited_for() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    let door = Door::new(Times {
        body_max: Duration::from_millis(50),
        ..Times::default()
    });
    door.open(scoring);
    let router = agent_router(&bank.telemetry, &door, || json!({}), || true);
    with_server(router, |address| {
        for what in ["disposition", "snooze"] {
            let head = format!(
                "POST /alerts/{}/{what} HTTP/1.1\r\nContent-Length: 99\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n",
                ids[0]
            );
            let (head, text) = ask(address, head.as_bytes(), b"verdict=");
            assert!(head.starts_with("HTTP/1.1 400"), "{what}: {head}");
            assert!(text.contains("not whole after 0.05 s"), "{what}: {text}");
        }
    });
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    with_server(router(&bank, scoring), |address| {
        current(address);
        let label = json!({"txn_id": "t0", "fraud": true, "source": "analyst"}).to_string();
        let said = json!({"verdict": "fraud", "analyst": "u-1"}).to_string();
        for foreign in [
            "Origin: https://evil.example\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Origin: http://localhost\r\nSec-Fetch-Site: same-site\r\n",
        ] {
            let form = "verdict=fraud&analyst=u-1";
            let path = format!("/alerts/{}/disposition", ids[0]);
            let (head, problem) = submit(address, &path, foreign, form);
            assert!(head.starts_with("HTTP/1.1 403"), "{foreign}: {head}");
            assert!(problem.contains("cross_site"), "{problem}");
            // A form may send JSON under the name of plain text.
            for (path, body) in [
                (format!("/v1{path}"), &said),
                ("/v1/labels".to_owned(), &label),
            ] {
                let head = format!(
                    "POST {path} HTTP/1.1\r\nContent-Type: text/plain\r\n{foreign}\
                     Content-Length: {}\r\n",
                    body.len()
                );
                let (head, _) = exchange(address, head.as_bytes(), body.as_bytes());
                assert!(head.starts_with("HTTP/1.1 403"), "{foreign}: {head}");
            }
            let head = format!("GET /alerts HTTP/1.1\r\n{foreign}");
            let (head, _) = ask(address, head.as_bytes(), b"");
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        }
        assert_eq!(fetch(address, "/v1/alerts").1["total"], 5);
    });
    assert_eq!(open(bank.folder.path()).follow().reach().labels, 0);
}

#[test]
fn what_is_told_of_alerts_is_described() {
    let bank = Bank::new();
    let (scoring, ids) = scored(&bank);
    let document = openapi::document();
    let check = |method: &str, route: &str, told: &Value| {
        openapi::hold_route(&document, method, route, told);
    };
    with_server(router(&bank, scoring), |address| {
        current(address);
        let listing = fetch(address, "/v1/alerts").1;
        check("get", "/v1/alerts", &listing);
        assert!(listing["alerts"][0].is_object());
        let schemas = &document["components"]["schemas"];
        let verdicts = schemas["Verdict"]["enum"].as_array().unwrap();
        let path = format!("/v1/alerts/{}", ids[0]);
        for verdict in verdicts {
            let said = json!({"verdict": verdict, "analyst": "u-17"});
            let (head, told) = post(address, &format!("{path}/disposition"), &said);
            assert!(head.starts_with("HTTP/1.1 200"), "{verdict}: {head}");
            check("post", "/v1/alerts/{decision_id}/disposition", &told);
        }
        for state in schemas["AlertState"]["enum"].as_array().unwrap() {
            let path = format!("/v1/alerts?state={}", state.as_str().unwrap());
            assert!(
                fetch(address, &path).0.starts_with("HTTP/1.1 200"),
                "{path}"
            );
        }
        let shown = fetch(address, &path).1;
        check("get", "/v1/alerts/{decision_id}", &shown);
        for list in ["labels", "history", "payments"] {
            assert!(shown[list][0].is_object(), "{list}");
        }
        let path = format!("/v1/alerts/{}", ids[1]);
        let other = fetch(address, &path).1;
        check("get", "/v1/alerts/{decision_id}", &other);
        assert!(other["similar"][0].is_object());
        let said = json!({"until": Clock::start().now().0 + 3_600_000});
        let (head, told) = post(address, &format!("{path}/snooze"), &said);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        check("post", "/v1/alerts/{decision_id}/snooze", &told);
    });
}

// Every text that a payment or an analyst brings is written as a text, and tokens are cut short.
#[test]
fn hostile_texts_stay_texts_and_tokens_are_masked() {
    let bank = Bank::new();
    let scoring = bank.start();
    let hostile = "\"><script>alert(1)</script>";
    let mut strange = payment(hostile, "card-of-somebody", START_MS, 900_000);
    strange["terminal_tok"] = json!("<i>terminal-of-somebody");
    let id = scoring.score(&body(&strange)).unwrap().decision_id.unwrap();
    with_server(router(&bank, scoring), |address| {
        current(address);
        let said = json!({"verdict": "unknown", "analyst": hostile, "note": hostile});
        let (head, _) = post(address, &format!("/v1/alerts/{id}/disposition"), &said);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let queue = "/alerts?state=closed&account=card-of-somebody";
        let narrowed = format!("/alerts?state=all&account={}", "%22%3E%3Cscript%3E");
        let export = format!("/alerts/{id}?export=html");
        for path in [queue, &narrowed, &format!("/alerts/{id}"), &export] {
            let (head, text) = page(address, path);
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            assert!(
                !text.contains("<script>alert") && !text.contains("\"><script"),
                "{path}"
            );
            assert!(
                !text.contains("<i>") && !text.contains("terminal-of"),
                "{path}"
            );
            let is_export = path == export;
            assert_eq!(text.contains("<script>"), !is_export, "{path}");
            assert_eq!(text.contains("<form"), !is_export, "{path}");
            assert_eq!(
                head.contains("attachment; filename=\"alert-"),
                is_export,
                "{path}"
            );
            let head = head.to_ascii_lowercase();
            let policy = head.split("content-security-policy: ").nth(1).unwrap();
            let policy = policy.split("\r\n").next().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
            assert!(head.contains("x-frame-options: deny"), "{head}");
        }
        let (_, text) = page(address, &format!("/alerts/{id}"));
        assert!(
            text.contains("&#34;&#62;&#60;script&#62;alert(1)"),
            "{text}"
        );
        assert!(
            text.contains("card-of-…") && !text.contains("card-of-somebody"),
            "{text}"
        );
        let (_, text) = page(address, "/alerts?state=closed");
        assert!(
            text.contains("card-of-…") && !text.contains("card-of-somebody"),
            "{text}"
        );
    });
}
