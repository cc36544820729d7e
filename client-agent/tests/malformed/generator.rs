//! Requests as nobody should send them, each a function of its number. None of them can be a
//! payment, a label or an action that is taken: what may be whole enough for that is a question
//! (`whatif`), lacks a field that is needed, or speaks of a payment that nobody scored.

use features::CANONICAL;
use serde_json::{Value, json};

use crate::stage::payment;

/// A request, and what is owed to it.
pub(crate) struct Malformed {
    /// What is wrong with it.
    pub(crate) fault: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) owed: Owed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    /// It is whole, and for the agent: an answer, or a problem.
    Word,
    /// It is whole, but perhaps not for the agent: a status of the HTTP layer's will do.
    Status,
    /// It breaks off, or is no HTTP: the connection may just end.
    Nothing,
}

/// The request of a number.
pub(crate) fn malformed(number: u64) -> Malformed {
    let mut chance = Chance(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    match chance.below(10) {
        0..=3 => text(&mut chance),
        4..=5 => value(&mut chance),
        6 => header(&mut chance),
        7 => head(&mut chance),
        8 => framing(&mut chance),
        _ => path(&mut chance),
    }
}

/// Where a body may go.
#[derive(Clone, Copy)]
enum Route {
    Score,
    Batch,
    Labels,
    Disposition,
}

const ROUTES: [Route; 4] = [
    Route::Score,
    Route::Batch,
    Route::Labels,
    Route::Disposition,
];

impl Route {
    fn path(self) -> &'static str {
        match self {
            Self::Score => "/v1/score",
            Self::Batch => "/v1/score/batch",
            Self::Labels => "/v1/labels",
            Self::Disposition => "/v1/alerts/019ca8d2a400-ff/disposition",
        }
    }

    /// A body that is well formed, and refused all the same however few of its bytes change.
    fn refused(self) -> String {
        match self {
            Self::Score => scored(|payment| drop(payment.remove("account_tok"))),
            Self::Batch => vec![Self::Score.refused(); 3].join("\n"),
            Self::Labels => json!([label(), label()]).to_string(),
            Self::Disposition => disposition().to_string(),
        }
    }

    /// A body with one field of another kind than it should be.
    fn mistyped(self, chance: &mut Chance) -> String {
        let (name, value) = (field(chance), odd(chance));
        let set = |mut object: Value, name: &str| {
            object[name] = value.clone();
            object
        };
        match self {
            Self::Score | Self::Batch => scored(|payment| {
                payment.insert(name.to_owned(), value);
            }),
            Self::Labels => {
                let names = [
                    "txn_id",
                    "fraud",
                    "known_at",
                    "event_at",
                    "source",
                    "supersedes",
                    name,
                ];
                let name = *chance.of(&names);
                json!([set(label(), name), label()]).to_string()
            }
            Self::Disposition => {
                let names = ["verdict", "analyst", "note", "known_at", name];
                let name = *chance.of(&names);
                set(disposition(), name).to_string()
            }
        }
    }
}

/// A question about a payment that is changed.
fn scored(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut payment = payment("asked", 7);
    change(payment.as_object_mut().expect("a payment is an object"));
    json!({ "purpose": "whatif", "txn": payment }).to_string()
}

fn label() -> Value {
    json!({"txn_id": "nobody", "fraud": true, "known_at": 1_480_000_000_000_i64,
        "source": "chargeback"})
}

fn disposition() -> Value {
    json!({"verdict": "fraud", "analyst": "ana", "note": "called the holder"})
}

fn field(chance: &mut Chance) -> &'static str {
    let strange = [
        "",
        "card number",
        "pan",
        "cvv",
        "__proto__",
        "4111111111111111",
    ];
    match chance.below(4) {
        0 => strange[chance.below(strange.len())],
        _ => CANONICAL[chance.below(CANONICAL.len())],
    }
}

