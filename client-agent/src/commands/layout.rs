//! `layout`: the network's tensors and the digests that name them. The operator writes it into
//! plans, and each bank's security officer into the consent file.

use std::path::PathBuf;

use clap::Args;
use crypto::Digest;
use model::NetworkSize;
use model::network::{FREQUENCIES_MAX, WIDTH_MAX};
use protocol::plan::{Init, Part};
use serde::Serialize;

use super::{CommandError, Said, json, write};
use crate::config::schema;
use crate::network;

/// What `layout` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The consortium's feature schema; the standard one where it is left out.
    #[arg(long)]
    schema: Option<PathBuf>,
    /// Width of the encoder.
    #[arg(long, default_value_t = NetworkSize::default().width,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(WIDTH_MAX)))]
    width: u16,
    /// Frequencies of the periodic embedding, for each column; a plan holds no empty tensor, so
    /// that the embedding cannot be left out.
    #[arg(long, default_value_t = NetworkSize::default().frequencies,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(FREQUENCIES_MAX)))]
    frequencies: u16,
    /// Width of the fraud head's two layers; 0 for a linear head, which learns from few labels.
    #[arg(long, default_value_t = NetworkSize::default().head,
        value_parser = clap::value_parser!(u16).range(0..=i64::from(WIDTH_MAX)))]
    head: u16,
    /// Say all of it as JSON.
    #[arg(long)]
    json: bool,
    /// Write the JSON here.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct LayoutFile {
    schema: String,
    schema_digest: String,
    layout_digest: String,
    columns: usize,
    size: NetworkSize,
    tensors: Vec<Tensor>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<u32>,
    part: &'static str,
    init: Start,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Start {
    Zeros,
    Constant(f32),
    Uniform(f32),
    Normal(f32),
}

pub(super) fn layout(arguments: &Arguments) -> Result<Said, CommandError> {
    let schema = schema::read(arguments.schema.as_deref())?;
    let size = NetworkSize {
        width: arguments.width,
        frequencies: arguments.frequencies,
        head: arguments.head,
    };
    let layout = network::layout(&schema, size);
    let parameters = protocol::genesis::total(&layout);
    let file = LayoutFile {
        schema: schema.canonical(),
        schema_digest: Digest(schema.digest()).to_hex(),
        layout_digest: layout.digest().to_hex(),
        columns: schema.len(),
        size,
        tensors: layout.0.into_iter().map(tensor).collect(),
    };
    let text = json(&file)?;
    if let Some(path) = &arguments.out {
        write(path, &text)?;
    }
    if arguments.json {
        return Ok(Said::yes(text));
    }
    let mut said = format!(
        "schema  {}\nlayout  {}\n{parameters} parameters in {} tensors\n",
        file.schema_digest,
        file.layout_digest,
        file.tensors.len()
    );
    for tensor in &file.tensors {
        said += &format!(
            "  {:<24} {:<10} {:?}\n",
            tensor.name, tensor.part, tensor.shape
        );
    }
    Ok(Said::yes(said))
}

fn tensor(spec: protocol::plan::TensorSpec) -> Tensor {
    Tensor {
        name: spec.name,
        shape: spec.shape,
        part: match spec.part {
            Part::Encoder => "encoder",
            Part::Energy => "energy",
            Part::Head => "head",
        },
        init: match spec.init {
            Init::Zeros => Start::Zeros,
            Init::Constant(value) => Start::Constant(value),
            Init::Uniform(bound) => Start::Uniform(bound),
            Init::Normal(deviation) => Start::Normal(deviation),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use features::FeatureSchema;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    // A size that is not laid out as it was asked for would be found by the banks, if at all.
    #[test]
    fn a_size_that_no_plan_can_have_is_refused_and_never_changed() {
        let laid_out = |option: &str, size: u16| {
            let size = size.to_string();
            let said = Cli::try_parse_from(["layout", "--json", option, size.as_str()]);
            let said = said.map(|cli| layout(&cli.arguments).unwrap().text);
            said.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
        };
        for (option, least, most) in [
            ("width", 1, WIDTH_MAX),
            ("frequencies", 1, FREQUENCIES_MAX),
            ("head", 0, WIDTH_MAX),
        ] {
            for size in [least, most] {
                let file = laid_out(&format!("--{option}"), size).unwrap();
                assert_eq!(file["size"][option], size);
            }
            for size in least.checked_sub(1).into_iter().chain([most + 1]) {
                let error = laid_out(&format!("--{option}"), size).unwrap_err();
                let error = error.to_string();
                assert!(error.contains(&format!("{least}..={most}")), "{error}");
            }
        }
    }

    #[test]
    fn the_file_names_every_tensor_and_both_digests() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("layout.json");
        let NetworkSize {
            width,
            frequencies,
            head,
        } = NetworkSize::default();
        let arguments = Arguments {
            schema: None,
            width,
            frequencies,
            head,
            json: false,
            out: Some(out.clone()),
        };
        let said = layout(&arguments).unwrap().text;
        let text = std::fs::read_to_string(&out).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schema = FeatureSchema::standard();
        let expected = network::layout(&schema, NetworkSize::default());
        assert_eq!(file["layout_digest"], expected.digest().to_hex());
        assert_eq!(file["schema_digest"], Digest(schema.digest()).to_hex());
        assert_eq!(file["schema"], schema.canonical());
        assert_eq!(file["tensors"].as_array().unwrap().len(), expected.0.len());
        assert_eq!(file["tensors"][0]["part"], "encoder");
        assert!((file["tensors"][0]["init"]["normal"].as_f64().unwrap() - 0.3).abs() < 1e-6);
        assert!(said.contains("head.out.bias"), "{said}");
    }
}
