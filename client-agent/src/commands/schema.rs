//! `schema fit`: the centres and scales of a schema from what an evaluation round measured.

use std::path::PathBuf;

use clap::Args;
use features::Fit;
use protocol::moments::Moment;
use serde::Deserialize;

use super::{CommandError, Said, write};
use crate::config::schema;

/// What `schema fit` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The schema that was measured; the standard one where it is left out.
    #[arg(long)]
    schema: Option<PathBuf>,
    /// What `phalanx round show ROUND --json` said of the round.
    #[arg(long)]
    moments: PathBuf,
    /// Write the fitted schema here; to standard output without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Shown {
    moments: Option<Vec<Option<Moment>>>,
}

pub(super) fn fit(arguments: &Arguments) -> Result<Said, CommandError> {
    let schema = schema::read(arguments.schema.as_deref())?;
    let path = &arguments.moments;
    let wrong = |found: String, expected: &str| {
        CommandError::Config(host::config::ConfigError::Value {
            key: path.display().to_string(),
            found,
            expected: expected.to_owned(),
        })
    };
    let text = std::fs::read_to_string(path).map_err(|error| host::config::ConfigError::Read {
        path: path.clone(),
        error,
    })?;
    let expected = "what `phalanx round show ROUND --json` says of a round of moments";
    let shown: Shown =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string(), expected))?;
    let moments = shown
        .moments
        .ok_or_else(|| wrong("no moments".to_owned(), expected))?;
    let fit = |moment: Option<Moment>| {
        moment.map(|of| Fit {
            mean: of.mean,
            deviation: of.deviation,
        })
    };
    let fits: Vec<Option<Fit>> = moments.into_iter().map(fit).collect();
    let fitted = schema
        .fitted(&fits)
        .map_err(|error| wrong(error.to_string(), "moments of this schema"))?;
    let text = fitted.canonical();
    let Some(out) = &arguments.out else {
        return Ok(Said::yes(text));
    };
    write(out, &text)?;
    let digest = crypto::Digest(fitted.digest()).to_hex();
    let mut said = format!("schema  {digest}\n");
    for of in schema.differences(&fitted) {
        let part = |text: Option<String>| text.unwrap_or_else(|| "nothing".to_owned());
        said += &format!("{}: {} -> {}\n", of.field, part(of.here), part(of.there));
    }
    Ok(Said::yes(said))
}

#[cfg(test)]
mod tests {
    use features::FeatureSchema;

    use super::*;

    #[test]
    fn a_measured_schema_is_written_and_what_is_no_measure_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let arguments = Arguments {
            schema: None,
            moments: dir.path().join("round.json"),
            out: Some(dir.path().join("fitted.toml")),
        };
        let tell = |text: String| {
            std::fs::write(&arguments.moments, text).unwrap();
            fit(&arguments)
        };
        let standard = FeatureSchema::standard();
        let mut moments = vec![serde_json::Value::Null; standard.len()];
        moments[0] = serde_json::json!({"count": 9, "mean": 1.0, "deviation": 2.0});
        let shown = serde_json::json!({"round": 3, "moments": moments}).to_string();
        let said = tell(shown).unwrap().text;
        assert!(
            said.contains("feature amount: center: 3.6 -> 4.55"),
            "{said}"
        );
        let fitted = schema::read(arguments.out.as_deref()).unwrap();
        assert_eq!(fitted.columns()[0].scale, 1.9);
        for (text, expected) in [
            ("{}", "no moments"),
            ("[", "round.json"),
            (r#"{"moments":[null]}"#, "1 columns"),
        ] {
            let error = tell(text.to_owned()).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
