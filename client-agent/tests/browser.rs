//! The alert page as an analyst has it: worked by keys in a browser, true to its policy and its
//! origin, and readable narrow and wide, light and dark. The browser is `browser/chromium.rs`; what
//! its routes answer, with a script and without, is in the tests of `scoring`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Instant;

use client_agent::scoring::Bundle;
use model::Calibration;
use serde_json::{Value, json};

#[path = "browser/chromium.rs"]
mod chromium;
mod needed;
#[path = "soak/stage.rs"]
mod stage;

use chromium::{Browser, PATIENCE, POLL};
use stage::{Stage, bundle, payment};

/// Cards and how many payments each has, all of which are alerts: of the first more than are shown.
const CARDS: [(&str, u64); 4] = [("card-0", 34), ("card-1", 3), ("card-2", 2), ("card-3", 1)];
const ALERTS: u64 = 40;
/// Payments that are known for what they were, and whether they were fraud.
const KNOWN: [(&str, bool); 5] = [
    ("card-0-0", true),
    ("card-0-1", false),
    ("card-1-0", true),
    ("card-2-0", false),
    ("card-2-1", true),
];
/// What a text has to stand out by from its ground: WCAG 2.2, 1.4.3.
const CONTRAST_MIN: f64 = 4.5;

#[test]
fn an_analyst_works_the_queue_by_keys() {
    let Some(mut desk) = Desk::set() else {
        return;
    };
    desk.browser.open(&desk.bank.url("/alerts"));
    let id = desk.choose("card-0");
    desk.browser.press("Enter");
    desk.browser.arrive(&desk.bank.page(&id));
    let shown = desk.bank.shown(&id);
    assert_eq!(list(&shown["payments"]).len(), 30);
    desk.check_sheet(&shown);
    desk.look_keys_up(&id);
    desk.introduce(&id);
    desk.judge_by_one_key_each();
    desk.export();
    desk.browser.press("q");
    desk.browser.arrive(&desk.bank.url("/alerts"));
    desk.judge_from_the_queue();
    desk.check_quiet();
}

// What the other tests rest on where they hear nothing.
#[test]
fn what_breaks_the_policy_or_leaves_the_origin_is_heard() {
    let Some(mut desk) = Desk::set() else {
        return;
    };
    desk.browser.open(&desk.bank.url("/alerts"));
    desk.check_quiet();
    desk.browser.ask(
        "(() => {
          const [image, script] = [new Image(), document.createElement('script')];
          image.src = 'https://elsewhere.invalid/image';
          script.textContent = 'window.ran = true';
          document.body.append(image, script);
          fetch('https://elsewhere.invalid/data').catch(() => null);
          setTimeout(() => { throw new Error('planted'); });
        })()",
    );
    let expected = ["img-src", "script-src", "connect-src", "planted"];
    let (mut complaints, mut requests) = (String::new(), Vec::new());
    wait("not every breach is heard", || {
        let heard = desk.browser.heard();
        complaints += &heard.complaints.join("\n");
        requests.extend(heard.requests);
        expected.iter().all(|word| complaints.contains(word))
            && requests.iter().any(|url| url.contains("//elsewhere."))
    });
    assert_eq!(desk.browser.ask("window.ran ?? null"), Value::Null);
}

#[test]
fn pages_fit_and_can_be_read_narrow_and_wide_light_and_dark() {
    let Some(mut desk) = Desk::set() else {
        return;
    };
    let rows = desk.bank.fetch("/v1/alerts?grouped=true");
    let [closed, open] = [0, 1].map(|at: usize| text(&rows["alerts"][at]["decision_id"]));
    // As long as may be, without a place to break at.
    let said = json!({
        "verdict": "suspected", "analyst": "w".repeat(64), "note": "n".repeat(400),
    });
    let path = format!("/v1/alerts/{closed}/disposition");
    desk.bank.post(&path, &said);
    let pages = [
        "/alerts".to_owned(),
        "/alerts?state=all".to_owned(),
        format!("/alerts/{closed}"),
        format!("/alerts/{open}"),
    ];
    for path in pages {
        desk.browser.open(&desk.bank.url(&path));
        desk.check_looks(&path);
    }
    desk.check_quiet();
    // A refusal is a page too; that it is one, the browser tells developers.
    desk.browser.open(&desk.bank.url("/alerts/none"));
    desk.check_looks("/alerts/none");
}

/// A browser before the queue of a bank.
struct Desk {
    browser: Browser,
    bank: Bank,
}

impl Desk {
    /// Nothing where there is no browser.
    fn set() -> Option<Self> {
        let mut browser = Browser::start()?;
        browser.look(1_400, "light");
        let bank = Bank::open();
        Some(Self { browser, bank })
    }

