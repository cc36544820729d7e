//! libFuzzer's door to `protocol_fuzz::client_record`. What it checks is said there.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| protocol_fuzz::client_record(bytes));
