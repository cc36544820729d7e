//! Answers of every form, for who makes something of them: each word of each vocabulary, numbers of
//! every size, and everything that may be missing.

use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;

use super::*;

/// A whole answer, for a reader of the journal that wants all of it.
#[derive(Deserialize)]
pub(crate) struct Whole(pub(crate) Answer);

impl From<&Answer> for Whole {
    fn from(answer: &Answer) -> Self {
        Self(answer.clone())
    }
}

pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    let numbers = (
        prop::option::of(any::<u16>()),
        [
            prop::option::of(real()),
            prop::option::of(real()),
            prop::option::of(real()),
            prop::option::of(real()),
        ],
        prop::option::of(any::<i32>()),
        any::<u64>(),
        any::<u32>(),
    );
    let words = (prop::option::of(text()), text(), text(), text());
    let choices = (
        select(Decision::ALL.to_vec()),
        prop::option::of(select(vec![
            Band::Low,
            Band::Elevated,
            Band::High,
            Band::Critical,
        ])),
        select(vec![Mode::Full, Mode::Fallback]),
        any::<bool>(),
    );
    let degraded = select(vec![Degraded::Breaker, Degraded::Deadline, Degraded::Late]);
    let lists = (
        prop::collection::vec(degraded, 0..3),
        prop::collection::vec(reason(), 0..4),
        prop::collection::vec(surprise(), 0..4),
        prop::option::of(model_name()),
        prop::option::of(shadow()),
        prop::option::of(remainder()),
    );
    (numbers, words, choices, lists).prop_map(|(numbers, words, choices, lists)| {
        let (score, reals, risk_age_days, scored_at, unknown) = numbers;
        let [probability, logit, label_free, ratio] = reals;
        let (decision_id, txn_id, decision_rule, policy) = words;
        let (decision, band, mode, replayed) = choices;
        let (degraded, reasons, surprise, model, shadow, remainder) = lists;
        Answer {
            decision_id,
            txn_id,
            scored_at,
            score,
            probability,
            logit,
            label_free,
            ratio,
            decision,
            band,
            decision_rule,
            policy,
            degraded,
            reasons,
            remainder,
            surprise,
            risk_age_days,
            model,
            shadow,
            mode,
            replayed,
            unknown_fields: unknown,
            latency_us: 0,
        }
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    let numbers = (any::<u8>(), prop::option::of(real()));
    (numbers, [text(), text(), text()], prop::option::of(text())).prop_map(
        |((rank, weight), [code, observed, text], usual)| Reason {
            code,
            rank,
            weight,
            observed,
            usual,
            text,
        },
    )
}

fn remainder() -> impl Strategy<Value = Remainder> {
    (real(), real()).prop_map(|(base, rest)| Remainder { base, rest })
}

fn surprise() -> impl Strategy<Value = Surprise> {
    (text(), real()).prop_map(|(group, deviations)| Surprise { group, deviations })
}

fn model_name() -> impl Strategy<Value = ModelName> {
    let heads = select(vec![Head::Federation, Head::Personal, Head::Local]);
    (any::<u64>(), heads, text(), text()).prop_map(|(version, head, parameters, schema)| {
        ModelName {
            version,
            head,
            parameters,
            schema,
        }
    })
}

fn shadow() -> impl Strategy<Value = Shadow> {
    (text(), real(), real()).prop_map(|(bundle, probability, logit)| Shadow {
        bundle,
        probability,
        logit,
    })
}

/// A number that JSON can say.
fn real() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("JSON has no such number", |real| real.is_finite())
}

/// With quotation marks, line ends and what else JSON escapes.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
}