    /// Moves to the row of an account, by way of the last. Returns its worst alert.
    fn choose(&mut self, account: &str) -> String {
        let ids = self.check_queue();
        assert_eq!(ids.len(), CARDS.len());
        let mut path = Vec::new();
        // Neither end is left by a key that leads beyond it.
        for key in ["k", "j", "j", "j", "j"] {
            self.browser.press(key);
            path.push(self.chosen());
        }
        let expected = [0, 1, 2, 3, 3].map(|at: usize| ids[at].clone());
        assert_eq!(path, expected);
        let rows = self.bank.fetch("/v1/alerts?grouped=true");
        let mut rows = list(&rows["alerts"]).iter();
        let at = rows.position(|row| row["account"] == account).unwrap();
        for _ in at + 1..ids.len() {
            self.browser.press("k");
        }
        assert_eq!(self.chosen(), ids[at]);
        ids[at].clone()
    }

    /// Row by row what the agent says of each account. Returns the alerts behind the rows.
    fn check_queue(&mut self) -> Vec<String> {
        let rows = self.bank.fetch("/v1/alerts?grouped=true");
        let rows = list(&rows["alerts"]);
        let told = rows
            .iter()
            .map(|row| json!([row["account"], text(&row["score"]), text(&row["payments"])]));
        let shown = self.cells("tr[data-id]", &["Account", "Score", "Alerts"]);
        assert_eq!(shown, told.collect::<Value>());
        let ids = rows.iter().map(|row| text(&row["decision_id"]));
        ids.collect()
    }

    /// Reasons, payments and cases, each as the agent says them.
    fn check_sheet(&mut self, shown: &Value) {
        let reasons = list(&shown["answer"]["reasons"]).iter().map(|reason| {
            let words = format!("{} {}", text(&reason["text"]), text(&reason["code"]));
            json!([words, reason["observed"], text(&reason["usual"])])
        });
        let payments = list(&shown["payments"]).iter();
        let payments = payments.map(|one| json!([text(&one["score"]), text(&one["verdict"])]));
        let cases = list(&shown["similar"]).iter().map(|case| {
            let distance = case["distance"].as_f64().unwrap() as f32;
            json!([
                case["verdict"],
                format!("{distance:.2}"),
                text(&case["score"])
            ])
        });
        for (nth, labels, told) in [
            (
                1,
                &["Reason", "Observed", "Usual"][..],
                reasons.collect::<Value>(),
            ),
            (2, &["Score", "Known as"][..], payments.collect()),
            (3, &["Known as", "Distance", "Score"][..], cases.collect()),
        ] {
            assert!(!list(&told).is_empty(), "{labels:?}: {shown}");
            let rows = format!("section:nth-of-type({nth}) tbody tr");
            assert_eq!(self.cells(&rows, labels), told);
        }
        // One alone makes no line.
        let points = "document.querySelector('.spark polyline')?.points.length ?? 1";
        assert_eq!(self.browser.ask(points), list(&shown["payments"]).len());
    }

    /// Keys that do nothing else while they are being looked at, and are those of the document.
    fn look_keys_up(&mut self, id: &str) {
        let is_open = "document.querySelector('#help').open";
        for (key, expected) in [("?", true), ("f", true), ("?", false)] {
            self.browser.press(key);
            assert_eq!(self.browser.ask(is_open), expected, "{key}");
        }
        assert_eq!(self.status(), "");
        assert_eq!(self.bank.shown(id)["alert"]["state"], "open");
        let shown = "[...document.querySelectorAll('#help kbd')].map((key) => key.textContent)";
        let shown = self.browser.ask(shown);
        let keys = list(&shown).iter().filter(|&key| key != "Esc").map(text);
        assert_eq!(keys.collect::<Vec<_>>(), documented_keys());
    }

    /// Says who works here: without that there is no verdict, and while it is typed no key is one.
    fn introduce(&mut self, id: &str) {
        self.browser.press("f");
        assert_eq!(self.status(), "Say first who you are.");
        for key in ["u", "-", "f"] {
            self.browser.press(key);
        }
        assert_eq!(self.analyst(), "u-f");
        self.browser.press("Escape");
        assert_eq!(self.bank.shown(id)["alert"]["state"], "open");
    }

