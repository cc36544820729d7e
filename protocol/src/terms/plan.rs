//! Whether a plan makes sense: every field in range, every list in its one order. A message names
//! the field, what was found and what was expected, since an operator reads it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::{for_cohort, room, words};
use crate::limits::{
    BINS_MAX, COLUMNS_MAX, DIMENSIONS_MAX, MEMBERS_MAX, MEMBERS_MIN, NAME_BYTES_MAX,
    NEWTON_WEIGHTS_MAX, PHASE_MS_MAX, ROUNDS_MAX, SCHEMA_BYTES_MAX, STEPS_MAX, TENSORS_MAX,
    VALUE_BITS_MAX, VALUE_BITS_MIN, WORDS_MAX,
};
use crate::moments::LIMB_BITS;
use crate::plan::{
    CohortTerms, Deadlines, EvaluateTerms, Evaluated, Init, Kind, Layout, ModelTerms, Part, Plan,
    RiskTerms, ServerRule, Training, Work,
};

/// Checks every field of a plan.
///
/// # Errors
/// The first field out of range: its name, what was found, what was expected.
pub fn validate(plan: &Plan) -> Result<(), String> {
    name("name", &plan.name)?;
    within("rounds", plan.rounds, 1, ROUNDS_MAX)?;
    cohort(&plan.cohort)?;
    deadlines(&plan.deadlines)?;
    match &plan.work {
        Work::Pretrain(terms) | Work::Finetune(terms) => training(terms, plan)?,
        Work::Risk(terms) => risk(terms, plan)?,
        Work::Evaluate(terms) => evaluate(terms, plan)?,
    }
    words(plan)
        .map(|_| ())
        .map_err(|rule| format!("work: {rule}, expected at most {WORDS_MAX}"))
}

fn cohort(terms: &CohortTerms) -> Result<(), String> {
    let members_max = u16::try_from(MEMBERS_MAX).expect("a thousand fits");
    within(
        "cohort.members_min",
        terms.members_min,
        MEMBERS_MIN,
        members_max,
    )?;
    for_cohort(terms, terms.members_min)
        .map(|_| ())
        .map_err(|unfit| format!("cohort: {}, found {terms:?}", unfit.rule()))
}

fn deadlines(deadlines: &Deadlines) -> Result<(), String> {
    let phases = [
        ("deadlines.selection", deadlines.selection),
        ("deadlines.agreement", deadlines.agreement),
        ("deadlines.escrow", deadlines.escrow),
        ("deadlines.collection", deadlines.collection),
        ("deadlines.acknowledgement", deadlines.acknowledgement),
        ("deadlines.reveal", deadlines.reveal),
    ];
    phases
        .iter()
        .try_for_each(|(field, span)| within(field, span.0, 1, PHASE_MS_MAX))
}

fn training(terms: &Training, plan: &Plan) -> Result<(), String> {
    model(&terms.model)?;
    parts("training.parts", &terms.parts, &terms.model.layout)?;
    days(terms.from_day, terms.to_day)?;
    within("training.steps", terms.steps, 1, STEPS_MAX)?;
    within("training.batch", terms.batch, 1, STEPS_MAX)?;
    positive("training.rate", terms.rate)?;
    within("training.rate_encoder", terms.rate_encoder, 0.0, f32::MAX)?;
    within("training.rate_end", terms.rate_end, 0.0, 1.0)?;
    within("training.proximal", terms.proximal, 0.0, f32::MAX)?;
    within("training.examples_cap", terms.examples_cap, 1, u64::MAX)?;
    positive("training.clip_norm", terms.clip_norm)?;
    positive("training.range", terms.range)?;
    value_bits(terms.value_bits, plan)?;
    server(&terms.server)?;
    match terms.server {
        ServerRule::Newton(_) => newton(terms, plan),
        ServerRule::FedAvg { .. } | ServerRule::FedAdam(_) | ServerRule::FedYogi(_) => Ok(()),
    }
}

/// Newton's method needs a loss without a second valley: fine-tuning of a linear head alone.
fn newton(terms: &Training, plan: &Plan) -> Result<(), String> {
    if plan.work.kind() != Kind::Finetune {
        return Err("training.server is Newton, expected that in fine-tuning alone".to_owned());
    }
    if terms.parts != [Part::Head] {
        return Err(format!(
            "training.parts is {:?}, expected the head alone under Newton's method",
            terms.parts
        ));
    }
    let tensors = terms.model.layout.0.iter();
    let head = tensors.filter(|tensor| tensor.part == Part::Head);
    let shapes: Vec<&[u32]> = head.map(|tensor| tensor.shape.as_slice()).collect();
    match shapes[..] {
        [[1, weights], [1]] => within("head weights", *weights, 1, NEWTON_WEIGHTS_MAX),
        _ => Err(format!(
            "model.layout has a head of {shapes:?}, expected [1, weights] and [1] under Newton's \
             method"
        )),
    }
}

/// The smallest cohort leaves the most room: bits that do not fit there fit nowhere.
fn value_bits(bits: u8, plan: &Plan) -> Result<(), String> {
    let (width, members) = (plan.width, plan.cohort.members_min);
    let most = room(width, members).min(VALUE_BITS_MAX);
    within("training.value_bits", bits, VALUE_BITS_MIN, most).map_err(|found| {
        let width = width.bits();
        format!("{found}: words of {width} bits and members_min {members}")
    })
}

