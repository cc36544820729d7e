//! The guard that keeps card numbers out: what looks like one, which names may carry one, and
//! how a found value is shown in an error without its digits. Tokenising, the one way in for a
//! card number, is in `map/token.rs`.

/// True where `text` holds a card number: 13 to 19 digits, single spaces, dashes or dots allowed
/// between groups, that pass the Luhn check. A UUID and a long hexadecimal digest are let
/// through: their digit runs pass Luhn by accident in one case of ten.
#[must_use]
pub fn is_pan_like(text: &str) -> bool {
    // Nearly every text ends here, by counting alone.
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits < DIGITS_MIN || is_digest(text) {
        return false;
    }
    // Groups of digits with single separators between them are a chain.
    let holds = |(start, end): (usize, usize)| has_pan(&text[start..end]);
    let mut chain: Option<(usize, usize)> = None;
    for (at, character) in text.char_indices() {
        if character.is_ascii_digit() {
            let start = chain.map_or(at, |(start, _)| start);
            chain = Some((start, at + 1));
        } else if is_separator(character) && chain.is_some_and(|(_, end)| end == at) {
            // A digit behind it goes on with the chain, anything else ends it.
        } else if chain.take().is_some_and(holds) {
            return true;
        }
    }
    chain.is_some_and(holds)
}

/// The same guard for a value that arrived as a whole number.
#[must_use]
pub fn is_pan_number(value: i64) -> bool {
    // From here on a number has 13 digits, and none has more than 19.
    let is_long = value >= 1_000_000_000_000;
    let tenths = |rest: &i64| (*rest >= 10).then_some(*rest / 10);
    let from_right = std::iter::successors(Some(value), tenths).map(|rest| (rest % 10) as u8);
    is_long && passes_luhn(from_right)
}

/// True for a time in milliseconds, 2001 to 2096. Its thirteen digits pass the Luhn check by
/// accident in one case of ten, and lie below every number that the schemes issue with thirteen.
#[must_use]
pub fn is_time_ms(value: i64) -> bool {
    (1_000_000_000_000..4_000_000_000_000).contains(&value)
}

/// True where a field's name says that it carries what must never be kept: a word of the name is
/// pan, cvv, cvc, track or pin (with or without a digit behind it). Words are what separators
/// and capitals set apart, so `company` and `shipping` are innocent.
#[must_use]
pub fn is_sensitive_name(name: &str) -> bool {
    // Nearly all names are innocent at a glance.
    let is_innocent = name.is_ascii() && !may_hold_sensitive_word(name.as_bytes());
    !is_innocent && has_sensitive_word(name)
}

