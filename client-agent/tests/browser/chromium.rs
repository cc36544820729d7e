//! Chromium without a window, and one page in it, driven by the [DevTools protocol]: commands go in
//! at its descriptor 3, answers and events come out at 4, as JSON, each ended by a zero byte. Every
//! wait ends. What a page should say is the affair of whoever opens it.
//!
//! [DevTools protocol]: https://chromedevtools.github.io/devtools-protocol/

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::needed::installed;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often is asked whether it is so.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A browser with one page; it does not outlive its owner.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    told: Receiver<Value>,
    /// How many commands were given.
    given: u64,
    /// Of the page; nothing before there is one.
    session: Option<String>,
    /// What happened, and was not yet asked for.
    events: Vec<Value>,
    /// Its home, its profile, its log, and what it downloads.
    folder: TempDir,
}

/// What a page did.
#[derive(Default)]
pub(crate) struct Heard {
    /// What a browser tells developers: errors, words on the console, breaches of a policy.
    pub(crate) complaints: Vec<String>,
    /// URLs that were asked for, or would have been had the policy not stopped them.
    pub(crate) requests: Vec<String>,
}

impl Browser {
    /// Nothing where none is installed, which fails where no test may be skipped.
    pub(crate) fn start() -> Option<Self> {
        let program = installed(&PROGRAMS, "chromium")?;
        let mut browser = Self::spawn(program);
        let downloads = json!({"behavior": "allow", "downloadPath": browser.folder.path()});
        browser.command("Browser.setDownloadBehavior", downloads);
        let target = browser.command("Target.createTarget", json!({"url": "about:blank"}));
        let page = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.command("Target.attachToTarget", page);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.command(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn spawn(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("profile");
        let mut child = Command::new("sh")
            .args(["-c", REDIRECTED, program])
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            commands: child.stdin.take().unwrap(),
            told: listen(child.stdout.take().unwrap()),
            child,
            given: 0,
            session: None,
            events: Vec::new(),
            folder,
        }
    }

    /// Opens a page and waits until it is whole.
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.command("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.arrive(url);
    }

    /// Waits until the page is the one of `url`, and whole.
    pub(crate) fn arrive(&mut self, url: &str) {
        let is_there = format!("location.href === new URL({url:?}).href");
        self.wait(&format!("{is_there} && document.readyState === 'complete'"));
    }

    /// What an expression comes to on the page.
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let told = self.try_ask(expression);
        told.unwrap_or_else(|fault| panic!("{expression}: {fault}"))
    }

    /// Waits until an expression is true. On a page that is on its way out or in, it may fail.
    pub(crate) fn wait(&mut self, expression: &str) {
        let began = Instant::now();
        loop {
            let told = self.try_ask(expression);
            if told == Ok(Value::Bool(true)) {
                return;
            }
            if began.elapsed() > PATIENCE {
                let page = self.try_ask("location.href + document.documentElement.outerHTML");
                panic!("found {told:?}, expected {expression} on {page:?}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Presses a key, which is named as a page hears of it.
    pub(crate) fn press(&mut self, key: &str) {
        let (text, code) = match key {
            "Enter" => ("\r", 13),
            "Escape" => ("", 27),
            letter => (letter, 0),
        };
        let down = json!({
            "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code,
        });
        self.command("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code});
        self.command("Input.dispatchKeyEvent", up);
    }

    /// Makes the window so many pixels wide, and has pages coloured by a scheme, light or dark.
    pub(crate) fn look(&mut self, width: u32, scheme: &str) {
        let window = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false,
        });
        self.command("Emulation.setDeviceMetricsOverride", window);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", media);
        let is_so = format!("matchMedia('(prefers-color-scheme: {scheme})').matches");
        self.wait(&format!("innerWidth === {width} && {is_so}"));
    }

    /// Where a file lies that a page gave, once it is whole: until then it has another name.
    pub(crate) fn download(&self, name: &str) -> PathBuf {
        let (file, began) = (self.folder.path().join(name), Instant::now());
        while !file.exists() {
            assert!(began.elapsed() < PATIENCE, "{name} does not come");
            std::thread::sleep(POLL);
        }
        file
    }

    /// What the page did since this was last asked.
    pub(crate) fn heard(&mut self) -> Heard {
        // What it did before it answers is told before.
        self.ask("0");
        let mut heard = Heard::default();
        for event in self.events.drain(..) {
            let told = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    let url = told["request"]["url"].as_str().unwrap();
                    heard.requests.push(url.to_owned());
                }
                "Log.entryAdded" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                    heard.complaints.push(told.to_string());
                }
                _ => {}
            }
        }
        heard
    }

    fn try_ask(&mut self, expression: &str) -> Result<Value, String> {
        let asked = json!({"expression": expression, "returnByValue": true, "silent": true});
        let mut told = self.try_command("Runtime.evaluate", asked)?;
        match told.get("exceptionDetails") {
            Some(thrown) => Err(thrown.to_string()),
            None => Ok(told["result"]["value"].take()),
        }
    }

    fn command(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.try_command(method, parameters);
        answer.unwrap_or_else(|fault| panic!("{method}: {fault}"))
    }

    /// Gives a command, to the page once there is one, and waits for its answer.
    fn try_command(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.given += 1;
        let mut command = json!({"id": self.given, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let written = self.commands.write_all(format!("{command}\0").as_bytes());
        written.unwrap_or_else(|error| panic!("{method}: {error}: {}", self.log()));
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let told = self.told.recv_timeout(left);
            let mut told = told.unwrap_or_else(|error| panic!("{method}: {error}: {}", self.log()));
            if told["id"] != self.given {
                self.events.push(told);
                continue;
            }
            return match told.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(told["result"].take()),
            };
        }
    }

    /// What it said on its standard error.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to leave, it takes its helpers along, which write into the folder.
        let close = "{\"id\":0,\"method\":\"Browser.close\"}\0";
        let _ = self.commands.write_all(close.as_bytes());
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < LEAVE {
            std::thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what the browser tells, until it leaves.
fn listen(pipe: ChildStdout) -> Receiver<Value> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(pipe).split(0) {
            // Half a message is its last: it was killed.
            let Ok(message) = serde_json::from_slice::<Value>(&message.unwrap()) else {
                break;
            };
            if tell.send(message).is_err() {
                break;
            }
        }
    });
    told
}

/// As Debian calls it, as others do.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Standard input and output become the two descriptors, which need no unsafe code this way.
const REDIRECTED: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2";

/// No window, and nothing of its own accord beyond this machine. Where tests are run by root, there
/// is no sandbox; it opens nobody's pages but ours.
const OPTIONS: [&str; 11] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// How long it may take to leave.
const LEAVE: Duration = Duration::from_secs(10);