fn server(rule: &ServerRule) -> Result<(), String> {
    match *rule {
        ServerRule::FedAvg { rate } => positive("training.server.rate", rate),
        ServerRule::FedAdam(terms) | ServerRule::FedYogi(terms) => {
            positive("training.server.rate", terms.rate)?;
            within("training.server.beta1", terms.beta1, 0.0, 0.999_999)?;
            within("training.server.beta2", terms.beta2, 0.0, 0.999_999)?;
            positive("training.server.epsilon", terms.epsilon)
        }
        ServerRule::Newton(terms) => {
            positive("training.server.radius", terms.radius)?;
            positive("training.server.ridge", terms.ridge)
        }
    }
}

fn parts(field: &str, parts: &[Part], layout: &Layout) -> Result<(), String> {
    if parts.is_empty() || !parts.is_sorted_by(|a, b| a < b) {
        return Err(format!(
            "{field} is {parts:?}, expected some parts, ascending"
        ));
    }
    match parts
        .iter()
        .find(|&&part| layout.0.iter().all(|tensor| tensor.part != part))
    {
        Some(part) => Err(format!(
            "{field} holds {part:?}, expected parts of the layout"
        )),
        None => Ok(()),
    }
}

fn model(terms: &ModelTerms) -> Result<(), String> {
    let schema = within("model.schema", terms.schema.0.len(), 1, SCHEMA_BYTES_MAX);
    schema.map_err(|found| format!("{found} bytes"))?;
    let tensors = &terms.layout.0;
    within("model.layout.tensors", tensors.len(), 1, TENSORS_MAX)?;
    let mut names = BTreeSet::new();
    for tensor in tensors {
        name("model.layout.name", &tensor.name)?;
        if !names.insert(&tensor.name) {
            return Err(format!(
                "model.layout repeats {:?}, expected one each",
                tensor.name
            ));
        }
        within(
            "model.layout.dimensions",
            tensor.shape.len(),
            1,
            DIMENSIONS_MAX,
        )?;
        tensor
            .shape
            .iter()
            .try_for_each(|&size| within("model.layout.size", size, 1, u32::MAX))?;
        match tensor.init {
            Init::Zeros => {}
            Init::Constant(value) => within("model.layout.init", value, f32::MIN, f32::MAX)?,
            Init::Uniform(spread) | Init::Normal(spread) => {
                within("model.layout.init", spread, 0.0, f32::MAX)?;
            }
        }
    }
    if let Some(base) = &terms.base {
        parts("model.base.parts", &base.parts, &terms.layout)?;
    }
    let all = [Part::Encoder, Part::Energy, Part::Head];
    match super::parameters(&terms.layout, &all) {
        Some(parameters) => within("model.layout.parameters", parameters, 1, WORDS_MAX),
        None => Err(format!(
            "model.layout.parameters overflow, expected at most {WORDS_MAX}"
        )),
    }
}

/// Counts are taken once per plan: a second round would be on the same base, which every bank
/// refuses.
fn once(plan: &Plan) -> Result<(), String> {
    within("rounds", plan.rounds, 1, 1)
}

fn risk(terms: &RiskTerms, plan: &Plan) -> Result<(), String> {
    once(plan)?;
    within("risk.buckets", terms.buckets, 1, u32::MAX)?;
    within("risk.days", terms.days, 1, u16::MAX)?;
    within(
        "risk.from_day",
        terms.from_day,
        0,
        u32::MAX - u32::from(terms.days),
    )?;
    let members_max = u16::try_from(MEMBERS_MAX).expect("a thousand fits");
    within("risk.banks_min", terms.banks_min, 1, members_max)
}

fn evaluate(terms: &EvaluateTerms, plan: &Plan) -> Result<(), String> {
    once(plan)?;
    model(&terms.model)?;
    match terms.of {
        Evaluated::Scores { bins } => within("evaluate.bins", bins, 2, BINS_MAX)?,
        Evaluated::Moments { columns } => {
            within("evaluate.columns", columns, 1, COLUMNS_MAX)?;
            let bits = room(plan.width, plan.cohort.members_min);
            within("bits left for moments", bits, LIMB_BITS + 1, u8::MAX)?;
        }
    }
    days(terms.from_day, terms.to_day)
}

fn days(from: u32, to: u32) -> Result<(), String> {
    if from >= to {
        return Err(format!(
            "from_day is {from}, expected a day before to_day {to}"
        ));
    }
    Ok(())
}

fn name(field: &str, name: &str) -> Result<(), String> {
    within(field, name.len(), 1, NAME_BYTES_MAX).map_err(|found| format!("{found} bytes"))?;
    match name.chars().find(|letter| letter.is_control()) {
        Some(letter) => Err(format!(
            "{field} holds {letter:?}, expected no control characters"
        )),
        None => Ok(()),
    }
}

fn positive(field: &str, value: f32) -> Result<(), String> {
    within(field, value, f32::MIN_POSITIVE, f32::MAX)
}

/// Refuses NaN too: it is on neither side of anything.
fn within<T: PartialOrd + Debug>(field: &str, value: T, least: T, most: T) -> Result<(), String> {
    if least <= value && value <= most {
        return Ok(());
    }
    Err(format!(
        "{field} is {value:?}, expected {least:?} to {most:?}"
    ))
}
