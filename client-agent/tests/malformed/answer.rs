//! What came back on a connection, taken apart, and whether an agent may say it.

use client_agent::scoring::ProblemType;
use serde_json::Value;

/// One answer: where it has no length and no chunks, all that came.
pub(crate) struct Answer {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

/// Every answer on a connection, in order. `Err` says what is no answer.
pub(crate) fn answers(mut bytes: &[u8]) -> Result<Vec<Answer>, String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.ok_or_else(|| format!("no whole head in {} bytes", bytes.len()))?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
        let (body, rest) = match (status, field(head, "content-length")) {
            (100..200, _) => (Vec::new(), &bytes[end + 4..]),
            (_, Some(length)) => {
                let length = length.parse::<usize>().map_err(|error| error.to_string())?;
                let body = bytes[end + 4..].split_at_checked(length);
                let (body, rest) = body.ok_or("a body shorter than told")?;
                (body.to_vec(), rest)
            }
            _ if field(head, "transfer-encoding").is_some() => unchunked(&bytes[end + 4..])?,
            _ => (bytes[end + 4..].to_vec(), &bytes[bytes.len()..]),
        };
        let kind = field(head, "content-type").unwrap_or_default().to_owned();
        all.push(Answer { status, kind, body });
        bytes = rest;
    }
    Ok(all)
}

impl Answer {
    /// Whether it is a problem document.
    pub(crate) fn is_problem(&self) -> bool {
        self.kind == "application/problem+json"
    }

    /// What is wrong with it, as the agent's own word.
    pub(crate) fn fault(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let wrong = |what: &str| Some(format!("{what}: {} {} {text:.300}", self.status, self.kind));
        let parsed = || -> Value { serde_json::from_slice(&self.body).unwrap_or_default() };
        match (self.status, self.kind.as_str()) {
            (500.., _) => wrong("a failure"),
            (400.., "application/problem+json") => match is_problem(&parsed(), Some(self.status)) {
                true => None,
                false => wrong("an unknown problem"),
            },
            (400.., _) => wrong("a refusal without a problem"),
            (200, "application/x-ndjson") => {
                let mut lines = text.lines().map(serde_json::from_str::<Value>);
                let is_whole = lines.all(|line| line.is_ok_and(|line| is_line(&line)));
                (!is_whole)
                    .then(|| wrong("a line of another form"))
                    .flatten()
            }
            (200, "application/json") => {
                let parsed = parsed();
                let mut items = parsed.as_array().into_iter().flatten();
                let is_known = |item: &Value| match item.get("problem") {
                    Some(problem) => is_problem(problem, None),
                    None => item["status"].is_string(),
                };
                let is_whole = !parsed.is_null() && items.all(is_known);
                (!is_whole)
                    .then(|| wrong("a list of another form"))
                    .flatten()
            }
            _ => wrong("neither an answer nor a refusal"),
        }
    }

    /// The same where the HTTP layer may have answered in the agent's stead, or a page.
    pub(crate) fn fault_of_layer(&self) -> Option<String> {
        let is_bare = self.body.is_empty() && (400..500).contains(&self.status);
        let is_page = self.kind.starts_with("text/html") && self.status < 500;
        let is_informal = self.status < 200 || (self.status == 200 && !self.body.is_empty());
        match is_bare || is_page || is_informal {
            true => None,
            false => self.fault(),
        }
    }
}

/// A line of a batch: a decision, or a problem.
fn is_line(line: &Value) -> bool {
    match line.get("type") {
        Some(_) => is_problem(line, None),
        None => line["decision"].is_string(),
    }
}

/// Whether a value is a problem of a known kind that is the sender's.
fn is_problem(value: &Value, status: Option<u16>) -> bool {
    let kind = value["type"].as_str();
    let is_known = ProblemType::ALL.iter().any(|one| kind == Some(one.word()));
    let told = value["status"].as_u64();
    let is_senders = told.is_some_and(|told| (400..500).contains(&told));
    is_known && is_senders && status.is_none_or(|status| told == Some(u64::from(status)))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A body told in chunks, and what follows it.
fn unchunked(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|part| part == b"\r\n");
        let end = end.ok_or("chunks that end early")?;
        let told = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
        let length = usize::from_str_radix(told, 16).map_err(|error| error.to_string())?;
        let chunk = bytes.get(end + 2..end + 2 + length);
        body.extend_from_slice(chunk.ok_or("a chunk shorter than told")?);
        bytes = bytes
            .get(end + 4 + length..)
            .ok_or("a chunk without its end")?;
        if length == 0 {
            return Ok((body, bytes));
        }
    }
}
