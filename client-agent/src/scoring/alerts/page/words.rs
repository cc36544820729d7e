//! Numbers, times and tokens as people read them.

use chrono::DateTime;
use features::minor_per_major;
use serde_json::Value;

/// A token's first characters: enough to tell two apart, too few to look anybody up.
pub(super) fn mask(token: &str) -> String {
    let mut shown: String = token.chars().take(SHOWN_MAX).collect();
    if token.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A time of the agent in minutes, UTC.
pub(super) fn time(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M").to_string()
    })
}

pub(super) fn time_of(ms: u64) -> String {
    time(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Seconds in the largest unit that fits.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400.. => format!("{} d", seconds / 86_400),
    }
}

/// An amount in major units, with its currency.
pub(super) fn amount(minor: i64, currency: &str) -> String {
    // One, a hundred or a thousand.
    let per = minor_per_major(currency) as u64;
    let (major, rest) = (minor.unsigned_abs() / per, minor.unsigned_abs() % per);
    let digits = major.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if minor < 0 { "-" } else { "" };
    match per {
        1 => format!("{sign}{grouped} {currency}"),
        1_000 => format!("{sign}{grouped}.{rest:03} {currency}"),
        _ => format!("{sign}{grouped}.{rest:02} {currency}"),
    }
}

pub(super) fn score(score: Option<u16>) -> String {
    score.map_or_else(|| "none".to_owned(), |score| score.to_string())
}

/// A value of a stored answer as a text; nothing where it has none.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let words: Vec<String> = values.iter().map(plain).collect();
            words.join(", ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Characters of a token that are shown.
const SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(amount(1_250, "EUR"), "12.50 EUR");
        assert_eq!(amount(184_000_000, "EUR"), "1,840,000.00 EUR");
        assert_eq!(amount(5, "JPY"), "5 JPY");
        assert_eq!(amount(1_234_567, "KWD"), "1,234.567 KWD");
        assert_eq!(amount(0, "USD"), "0.00 USD");
        assert_eq!(amount(i64::MIN, "JPY"), "-9,223,372,036,854,775,808 JPY");
        assert_eq!(
            [59, 60, 7_199, 86_400].map(age),
            ["59 s", "1 min", "1 h", "1 d"]
        );
        assert_eq!(time(1_772_352_000_000), "2026-03-01 08:00");
        assert_eq!(
            (time(i64::MAX), score(None)),
            (String::new(), "none".to_owned())
        );
        assert_eq!(plain(&json!(["late", 3])), "late, 3");
    }

    #[test]
    fn a_token_shows_eight_characters() {
        assert_eq!(mask("card_71c9f2"), "card_71c…");
        assert_eq!(mask("card_71c"), "card_71c");
        assert_eq!(mask("äöüäöüäöü"), "äöüäöüäö…");
    }
}
