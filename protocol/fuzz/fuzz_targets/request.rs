//! libFuzzer's door to `src/scoring.rs`. What it checks is said in `src/request.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/scoring.rs"]
mod scoring;

fuzz_target!(|bytes: &[u8]| scoring::target::request(bytes));