/// A value where another was expected.
fn odd(chance: &mut Chance) -> Value {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    match chance.below(18) {
        0 => json!(null),
        1 => json!(true),
        2 => json!([]),
        3 => json!({}),
        4 => json!(""),
        5 => json!(-1),
        6 => json!(i64::MIN),
        7 => json!(u64::MAX),
        8 => json!(f64::MAX),
        9 => json!(5e-324),
        10 => json!(-0.0),
        11 => json!("NaN"),
        12 => json!("\u{0}\u{7f}\u{202e}\u{feff}"),
        13 => json!("4111111111111111"),
        14 => json!("x".repeat(1 << chance.below(15))),
        15 => nested(chance.below(100)),
        16 => json!(vec![0; chance.below(2_000)]),
        _ => json!({"txn": {"txn": {"ext": [null, {"a": "b"}]}}}),
    }
}

/// A body whose text is wrong.
fn text(chance: &mut Chance) -> Malformed {
    let route = *chance.of(&ROUTES);
    let (fault, spoil) = TEXTS[chance.below(TEXTS.len())];
    let body = spoil(chance, &route.refused());
    Malformed {
        fault,
        bytes: post(route.path(), JSON, &body),
        owed: Owed::Word,
    }
}

/// What makes a body that is none of a valid one.
type Spoil = fn(&mut Chance, &str) -> Vec<u8>;

