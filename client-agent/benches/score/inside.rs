//! The worker alone, on one thread: from the bytes of a body to the bytes of an answer, with the
//! journal's entry, payment by payment. The flush is timed apart, as a busy worker makes it: once
//! for many payments.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use client_agent::journal::Journal;
use client_agent::scoring::{Alone, AnswerAfter, Settings};
use hdrhistogram::Histogram;
use host::disk::Store;
use host::telemetry::Telemetry;

use crate::stage::{Sizes, Stage, bundle, settings};
use crate::{histogram, nanoseconds};

/// Nanoseconds of each payment, and of each flush.
pub(crate) struct Inside {
    pub(crate) each: Histogram<u64>,
    pub(crate) flush: Histogram<u64>,
}

/// Times payments with reasons from this probability on, whose answers can be told then.
pub(crate) fn measure(
    (stage, sizes): (&Stage, &Sizes),
    parameters: &Arc<Vec<f32>>,
    (reasons_from, answer_after): (u16, AnswerAfter),
) -> Inside {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = Store::open(folder.path()).expect("a fresh folder opens");
    let journal = Journal::open(&store).expect("a fresh journal opens");
    let encoder = stage.encoder.clone();
    let settings = Settings {
        answer_after,
        ..settings(reasons_from)
    };
    let alone = Alone::start(settings, encoder, journal, &Telemetry::default());
    let mut alone = alone.expect("the settings are in range");
    let installed = alone.install(bundle(parameters));
    installed.expect("the parameters are of this layout");
    let mut inside = Inside {
        each: histogram(),
        flush: histogram(),
    };
    let mut body = Vec::new();
    for number in 0..WARM_UP + sizes.inside {
        body.clear();
        stage.load.write(number, &mut body);
        let begun = Instant::now();
        let answer = alone.score(black_box(body.as_slice()));
        let taken = nanoseconds(begun.elapsed());
        black_box(answer.expect("the payment is well formed"));
        if number >= WARM_UP {
            inside.each.saturating_record(taken);
        }
        if (number + 1).is_multiple_of(FLUSH_EVERY) {
            let begun = Instant::now();
            alone.settle().expect("the folder can be written");
            inside.flush.saturating_record(nanoseconds(begun.elapsed()));
        }
    }
    inside
}

/// Payments that share a flush: as many as a busy worker takes at once.
pub(crate) const FLUSH_EVERY: u64 = 64;

/// Payments before those that are timed: memory and the journal's first pages are had by then.
const WARM_UP: u64 = 1_000;