fn has_sensitive_word(name: &str) -> bool {
    let mut word = String::new();
    let mut previous_is_lower = false;
    for character in name.chars().chain(std::iter::once('_')) {
        let starts_word = character.is_uppercase() && previous_is_lower;
        if !character.is_alphanumeric() || starts_word {
            let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
            if SENSITIVE_WORDS.contains(&stem) {
                return true;
            }
            word.clear();
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        previous_is_lower = character.is_lowercase() || character.is_numeric();
    }
    false
}

/// Whether the first letters of a sensitive word stand in a row somewhere in a name. Words are
/// stretches of the name, so of ASCII no other name has one.
fn may_hold_sensitive_word(name: &[u8]) -> bool {
    name.windows(3).any(|letters| {
        let [one, two, three] = [0, 1, 2].map(|at: usize| letters[at].to_ascii_lowercase());
        matches!(
            &[one, two, three],
            b"pan" | b"pin" | b"cvc" | b"cvv" | b"tra"
        )
    })
}

/// A value as an error may show it: at most 40 characters, and every digit hidden where the text
/// holds nine or more of them, since such a text may be a card number or a part of one.
#[must_use]
pub fn redact(text: &str) -> String {
    let hides = text.chars().filter(char::is_ascii_digit).count() >= 9
        || text.chars().filter(|c| c.is_numeric()).count() >= 9;
    let mut shown: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|c| match c {
            _ if c.is_control() => '?',
            _ if hides && c.is_numeric() => '#',
            _ => c,
        })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// True where some run of whole neighbouring groups of a chain, which begins and ends with a digit,
/// has 13 to 19 digits and passes Luhn. A lone dot is a decimal point: then only the digits before
/// it count, since floating point writes 57.16 as 57.160000000000004.
fn has_pan(chain: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let chain = match chain.split_once('.') {
        Some((whole, fraction)) if is_digits(whole) && is_digits(fraction) => whole,
        Some(_) | None => chain,
    };
    let bytes = chain.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    (0..bytes.len())
        .filter(|&at| is_digit(at) && !at.checked_sub(1).is_some_and(is_digit))
        .any(|start| begins_with_pan(&bytes[start..]))
}

/// The same for the runs that begin with the first group.
fn begins_with_pan(chain: &[u8]) -> bool {
    let places = (0..chain.len()).filter(|&at| chain[at].is_ascii_digit());
    for (digits, at) in (1..=DIGITS_MAX).zip(places) {
        let is_end = !chain.get(at + 1).is_some_and(u8::is_ascii_digit);
        let from_right = chain[..=at].iter().rev().filter(|b| b.is_ascii_digit());
        if is_end && digits >= DIGITS_MIN && passes_luhn(from_right.map(|digit| digit - b'0')) {
            return true;
        }
    }
    false
}

/// ISO/IEC 7812-1 annex B: double every second digit from the right, sum the digits, mod 10.
fn passes_luhn(from_right: impl Iterator<Item = u8>) -> bool {
    let (mut sum, mut is_anything) = (0_u32, false);
    for (place, digit) in from_right.enumerate() {
        is_anything |= digit != 0;
        sum += match (place % 2, digit) {
            (0, digit) => u32::from(digit),
            (_, digit @ 0..=4) => u32::from(digit) * 2,
            (_, digit) => u32::from(digit) * 2 - 9,
        };
    }
    is_anything && sum.is_multiple_of(10)
}

fn is_separator(character: char) -> bool {
    matches!(
        character,
        ' ' | '-' | '.' | '\u{a0}' | '\u{2010}'..='\u{2015}'
    )
}

/// A UUID, or at least 24 hexadecimal digits, with at least one letter among them.
fn is_digest(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |b: &u8| b.is_ascii_hexdigit();
    let is_uuid = bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => is_hex(b),
        });
    let is_hash = bytes.len() >= 24 && bytes.iter().all(is_hex);
    (is_uuid || is_hash) && bytes.iter().any(u8::is_ascii_alphabetic)
}

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;
const SHOWN_MAX: usize = 40;
const SENSITIVE_WORDS: [&str; 6] = ["pan", "cvv", "cvc", "track", "pin", "pinblock"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Published test numbers of the card schemes; none is a real card.
    const PANS: [&str; 5] = [
        "4111111111111111",
        "378282246310005",
        "6011111111111117",
        "4222222222222",
        "6304000000000000000",
    ];

    #[test]
    fn test_numbers_of_the_schemes_are_seen() {
        for pan in PANS {
            assert!(is_pan_like(pan), "length {}", pan.len());
            assert!(is_pan_number(pan.parse().unwrap()));
            assert!(is_pan_like(&format!("card {pan}, gold")));
        }
    }

    #[test]
    fn spaces_and_dashes_hide_nothing() {
        assert!(is_pan_like("4111 1111 1111 1111"));
        assert!(is_pan_like("4111-1111-1111-1111"));
        assert!(is_pan_like("20260101 4111 1111 1111 1111 12"));
        assert!(is_pan_like("4111111111111111 4111111111111111"));
    }

    #[test]
    fn other_numbers_pass() {
        for text in [
            "4111111111111112",
            "123456789012",
            "2018-04-01T00:00:31.123Z",
            "",
        ] {
            assert!(!is_pan_like(text));
        }
        assert!(!is_pan_like("550e8400-e29b-41d4-a716-446655440000"));
        assert!(!is_pan_like("00000000000000000"));
        // A decimal number, though its digits pass Luhn; a lone dot separates nothing.
        assert!(is_pan_like("57160000000000048") && !is_pan_like("57.160000000000048"));
        assert!(is_pan_like("4111.1111.1111.1111") && is_pan_like("4111111111111111.0"));
    }

    #[test]
    fn names_are_judged_by_their_words() {
        for name in [
            "pan",
            "card_pan",
            "CardPAN",
            "cvv2",
            "Track1",
            "pin_block",
            "cardPan",
            "CVC",
        ] {
            assert!(is_sensitive_name(name), "{name}");
        }
        for name in [
            "company",
            "shipping",
            "spanish",
            "tracking_id",
            "opinion",
            "card_tok",
        ] {
            assert!(!is_sensitive_name(name), "{name}");
        }
    }

    #[test]
    fn every_sensitive_word_is_seen_at_a_glance() {
        for word in SENSITIVE_WORDS {
            let name = format!("Card_{word}3_tok");
            assert!(is_sensitive_name(&name), "{name}");
            assert!(is_sensitive_name(&name.to_ascii_uppercase()), "{name}");
        }
    }

    /// The guard as it is told, group by group.
    fn is_pan_like_plainly(text: &str) -> bool {
        let mut chains = vec![(vec![String::new()], Vec::new())];
        for character in text.chars() {
            let (groups, separators) = chains.last_mut().unwrap();
            let group = groups.last_mut().unwrap();
            if character.is_ascii_digit() {
                group.push(character);
            } else if is_separator(character) && !group.is_empty() {
                groups.push(String::new());
                separators.push(character);
            } else {
                chains.push((vec![String::new()], Vec::new()));
            }
        }
        let holds = |(mut groups, mut separators): (Vec<String>, Vec<char>)| {
            if groups.len() > 1 && groups.last().is_some_and(String::is_empty) {
                groups.pop();
                separators.pop();
            }
            if separators == ['.'] {
                groups.pop();
            }
            let runs = (0..groups.len()).flat_map(|i| (i + 1..=groups.len()).map(move |j| (i, j)));
            runs.map(|(i, j)| groups[i..j].concat()).any(|run| {
                let from_right = run.bytes().rev().map(|digit| digit - b'0');
                (DIGITS_MIN..=DIGITS_MAX).contains(&run.len()) && passes_luhn(from_right)
            })
        };
        !is_digest(text) && chains.into_iter().any(holds)
    }

    proptest! {
        #[test]
        fn texts_are_judged_as_the_guard_is_told(
            parts in prop::collection::vec("[0-9]{1,9}|[-. ]|[0 ]|\u{a0}|\u{2013}|[aé]", 0..9),
        ) {
            let text = parts.concat();
            prop_assert_eq!(is_pan_like(&text), is_pan_like_plainly(&text), "{}", text);
        }

        #[test]
        fn numbers_are_judged_as_their_digits_are(value in any::<i64>(), digits in 12_u32..19) {
            for value in [value, value.rem_euclid(10_i64.pow(digits))] {
                let written = value >= 0 && is_pan_like(&value.to_string());
                prop_assert_eq!(is_pan_number(value), written);
            }
        }

        // Letters of the words, capitals, digits and separators, so that words come about.
        #[test]
        fn a_glance_at_a_name_misses_no_word(name in "[panicvtrkPANICV1 _.é-]{0,12}") {
            prop_assert_eq!(is_sensitive_name(&name), has_sensitive_word(&name));
        }

        #[test]
        fn a_number_completed_by_its_check_digit_is_seen(
            body in prop::collection::vec(0_u8..10, 12..19),
            gap in prop::sample::select(vec!["", " ", "-"]),
        ) {
            let check = (0..10).find(|&c| {
                let mut all = body.clone();
                all.push(c);
                passes_luhn(all.into_iter().rev())
            });
            prop_assume!(body.iter().any(|&d| d != 0));
            let mut all = body;
            all.push(check.expect("one digit of ten completes a Luhn number"));
            let text: Vec<String> = all.chunks(4)
                .map(|c| c.iter().map(ToString::to_string).collect()).collect();
            let text = text.join(gap);
            prop_assert!(is_pan_like(&text));
            prop_assert!(!redact(&text).chars().any(|c| c.is_ascii_digit()));
        }
    }
}