    /// Each key on an alert of its own, the next one. What teaches is a label, once.
    fn judge_by_one_key_each(&mut self) {
        for (key, state, verdict, label) in [
            ("f", "closed", json!("fraud"), Some("fraud")),
            ("g", "closed", json!("genuine"), Some("genuine")),
            ("u", "closed", json!("unknown"), None),
            ("s", "snoozed", Value::Null, None),
        ] {
            let id = text(&self.browser.ask("document.body.dataset.id"));
            assert_eq!(self.analyst(), "u-f");
            self.browser.press(key);
            let is_shown = format!("document.querySelector('.state b').textContent === {state:?}");
            self.browser
                .wait(&format!("{is_shown} && document.readyState === 'complete'"));
            let shown = self.bank.shown(&id);
            let alert = &shown["alert"];
            assert_eq!(
                (&alert["state"], &alert["verdict"]),
                (&json!(state), &verdict)
            );
            let history = list(&shown["history"]).iter();
            let of_analyst = history.filter(|event| event["kind"] == "label");
            let of_analyst = of_analyst.filter(|event| event["by"] == "analyst");
            let of_analyst: Vec<String> = of_analyst.map(|event| text(&event["verdict"])).collect();
            assert_eq!(of_analyst, Vec::from_iter(label), "{key}: {shown}");
            self.browser.press("n");
            self.browser.arrive(&self.bank.page(&text(&shown["next"])));
        }
        let open = self.bank.fetch("/v1/alerts");
        assert_eq!(open["total"], ALERTS - 4);
    }

    /// The alert as a file: the same tables, and nothing that could do or ask for anything.
    fn export(&mut self) {
        let id = text(&self.browser.ask("document.body.dataset.id"));
        let shown = self.bank.shown(&id);
        let link = "document.querySelector('.bar a[href^=\"/v1/\"]').href";
        let expected = self.bank.url(&format!("/v1/alerts/{id}"));
        assert_eq!(self.browser.ask(link), expected);
        self.browser.press("e");
        let file = self.browser.download(&format!("alert-{id}.html"));
        let page = std::fs::read_to_string(&file).unwrap();
        assert!(
            !page.contains("<script") && !page.contains("<form"),
            "{page}"
        );
        // The icon's, which is empty.
        assert_eq!(page.matches("href=").count(), 1, "{page}");
        self.check_quiet();

        self.browser.open(&format!("file://{}", file.display()));
        self.check_sheet(&shown);
        // Its own policy lets its style through.
        let width = self
            .browser
            .ask("getComputedStyle(document.querySelector('main')).maxWidth");
        assert_eq!(width, "1180px");
        self.check_looks("the export");
        let heard = self.browser.heard();
        assert_eq!(heard.complaints, Vec::<String>::new());
        let is_file = |url: &String| url.starts_with("file:") || is_inline(url);
        assert!(heard.requests.iter().all(is_file), "{:?}", heard.requests);
        self.browser.open(&self.bank.page(&id));
    }

    /// A verdict on a row leads to the next one, and neither key leads anywhere else.
    fn judge_from_the_queue(&mut self) {
        let ids = self.check_queue();
        assert_eq!(self.chosen(), ids[0]);
        self.browser.press("f");
        let is_done = "document.querySelector('tr.done .state')?.textContent === 'fraud'";
        self.browser.wait(is_done);
        assert_eq!(self.chosen(), ids[1]);
        assert_eq!(self.bank.shown(&ids[0])["alert"]["verdict"], "fraud");
        for (key, word) in [("n", "There is no next one."), ("q", "This is the queue.")] {
            self.browser.press(key);
            assert_eq!(self.status(), word);
        }
    }

    /// The page as it is, and with its keys before it, at every width and scheme.
    fn check_looks(&mut self, page: &str) {
        let has_keys = self.browser.ask("document.querySelector('#help') !== null") == true;
        for width in [390, 1_400] {
            for (scheme, grounds) in [("light", 0.9..=1.0), ("dark", 0.0..=0.1)] {
                self.browser.look(width, scheme);
                let look = format!("{page}, {width} wide, {scheme}");
                self.check_look(&look, &grounds);
                if has_keys {
                    self.browser.press("?");
                    self.check_look(&format!("{look}, its keys shown"), &grounds);
                    self.browser.press("?");
                }
            }
        }
    }

    fn check_look(&mut self, look: &str, grounds: &RangeInclusive<f64>) {
        let found = self.browser.ask(include_str!("browser/readable.js"));
        let number = |name: &str| found[name].as_f64().unwrap();
        assert_eq!(found["over"], 0, "{look}: {found}");
        assert!(number("texts") >= 3.0, "{look}: {found}");
        assert!(grounds.contains(&number("ground")), "{look}: {found}");
        assert!(number("contrast") >= CONTRAST_MIN, "{look}: {found}");
    }

