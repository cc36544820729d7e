//! The operator's way in: one QUIC connection to the coordinator under the operator's identity,
//! one question, one answer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use host::identity::Identity;
use host::quic::Dialer;
use protocol::credential::Credential;
use protocol::message::{OperatorMessage, ToClient, ToCoordinator};
use protocol::operator::{Command, Reply};
use protocol::plan::{Plan, SignedPlan};
use protocol::signed::Signed;
use protocol::wire;

/// Where the coordinator is, and who asks.
#[derive(Args, Clone)]
pub(crate) struct Door {
    /// Folder of the operator's identity.
    #[arg(long)]
    pub(crate) identity: PathBuf,
    /// The coordinator's address.
    #[arg(long)]
    pub(crate) coordinator: SocketAddr,
}

/// An operator who can ask and sign.
pub(crate) struct Operator {
    identity: Identity,
    coordinator: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Operator {
    /// Loads the identity in `folder`.
    pub(crate) fn open(folder: &Path, coordinator: SocketAddr) -> Result<Self, DoorError> {
        let identity = Identity::load(folder)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(DoorError::Runtime)?;
        Ok(Self {
            identity,
            coordinator,
            runtime,
        })
    }

    /// Signs a plan.
    pub(crate) fn sign(&self, plan: Plan) -> SignedPlan {
        SignedPlan {
            plan: Signed::sign(plan, &self.identity.signing_key()),
            operator: self.credential(),
        }
    }

    /// Asks the coordinator one thing.
    pub(crate) fn ask(&self, command: Command) -> Result<Reply, DoorError> {
        let message = OperatorMessage {
            operator: self.credential(),
            command,
        };
        let frame = wire::encode(&ToCoordinator::Operator(Box::new(message)));
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.exchange(frame))
                .await
                .map_err(|_| DoorError::Silent {
                    address: self.coordinator,
                })?
        })?;
        match answer {
            Reply::Refused(why) => Err(DoorError::Refused(why)),
            Reply::Status(_)
            | Reply::Started(_)
            | Reply::Done
            | Reply::Rounds(_)
            | Reply::Round(_) => Ok(answer),
        }
    }

    async fn exchange(&self, frame: Vec<u8>) -> Result<Reply, DoorError> {
        let mut link = Dialer::new(&self.identity)?.dial(self.coordinator).await?;
        let _ = link.sender().send(frame);
        while let Some(frame) = link.receive().await {
            let message = wire::decode(&frame.bytes).map_err(|_| DoorError::Answer)?;
            match message {
                ToClient::Operator(reply) => return Ok(*reply),
                ToClient::Refused(refusal) => return Err(DoorError::Refused(refusal.to_string())),
                ToClient::Welcome(_)
                | ToClient::Roster(_)
                | ToClient::Bundles(_)
                | ToClient::Encapsulations(_)
                | ToClient::Round(_)
                | ToClient::EscrowBundle(_)
                | ToClient::Survivors(_)
                | ToClient::Acks(_)
                | ToClient::Result(_)
                | ToClient::Abandoned(_)
                | ToClient::Audited(_)
                | ToClient::Handover(_)
                | ToClient::SealedKey(_) => {}
            }
        }
        Err(DoorError::Closed(link.close_reason()))
    }

    fn credential(&self) -> Signed<Credential> {
        self.identity.credential.clone()
    }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the coordinator could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The operator's identity cannot be used.
    #[error(transparent)]
    Identity(#[from] host::identity::IdentityError),
    /// The coordinator cannot be reached, or is not the consortium's.
    #[error("coordinator not reached: {0}")]
    Link(#[from] host::quic::LinkError),
    /// No answer in time.
    #[error("no answer from the coordinator at {address} within 10 s")]
    Silent {
        /// The coordinator's address.
        address: SocketAddr,
    },
    /// The connection ended first.
    #[error("the coordinator closed the connection: {0}")]
    Closed(String),
    /// The answer does not decode.
    #[error("the coordinator's answer does not decode: is it of this version?")]
    Answer,
    /// The coordinator says no.
    #[error("the coordinator refused: {0}")]
    Refused(String),
    /// No runtime.
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}
