//! `model list`, `model export` and `model import`: models that plans may start from, into the
//! bank's store and out of it. What travels is a folder of two files, by whatever way the banks
//! choose; the coordinator has no part in it.

use std::path::PathBuf;

use clap::Args;
use features::FeatureSchema;
use model::{Checkpoint, CheckpointError};
use protocol::genesis;

use super::{CommandError, Said, refused};
use crate::config::Config;
use crate::network;
use crate::releases::{Held, Releases};

/// What `model list` is told.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// The agent's configuration file.
    #[arg(long)]
    config: PathBuf,
}

/// What `model export` is told.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The agent's configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Which model, as plans name it; the newest where it is left out.
    #[arg(long, value_name = "DIGEST")]
    model: Option<String>,
    /// The folder to write it to.
    #[arg(long)]
    out: PathBuf,
}

/// What `model import` is told.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The agent's configuration file.
    #[arg(long)]
    config: PathBuf,
    /// The folder that `model export` wrote.
    folder: PathBuf,
    /// The model that a plan starts from: another one is not taken.
    #[arg(long, value_name = "DIGEST")]
    expect: Option<String>,
}

pub(super) fn list(arguments: &ListArguments) -> Result<Said, CommandError> {
    let releases = releases(&Config::load(&arguments.config)?);
    Ok(Said::yes(listed(&releases)))
}

pub(super) fn export(arguments: &ExportArguments) -> Result<Said, CommandError> {
    let releases = releases(&Config::load(&arguments.config)?);
    export_from(&releases, arguments)
}

pub(super) fn import(arguments: &ImportArguments) -> Result<Said, CommandError> {
    let releases = releases(&Config::load(&arguments.config)?);
    import_into(&releases, arguments)
}

fn releases(config: &Config) -> Releases {
    Releases::new(&config.store, config.schema.clone())
}

fn listed(releases: &Releases) -> String {
    let held = releases.held();
    match held.is_empty() {
        true => "no model is held\n".to_owned(),
        false => {
            let lines = held.iter().map(|it| described(releases.schema(), it));
            lines.collect()
        }
    }
}

fn export_from(releases: &Releases, arguments: &ExportArguments) -> Result<Said, CommandError> {
    let held = releases.held();
    let is_wanted = |held: &&Held| match &arguments.model {
        Some(model) => held.root.to_hex() == *model,
        None => true,
    };
    let Some(found) = held.iter().find(is_wanted) else {
        let wanted = arguments.model.clone();
        let wanted = wanted.unwrap_or_else(|| "no model in the store".to_owned());
        let expected = "a model of `phalanx-agent model list`";
        return Err(refused("--model", wanted, expected));
    };
    let checkpoint = &found.checkpoint;
    checkpoint.save(releases.schema(), &arguments.out)?;
    Ok(Said::yes(described(releases.schema(), found)))
}

fn import_into(releases: &Releases, arguments: &ImportArguments) -> Result<Said, CommandError> {
    let checkpoint = Checkpoint::load(releases.schema(), &arguments.folder)?;
    let root = genesis::model_root(&checkpoint.parameters);
    let said = checkpoint.card.release.as_ref().map(|said| &said.root);
    for expected in [said, arguments.expect.as_ref()].into_iter().flatten() {
        if *expected != root.to_hex() {
            return Err(CommandError::Checkpoint(CheckpointError::Mismatch {
                what: "model",
                found: root.to_hex(),
                expected: expected.clone(),
            }));
        }
    }
    releases.keep(&checkpoint)?;
    let said = described(releases.schema(), &Held { root, checkpoint });
    Ok(Said::yes(format!(
        "{said}imported: a running agent takes it up when it is started again\n"
    )))
}

