//! The harness of the tests from outside: a consortium in a temporary folder, the coordinator as a
//! process of its own that can be killed, and banks over real QUIC whose contributions are known,
//! so that a sum can be told to be exact. Nothing here decides what is right; the tests do.

#![expect(
    clippy::expect_used,
    reason = "a harness that cannot go on fails the test at hand"
)]

mod bank;
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crypto::Digest;
use host::clock::Clock;
use host::identity::{self, Consortium, Identity};
use host::quic::Dialer;
use protocol::credential::Role;
use protocol::message::{OperatorMessage, ToClient, ToCoordinator};
use protocol::operator::{Command, Reply, RoundSummary, Status};
use protocol::plan::{
    CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Layout, ModelTerms, Part, Plan,
    Privacy, RiskTerms, SchemaText, SignedPlan, TensorSpec, Width, Work,
};
use protocol::signed::Signed;
use protocol::time::{Duration as Span, Time};
use protocol::wire;

pub use bank::{Bank, Said, policy};
pub use process::{Coordinator, serve_if_asked};

/// A consortium whose members live in one temporary folder.
pub struct House {
    folder: tempfile::TempDir,
    consortium: Consortium,
    operator: Identity,
}

impl House {
    /// Founds a consortium with a coordinator and an operator.
    #[must_use]
    pub fn found() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let consortium = Consortium::create(&folder.path().join("ca"), "test").expect("a CA");
        enrol(
            &consortium,
            &folder.path().join("coordinator"),
            "coordinator",
            Role::Coordinator,
        );
        let at = folder.path().join("operator");
        let operator = enrol(&consortium, &at, "operator", Role::Operator);
        Self {
            folder,
            consortium,
            operator,
        }
    }

    /// Where everything lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Enrols a bank and returns its folder.
    #[must_use]
    pub fn bank(&self, name: &str) -> PathBuf {
        let at = self.folder.path().join(name);
        enrol(&self.consortium, &at, name, Role::Bank);
        at
    }

    /// Asks the coordinator at `address` as the operator.
    ///
    /// # Errors
    /// What the coordinator refused, or why it was not reached.
    pub async fn ask(&self, address: SocketAddr, command: Command) -> Result<Reply, String> {
        let operator = self.operator.credential.clone();
        let message = OperatorMessage { operator, command };
        let frame = wire::encode(&ToCoordinator::Operator(Box::new(message)));
        let said = |error: host::quic::LinkError| error.to_string();
        let mut link = Dialer::new(&self.operator)
            .map_err(said)?
            .dial(address)
            .await
            .map_err(said)?;
        assert!(link.sender().send(frame), "the link takes one frame");
        while let Some(frame) = link.receive().await {
            if let Ok(ToClient::Operator(reply)) = wire::decode(&frame.bytes) {
                let Reply::Refused(why) = *reply else {
                    return Ok(*reply);
                };
                return Err(why);
            }
        }
        Err(link.close_reason())
    }

    /// How the coordinator stands.
    pub async fn status(&self, address: SocketAddr) -> Status {
        match self.ask(address, Command::Status).await {
            Ok(Reply::Status(status)) => status,
            other => panic!("expected a status, found {other:?}"),
        }
    }

    /// The rounds so far, oldest first.
    pub async fn rounds(&self, address: SocketAddr) -> Vec<RoundSummary> {
        match self.ask(address, Command::Rounds(1_000)).await {
            Ok(Reply::Rounds(mut rounds)) => {
                rounds.reverse();
                rounds
            }
            other => panic!("expected rounds, found {other:?}"),
        }
    }

    /// Signs a plan and has the coordinator adopt it.
    pub async fn start(&self, address: SocketAddr, plan: Plan) {
        let plan = Signed::sign(plan, &self.operator.signing_key());
        let signed = SignedPlan {
            plan,
            operator: self.operator.credential.clone(),
        };
        let reply = self.ask(address, Command::Start(Box::new(signed))).await;
        assert!(matches!(reply, Ok(Reply::Started(_))), "{reply:?}");
    }

    /// Waits until the coordinator's status satisfies `ready`.
    pub async fn wait(&self, address: SocketAddr, what: &str, ready: impl Fn(&Status) -> bool) {
        let began = Instant::now();
        loop {
            let status = self.status(address).await;
            if ready(&status) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "waited for {what}: {status:#?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Longest wait in a test, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often a waiting test looks again.
pub const POLL: Duration = Duration::from_millis(20);

fn enrol(consortium: &Consortium, at: &Path, name: &str, role: Role) -> Identity {
    let request = identity::request(at, name, role).expect("a request");
    let expires = Clock::start().now().after(Span(86_400_000));
    let bundle = consortium.approve(&request, expires).expect("an approval");
    identity::install(at, &bundle).expect("an installation");
    Identity::load(at).expect("an identity")
}

/// A risk plan of one round over the days from `from_day`, for at least `members_min` banks.
#[must_use]
pub fn risk_plan(from_day: u32, members_min: u16) -> Plan {
    let work = Work::Risk(RiskTerms {
        buckets: 16,
        salt: Digest([5; 32]),
        from_day,
        days: 2,
        label_delay_days: 7,
        banks_min: 2,
    });
    plan(&format!("risk {from_day}"), work, members_min)
}

/// An evaluation plan of one round about a model with this schema.
#[must_use]
pub fn evaluate_plan(schema: SchemaText, members_min: u16) -> Plan {
    let tensor = |name: &str, part| TensorSpec {
        name: name.to_owned(),
        shape: vec![3, 4],
        part,
        init: Init::Uniform(0.5),
    };
    let tensors = [("a", Part::Encoder), ("b", Part::Energy), ("c", Part::Head)];
    let layout = Layout(tensors.map(|(name, part)| tensor(name, part)).to_vec());
    let model = ModelTerms {
        schema,
        layout,
        genesis_seed: 1,
        base: None,
    };
    let work = Work::Evaluate(EvaluateTerms {
        model,
        of: Evaluated::Scores { bins: 16 },
        from_day: 100,
        to_day: 107,
        label_delay_days: 7,
    });
    plan("evaluate", work, members_min)
}

fn plan(name: &str, work: Work, members_min: u16) -> Plan {
    let (short, long) = (Span::from_secs(30), Span::from_secs(60));
    Plan {
        name: name.to_owned(),
        work,
        rounds: 1,
        cohort: CohortTerms {
            members_min,
            colluders: Some(1),
            honest_min: 3,
        },
        deadlines: Deadlines {
            // Banks that the coordinator has not met yet are not waited for.
            selection: Span::from_secs(1),
            agreement: short,
            escrow: short,
            collection: long,
            acknowledgement: short,
            reveal: short,
        },
        privacy: Privacy::None,
        nonce: 0,
        expires: Time(u64::MAX),
        width: Width::Full,
    }
}