    /// Nothing was complained of, and nobody was asked but the agent.
    fn check_quiet(&mut self) {
        let heard = self.browser.heard();
        assert_eq!(heard.complaints, Vec::<String>::new());
        let own = self.bank.url("/");
        let is_own = |url: &String| url.starts_with(&own) || is_inline(url);
        assert!(!heard.requests.is_empty());
        assert!(heard.requests.iter().all(is_own), "{:?}", heard.requests);
    }

    /// The cells so labelled of each of the rows.
    fn cells(&mut self, rows: &str, labels: &[&str]) -> Value {
        self.browser.ask(&format!(
            "[...document.querySelectorAll({rows:?})].map((row) => {labels:?}.map((label) =>
               row.querySelector(`[data-l=\"${{label}}\"]`).textContent.trim()))"
        ))
    }

    /// The alert of the row that has the focus.
    fn chosen(&mut self) -> String {
        let row = "document.activeElement.closest('tr[data-id]')?.dataset.id ?? null";
        text(&self.browser.ask(row))
    }

    fn status(&mut self) -> Value {
        let status = "document.querySelector('#status').textContent";
        self.browser.ask(status)
    }

    fn analyst(&mut self) -> Value {
        self.browser.ask("document.querySelector('#analyst').value")
    }
}

/// A bank whose every payment is an alert, some of which are known for what they were.
struct Bank(Stage);

impl Bank {
    fn open() -> Self {
        let stage = Stage::set();
        // Odds about e: to be looked at or declined, and explained, whatever the network says.
        let calibration = Calibration { a: 0.5, b: 1.0 };
        let model = Bundle {
            calibration,
            ..bundle(1)
        };
        stage.scoring.install(model).unwrap();
        let of_card = |(card, count): (&'static str, u64)| (0..count).map(move |nth| (card, nth));
        for (number, (card, nth)) in (0..).zip(CARDS.into_iter().flat_map(of_card)) {
            let mut payment = payment(&format!("{card}-{nth}"), number);
            payment["card_tok"] = json!(card);
            payment["amount_minor"] = json!(1_000 + 70_000 * (number % 11));
            let body = json!({ "txn": payment }).to_string();
            stage.scoring.score(body.as_bytes()).unwrap();
        }
        let bank = Self(stage);
        for (txn_id, fraud) in KNOWN {
            let label = json!({"txn_id": txn_id, "fraud": fraud, "source": "chargeback"});
            bank.post("/v1/labels", &label);
        }
        wait("the queue has not read all", || bank.has_read_all());
        bank
    }

    /// Whether the queue, which reads behind the worker, has every payment and every case.
    fn has_read_all(&self) -> bool {
        let path = "GET /v1/alerts?state=all&limit=200";
        let Some(all) = ask(self.0.address, path, "") else {
            return false;
        };
        let unknown = list(&all["alerts"])
            .iter()
            .find(|alert| alert["txn_id"] == "card-0-33");
        all["total"] == ALERTS
            && unknown.is_some_and(|alert| {
                let shown = self.shown(&text(&alert["decision_id"]));
                list(&shown["similar"]).len() == KNOWN.len()
            })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.address)
    }

    /// Where an alert's page is.
    fn page(&self, id: &str) -> String {
        self.url(&format!("/alerts/{id}"))
    }

    /// All that the agent says of an alert.
    fn shown(&self, id: &str) -> Value {
        self.fetch(&format!("/v1/alerts/{id}"))
    }

    fn fetch(&self, path: &str) -> Value {
        let answer = ask(self.0.address, &format!("GET {path}"), "");
        answer.unwrap_or_else(|| panic!("{path} is refused"))
    }

    fn post(&self, path: &str, body: &Value) {
        let answer = ask(self.0.address, &format!("POST {path}"), &body.to_string());
        assert!(answer.is_some(), "{path} refuses {body}");
    }
}

/// What the agent answers, where it says yes.
fn ask(address: SocketAddr, what: &str, body: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let is_yes = head.starts_with("HTTP/1.1 200");
    is_yes.then(|| serde_json::from_str(body).unwrap())
}

/// The keys that docs/alerts.md names, in its order.
fn documented_keys() -> Vec<String> {
    let document = include_str!("../../docs/alerts.md");
    let (_, keys) = document.split_once("\n## Keys\n\n").unwrap();
    let (keys, _) = keys.split_once("all of them").unwrap();
    let quoted = keys.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// Whether a URL is the thing itself.
fn is_inline(url: &str) -> bool {
    url.starts_with("data:")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A value as a page writes it: nothing where there is none.
fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => String::new(),
        None => value.to_string(),
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(POLL);
    }
}