fn described(schema: &FeatureSchema, held: &Held) -> String {
    let card = &held.checkpoint.card;
    let size = card.size;
    let mut said = format!(
        "model   {}\nschema  {}\nlayout  {}\nsize    width {}, frequencies {}, head {}\n",
        held.root.to_hex(),
        card.schema,
        network::layout(schema, size).digest().to_hex(),
        size.width,
        size.frequencies,
        size.head
    );
    if let Some(from) = &card.release {
        said += &format!(
            "from    {} plan {:?} ({}), result {} of consortium {}\n",
            from.kind, from.plan, from.plan_id, from.sequence, from.session
        );
    }
    said
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crypto::Digest;
    use model::checkpoint::Provenance;

    use super::*;
    use crate::releases::tests::made;

    fn out(folder: &Path) -> ExportArguments {
        ExportArguments {
            config: PathBuf::new(),
            model: None,
            out: folder.to_owned(),
        }
    }

    fn from(folder: &Path) -> ImportArguments {
        ImportArguments {
            config: PathBuf::new(),
            folder: folder.to_owned(),
            expect: None,
        }
    }

    fn provenance(root: &Digest) -> Provenance {
        Provenance {
            root: root.to_hex(),
            session: "a5".repeat(32),
            sequence: 40,
            kind: "pretrain".to_owned(),
            plan: "encoder, spring".to_owned(),
            plan_id: "b6".repeat(32),
        }
    }

    #[test]
    fn one_bank_exports_what_another_imports() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let (releases, mut checkpoint) = made(&one, 1);
        let error = export_from(&releases, &out(&two)).unwrap_err().to_string();
        assert!(error.contains("no model in the store"), "{error}");
        let root = genesis::model_root(&checkpoint.parameters);
        checkpoint.card.release = Some(provenance(&root));
        releases.keep(&checkpoint).unwrap();
        let folder = dir.path().join("encoder");
        let said = export_from(&releases, &out(&folder)).unwrap().text;
        assert!(said.contains(&root.to_hex()), "{said}");
        assert!(said.contains("pretrain plan \"encoder, spring\""), "{said}");

        let (others, _) = made(&two, 1);
        let asked = ImportArguments {
            expect: Some(root.to_hex()),
            ..from(&folder)
        };
        let said = import_into(&others, &asked).unwrap().text;
        assert!(said.contains("started again"), "{said}");
        assert_eq!(others.held(), [Held { root, checkpoint }]);
        assert!(listed(&others).contains(&root.to_hex()));
        let unknown = ExportArguments {
            model: Some("ff".repeat(32)),
            ..out(&folder)
        };
        let error = export_from(&others, &unknown).unwrap_err().to_string();
        assert!(
            error.contains("--model") && error.contains("model list"),
            "{error}"
        );
    }

    #[test]
    fn a_model_that_is_not_the_one_expected_is_not_imported() {
        let dir = tempfile::tempdir().unwrap();
        let (releases, mut checkpoint) = made(&dir.path().join("store"), 1);
        let root = genesis::model_root(&checkpoint.parameters).to_hex();
        let folder = dir.path().join("encoder");
        let schema = releases.schema().clone();
        checkpoint.save(&schema, &folder).unwrap();
        let other = ImportArguments {
            expect: Some("ff".repeat(32)),
            ..from(&folder)
        };
        let error = import_into(&releases, &other).err().unwrap();
        assert_eq!(error.exit_code(), 78);
        let error = error.to_string();
        assert!(
            error.contains(&format!("model is {root}, expected ffff")),
            "{error}"
        );
        checkpoint.card.release = Some(provenance(&Digest([7; 32])));
        checkpoint.save(&schema, &folder).unwrap();
        let error = import_into(&releases, &from(&folder)).err().unwrap();
        assert!(error.to_string().contains("expected 0707"), "{error}");
        let tensors = folder.join("parameters.safetensors");
        let mut bytes = std::fs::read(&tensors).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&tensors, &bytes).unwrap();
        let error = import_into(&releases, &from(&folder)).err().unwrap();
        assert!(error.to_string().contains("parameters is"), "{error}");
        assert_eq!(releases.held(), []);
    }
}
