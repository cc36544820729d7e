//! The consortium on one machine: keys and credentials made as a real one makes them, then a
//! coordinator and one agent per bank, each its own process on loopback with its own folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::address;
use host::clock::Clock;
use host::identity::{self, Consortium};
use host::usage::Usage;
use protocol::credential::Role;
use protocol::time::Duration as Span;
use serde_json::Value;

use super::processes::{Process, output};
use super::stage::{Stage, StagedBank};
use super::steps::Steps;
use crate::plan::ModelFile;

/// Everything the demo enrolled and started.
pub(crate) struct Federation {
    folder: PathBuf,
    banks: Vec<Bank>,
    coordinator: Option<Process>,
}

/// One bank's agent.
pub(crate) struct Bank {
    pub(crate) name: String,
    folder: PathBuf,
    process: Option<Process>,
    http: Option<SocketAddr>,
    /// What it told of its rounds before it was killed: an agent remembers those of one life.
    rounds: Vec<Value>,
}

type Failed = Box<dyn std::error::Error>;

impl Federation {
    /// Founds the consortium and enrols coordinator, operator and banks.
    pub(crate) fn enrol(folder: &Path, stage: &Stage) -> Result<Self, Failed> {
        let consortium = Consortium::create(&folder.join("ca"), "demo")?;
        let expires = Clock::start().now().after(Span(86_400_000));
        let enrol = |at: &Path, name: &str, role| -> Result<(), identity::IdentityError> {
            let request = identity::request(at, name, role)?;
            identity::install(at, &consortium.approve(&request, expires)?)
        };
        enrol(
            &folder.join("coordinator/identity"),
            "coordinator",
            Role::Coordinator,
        )?;
        enrol(&folder.join("operator"), "operator", Role::Operator)?;
        write(
            &folder.join("coordinator/coordinator.toml"),
            &coordinator_toml(folder),
        )?;
        let layout = output("phalanx-agent", &["layout", "--json"])?;
        write(&folder.join("layout.json"), &layout)?;
        let model = ModelFile::read(&folder.join("layout.json"))?;
        let mut banks = Vec::new();
        for staged in &stage.banks {
            let at = folder.join(&staged.name);
            enrol(&at.join("identity"), &staged.name, Role::Bank)?;
            write(
                &at.join("consent.toml"),
                &consent_toml(&model, stage.banks.len()),
            )?;
            write(&at.join("policy.toml"), POLICY)?;
            write(&at.join("token.key"), &"00".repeat(32))?;
            banks.push(Bank {
                name: staged.name.clone(),
                folder: at,
                process: None,
                http: None,
                rounds: Vec::new(),
            });
        }
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            banks,
            coordinator: None,
        })
    }

    /// Starts the coordinator and every agent, and waits until all are ready.
    pub(crate) fn start(&mut self, stage: &Stage, steps: &Steps) -> Result<(), Failed> {
        let at = self.folder.join("coordinator");
        let config = at.join("coordinator.toml").display().to_string();
        let log = at.join("log");
        let words = ["serve", "--config", &config];
        let process = Process::start("phalanx-coordinator", &words, "the coordinator", &log)?;
        self.coordinator = Some(process);
        let coordinator = steps.wait("the coordinator", PATIENCE, || {
            if let Some(process) = &mut self.coordinator {
                process.check()?;
            }
            Ok(address::find(&at.join("store"), "quic.addr"))
        })?;
        for (bank, staged) in self.banks.iter_mut().zip(&stage.banks) {
            let text = agent_toml(&bank.folder, staged, stage, coordinator);
            write(&bank.folder.join("agent.toml"), &text)?;
            bank.start()?;
        }
        for bank in &mut self.banks {
            steps.now(format!("{} reads its history", bank.name));
            bank.wait_until_ready(steps)?;
        }
        Ok(())
    }

    /// Where the coordinator listens.
    pub(crate) fn coordinator(&self) -> Result<SocketAddr, String> {
        address::find(&self.folder.join("coordinator/store"), "quic.addr")
            .ok_or_else(|| "the coordinator has no address".to_owned())
    }

    /// What the coordinator has taken of the machine, and the most that any agent has.
    pub(crate) fn usage(&self) -> (Usage, Usage) {
        let most = |a: Usage, b: Usage| Usage {
            peak_memory_mb: a.peak_memory_mb.max(b.peak_memory_mb),
            cpu_seconds: a.cpu_seconds.max(b.cpu_seconds),
        };
        let agents = self.banks.iter().filter_map(|bank| bank.process.as_ref());
        (
            self.coordinator
                .as_ref()
                .map(Process::usage)
                .unwrap_or_default(),
            agents.map(Process::usage).fold(Usage::default(), most),
        )
    }

    /// The operator's identity folder.
    pub(crate) fn operator_identity(&self) -> PathBuf {
        self.folder.join("operator")
    }

    /// The model every agent runs.
    pub(crate) fn model(&self) -> Result<ModelFile, crate::plan::PlanError> {
        ModelFile::read(&self.folder.join("layout.json"))
    }

    /// The agents.
    pub(crate) fn banks(&self) -> &[Bank] {
        &self.banks
    }

    /// Ends one agent without a word; returns its name.
    pub(crate) fn kill(&mut self, at: usize) -> Result<String, Failed> {
        let bank = &mut self.banks[at];
        if let Value::Array(rounds) = bank.status()?["training"].take() {
            bank.rounds = rounds;
        }
        if let Some(mut process) = bank.process.take() {
            process.kill();
        }
        Ok(bank.name.clone())
    }

    /// Starts a killed agent again and waits until it is ready.
    pub(crate) fn restart(&mut self, at: usize, steps: &Steps) -> Result<(), Failed> {
        let bank = &mut self.banks[at];
        bank.start()?;
        bank.wait_until_ready(steps)
    }

    /// Waits until every agent has trained its local model, for comparison.
    pub(crate) fn wait_for_baselines(&self, steps: &Steps) -> Result<(), Failed> {
        for bank in &self.banks {
            steps.now(format!("{} trains alone, for comparison", bank.name));
            steps.wait("local models", PATIENCE, || {
                Ok((bank.status()?["baseline"] == "ready").then_some(()))
            })?;
        }
        Ok(())
    }

    /// Every agent's own account of itself.
    pub(crate) fn statuses(&self) -> Result<Vec<Value>, Failed> {
        self.banks.iter().map(Bank::status).collect()
    }

    /// Asks everything to leave.
    pub(crate) fn stop(&mut self) {
        for bank in &mut self.banks {
            if let Some(mut process) = bank.process.take() {
                process.stop();
            }
        }
        if let Some(mut process) = self.coordinator.take() {
            process.stop();
        }
    }
}

