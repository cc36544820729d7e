//! results.json as text: an object's names on a line each, and a list on one line, so that values
//! by seed do not take a line each.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::Results;

/// The file's text.
pub(super) fn text(results: &Results) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Lines(PrettyFormatter::new()));
    results.serialize(&mut serializer)?;
    text.push(b'\n');
    Ok(String::from_utf8(text).expect("JSON is UTF-8"))
}

struct Lines(PrettyFormatter<'static>);

impl Formatter for Lines {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        match first {
            true => Ok(()),
            false => to.write_all(b", "),
        }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.begin_object_value(to)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.0.end_object_value(to)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::figure::tests::results;
    use super::*;

    #[test]
    fn lists_are_lines_and_nothing_is_lost() {
        let object = json!({"ap": [0.1, null, [2.5e-7]], "fractions": [{"a": 1}, {"b": []}]});
        let text = text(&results(&[("one", object.clone())])).unwrap();
        assert!(
            text.contains("      \"ap\": [0.1, null, [2.5e-7]],\n"),
            "{text}"
        );
        let read: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(read.0["one"].object, object);
        assert!(text.ends_with("}\n"));
    }
}
