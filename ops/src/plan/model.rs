//! The model a plan is about, as `phalanx-agent layout` writes it: the feature schema's canonical
//! text and the network's tensors, each with the digest that consent files name. The operator reads
//! neither; both travel in the plan.

use std::path::Path;

use crypto::Digest;
use protocol::plan::{Base, Init, Layout, ModelTerms, Part, SchemaText, TensorSpec};
use serde::Deserialize;

use super::PlanError;

/// The model's schema and layout.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ModelFile {
    /// The feature schema, as canonical text.
    schema: String,
    /// Its digest, in hex: what consent files name.
    pub(crate) schema_digest: String,
    /// The layout's digest, in hex: what consent files name.
    pub(crate) layout_digest: String,
    /// Columns of the schema.
    pub(super) columns: u32,
    tensors: Vec<RawTensor>,
}

/// The model that a plan's starts from, as a plan file names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBase {
    /// Its parameters' root, in hex, as `phalanx-agent model export` prints it.
    model: String,
    parts: RawTaken,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawTaken {
    /// What pretraining trains: the head is drawn.
    Encoder,
    All,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    name: String,
    shape: Vec<u32>,
    part: RawPart,
    init: RawInit,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawPart {
    Encoder,
    Energy,
    Head,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawInit {
    Zeros,
    Constant(f32),
    Uniform(f32),
    Normal(f32),
}

impl ModelFile {
    /// Reads the file and holds its digests against its contents.
    pub(crate) fn read(path: &Path) -> Result<Self, PlanError> {
        let wrong = |what: String| PlanError::Layout {
            path: path.to_owned(),
            what,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let file: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let terms = file.terms(0);
        for (name, said, found) in [
            ("schema_digest", &file.schema_digest, terms.schema.digest()),
            ("layout_digest", &file.layout_digest, terms.layout.digest()),
        ] {
            let found = found.to_hex();
            if *said != found {
                let what = format!("{name} is {said}, expected {found}, that of what it names");
                return Err(wrong(what));
            }
        }
        Ok(file)
    }

    /// The model with its first parameters' seed.
    pub(crate) fn terms(&self, genesis_seed: u64) -> ModelTerms {
        ModelTerms {
            schema: SchemaText(self.schema.clone()),
            layout: self.layout(),
            genesis_seed,
            base: None,
        }
    }

    /// The model that starts from another one, if the plan says so.
    pub(super) fn terms_from(
        &self,
        genesis_seed: u64,
        base: Option<&RawBase>,
    ) -> Result<ModelTerms, PlanError> {
        Ok(ModelTerms {
            base: base.map(RawBase::resolve).transpose()?,
            ..self.terms(genesis_seed)
        })
    }

    fn layout(&self) -> Layout {
        let tensor = |raw: &RawTensor| TensorSpec {
            name: raw.name.clone(),
            shape: raw.shape.clone(),
            part: match raw.part {
                RawPart::Encoder => Part::Encoder,
                RawPart::Energy => Part::Energy,
                RawPart::Head => Part::Head,
            },
            init: match raw.init {
                RawInit::Zeros => Init::Zeros,
                RawInit::Constant(value) => Init::Constant(value),
                RawInit::Uniform(bound) => Init::Uniform(bound),
                RawInit::Normal(sd) => Init::Normal(sd),
            },
        };
        Layout(self.tensors.iter().map(tensor).collect())
    }
}

impl RawBase {
    fn resolve(&self) -> Result<Base, PlanError> {
        let root = Digest::from_hex(&self.model).ok_or_else(|| {
            let found = &self.model;
            PlanError::Invalid(format!(
                "base.model is {found}, expected 64 hexadecimal digits, as `phalanx-agent model \
                 export` prints them"
            ))
        })?;
        let parts = match self.parts {
            RawTaken::Encoder => vec![Part::Encoder, Part::Energy],
            RawTaken::All => vec![Part::Encoder, Part::Energy, Part::Head],
        };
        Ok(Base { root, parts })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const FILE: &str = r#"{"schema":"language = 1","schema_digest":"","layout_digest":"",
        "columns":3,"tensors":[
        {"name":"a","shape":[2,3],"part":"encoder","init":{"uniform":0.5}},
        {"name":"e","shape":[3],"part":"energy","init":"zeros"},
        {"name":"h","shape":[3],"part":"head","init":{"constant":-4.0}}]}"#;

    pub(crate) fn model() -> ModelFile {
        serde_json::from_str(FILE).unwrap()
    }

    #[test]
    fn a_file_whose_digests_do_not_fit_is_refused_by_the_one_that_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layout.json");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ModelFile::read(&path).map_err(|error| error.to_string())
        };
        let terms = model().terms(0);
        let schema = FILE.replace(
            r#""schema_digest":"""#,
            &format!(r#""schema_digest":"{}""#, terms.schema.digest().to_hex()),
        );
        let whole = schema.replace(
            r#""layout_digest":"""#,
            &format!(r#""layout_digest":"{}""#, terms.layout.digest().to_hex()),
        );
        assert!(said(FILE).unwrap_err().contains("schema_digest"));
        assert!(said(&schema).unwrap_err().contains("layout_digest"));
        assert_eq!(said(&whole).unwrap().terms(7).genesis_seed, 7);
        let other = whole.replace("language = 1", "language = 2");
        assert!(said(&other).unwrap_err().contains("schema_digest"));
    }
}
