//! Founding a consortium and admitting its members: the operator's half of enrolment. What is
//! checked and signed is `host::identity`'s; here are the questions and the answers.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use host::clock::Clock;
use host::identity::{self, Bundle, Consortium, IdentityError, Request};
use host::print::{PrintError, print};
use protocol::credential::Role;
use protocol::time::Duration;

/// `phalanx ca …`
#[derive(Subcommand)]
pub(crate) enum Ca {
    /// Found a consortium: a certificate authority and an authority key, in one folder.
    #[command(after_help = "Example:\n  phalanx ca init --folder ca --name \"Benelux banks\"")]
    Init {
        /// Where the authority's keys are made. Guard it.
        #[arg(long)]
        folder: PathBuf,
        /// The consortium's name.
        #[arg(long)]
        name: String,
    },
    /// Admit a member: shows the request's fingerprint, and certifies it once you agree.
    #[command(
        after_help = "Example:\n  phalanx ca approve --folder ca bank-1.request.json \
                            --out bank-1.bundle.json"
    )]
    Approve {
        /// The consortium's folder.
        #[arg(long)]
        folder: PathBuf,
        /// The member's request.
        request: PathBuf,
        /// Where the answer goes. It holds nothing secret.
        #[arg(long)]
        out: PathBuf,
        /// How long the credential holds.
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Do not ask: the fingerprint was compared already.
        #[arg(long)]
        yes: bool,
    },
}

/// `phalanx enrol …`
#[derive(Subcommand)]
pub(crate) enum Enrol {
    /// Make keys here and write a request for the consortium.
    #[command(
        after_help = "Example:\n  phalanx enrol request --folder coordinator --name C \
                            --role coordinator --out coordinator.request.json"
    )]
    Request {
        /// Where the keys are made, and stay.
        #[arg(long)]
        folder: PathBuf,
        /// The name of the legal entity.
        #[arg(long)]
        name: String,
        /// What the holder is to be.
        #[arg(long, value_enum)]
        role: RoleArgument,
        /// Where the request goes.
        #[arg(long)]
        out: PathBuf,
    },
    /// Check the consortium's answer against the keys here, and keep it.
    #[command(after_help = "Example:\n  phalanx enrol install --folder coordinator \
                            coordinator.bundle.json")]
    Install {
        /// Where the keys were made.
        #[arg(long)]
        folder: PathBuf,
        /// The consortium's answer.
        bundle: PathBuf,
    },
}

/// The roles that enrol with this tool.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum RoleArgument {
    /// The server that runs rounds.
    Coordinator,
    /// The person or process that signs plans.
    Operator,
}

/// Carries out `phalanx ca …`.
pub(crate) fn ca(command: &Ca) -> Result<(), EnrolError> {
    match command {
        Ca::Init { folder, name } => {
            Consortium::create(folder, name)?;
            Ok(print(&format!("founded {name:?} in {}", folder.display()))?)
        }
        Ca::Approve {
            folder,
            request,
            out,
            days,
            yes,
        } => approve(folder, request, out, *days, *yes),
    }
}

/// Carries out `phalanx enrol …`.
pub(crate) fn enrol(command: &Enrol) -> Result<(), EnrolError> {
    match command {
        Enrol::Request {
            folder,
            name,
            role,
            out,
        } => {
            let role = match role {
                RoleArgument::Coordinator => Role::Coordinator,
                RoleArgument::Operator => Role::Operator,
            };
            let request = identity::request(folder, name, role)?;
            write_json(out, &request)?;
            Ok(print(&format!(
                "request {} for {name:?}",
                request.fingerprint().to_hex()
            ))?)
        }
        Enrol::Install { folder, bundle } => {
            let bundle = read_bundle(bundle)?;
            identity::install(folder, &bundle)?;
            Ok(print(&format!(
                "installed; authority {}",
                bundle.authority_fingerprint().to_hex()
            ))?)
        }
    }
}

fn approve(
    folder: &Path,
    request: &Path,
    out: &Path,
    days: u32,
    yes: bool,
) -> Result<(), EnrolError> {
    let consortium = Consortium::open(folder)?;
    let request = Request::read(request)?;
    print(&format!(
        "{:?} asks to be a {:?}\nfingerprint {}",
        request.name,
        request.role,
        request.fingerprint().to_hex()
    ))?;
    if !yes && !agreed()? {
        return Err(EnrolError::NotApproved);
    }
    let expires = Clock::start()
        .now()
        .after(Duration(u64::from(days) * 86_400_000));
    let bundle = consortium.approve(&request, expires)?;
    write_json(out, &bundle)?;
    Ok(print(&format!(
        "approved; authority {}",
        bundle.authority_fingerprint().to_hex()
    ))?)
}

fn agreed() -> Result<bool, EnrolError> {
    eprint!("Does the member read out the same fingerprint? [y/N] ");
    std::io::stderr().flush().map_err(EnrolError::Terminal)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(EnrolError::Terminal)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn read_bundle(path: &Path) -> Result<Bundle, EnrolError> {
    let text = std::fs::read_to_string(path).map_err(|error| EnrolError::File {
        path: path.to_owned(),
        error,
    })?;
    serde_json::from_str(&text).map_err(|error| EnrolError::Json {
        path: path.to_owned(),
        error,
    })
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), EnrolError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| EnrolError::Json {
        path: path.to_owned(),
        error,
    })?;
    std::fs::write(path, text).map_err(|error| EnrolError::File {
        path: path.to_owned(),
        error,
    })
}

/// Why a member was not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// The operator did not agree.
    #[error("not approved: nothing was signed")]
    NotApproved,
    /// Keys, requests or certificates.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file refused.
    #[error("could not use {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is not what was expected: {error}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// Nobody to ask.
    #[error("could not ask: {0}; compare the fingerprint and use --yes")]
    Terminal(std::io::Error),
    /// The answer cannot be shown.
    #[error(transparent)]
    Print(#[from] PrintError),
}
