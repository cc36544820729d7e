//! Words on a command line: options with a number, switches, and names. Only for the commands of
//! this program; what others are told is handed on as it is.

use std::collections::BTreeMap;

use crate::workshop::Failure;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    numbers: BTreeMap<&'static str, u64>,
    switches: Vec<&'static str>,
    /// Words that are no options.
    pub(crate) names: Vec<String>,
}

impl Options {
    /// Reads the words of a command that knows these options with a number, and these switches.
    ///
    /// # Errors
    ///
    /// One message, for a word that means nothing.
    pub(crate) fn read(
        words: &[String],
        numbers: &[&'static str],
        switches: &[&'static str],
    ) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if let Some(switch) = switches.iter().find(|switch| *switch == word) {
                options.switches.push(switch);
            } else if let Some(number) = numbers.iter().find(|number| **number == name) {
                let value = value.or_else(|| words.next().cloned()).unwrap_or_default();
                options.numbers.insert(number, whole(number, &value)?);
            } else if word.starts_with('-') {
                let known = [numbers, switches].concat().join(", ");
                return Err(Failure::Said(format!(
                    "found the option {word}, expected one of: {known}"
                )));
            } else {
                options.names.push(word.clone());
            }
        }
        Ok(options)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn has(&self, switch: &str) -> bool {
        self.switches.contains(&switch)
    }
}

/// A whole number above 0; underscores may set thousands apart.
fn whole(option: &str, value: &str) -> Result<u64, Failure> {
    match value.replace('_', "").parse() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) | Err(_) => Err(Failure::Said(format!(
            "found {option} {value:?}, expected a whole number above 0"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&words, &["--seeds", "--first"], &["--json"])
    }

    #[test]
    fn options_are_read_in_any_order_and_unknown_ones_named() {
        let options = read("plan --seeds 1_000 --json --first=7 result").expect("all are known");
        assert_eq!(options.number("--seeds"), Some(1_000));
        assert_eq!(options.number("--first"), Some(7));
        assert!(options.has("--json") && !options.has("--afresh"));
        assert_eq!(options.names, ["plan", "result"]);
        for (line, part) in [
            ("--sedes 5", "--sedes"),
            ("--seeds", "whole number"),
            ("--seeds many", "\"many\""),
            ("--seeds 0", "above 0"),
            ("--seeds -1", "above 0"),
            ("--json=yes", "--json=yes"),
        ] {
            let Err(Failure::Said(message)) = read(line) else {
                unreachable!("{line:?} means nothing")
            };
            assert!(message.contains(part), "{message}");
        }
    }
}
