//! `enrol request` and `enrol install`: the bank's two steps of becoming a member. The step
//! between them is the operator's, who compares fingerprints by voice or letter.

use std::path::PathBuf;

use clap::Args;
use host::identity::{self, Bundle};
use protocol::credential::Role;
use serde::Serialize;

use super::{CommandError, Said, json, write};

/// What `enrol request` is told.
#[derive(Debug, Args)]
pub struct RequestArguments {
    /// Folder of the identity; made where it is not there.
    #[arg(long)]
    folder: PathBuf,
    /// The legal entity's name.
    #[arg(long)]
    name: String,
    /// Where the request goes.
    #[arg(long)]
    out: PathBuf,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

/// What `enrol install` is told.
#[derive(Debug, Args)]
pub struct InstallArguments {
    /// Folder of the identity.
    #[arg(long)]
    folder: PathBuf,
    /// What the consortium returned.
    bundle: PathBuf,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

/// The digest that both sides compare.
#[derive(Serialize)]
struct Fingerprint {
    fingerprint: String,
}

pub(super) fn request(arguments: &RequestArguments) -> Result<Said, CommandError> {
    let request = identity::request(&arguments.folder, &arguments.name, Role::Bank)?;
    write(&arguments.out, &json(&request)?)?;
    let fingerprint = request.fingerprint().to_hex();
    if arguments.json {
        return Ok(Said::yes(json(&Fingerprint { fingerprint })?));
    }
    Ok(Said::yes(format!(
        "request written to {}\nfingerprint {fingerprint}\n\
         Send the file to the operator, and compare the fingerprint by another way.",
        arguments.out.display()
    )))
}

pub(super) fn install(arguments: &InstallArguments) -> Result<Said, CommandError> {
    let path = &arguments.bundle;
    let text = std::fs::read_to_string(path).map_err(|error| CommandError::Read {
        path: path.clone(),
        error,
    })?;
    let bundle: Bundle = serde_json::from_str(&text).map_err(|error| CommandError::Bundle {
        path: path.clone(),
        error,
    })?;
    identity::install(&arguments.folder, &bundle)?;
    let fingerprint = bundle.authority_fingerprint().to_hex();
    if arguments.json {
        return Ok(Said::yes(json(&Fingerprint { fingerprint })?));
    }
    Ok(Said::yes(format!(
        "identity installed in {}\nauthority {fingerprint}\n\
         Every member must have the same authority: compare it with the operator.",
        arguments.folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use host::identity::{Consortium, Identity, Request};
    use protocol::time::Time;

    use super::*;

    #[test]
    fn a_bank_becomes_a_member_in_two_steps() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, out) = (dir.path().join("identity"), dir.path().join("request.json"));
        let arguments = RequestArguments {
            folder: folder.clone(),
            name: "First Bank".to_owned(),
            out: out.clone(),
            json: false,
        };
        let said = request(&arguments).unwrap().text;
        let asked = Request::read(&out).unwrap();
        assert!(said.contains(&asked.fingerprint().to_hex()), "{said}");

        let consortium = Consortium::create(&dir.path().join("ca"), "Test").unwrap();
        let bundle = consortium.approve(&asked, Time(u64::MAX)).unwrap();
        let path = dir.path().join("bundle.json");
        std::fs::write(&path, json(&bundle).unwrap()).unwrap();
        let arguments = InstallArguments {
            folder: folder.clone(),
            bundle: path.clone(),
            json: true,
        };
        let said = install(&arguments).unwrap().text;
        assert!(
            said.contains(&bundle.authority_fingerprint().to_hex()),
            "{said}"
        );
        assert_eq!(Identity::load(&folder).unwrap().name(), "First Bank");

        std::fs::write(&path, "{}").unwrap();
        let error = install(&arguments).unwrap_err();
        assert_eq!(
            (error.exit_code(), error.to_string().contains("bundle.json")),
            (78, true)
        );
    }
}