impl Bank {
    /// Where it answers.
    pub(crate) fn url(&self, path: &str) -> Result<String, String> {
        let http = self
            .http
            .ok_or_else(|| format!("{} has no address", self.name))?;
        Ok(format!("http://{http}{path}"))
    }

    /// Its own account of itself, with the rounds of an earlier life.
    pub(crate) fn status(&self) -> Result<Value, Failed> {
        let url = self.url("/v1/status")?;
        let mut status: Value = ureq::get(&url).call()?.body_mut().read_json()?;
        if let Value::Array(rounds) = &mut status["training"] {
            rounds.splice(..0, self.rounds.iter().cloned());
        }
        Ok(status)
    }

    fn start(&mut self) -> Result<(), String> {
        // An address left by an earlier life would be somebody else's door.
        let _ = std::fs::remove_file(self.folder.join("store/http.addr"));
        let config = self.folder.join("agent.toml").display().to_string();
        let words = ["serve", "--config", &config];
        let log = self.folder.join("log");
        self.process = Some(Process::start("phalanx-agent", &words, &self.name, &log)?);
        Ok(())
    }

    fn wait_until_ready(&mut self, steps: &Steps) -> Result<(), Failed> {
        let store = self.folder.join("store");
        let (name, process, http) = (&self.name, &mut self.process, &mut self.http);
        steps.wait(&format!("{name} to be ready"), PATIENCE, || {
            if let Some(process) = process {
                process.check()?;
            }
            *http = address::find(&store, "http.addr");
            let Some(address) = *http else {
                return Ok(None);
            };
            Ok(ureq::get(format!("http://{address}/readyz"))
                .call()
                .is_ok()
                .then_some(()))
        })
    }
}

fn coordinator_toml(folder: &Path) -> String {
    let at = folder.join("coordinator");
    format!(
        "[identity]\nfolder = {:?}\n[listen]\naddress = \"127.0.0.1:0\"\n\
         [store]\nfolder = {:?}\n[http]\naddress = \"127.0.0.1:0\"\n[log]\nformat = \"text\"\n",
        at.join("identity"),
        at.join("store")
    )
}

// Each model is put in place: what is called federated is to be the federation's, also where a
// bank would do better alone.
fn agent_toml(
    folder: &Path,
    staged: &StagedBank,
    stage: &Stage,
    coordinator: SocketAddr,
) -> String {
    format!(
        "[identity]\nfolder = {:?}\n[coordinator]\naddress = \"{coordinator}\"\n\
         [store]\nfolder = {:?}\n[http]\naddress = \"127.0.0.1:0\"\ninsecure_loopback = true\n\
         [consent]\nfile = {:?}\n\
         [history]\nfile = {:?}\nmap = {:?}\ntoken_key = {:?}\nuntil_day = {}\n\
         [scoring]\npolicy = {:?}\npromote = \"always\"\n\
         [baseline]\nlocal = true\n[log]\nformat = \"text\"\n",
        folder.join("identity"),
        folder.join("store"),
        folder.join("consent.toml"),
        staged.history,
        stage.folder.join("map.toml"),
        folder.join("token.key"),
        stage.test_day,
        folder.join("policy.toml")
    )
}

fn consent_toml(model: &ModelFile, banks: usize) -> String {
    format!(
        "kinds = [\"pretrain\", \"finetune\", \"risk\", \"evaluate\"]\nmembers_min = {banks}\n\
         honest_min = 3\nrounds_per_day = 1000\njoins_per_epoch_max = {banks}\n\
         schemas = [{:?}]\nlayouts = [{:?}]\n",
        model.schema_digest, model.layout_digest
    )
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, text)),
        None => std::fs::write(path, text),
    };
    written.map_err(|error| format!("could not write {}: {error}", path.display()))
}

/// What every bank does at which score: a person looks from one in ten on, one in two is refused.
const POLICY: &str = r#"version = "demo.1"

[score_bands]
elevated = 700
review = 772
decline = 899

[explain]
min_score = 772
max_reasons = 6

[fallback]
decision = "approve"

[breaker]
max_decline_rate = 0.1
window_minutes = 10
min_decisions = 500
then = "review"
"#;

/// Longest wait for one process: a large history takes minutes to read.
const PATIENCE: Duration = Duration::from_secs(900);