const TEXTS: [(&str, Spoil); 14] = [
    ("text cut short", |chance, text| {
        let length = chance.below(text.len());
        text.as_bytes()[..length].to_vec()
    }),
    ("bytes changed", |chance, text| {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=chance.below(8) {
            let place = chance.below(bytes.len());
            bytes[place] = chance.byte();
        }
        bytes
    }),
    ("no UTF-8", |chance, text| {
        let parts: [&[u8]; 4] = [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80"];
        let part = parts[chance.below(parts.len())];
        inserted(chance, text, part)
    }),
    ("a control character", |chance, text| {
        let part = [chance.below(32) as u8];
        inserted(chance, text, &part)
    }),
    ("a byte order mark", |_, text| {
        [b"\xef\xbb\xbf", text.as_bytes()].concat()
    }),
    ("UTF-16", |_, text| {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    ("deep nesting", |chance, text| {
        let opened = ["[", "{\"a\":", "[{\"txn\":"];
        let opened = opened[chance.below(opened.len())];
        let deep = opened.repeat(1 << chance.below(13));
        match chance.below(2) {
            0 => deep.into_bytes(),
            _ => replaced(chance, text, &deep),
        }
    }),
    ("a number beyond numbers", |chance, text| {
        let long = "9".repeat(400);
        let numbers = [
            "1e400", "-1e400", "1e-400", "0x10", "01", "+1", ".5", "1_000", &long,
        ];
        let number = numbers[chance.below(numbers.len())];
        replaced(chance, text, number)
    }),
    ("a word that is no value", |chance, text| {
        let words = [
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "undefined",
            "None",
            "True",
        ];
        let word = words[chance.below(words.len())];
        replaced(chance, text, word)
    }),
    ("a field told twice", |chance, text| {
        let fields = [
            "\"txn\":{},",
            "\"txn_id\":\"a\",\"txn_id\":1,",
            "\"\":null,\"\":[],",
        ];
        let field = fields[chance.below(fields.len())];
        text.replacen('{', &format!("{{{field}"), 1).into_bytes()
    }),
    ("a long text", |chance, text| {
        let long = format!("\"{}\"", "\\u0041".repeat(1 << chance.below(14)));
        replaced(chance, text, &long)
    }),
    ("more behind the end", |chance, text| {
        let parts = [
            "}",
            ",",
            "\0",
            "{}",
            "]]",
            "// done",
            "\r\n\r\nGET / HTTP/1.1",
        ];
        let part = parts[chance.below(parts.len())];
        [text.as_bytes(), part.as_bytes()].concat()
    }),
    ("no JSON", |chance, _| {
        let length = chance.below(2_000);
        (0..length).map(|_| chance.byte()).collect()
    }),
    ("blanks", |chance, _| {
        let blanks = [" ", "\n", "\r\n", "\t", "\u{a0}"];
        let blank = blanks[chance.below(blanks.len())];
        blank.repeat(chance.below(1_500)).into_bytes()
    }),
];

fn inserted(chance: &mut Chance, text: &str, part: &[u8]) -> Vec<u8> {
    let (before, after) = text.as_bytes().split_at(chance.below(text.len()));
    [before, part, after].concat()
}

/// The text with another value behind one of its colons.
fn replaced(chance: &mut Chance, text: &str, value: &str) -> Vec<u8> {
    let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
    let from = *chance.of(&colons);
    let rest = &text[from..];
    let to = rest.find([',', '}']).map_or(text.len(), |at| from + at);
    [&text[..from], value, &text[to..]].concat().into_bytes()
}

/// A body whose one field is of another kind.
fn value(chance: &mut Chance) -> Malformed {
    let route = *chance.of(&ROUTES);
    let body = route.mistyped(chance);
    Malformed {
        fault: "a field of another kind",
        bytes: post(route.path(), JSON, body.as_bytes()),
        owed: Owed::Word,
    }
}

/// A head that is HTTP, and says what it should not.
fn header(chance: &mut Chance) -> Malformed {
    let route = *chance.of(&ROUTES);
    let line = *chance.of(&HEADERS);
    Malformed {
        fault: "a header that says something else",
        bytes: post(route.path(), line, route.refused().as_bytes()),
        owed: Owed::Word,
    }
}

const JSON: &str = "content-type: application/json";

const HEADERS: [&str; 14] = [
    "content-type: text/plain",
    "content-type: application/xml; charset=utf-16",
    "content-type: multipart/form-data",
    "content-type: application/x-www-form-urlencoded",
    "content-type: ;;;",
    "content-type:",
    "content-encoding: gzip",
    "accept: image/png",
    "x-deadline-ms: -1",
    "x-deadline-ms: 99999999999999999999",
    "x-deadline-ms: NaN\r\nx-deadline-ms: 5",
    "origin: https://elsewhere.example",
    "sec-fetch-site: cross-site",
    "range: bytes=5-1",
];

/// A head that is no HTTP.
fn head(chance: &mut Chance) -> Malformed {
    let body = Route::Score.refused();
    let long = format!("x: {}", "y".repeat(20 << 10));
    let many = "x: y\r\n".repeat(200);
    let (fault, mut bytes): (_, Vec<u8>) = match chance.below(4) {
        0 => ("no request line", chance.of(&LINES).to_vec()),
        1 => ("a broken header", b"POST /v1/score HTTP/1.1".to_vec()),
        2 => ("a head too long", b"POST /v1/score HTTP/1.1".to_vec()),
        _ => (
            "random bytes",
            (0..chance.below(500)).map(|_| chance.byte()).collect(),
        ),
    };
    let line: &[u8] = match fault {
        "a broken header" => chance.of::<&[u8]>(&BROKEN),
        "a head too long" => [long.as_bytes(), many.trim_end().as_bytes()][chance.below(2)],
        _ => b"a: b",
    };
    let rest = format!("\r\nhost: a\r\nconnection: close\r\n\r\n{body}");
    for part in [b"\r\n", line, rest.as_bytes()] {
        bytes.extend_from_slice(part);
    }
    Malformed {
        fault,
        bytes,
        owed: Owed::Nothing,
    }
}

const LINES: [&[u8]; 16] = [
    b"POST /v1/score",
    b"post /v1/score HTTP/1.1",
    b"POST  /v1/score HTTP/1.1",
    b"POST /v1/score HTTP/9.9",
    b"POST /v1/score HTTP/1.1 x",
    b"POST v1/score HTTP/1.1",
    b"POST * HTTP/1.1",
    b"POST http://[::1/ HTTP/1.1",
    b"POST /v1/\xffscore HTTP/1.1",
    b"POST /v1/score\tHTTP/1.1",
    b"P\0ST /v1/score HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
    b"GET / HTTP/0.9",
    b"PRI * HTTP/2.0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"",
];

const BROKEN: [&[u8]; 24] = [
    b"content-length: -1",
    b"content-length: abc",
    b"content-length: 1e3",
    b"content-length: +5",
    b"content-length:",
    b"content-length: 5, 6",
    b"content-length: 5\r\ncontent-length: 6",
    b"content-length: 99999999999999999999999",
    b"content-length: 18446744073709551615",
    b"content-length: 4294967296",
    b"content-length: 5",
    b"transfer-encoding: gzip",
    b"transfer-encoding: chunked, gzip",
    b"transfer-encoding: \x0bchunked",
    b"transfer-encoding: chunked\r\ncontent-length: 5",
    b"bad name: x",
    b"no colon",
    b": nameless",
    b" folded: x",
    b"x: \0",
    b"x:\ry",
    b"\xff\xfe: x",
    b"expect: 100-continue\r\ncontent-length: 9",
    b"connection: upgrade, http2-settings\r\nupgrade: h2c",
];

/// A body that breaks off, or is not what its head says.
fn framing(chance: &mut Chance) -> Malformed {
    let route = *chance.of(&ROUTES);
    let body = route.refused();
    let whole = post(route.path(), JSON, body.as_bytes());
    let start = format!("POST {} HTTP/1.1\r\nhost: a\r\n{JSON}\r\n", route.path());
    let chunks = format!("{start}transfer-encoding: chunked\r\n\r\n");
    let (fault, bytes, owed) = match chance.below(4) {
        0 => {
            let length = chance.below(whole.len());
            (
                "a request cut short",
                whole[..length].to_vec(),
                Owed::Nothing,
            )
        }
        1 => {
            let length = body.len() + 1 + chance.below(1 << 20);
            let text = format!("{start}content-length: {length}\r\n\r\n{body}");
            ("a body shorter than told", text.into_bytes(), Owed::Nothing)
        }
        2 => {
            let chunk = format!("{:x}\r\n{body}\r\n", body.len());
            let told = [chunks.as_str(), chunk.as_str(), *chance.of(&CHUNKS)].concat();
            ("chunks broken off", told.into_bytes(), Owed::Nothing)
        }
        _ => {
            // Whatever follows a zero is no request, and nobody waits for more of it.
            let noise: Vec<u8> = (0..chance.below(200)).map(|_| chance.byte()).collect();
            let first = start + &format!("content-length: {}\r\n\r\n{body}", body.len());
            let bytes = [first.as_bytes(), b"\0", &noise].concat();
            ("noise behind a request", bytes, Owed::Status)
        }
    };
    Malformed { fault, bytes, owed }
}

const CHUNKS: [&str; 9] = [
    "",
    "zz\r\n",
    "-1\r\n",
    "5\r\nab",
    "5\r\nabcdefgh\r\n",
    "ffffffffffffffffff\r\n",
    "7fffffff\r\nabc",
    "0\r\n",
    "0\r\ntrailer: \0\r\n\r\n",
];

/// A question by a path that is none.
fn path(chance: &mut Chance) -> Malformed {
    let long = "a".repeat(chance.below(12_000));
    let odd = *chance.of(&TAILS);
    let tail = match chance.below(8) {
        0 => long.as_str(),
        _ => odd,
    };
    let start = *chance.of(&PATHS);
    let text = format!("GET {start}{tail} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    Malformed {
        fault: "a path that is none",
        bytes: text.into_bytes(),
        owed: Owed::Status,
    }
}

const PATHS: [&str; 12] = [
    "/",
    "/v1/score",
    "/v1/decisions/",
    "/v1/decisions?txn_id=",
    "/v1/scores?days=",
    "/v1/alerts/",
    "/v1/alerts?limit=",
    "/v1/alerts?after=",
    "/v1/alerts?state=",
    "/alerts/",
    "/alerts?account=",
    "/openapi.json?",
];

const TAILS: [&str; 20] = [
    "",
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "..%2f..%2fetc%2fpasswd",
    "../../../identity/key",
    "-",
    "0-ffffffffffffffff",
    "0-11112222333344445",
    "-9223372036854775808",
    "1e9",
    "NaN&days=1",
    "a&txn_id=b&state=c",
    "<script>alert(1)</script>",
    "'%20OR%201=1--",
    "\u{e9}\u{202e}",
    "%F0%9F%92%B3",
    "4111111111111111",
    "#?;=&&&",
];

fn post(path: &str, line: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{line}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Steele, Lea and Flood's SplitMix64: each number's request is its own, and always the same.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.draw() as u8
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
