//! The network between its two descriptions: `model` builds it, a plan lists its tensors. Both
//! are written out so that neither crate needs the other; here they are held together.

use features::FeatureSchema;
use model::NetworkSize;
use protocol::plan::{Init, Layout, ModelTerms, Part, SchemaText, TensorSpec};

/// The tensors of the network for a schema, as a plan lists them.
#[must_use]
pub fn layout(schema: &FeatureSchema, size: NetworkSize) -> Layout {
    Layout(model::layout(schema, size).into_iter().map(spec).collect())
}

/// The size of the network that a plan is about.
///
/// # Errors
/// [`NetworkError`] where the plan's schema is not this agent's, or its layout is none that this
/// agent can build.
pub fn size_of(terms: &ModelTerms, schema: &FeatureSchema) -> Result<NetworkSize, NetworkError> {
    let different = differences(&terms.schema, schema);
    if !different.is_empty() {
        return Err(NetworkError::Schema(different.join("; ")));
    }
    let find = |name: &str| terms.layout.0.iter().find(|tensor| tensor.name == name);
    let dimension = |name: &'static str, at: usize| {
        let tensor = find(name);
        let size = tensor.and_then(|tensor| tensor.shape.get(at)).copied();
        size.and_then(|size| u16::try_from(size).ok())
            .ok_or(NetworkError::Tensor(name))
    };
    let size = NetworkSize {
        width: dimension("encoder.out.bias", 0)?,
        frequencies: dimension("encoder.frequencies", 1)?,
        head: match find("head.second.bias") {
            Some(_) => dimension("head.second.bias", 0)?,
            // A linear head has one layer, `head.out`; another layout is found below.
            None => 0,
        },
    };
    let own = layout(schema, size);
    let differs = |at: &usize| own.0.get(*at) != terms.layout.0.get(*at);
    match (0..own.0.len().max(terms.layout.0.len())).find(differs) {
        Some(at) => Err(NetworkError::Layout { at }),
        None => Ok(size),
    }
}

/// What a plan's feature schema says and this agent's does not, field by field; nothing where they
/// are the same text.
#[must_use]
pub fn differences(plan: &SchemaText, own: &FeatureSchema) -> Vec<String> {
    if plan.0 == own.canonical() {
        return Vec::new();
    }
    let theirs = match FeatureSchema::parse(&plan.0) {
        Ok(theirs) => theirs,
        Err(error) => return vec![format!("it is none: {error}")],
    };
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    let line = |it: &features::Difference| {
        let (found, expected) = (said(&it.there), said(&it.here));
        format!("{}: found {found}, expected {expected}", it.field)
    };
    let mut lines: Vec<String> = own.differences(&theirs).iter().map(line).collect();
    if lines.is_empty() {
        lines.push("it says the same in other words, expected the canonical text".to_owned());
    }
    let more = lines.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        lines.truncate(DIFFERENCES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Lines that say what differs: a schema that shares nothing with ours has thousands.
const DIFFERENCES_MAX: usize = 20;

/// Why a plan's model cannot be built here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The plan encodes with another schema; what differs.
    #[error("plan's feature schema is not this agent's: {0}")]
    Schema(String),
    /// A tensor that every network has is missing, or larger than any.
    #[error("plan's layout has no usable tensor {0}, expected the network of `layout`")]
    Tensor(&'static str),
    /// A tensor is not the one that the network has there.
    #[error("tensor {at} of the plan's layout differs from this agent's network of that size")]
    Layout {
        /// Its place, from 0.
        at: usize,
    },
}

fn spec(spec: model::TensorSpec) -> TensorSpec {
    let part = match spec.part {
        model::Part::Encoder => Part::Encoder,
        model::Part::Energy => Part::Energy,
        model::Part::Head => Part::Head,
    };
    let init = match spec.init {
        model::Init::Zeros => Init::Zeros,
        model::Init::Constant(value) => Init::Constant(value),
        model::Init::Uniform(bound) => Init::Uniform(bound),
        model::Init::Normal(deviation) => Init::Normal(deviation),
    };
    TensorSpec {
        name: spec.name,
        shape: spec.shape,
        part,
        init,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(size: NetworkSize) -> ModelTerms {
        let schema = FeatureSchema::standard();
        let layout = layout(&schema, size);
        ModelTerms {
            schema: SchemaText(schema.canonical()),
            layout,
            genesis_seed: 1,
            base: None,
        }
    }

    #[test]
    fn a_layout_gives_its_size_back() {
        let schema = FeatureSchema::standard();
        for size in [
            NetworkSize::default(),
            NetworkSize {
                width: 16,
                frequencies: 6,
                head: 8,
            },
            NetworkSize {
                head: 0,
                ..NetworkSize::default()
            },
        ] {
            assert_eq!(size_of(&terms(size), &schema), Ok(size));
        }
    }

    #[test]
    fn a_schema_that_is_read_fits_a_plan() {
        let of_plans = protocol::limits::SCHEMA_BYTES_MAX;
        assert_eq!(features::SCHEMA_BYTES_MAX, of_plans);
    }

    #[test]
    fn a_changed_layout_or_schema_is_no_network_of_ours() {
        let schema = FeatureSchema::standard();
        let plain = terms(NetworkSize::default());
        let changed = |change: fn(&mut ModelTerms)| {
            let mut terms = plain.clone();
            change(&mut terms);
            size_of(&terms, &schema).unwrap_err()
        };
        let last = plain.layout.0.len() - 1;
        let error = changed(|terms| terms.layout.0[1].init = Init::Zeros);
        assert_eq!(error, NetworkError::Layout { at: 1 });
        let error = changed(|terms| drop(terms.layout.0.pop()));
        assert_eq!(error, NetworkError::Layout { at: last });
        // What is left looks like a linear head, and is none.
        let error = changed(|terms| {
            let layout = &mut terms.layout.0;
            layout.retain(|tensor| !tensor.name.starts_with("head.second"));
        });
        assert!(matches!(error, NetworkError::Layout { .. }), "{error}");
        let error = changed(|terms| terms.layout.0.clear());
        assert!(matches!(error, NetworkError::Tensor(_)));
        let error = changed(|terms| terms.schema.0 = terms.schema.0.replace("0.95", "0.75"));
        let different = "feature amount: scale: found 0.75, expected 0.95";
        assert_eq!(error, NetworkError::Schema(different.to_owned()));
        let error = changed(|terms| terms.schema.0.insert(0, '\n')).to_string();
        assert!(error.contains("in other words"), "{error}");
        let error = changed(|terms| terms.schema.0 = "language = 2".to_owned()).to_string();
        assert!(
            error.contains("it is none: schema: language: found 2"),
            "{error}"
        );
    }
}
