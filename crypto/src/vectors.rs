//! Reads the vectors of `vectors/`, which `make.py` there writes with other libraries. Tests only.

use serde_json::Value;

pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("make.py writes JSON")
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

pub(crate) fn number(value: &Value) -> usize {
    let number = value.as_u64().expect("a natural number");
    usize::try_from(number).expect("a small number")
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().expect("the length of the field")
}

pub(crate) fn hex_list(value: &Value) -> Vec<Vec<u8>> {
    list(value).iter().map(hex).collect()
}

pub(crate) fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
    parts.iter().map(Vec::as_slice).collect()
}

/// `pattern` of make.py: bytes without a short period.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| ((at * 7 + at / 251) % 256) as u8)
        .collect()
}
