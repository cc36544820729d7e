//! The guard that keeps card numbers out: what looks like one, which names may carry one, and
//! how a found value is shown in an error without its digits. Tokenising, the one way in for a
//! card number, is in `map/token.rs`.

/// True where `text` holds a card number: 13 to 19 digits, single spaces, dashes or dots allowed
/// between groups, that pass the Luhn check. A UUID and a long hexadecimal digest are let
/// through: their digit runs pass Luhn by accident in one case of ten.
#[must_use]
pub fn is_pan_like(text: &str) -> bool {
    if text.len() < DIGITS_MIN || is_digest(text) {
        return false;
    }
    let mut chain = Chain::default();
    for character in text.chars().chain(std::iter::once('\0')) {
        if let Some(digit) = character.to_digit(10) {
            chain.push(u8::try_from(digit).expect("a decimal digit is below ten"));
        } else if is_separator(character) && chain.pending.is_none() && !chain.digits.is_empty() {
            chain.pending = Some(character);
        } else {
            if chain.has_pan() {
                return true;
            }
            chain = Chain::default();
        }
    }
    false
}

/// The same guard for a value that arrived as a whole number.
#[must_use]
pub fn is_pan_number(value: i64) -> bool {
    value >= 1_000_000_000_000 && is_pan_like(&value.to_string())
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
    // Every field of every payment is judged, and nearly all are innocent at a glance.
    let is_innocent = name.is_ascii() && !holds_sensitive_letters(name.as_bytes());
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

/// Whether the letters of a sensitive word stand in a row somewhere in a name. Words are stretches
/// of the name, so of ASCII no other name has one.
fn holds_sensitive_letters(name: &[u8]) -> bool {
    let begins = |name: &[u8], word: &str| {
        let mut letters = name.iter().zip(word.bytes());
        name.len() >= word.len()
            && letters.all(|(letter, sensitive)| letter.to_ascii_lowercase() == sensitive)
    };
    (0..name.len()).any(|at| {
        SENSITIVE_WORDS
            .iter()
            .any(|&word| begins(&name[at..], word))
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

/// Groups of digits with single separators between them.
#[derive(Default)]
struct Chain {
    digits: Vec<u8>,
    /// Where each group begins.
    starts: Vec<usize>,
    /// The separators between the groups.
    separators: Vec<char>,
    /// A separator that no digit followed yet.
    pending: Option<char>,
}

impl Chain {
    fn push(&mut self, digit: u8) {
        if let Some(separator) = self.pending.take() {
            self.separators.push(separator);
            self.starts.push(self.digits.len());
        } else if self.digits.is_empty() {
            self.starts.push(0);
        }
        self.digits.push(digit);
    }

    /// True where some run of whole neighbouring groups has 13 to 19 digits and passes Luhn. A
    /// lone dot is a decimal point: then only the digits before it count, since floating point
    /// writes 57.16 as 57.160000000000004.
    fn has_pan(&self) -> bool {
        let point = match (self.separators.as_slice(), self.starts.as_slice()) {
            (['.'], [_, point]) => *point,
            _ => self.digits.len(),
        };
        let digits = &self.digits[..point];
        self.starts.iter().enumerate().any(|(group, &start)| {
            let ends = self.starts[group + 1..]
                .iter()
                .copied()
                .filter(|end| *end < point);
            let ends = ends.chain(std::iter::once(point));
            ends.skip_while(|end| end.saturating_sub(start) < DIGITS_MIN)
                .take_while(|end| end - start <= DIGITS_MAX)
                .any(|end| passes_luhn(&digits[start..end]))
        })
    }
}

/// ISO/IEC 7812-1 annex B: double every second digit from the right, sum the digits, mod 10.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| match (place % 2, digit) {
            (0, digit) => u32::from(digit),
            (_, digit @ 0..=4) => u32::from(digit) * 2,
            (_, digit) => u32::from(digit) * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != 0)
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

    proptest! {
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
                passes_luhn(&all)
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
